"""Rules on units that hand nothing on: dead rectifiers, saturated sigmoids and tanhs."""

import numpy as np

from trainwell.diagnosis.case import EARLY, Case, Threshold, called
from trainwell.diagnosis.edits import activation, initialiser, norm, offered, rate
from trainwell.diagnosis.finding import Finding, Severity

DEAD = Threshold(
    0.7,
    healthy="0 … 0.26",
    origin="DeepDiagnosis, AutoTrainer: 70 % of the layer; planted ≥ 0.97, healthy recipes ≤ 0.31",
)
ALL_BUT_DEAD = 0.9
"""A layer with fewer living units is a wall for signal and gradient (our assumption)."""

SATURATED = Threshold(
    0.5,
    healthy="0 … 0.16",
    origin="TheDeepChecker, DeepDiagnosis: half of the units; planted 1.0, healthy recipes ≤ 0.19",
)
RECENT = 3
"""Looks at the layers that must agree before units count as lost: one batch may leave a unit silent (assumption)."""

LONG = 64
"""Updates between two looks, after which these two are enough to see a wall (our assumption)."""


def dead_units(case: Case) -> Finding | None:
    """In some layer most rectifier units handed on nothing for all samples of several looks in a row."""
    found = _lost_units(case, "dead-fraction", DEAD.value)
    if found is None:
        return None
    layer, share, step = found
    return Finding(
        "dead-units",
        _severity(case, step, wall=share >= ALL_BUT_DEAD),
        f"{share:.0%} of the units of {called(layer)} are dead: they hand on 0 for every sample, and no gradient "
        "reaches them.",
        layer=layer,
        member=case.member,
        step=step,
        evidence=DEAD.evidence("share of units that never fire", share, looks=float(RECENT)),
        remedies=offered(
            rate(case, 1 / 3, "large steps push units so far down that they never fire again"),
            activation(case, "leaky_relu", "a unit with a slope below 0 can come back"),
            initialiser(case),
            norm(case),
        ),
    )


def saturated_units(case: Case) -> Finding | None:
    """In some layer most sigmoid or tanh units sit near a bound for most samples, in several looks in a row."""
    found = _lost_units(case, "saturated-fraction", SATURATED.value)
    if found is None:
        return None
    layer, share, step = found
    return Finding(
        "saturated-units",
        _severity(case, step, wall=False),
        f"{share:.0%} of the units of {called(layer)} are saturated: they sit flat at a bound for most samples.",
        layer=layer,
        member=case.member,
        step=step,
        evidence=SATURATED.evidence("share of units near a bound for most samples", share, looks=float(RECENT)),
        remedies=offered(
            initialiser(case),
            norm(case),
            rate(case, 1 / 3, "large steps push units to their bounds"),
            activation(case, "relu", "it has no upper bound to sit at"),
        ),
    )


def _lost_units(case: Case, signal: str, bound: float) -> tuple[str, float, int] | None:
    """The layer that lost the largest share by the least of its last looks, that share, and since which step."""
    worst: tuple[float, str, int] | None = None
    output = case.layers("activation-std")[-1:] if signal == "saturated-fraction" and case.program is not None else []
    for layer in case.layers(signal):
        if layer in output:
            continue  # where targets are 0 and 1, its units are to sit at their bounds
        steps, values = case.finite(signal, layer)
        if len(values) < RECENT:
            continue
        recent = 2 if steps[-1] - steps[-2] >= LONG and values[-2:].min() >= ALL_BUT_DEAD else RECENT
        share = float(values[-recent:].min())
        if share > bound and (worst is None or share > worst[0]):
            within = np.flatnonzero(values <= bound)
            worst = (share, layer, int(steps[within[-1] + 1] if len(within) else steps[0]))
    return None if worst is None else (worst[1], worst[0], worst[2])


def _severity(case: Case, step: int, *, wall: bool) -> Severity:
    """Units lost on the way of a training that learns all the same are an information, unless nothing gets through.

    (At the best rate of a sweep half of a tanh layer was at its bounds in the end.)
    """
    if not case.learned:
        return "critical"
    return "warning" if wall or step <= EARLY else "info"
