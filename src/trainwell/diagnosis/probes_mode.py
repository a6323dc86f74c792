"""Whether a module's mode does what it should: dropout that is on in evaluation, a forward pass that sets the mode."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from trainwell.diagnosis.case import Threshold
from trainwell.diagnosis.finding import Finding, Remedy
from trainwell.diagnosis.subject import Trial, undisturbed
from trainwell.vitals.program import MODAL

NONE = Threshold(0.0, healthy="0", origin="a module in evaluation mode gives the same outputs each time (row R2)")

RATE_AT = {"scaled_dot_product_attention": (4, "dropout_p")}
"""Where a function that always drops has its rate; functions of dropout have theirs next, and a switch behind it."""


class _Dropping(TorchFunctionMode):
    """Notes functions that drop units while it is on."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name, named = getattr(func, "__name__", ""), kwargs or {}
        if name in RATE_AT:
            on, rate = True, _argument(args, named, *RATE_AT[name], 0.0)
        else:
            drops = name.rstrip("123d_").endswith("dropout")
            on, rate = drops and bool(_argument(args, named, 2, "training", True)), _argument(args, named, 1, "p", 0.5)
        if on and rate > 0:
            self.found.append(name)
        return func(*args, **named)


def _argument(args: tuple[Any, ...], kwargs: dict[str, Any], place: int, name: str, standard: Any) -> Any:
    return args[place] if len(args) > place else kwargs.get(name, standard)


def wrong_mode(trial: Trial) -> Finding | None:
    """In evaluation mode units are dropped, or layers are in training mode; or the forward pass ends training mode."""
    subject, model, dropping = trial.subject, trial.subject.copied().eval(), _Dropping()
    with undisturbed(), torch.no_grad(), dropping:
        subject.run(model)
    training = [name for name, module in _modal(model) if module.training]
    with undisturbed(), torch.no_grad():
        subject.run(model.train())
    switched = [name for name, module in _modal(model) if not module.training]
    if dropping.found:
        what = f"In evaluation mode {dropping.found[0]} still drops units: its outputs are random when it is used"
        fix = "pass training=self.training to F.dropout, and a rate of 0 to attention, or use nn.Dropout"
        return _told(what, fix, len(dropping.found), None)
    if training:
        what = f"In evaluation mode {training[0]} is in training mode: model.eval() does not reach it"
        return _told(what, "let no forward pass set the mode of a layer", len(training), training[0])
    if switched and len(switched) == len(_modal(model)):
        what = "The forward pass puts the module into evaluation mode: dropout and batch statistics are off in training"
        return _told(what, "call eval() outside of the module, before a judgement", len(switched), switched[0])
    return None


def _modal(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Layers for which the mode matters."""
    return [(name, m) for name, m in model.named_modules() if isinstance(m, MODAL) and getattr(m, "p", 1.0) > 0]


def _told(what: str, fix: str, count: int, layer: str | None) -> Finding:
    return Finding(
        "wrong-mode",
        "warning",
        f"{what}.",
        layer=layer,
        step=0,
        evidence=NONE.evidence("layers or functions in the wrong mode", float(count)),
        remedies=(Remedy("set-the-mode", fix),),
    )
