"""A callback for skorch: `NeuralNetClassifier(..., callbacks=[WatchCallback()])`."""

from typing import Any

from trainwell.adapters.translate import accepted, base, found, judgement, pair
from trainwell.adapters.watch import Watch, watch
from trainwell.diagnosis import Finding

Callback: Any = base("skorch", "skorch.callbacks:Callback")


class WatchCallback(Callback):
    """Watches the training of a net; scores "valid_…" of its history are those of a judgement.

    Settings are those of `trainwell.watch`; `watch` is the observation of the last training, None before it.
    """

    watch: Watch | None = None

    def __init__(self, **settings: Any) -> None:
        self._settings = accepted(settings)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings, with which scikit-learn makes copies."""
        return dict(self._settings)

    @property
    def findings(self) -> list[Finding]:
        """What is wrong so far."""
        return found(self.watch)

    def on_train_begin(self, net: Any, **ignored: object) -> None:
        """The observation begins."""
        self.watch = watch(net.module_, getattr(net, "optimizer_", None), **self._settings)

    def on_batch_end(self, net: Any, batch: object = None, training: bool = False, **step: Any) -> None:
        """An update was made, or a batch of the judgement."""
        if training and self.watch is not None:
            x, y = pair(batch)
            self.watch.step(step["loss"], inputs=x, targets=y, outputs=step.get("y_pred"))

    def on_epoch_end(self, net: Any, **ignored: object) -> None:
        """The net was judged, if it has rows to be judged on."""
        figures = judgement(net.history[-1])
        if figures and self.watch is not None:
            self.watch.validate(**figures)

    def on_train_end(self, net: Any, **ignored: object) -> None:
        """The observation ends."""
        if self.watch is not None:
            self.watch.close()
