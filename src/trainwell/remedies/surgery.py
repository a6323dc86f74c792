"""The registry of changes: a path of the vocabulary → how a training is changed so.

Contract: a change is a function (training, value, rows) → the changed training, or None where it can't be made. Paths
are those of `Remedy.change`. `applied` makes several, in the order of the table: each builds on those before.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.optim import Optimizer

from trainwell.base import Registry
from trainwell.remedies import initialising, surgery_modules, surgery_passes, surgery_shape
from trainwell.remedies.pairing import LOSSES, with_loss
from trainwell.remedies.rows import Rows
from trainwell.remedies.training import ModuleEdit, Training, fitting

Change = Callable[[Training, Any, Rows], Training | None]
Changes = Mapping[str, Any]
OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": optim.SGD,
    "momentum": partial(optim.SGD, momentum=0.9),
    "adam": optim.Adam,
    "adamw": optim.AdamW,
    "rmsprop": optim.RMSprop,
}
PLAIN = ("lr", "weight_decay", "betas")  # what an optimizer of another kind takes over


def applied(training: Training, changes: Changes, rows: Rows) -> Training | None:
    """The training with all of these changes; None if one of them can't be made.

    Raises:
        PlanError: an unknown path.
    """
    for path in changes:
        CHANGES[path]
    changed: Training | None = training
    for path, change in CHANGES.items():
        if changed is not None and path in changes:
            changed = change(changed, changes[path], rows)
    return changed


def _module(surgeon: Callable[[nn.Module, Tensor, Any], ModuleEdit | None]) -> Change:
    """A change made by an edit of the module."""

    def change(training: Training, value: Any, rows: Rows) -> Training | None:
        return training.with_module(lambda module, x: surgeon(module, x, value), rows)

    change.__doc__ = surgeon.__doc__
    return change


def output(training: Training, value: Any, rows: Rows) -> Training | None:
    """Take the function behind the last layer away: "identity", or "logarithm" where only its values are known."""
    undo = {"identity": surgery_modules.output_identity, "logarithm": surgery_modules.output_logarithm}[value]
    return training.with_module(undo, rows)


def trainable(training: Training, value: Any, rows: Rows) -> Training | None:
    """Train all parameters; those that the user's optimizer leaves out join its first group."""
    changed = training.with_module(partial(surgery_modules.trainable, which=value), rows)
    return None if changed is None else changed.with_optimizer(_with_all)


def _with_all(optimizer: Optimizer, module: nn.Module) -> Optimizer:
    known = {id(p) for group in optimizer.param_groups for p in group["params"]}
    missing = [p for p in module.parameters() if id(p) not in known and p.requires_grad]
    if missing:
        optimizer.add_param_group({"params": missing})
    return optimizer


def loss(training: Training, value: Any, rows: Rows) -> Training | None:
    """Another loss, with the targets brought to the type and shape it takes."""
    function = with_loss(value, training.aim)
    changed = replace(training, loss_fn=function, loss_name=value)
    try:
        with torch.no_grad():
            module = changed.module(0).eval()
            function(module(fitting(rows.x[:4], module)), rows.y[:4])
    except Exception:  # noqa: BLE001  outputs of another shape, or a module that fails
        return None
    return changed if value in LOSSES else None


def _group_value(key: str, told: str) -> Change:
    """A change of a value of the optimizer's groups; several rates keep their proportions."""

    def change(training: Training, value: Any, rows: Rows) -> Training | None:
        def edit(optimizer: Optimizer, module: nn.Module) -> Optimizer:
            first = optimizer.param_groups[0].get(key)
            for group in optimizer.param_groups:
                if key in group:
                    proportional = key == "lr" and bool(first)
                    group[key] = group[key] * (value / first) if proportional else value
            return optimizer

        groups = training.optimizer(training.module(0)).param_groups
        return training.with_optimizer(edit) if any(key in group for group in groups) else None

    change.__doc__ = told
    return change


