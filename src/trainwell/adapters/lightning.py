"""A callback for Lightning, of both its packages: `Trainer(callbacks=[WatchCallback()])`."""

import sys
from typing import Any

from torch import Tensor

from trainwell.adapters.translate import accepted, base, found, judgement, pair, part_with_all
from trainwell.adapters.watch import Watch, watch
from trainwell.diagnosis import Finding

PLACES = ("lightning.pytorch:Callback", "pytorch_lightning:Callback")  # the one in use before the other
Callback: Any = base("Lightning", *sorted(PLACES, key=lambda place: place.partition(":")[0] not in sys.modules))


class WatchCallback(Callback):
    """Watches `fit`. A batch is taken as (inputs, targets); logged figures "val_…" are those of a judgement.

    Settings are those of `trainwell.watch`; `watch` is the observation of the last training, None before it.
    """

    watch: Watch | None = None

    def __init__(self, **settings: Any) -> None:
        self._settings, self._loss, self._updates = accepted(settings), None, 0

    @property
    def findings(self) -> list[Finding]:
        """What is wrong so far."""
        return found(self.watch)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """The observation begins; one process of several writes."""
        settings = self._settings if trainer.is_global_zero else {**self._settings, "out": None}
        self.watch = watch(part_with_all(pl_module), list(trainer.optimizers), **settings)
        self._loss, self._updates = None, trainer.global_step

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: Tensor) -> None:
        """The loss with its graph, divided by the batches of an update and scaled as half precision needs it."""
        scaler, parts = getattr(trainer.precision_plugin, "scaler", None), trainer.accumulate_grad_batches
        loss = loss if scaler is None else loss / scaler.get_scale()
        self._loss = loss if parts == 1 else loss * parts

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """A batch is done, and perhaps an update."""
        loss, self._loss = self._loss, None
        if self.watch is not None and loss is not None and trainer.global_step > self._updates:
            self._updates, (x, y) = trainer.global_step, pair(batch)
            self.watch.step(loss, inputs=x, targets=y)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """The module was judged."""
        figures = judgement(trainer.callback_metrics)
        if figures and self.watch is not None and not trainer.sanity_checking:
            self.watch.validate(**figures)

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """The observation ends, also after an error."""
        if self.watch is not None and stage == "fit":
            self.watch.close()
