"""What the callbacks share: their library, the parts of a batch, the figures of a judgement."""

import numbers
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.adapters.watch import Watch
from trainwell.base import InputError, did_you_mean
from trainwell.diagnosis import Finding

JUDGED = frozenset({"val", "valid", "validation", "eval"})
"""How names of figures begin that come from a judgement."""

SEPARATOR = re.compile(r"[_/.\- ]+")
SETTINGS = ("loss_fn", "task", "every", "out")

LARGER_IS_BETTER = frozenset(
    "acc accuracy auc auroc ap f1 precision recall r2 iou dice psnr bleu correlation pearson spearman kappa mcc".split()
)
"""Words in the names of metrics; a metric with none of them may be an error, and is not handed on."""

NAMED = (("inputs", "x", "image", "images", "input_ids", "pixel_values"), ("targets", "y", "label", "labels", "target"))
"""What inputs and targets are called in batches that are dictionaries."""


def base(library: str, *places: str) -> Any:
    """The first of some classes, "module:name", that is there.

    Raises:
        ImportError: none is; one line that says what to install.
    """
    for place in places:
        module, _, name = place.partition(":")
        try:
            return getattr(import_module(module), name)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != module.partition(".")[0]:
                raise  # the library is there, but not what it needs
    package = places[0].partition(".")[0].partition(":")[0]
    raise ImportError(f"WatchCallback for {library} needs its package; install it: pip install {package}")


def pair(batch: object) -> tuple[object, object]:
    """Inputs and targets of a batch: its first two parts, or those that are called so; None for what is not there."""
    if isinstance(batch, Mapping):
        x, y = (next((batch[name] for name in names if name in batch), None) for names in NAMED)
        return x, y
    if isinstance(batch, Sequence) and not isinstance(batch, str) and len(batch) > 1:
        return batch[0], batch[1]
    return batch, None


def judgement(logged: Mapping[str, Any]) -> dict[str, float]:
    """The figures of a judgement among those that a library logged: the loss, and metrics that are larger when better.

    >>> judgement({"val_loss": 0.5, "val/acc": 0.9, "val_mae": 3.0, "acc": 1.0, "val_acc_best": True})
    {'loss': 0.5, 'acc': 0.9}
    """
    found = {}
    for name, value in logged.items():
        first, *rest = SEPARATOR.split(name.lower())
        if first in JUDGED and rest and _is_number(value) and (rest == ["loss"] or LARGER_IS_BETTER & set(rest)):
            found["_".join(rest)] = float(value)
    return found


def _is_number(value: object) -> bool:
    one = isinstance(value, Tensor) and value.numel() == 1
    return one or (isinstance(value, numbers.Real) and not isinstance(value, bool))


def found(watch: Watch | None) -> list[Finding]:
    """What a watch has found; nothing before it has begun."""
    return [] if watch is None else watch.findings


def accepted(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings for `watch`, looked through when they are given.

    Raises:
        InputError: one that it does not have.
    """
    for name in settings:
        if name not in SETTINGS:
            known = ", ".join(SETTINGS)
            raise InputError(f"WatchCallback takes {known}, but got '{name}'.{did_you_mean(name, SETTINGS)}")
    return settings


def together(losses: Sequence[Tensor], *, shares: bool) -> Tensor:
    """The loss of an update from those of its batches, with the graph of the last.

    Args:
        shares: they are parts of a sum; else each is a mean.
    """
    whole = torch.stack([loss.detach() for loss in losses])
    return (
        losses[-1] + ((whole.sum() if shares else whole.mean()) - losses[-1].detach()) if len(losses) > 1 else losses[0]
    )


def part_with_all(module: nn.Module) -> nn.Module:
    """The part with all parameters, where there is one: a training step calls it, and often not the whole."""
    held = {id(p) for p in module.parameters()}
    return next((part for part in module.children() if held == {id(p) for p in part.parameters()}), module)


def stand_in(
    optimizer: object, parameters: Iterable[nn.Parameter], rate: Callable[[], float]
) -> tuple[Any, Callable[[], None]]:
    """For an optimizer that is none of torch's: what `watch` needs of one, and a function that announces an update.

    Args:
        parameters: that it updates, among others that want no gradient. rate: the learning rate at this moment.
    """
    hooks: list[Callable[..., None]] = []

    def follow(hook: Callable[..., None]) -> Any:
        hooks.append(hook)
        return SimpleNamespace(remove=hooks.clear)

    def announce() -> None:
        group["lr"] = rate()
        for hook in hooks:
            hook(stand, (), {})

    group = {"lr": rate(), "params": [p for p in parameters if p.requires_grad]}
    named = type(type(optimizer).__name__, (SimpleNamespace,), {})  # its name is told
    stand = named(param_groups=[group], register_step_pre_hook=follow)
    return stand, announce


def mirrored(model: Any) -> nn.Module:
    """The variables of a model of Keras in a module for each layer; in Keras each variable is held by its parents too.

    Raises:
        InputError: they are no parameters of torch.
    """
    mirror = nn.Module()
    for layer in model.layers:
        part = nn.Module()
        for variable in layer.weights:
            if not isinstance(variable.value, nn.Parameter):
                raise InputError("WatchCallback needs Keras on torch; set KERAS_BACKEND=torch before it is imported.")
            if variable.value.is_floating_point():
                part.register_parameter(variable.path.rpartition("/")[2].replace(".", "-"), variable.value)
        mirror.add_module(layer.name.replace(".", "-"), part)
    return mirror
