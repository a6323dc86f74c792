"""A callback for Keras 3 on its torch backend: `model.fit(..., callbacks=[WatchCallback()])`."""

from typing import Any

from trainwell.adapters.translate import accepted, base, found, judgement, mirrored, stand_in
from trainwell.adapters.watch import Watch, watch
from trainwell.diagnosis import Finding

Callback: Any = base("Keras", "keras.callbacks:Callback")


class WatchCallback(Callback):
    """Watches `fit`: losses, gradients and updates, but not what layers hand on; figures "val_…" are judgements.

    Keras tells means of losses only: the model's `compute_loss` and the optimizer's `apply` are listened to meanwhile.
    Settings are those of `trainwell.watch`; `watch` is the observation of the last training, None before it.
    """

    watch: Watch | None = None

    def __init__(self, **settings: Any) -> None:
        Callback.__init__(self)
        self._settings, self._batch = accepted(settings), {}

    @property
    def findings(self) -> list[Finding]:
        """What is wrong so far."""
        return found(self.watch)

    def on_train_begin(self, logs: Any = None) -> None:
        """The observation begins."""
        model, optimizer, mirror = self.model, self.model.optimizer, mirrored(self.model)
        proxy, announce = stand_in(optimizer, mirror.parameters(), lambda: float(optimizer.learning_rate))
        seen = self.watch = watch(mirror, proxy, **self._settings)
        compute_loss, apply = model.compute_loss, optimizer.apply

        def listening(x: Any = None, y: Any = None, y_pred: Any = None, *args: Any, **kwargs: Any) -> Any:
            loss = compute_loss(x, y, y_pred, *args, **kwargs)
            self._batch = {"loss": loss, "inputs": x, "targets": y, "outputs": y_pred}
            return loss

        def announcing(*args: Any, **kwargs: Any) -> None:
            mirror.training = model.training
            announce()
            apply(*args, **kwargs)
            seen.step(**self._batch)

        model.compute_loss, optimizer.apply = listening, announcing

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """The model was judged, if it has rows to be judged on."""
        figures = judgement(logs or {})
        if figures and self.watch is not None:
            self.watch.validate(**figures)

    def on_train_end(self, logs: Any = None) -> None:
        """The observation ends."""
        if self.watch is not None:
            del self.model.compute_loss, self.model.optimizer.apply
            self.watch.close()
