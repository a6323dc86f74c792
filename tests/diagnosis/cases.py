"""Records written by hand, for rules to judge."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainwell.base import Outcome
from trainwell.diagnosis import Case
from trainwell.engine.record import Record
from trainwell.plan import Plan

Curve = Sequence[float] | np.ndarray
UPDATES_PER_EPOCH = 10
LOOKS = (1, 2, 4, 8, 10, 16, 20, 30, 32, 40, 50, 60, 64, 70, 80, 90, 100)  # over ten epochs, more than sampling(10)


def case_of(
    *,
    loss: Curve | None = None,
    train: Curve = (),
    validation: Curve = (),
    layers: Mapping[str, Mapping[str, float | Curve]] | None = None,
    edits: Mapping[str, Any] | None = None,
    member: int = 0,
    outcome: Outcome | None = None,
    **more: Any,
) -> Case:
    """A case with these curves: `loss` by update, `train` and `validation` loss by epoch, vitals by layer and look.

    A vital that is one number has it at every look. The standard is a training that goes well.
    """
    record = Record()
    for step, value in enumerate(np.linspace(0.7, 0.2, 100) if loss is None else loss, start=1):
        record.add(step, "", "loss", [member], [value])
        record.add(step, "", "learning_rate", [member], [1e-3])
    for signal, values in (("train_loss", train), ("validation_loss", validation)):
        for epoch, value in enumerate(values, start=1):
            record.add(epoch * UPDATES_PER_EPOCH, "", signal, [member], [value])
    for layer, vitals in (WELL if layers is None else layers).items():
        for signal, values in vitals.items():
            for look, value in zip(
                LOOKS, [values] * len(LOOKS) if isinstance(values, int | float) else values, strict=False
            ):
                record.add(look, layer, signal, [member], [value])
    plan = Plan().edited({"training.epochs": 10, **(edits or {})}, by="user", why="test")
    return Case(record, member, plan, UPDATES_PER_EPOCH, chance_loss=0.7, outcome=outcome, **more)


WELL: dict[str, dict[str, float | Curve]] = {
    layer: {
        "gradient-norm": 0.5,
        "update-ratio": 3e-3,
        "activation-std": 1.0,
        "activation-mean": 0.1,
        "weight-norm": 4.0,
    }
    for layer in ("hidden.0", "hidden.1", "output")
}


def with_vital(layer: str, signal: str, values: float | Curve) -> dict[str, dict[str, float | Curve]]:
    """The layers of a training that goes well, but for one vital."""
    return {name: {**vitals, **({signal: values} if name == layer else {})} for name, vitals in WELL.items()}


def everywhere(signal: str, values: float | Curve) -> dict[str, dict[str, float | Curve]]:
    """The same vital in all layers."""
    return {name: {**vitals, signal: values} for name, vitals in WELL.items()}
