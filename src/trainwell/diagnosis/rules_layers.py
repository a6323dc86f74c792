"""Rules across layers: signals that shrink or grow with depth, layers that learn at different speeds (D5, D11)."""

from collections.abc import Callable

import numpy as np

from trainwell.diagnosis.case import Case, Threshold, begun, called, first, median
from trainwell.diagnosis.edits import adam, edit, initialiser, norm, offered, residual
from trainwell.diagnosis.finding import Finding, Remedy
from trainwell.diagnosis.rules_loss import runaway

SHRUNK = Threshold(
    0.2,
    healthy="0.4 … 1",
    origin="what a layer leaves of the signal's deviation, geometric mean: torch's first weights leave 0.41 before "
    "ReLU, 0.58 before tanh (1/√6, 1/√3), He's leave 1; our bound",
)
GROWN = Threshold(1.5, healthy="0.4 … 1", origin="the same; He's weights under a function that passes all give 1.4")
TOTAL, RISEN, ENORMOUS = 30.0, 15.0, 1e3
"""Over all hidden layers a signal must fade by this factor, or grow by the second one (healthy programs of
testing.programs: at most 2.1); growth by the last is too much by whatever steps (our assumptions)."""

SWELLED = Threshold(
    1e3,
    healthy="0.9 … 1.4",
    origin="size of what a layer hands on in its last run of a pass over that in its second (our assumption)",
)
FAR_OFF = 10.0
"""Times the loss of chance at which a training begins that is not excused by what it learns (our assumption)."""

SLIGHT = 0.01
"""A signal that is left at more than this share of its size, in a training that learns, is an information."""

DEEP = 3
"""Hidden layers from which a trend can be told."""

APART = Threshold(
    3e3,
    healthy="1 … 300",
    origin="largest over smallest median ‖Δw‖/‖w‖ of layers; row B7 wants about 1e-3 in each",
)
STANDING, NEARLY_APART = 1e-6, 1e3
"""‖Δw‖/‖w‖ below which a layer stands still, and the ratio that is enough then (slowest of healthy programs: 8e-5)."""


COLLAPSED = Threshold(
    0.02,
    healthy="0.3 … 30",
    origin="deviation of the outputs over samples at the last looks over that at the first (our assumption)",
)
POINT = 0.01
"""Deviation of the outputs below which all samples sit in one point."""


def shrinking_activations(case: Case) -> Finding | None:
    """Before training the signal's deviation falls from hidden layer to hidden layer; or outputs become one point."""
    ratio, each, told = _trend(case)
    if not (ratio < 1 / TOTAL and each < SHRUNK.value):
        return _collapsed(case)
    return Finding(
        "shrinking-activations",
        "info" if ratio > SLIGHT and (case.learned or case.untrained) else "warning",
        f"The signal fades on its way forward: its deviation falls to {ratio:.1g} of that of the first hidden layer.",
        layer=case.layers("signal-std")[-2],
        member=case.member,
        step=1,
        evidence=SHRUNK.evidence("what a layer leaves of the signal", each, last_over_first=ratio, per_layer=told),
        remedies=offered(initialiser(case), norm(case), residual(case)),
    )


def _collapsed(case: Case) -> Finding | None:
    """Under a loss of the user's own the outputs of all samples became alike: it is lowest where nothing is told."""
    layers = case.layers("signal-std")
    if case.program is None or case.program.loss.kind or not layers or runaway(case) is not None:
        return None
    _, values = case.finite("signal-std", layers[-1])
    if len(values) < 4 or not 0 < values[0] or float(values[-1]) > min(POINT, COLLAPSED.value * values[0]):
        return None
    left = float(values[-1] / values[0])
    return Finding(
        "shrinking-activations",
        "warning",
        f"The outputs of all samples became alike: their deviation fell to {left:.1g} of that of the untrained "
        "network, so the loss can be lowered without telling samples apart.",
        layer=layers[-1],
        member=case.member,
        step=case.updates,
        evidence=COLLAPSED.evidence("deviation of the outputs over that at the start", left),
        remedies=(Remedy("push-apart", "let the loss push samples apart that differ, as with negative pairs"),),
    )