def optimizer_name(training: Training, value: Any, rows: Rows) -> Training | None:
    """Another optimizer over the same groups, at its standard rate; the decay stays."""

    def edit(optimizer: Optimizer, module: nn.Module) -> Optimizer:
        groups = [
            {"params": group["params"], "weight_decay": group.get("weight_decay", 0.0)}
            for group in optimizer.param_groups
        ]
        return OPTIMIZERS[value](groups, lr=STANDARD_RATES[value])

    return training.with_optimizer(edit)


STANDARD_RATES = {"sgd": 0.1, "momentum": 0.01, "adam": 1e-3, "adamw": 1e-3, "rmsprop": 1e-3}
"""Torch's own; for SGD, which has none that works, 0.01 with momentum (Bengio 2012), and without it ten times that."""


def scale_inputs(training: Training, value: Any, rows: Rows) -> Training | None:
    """Standardise inputs by the rows trained on; the returned module does it itself."""
    return replace(training, scale_inputs=True) if rows.x.is_floating_point() else None


def scale_targets(training: Training, value: Any, rows: Rows) -> Training | None:
    """Standardise targets; the returned module's outputs are on the given scale."""
    fits = training.aim.task == "numbers" and rows.y.dim() <= 2 and rows.y.is_floating_point()
    return replace(training, scale_targets=True) if fits else None


def _field(name: str, told: str) -> Change:
    """A change of a value that the course of the training reads."""

    def change(training: Training, value: Any, rows: Rows) -> Training | None:
        return replace(training, **{name: value})

    change.__doc__ = told
    return change


CHANGES: Registry[Change] = Registry(
    "change",
    {
        "module.recurrent": _module(surgery_modules.recurrent),
        "module.outputs": _module(surgery_modules.with_outputs),
        "module.output": output,
        "module.add_activation": _module(surgery_modules.add_activation),
        "module.activation": _module(surgery_modules.with_activation),
        "module.depth": _module(surgery_shape.shallower),
        "module.width": _module(surgery_shape.wider),
        "module.residual": _module(surgery_shape.residual),
        "module.norm": _module(surgery_modules.with_norm),
        "regularisation.dropout": _module(surgery_modules.dropout),
        "module.initialiser": _module(initialising.redrawn),
        "module.mode": _module(surgery_passes.kept_mode),
        "module.gradients": _module(surgery_passes.kept_gradients),
        "module.batch_first": _module(surgery_passes.along_time),
        "module.trainable": trainable,
        "data.scale_inputs": scale_inputs,
        "data.scale_targets": scale_targets,
        "loss.name": loss,
        "optimizer.name": optimizer_name,
        "optimizer.learning_rate": _group_value("lr", "Another learning rate; several groups keep their proportions."),
        "optimizer.momentum": _group_value("momentum", "Another momentum."),
        "optimizer.weight_decay": _group_value("weight_decay", "Another weight decay."),
        "regularisation.clip_norm": _field("clip_norm", "The gradient clipped at this norm."),
        "schedule.name": _field("schedule", "The rate follows this schedule."),
        "training.batch_size": _field("batch_size", "Batches of another size."),
        "training.epochs": _field("epochs", "More or fewer epochs."),
    },
)
"""In the order in which they are made: structure first, then weights, then what trains them."""

STEPS: dict[str, float] = {
    "training.epochs": 1, "optimizer.learning_rate": 1, "optimizer.momentum": 1, "optimizer.weight_decay": 1,
    "regularisation.dropout": 1, "regularisation.clip_norm": 1, "training.batch_size": 1, "schedule.name": 1,
    "data.scale_inputs": 1, "data.scale_targets": 1, "module.trainable": 1, "module.mode": 1,
    "module.gradients": 1, "module.batch_first": 1,
    "optimizer.name": 2, "loss.name": 2, "module.output": 2, "module.initialiser": 2,
    "module.activation": 3, "module.add_activation": 3,
    "module.outputs": 3, "module.norm": 4, "module.recurrent": 4, "module.width": 3, "module.depth": 3,
    "module.residual": 4,
}  # fmt: skip
"""How large a change is: 1 a value, 2 a part, 3 the structure, 4 new kinds of layers. An assumption of ours."""


def size_of(changes: Changes) -> float:
    """How large all changes are together."""
    return sum(STEPS[path] for path in changes)
