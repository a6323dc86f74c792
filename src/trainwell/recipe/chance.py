"""The loss that every training is held against: that of a network which knows nothing."""

from math import log

from trainwell.recipe.workshop import Workshop

ENOUGH = 1 << 20  # rows that tell the variance of a target


def chance_loss(ws: Workshop) -> float:
    """Loss of a network that knows nothing: ln C, ln 2 a label, the variance of a number (1 where standardised)."""
    if ws.facts.task != "regression":
        return log(len(ws.facts.classes) if ws.facts.task == "multiclass" else 2)
    y = ws.material.samples(ws.plan).y
    assert y is not None
    rows = ws.develop if ws.plan.data.folds else ws.split.train
    rows = rows[:: max(1, len(rows) // ENOUGH)]
    return float(y[rows].double().var(dim=0, correction=0).mean()) or 1.0
