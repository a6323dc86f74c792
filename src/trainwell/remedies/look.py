"""What can be said of a training before it runs: how it is built, which loss it has, how large its numbers are."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.base.randomness import own_randomness
from trainwell.diagnosis.subject import one_line
from trainwell.remedies.aim import Aim, aim_of, threshold_of
from trainwell.remedies.anatomy import Anatomy, anatomy
from trainwell.remedies.pairing import loss_name
from trainwell.remedies.rows import Rows
from trainwell.remedies.surgery_modules import calls
from trainwell.remedies.training import LOOKED_AT, Training, channels, figures, fitting


@dataclass(frozen=True, eq=False)
class Look:
    """A training as it stands before its first update.

    Attributes:
        body: None when the module fails. outputs: (B, …) on the rows looked at. error: of the loss, or nothing.
        loss: its name, "own" or "fails". optimizer, group: its kind in small letters, and its first group.
        activations, dropouts: what a pass calls. means, stds: of the inputs by feature; empty for whole numbers.
        updates: of the whole training.
    """

    training: Training
    rows: Rows
    module: nn.Module
    body: Anatomy | None
    error: str
    loss: str
    optimizer: str
    group: dict[str, Any]
    activations: tuple[str, ...]
    dropouts: tuple[float, ...]
    means: Tensor
    stds: Tensor
    updates: int

    @property
    def aim(self) -> Aim:
        """The task."""
        return self.training.aim

    @property
    def outputs(self) -> int:
        """Outputs a row; 0 when the module fails."""
        return 0 if self.body is None else self.body.outputs[0].numel()

    @property
    def end(self) -> str:
        """The function behind the last linear layer."""
        return "own" if self.body is None else self.body.end

    @property
    def rate(self) -> float:
        """The learning rate of the first group."""
        return float(self.group.get("lr", 0.0))


def look(training: Training, rows: Rows, seed: int) -> Look:
    """Look at a training; nothing is trained."""
    few = rows.at(torch.linspace(0, len(rows) - 1, min(LOOKED_AT, len(rows))).long())
    if training.scale_inputs:
        mean, std = figures(rows.x, channels(rows.x, training.module(seed)))
        few = Rows((few.x - mean) / std, few.y)
    module = training.module(seed)
    optimizer = training.optimizer(module)
    body = anatomy(module, few.x)
    name, error = "fails", "the module fails on the rows"
    if body is not None:
        name = loss_name(training.loss_fn, body.outputs, few.y, training.aim)
        error = _error(training, module, few)
    seen = calls(module, few.x[:4])
    numeric = few.x.is_floating_point() and few.x.dim() > 1
    mean, std = figures(few.x, channels(few.x, module)) if numeric else (torch.zeros(0), torch.zeros(0))
    per_epoch = -(-len(rows) // training.batch_size)
    return Look(
        training, few, module, body, error, name, type(optimizer).__name__.lower(), optimizer.param_groups[0],
        tuple(seen.called), tuple(seen.rates), mean.flatten(), std.flatten(), training.epochs * per_epoch,
    )  # fmt: skip


def _error(training: Training, module: nn.Module, rows: Rows) -> str:
    """What one loss of a full batch and its gradients raise."""
    part = rows.at(torch.arange(min(len(rows), max(2, training.batch_size))))
    try:
        with own_randomness(0, "cure", "look"):
            loss = training.loss_fn(module.eval()(fitting(part.x, module)), part.y)
            loss.backward()
    except Exception as error:  # noqa: BLE001  whatever the user's code may raise
        return one_line(error)
    finally:
        module.zero_grad()
    return ""


def task_of(training: Training, rows: Rows, seed: int) -> Aim:
    """The aim of a training whose aim isn't known yet."""
    body = anatomy(training.module(seed), rows.x[:4])
    return aim_of(rows.y, 0 if body is None else body.outputs[0].numel())


def yes_above(training: Training, rows: Rows) -> float:
    """The single output above which it means "yes"; see `aim.threshold_of`."""
    aim = training.aim
    if aim.task == "labels":
        marks = torch.arange(2).reshape(2, *[1] * (rows.y.dim() - 1))
        return threshold_of(training.loss_fn, marks.expand(2, *rows.y.shape[1:]).to(rows.y.dtype))
    if aim.task != "classes" or aim.classes != 2 or aim.one_hot:
        return 0.0
    kinds = aim.index(rows.y)
    pair = torch.stack([rows.y[int((kinds == k).int().argmax())] for k in (0, 1)])
    return threshold_of(training.loss_fn, pair)
