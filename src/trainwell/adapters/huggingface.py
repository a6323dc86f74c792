"""A callback for the Trainer of Hugging Face: `trainer.add_callback(WatchCallback(trainer))`."""

from functools import wraps
from typing import Any

from trainwell.adapters.translate import accepted, base, found, judgement, pair, together
from trainwell.adapters.watch import Watch, watch
from trainwell.diagnosis import Finding

TrainerCallback: Any = base("transformers", "transformers:TrainerCallback")


class WatchCallback(TrainerCallback):
    """Watches `train` of this trainer. Its events tell no loss: `compute_loss` is listened to meanwhile.

    Settings are those of `trainwell.watch`; `watch` is the observation of the last training, None before it.
    """

    watch: Watch | None = None

    def __init__(self, trainer: Any, **settings: Any) -> None:
        self._trainer, self._settings, self._batches = trainer, accepted(settings), []

    @property
    def findings(self) -> list[Finding]:
        """What is wrong so far."""
        return found(self.watch)

    def on_train_begin(self, args: Any, state: Any, control: Any, **parts: Any) -> None:
        """The observation begins; one process of several writes."""
        settings = self._settings if state.is_world_process_zero else {**self._settings, "out": None}
        optimizer, compute_loss = parts["optimizer"], self._trainer.compute_loss
        self.watch = watch(parts["model"], getattr(optimizer, "optimizer", optimizer), **settings)  # not accelerate's

        @wraps(compute_loss)
        def listening(model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            given, result = pair(inputs), compute_loss(model, inputs, *args, **kwargs)  # which takes the labels out
            if model.training:
                self._batches.append((result[0] if isinstance(result, tuple) else result, given))
            return result

        self._trainer.compute_loss = listening

    def on_step_end(self, args: Any, state: Any, control: Any, **parts: Any) -> None:
        """An update was made, of one batch or several."""
        batches, self._batches = self._batches, []
        if batches and self.watch is not None:
            (x, y), shares = batches[-1][1], self._trainer.model_accepts_loss_kwargs or self._trainer.compute_loss_func
            self.watch.step(together([loss for loss, _ in batches], shares=bool(shares)), inputs=x, targets=y)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **parts: Any) -> None:
        """The model was judged."""
        if (figures := judgement(metrics or {})) and self.watch is not None:
            self.watch.validate(**figures)

    def on_train_end(self, args: Any, state: Any, control: Any, **parts: Any) -> None:
        """The observation ends."""
        vars(self._trainer).pop("compute_loss", None)
        if self.watch is not None:
            self.watch.close()
