"""Whether a module's mode does what it should: dropout that is on in evaluation, a forward pass that sets the mode."""

import torch
from torch import nn

from trainwell.diagnosis.case import Threshold
from trainwell.diagnosis.finding import Finding, Remedy
from trainwell.diagnosis.rules_loop import HEED_THE_MODE
from trainwell.diagnosis.subject import Trial, undisturbed
from trainwell.vitals.dropping import Dropping
from trainwell.vitals.program import MODAL

NONE = Threshold(0.0, healthy="0", origin="a module in evaluation mode gives the same outputs each time (row R2)")


def wrong_mode(trial: Trial) -> Finding | None:
    """In evaluation mode units are dropped, or layers are in training mode; or the forward pass ends training mode."""
    subject, model, dropping = trial.subject, trial.subject.copied().eval(), Dropping()
    with undisturbed(), torch.no_grad(), dropping:
        subject.run(model)
    training = [name for name, module in _modal(model) if module.training]
    before = [module.training for _, module in _modal(model.train())]  # some may be kept in evaluation mode, frozen
    with undisturbed(), torch.no_grad():
        subject.run(model)
    switched = [name for (name, m), was in zip(_modal(model), before, strict=True) if was and not m.training]
    if dropping.found:
        what = f"In evaluation mode {dropping.found[0]} still drops units: its outputs are random when it is used"
        return _told(what, HEED_THE_MODE, len(dropping.found), None)
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