def growing_activations(case: Case) -> Finding | None:
    """Before training the signal grows from hidden layer to hidden layer, in its deviation or in its size.

    The size grows the faster of the two: with depth rectifiers make samples alike.
    """
    ratio, each, told = max(_trend(case), _trend(case, _size), key=lambda trend: np.nan_to_num(trend[0]))
    if not (ratio > RISEN and (each > GROWN.value or ratio > ENORMOUS)):
        return _through_time(case)
    return Finding(
        "growing-activations",
        "warning",
        f"The signal grows on its way forward, to {ratio:.3g} times that of the first hidden layer.",
        layer=case.layers("signal-std")[-2],
        member=case.member,
        step=1,
        evidence=GROWN.evidence("what a layer makes of the signal", each, last_over_first=ratio, per_layer=told),
        remedies=offered(initialiser(case), norm(case), residual(case)),
    )


def _through_time(case: Case) -> Finding | None:
    """Before training a cell hands on far more at the end of a pass than at its beginning, and little is learned."""
    growth = {layer: float(np.nan_to_num(case.curve("run-growth", layer)[1][0])) for layer in case.layers("run-growth")}
    layer = max(growth, key=lambda name: growth[name], default="")
    _, losses = case.finite("loss")
    near = len(losses) > 0 and case.learned and losses[0] < FAR_OFF * case.scale
    if not layer or not growth[layer] > SWELLED.value or near:
        return None
    return Finding(
        "growing-activations",
        "warning",
        f"The signal grows from step to step: in its last run of a pass {called(layer)} hands on {growth[layer]:.3g} "
        "times as much as in its second.",
        layer=layer,
        member=case.member,
        step=1,
        evidence=SWELLED.evidence("size in the last run of a pass over that in the second", growth[layer]),
        remedies=offered(
            edit(case, "lstm", "gates keep what a state holds within bounds", {"module.recurrent": "lstm"}),
            initialiser(case),
            Remedy("orthogonal-recurrence", "draw the recurrent weights orthogonal, of gain 1"),
        ),
    )


def layers_out_of_step(case: Case) -> Finding | None:
    """Some layers move thousands of times faster than others, all with a gradient."""
    speeds = {layer: median(case.curve("update-ratio", layer)) for layer in begun(case)}
    speeds = {layer: speed for layer, speed in speeds.items() if speed > 0}
    if case.program is None or len(speeds) < 2:
        return None
    slow, fast = min(speeds, key=lambda k: speeds[k]), max(speeds, key=lambda k: speeds[k])
    ratio = speeds[fast] / speeds[slow]
    if ratio <= (NEARLY_APART if speeds[slow] < STANDING else APART.value):
        return None
    return Finding(
        "layers-out-of-step",
        "warning",
        f"Layers learn at very different speeds: an update moves {called(fast)} by {speeds[fast]:.1e} of its size, "
        f"{called(slow)} by {speeds[slow]:.1e}.",
        layer=slow,
        member=case.member,
        step=1,
        evidence=APART.evidence("largest over smallest ‖Δw‖/‖w‖", ratio),
        remedies=offered(adam(case, "it finds a step for each weight by itself"), initialiser(case), norm(case)),
    )


def _deviation(case: Case, layer: str) -> float:
    """Of the layer's units over the samples, before training."""
    return first(case.curve("signal-std", layer))


def _size(case: Case, layer: str) -> float:
    """Root mean square of what the layer hands on, before training."""
    return float(np.hypot(first(case.curve("activation-mean", layer)), first(case.curve("activation-std", layer))))


def _trend(case: Case, of: Callable[[Case, str], float] = _deviation) -> tuple[float, float, str]:
    """The signal in the last hidden layer over that in the first, before training; a layer's share; that of all."""
    values = [of(case, layer) for layer in case.layers("signal-std")[:-1]]
    if case.program is None or len(values) < DEEP or not min(values) > 0 or not np.isfinite(values).all():
        return float("nan"), float("nan"), ""
    ratio = values[-1] / values[0]
    return ratio, ratio ** (1 / (len(values) - 1)), ", ".join(f"{value:.1e}" for value in values)
