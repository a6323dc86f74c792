"""Rules on the signal's way through the layers: gradients that fade or grow, units that hand nothing on, and NaN."""

import numpy as np

from trainwell.diagnosis.case import EARLY, Case, Curve, Threshold, median
from trainwell.diagnosis.edits import activation, clip, initialiser, norm, offered, rate, residual, shallower
from trainwell.diagnosis.finding import Finding, Remedy, Severity

FADED = Threshold(
    1e-3,
    healthy="0.05 … 2",
    origin="AutoTrainer β1: ‖g first‖/‖g last‖ < 1e-3; planted ≤ 1e-4, healthy recipes ≥ 0.045 (testing.faults)",
)
STILL_FADED = 1e-2
"""The same ratio over the whole training: above it, the first layers came into their own (an output that starts at 0 does so)."""

FAINT = Threshold(
    0.01,
    healthy="0.07 … 90",
    origin="measured: largest ‖g‖ of a layer over the chance loss; planted ≤ 0.005, healthy recipes ≥ 0.056",
)
EXPLODED = Threshold(
    100.0,
    healthy="0.07 … 90",
    origin="measured: largest ‖g‖ of a layer over the chance loss; planted ≥ 500, healthy recipes ≤ 108",
)
GROWTH = Threshold(
    30.0,
    healthy="0.1 … 5",
    origin="measured: growth of the signal from first to last hidden layer; planted ≥ 190, healthy ≤ 6; AutoTrainer takes 70",
)
BURST = Threshold(
    1e3,
    healthy="0.1 … 100",
    origin="measured: largest ‖g‖ over its median at the start; planted ≥ 1e6, healthy recipes ≤ 180",
)
DEAD = Threshold(
    0.5,
    healthy="0 … 0.15",
    origin="TheDeepChecker, SageMaker Debugger: half of the layer; planted ≥ 0.97, healthy recipes ≤ 0.27",
)
ALL_BUT_DEAD = 0.9
"""A layer with fewer living units is a wall for signal and gradient."""

SATURATED = Threshold(
    0.5,
    healthy="0 … 0.06",
    origin="TheDeepChecker, DeepDiagnosis: half of the units; planted 1.0, healthy recipes ≤ 0.06",
)
RECENT = 3
"""Looks at the layers that must agree before units count as lost: a unit may be silent in one batch."""


def vanishing_gradient(case: Case) -> Finding | None:
    """The gradient of the first layer is a tiny part of the last one's from the start and stays so; or all are tiny and nothing is learned."""
    layers = case.layers("gradient-norm")
    if len(layers) < 2 or case.updates < EARLY // 2:
        return None
    first, last = case.curve("gradient-norm", layers[0]), case.curve("gradient-norm", layers[-1])
    ratio = median(_ratio(first, last), until=EARLY)
    sustained = median(_ratio(first, last))
    largest = max(median(case.curve("gradient-norm", layer), until=EARLY) for layer in layers) / case.scale
    faded = ratio < FADED.value and sustained < STILL_FADED
    faint = 0 < largest < FAINT.value and not case.learned  # exactly 0 is no gradient at all: dead units, frozen layers
    if not (faded or faint):
        return None
    if faded:
        evidence = FADED.evidence("‖g first layer‖/‖g last layer‖", ratio, over_whole_training=sustained)
        what = f"the first layer gets {ratio:.1e} of the last layer's gradient"
    else:
        evidence = FAINT.evidence("largest ‖g‖ of a layer over the chance loss", largest, first_over_last=ratio)
        what = f"no layer gets a gradient above {largest:.1e} of the loss"
    return Finding(
        "vanishing-gradient",
        "warning" if case.learned else "critical",
        f"The gradient vanishes on its way back: {what}, so {layers[0]} hardly learns.",
        layer=layers[0],
        member=case.member,
        step=_first_step(case, layers[0]),
        evidence=evidence | {"per_layer": _listed(case, layers)},
        remedies=_for_depth(case, "its slope is 1 for half of the inputs, where sigmoid's is 0.25 at the most"),
    )


def exploding_gradient(case: Case) -> Finding | None:
    """Gradients far above the loss with signals that grow from layer to layer; or gradients that grow a thousandfold over the training."""
    layers = case.layers("gradient-norm")
    if not layers:
        return None
    norms = {layer: case.finite("gradient-norm", layer) for layer in layers}
    start = {layer: median(curve, until=EARLY) / case.scale for layer, curve in norms.items()}
    worst = max(layers, key=lambda layer: np.nan_to_num(start[layer]))
    growth = _growth(case)
    if start[worst] > EXPLODED.value and growth > GROWTH.value:
        evidence = GROWTH.evidence(
            "growth of the signal over the hidden layers", growth, gradient_over_chance_loss=start[worst]
        )
        what = f"signals grow {growth:.3g}-fold through the hidden layers, and {worst} gets a gradient {start[worst]:.3g} times the loss"
        return _exploding(case, worst, 1, evidence | {"per_layer": _listed(case, layers)}, what)
    for layer, (steps, values) in norms.items():
        before = max(median((steps, values), until=2), 1e-12)
        burst = values / before
        beyond = (burst > BURST.value) & (values / case.scale > EXPLODED.value)
        if beyond.any():
            what = f"that of {layer} grew to {burst.max():.3g} times its start"
            evidence = BURST.evidence("largest ‖g‖ over that of the start", float(burst.max()))
            return _exploding(case, layer, int(steps[beyond][0]), evidence, what)
    return None


def _exploding(case: Case, layer: str, step: int, evidence: dict[str, float | str], what: str) -> Finding:
    why = "each layer multiplies the signal once more"
    return Finding(
        "exploding-gradient",
        "warning" if case.learned and _ends_finite(case) else "critical",
        f"The gradient explodes: {what}.",
        layer=layer,
        member=case.member,
        step=step,
        evidence=evidence,
        remedies=offered(
            clip(case),
            initialiser(case),
            norm(case),
            rate(case, 1 / 10, "smaller steps stay where the loss is smooth"),
            shallower(case, why),
        ),
    )


def dead_units(case: Case) -> Finding | None:
    """In some layer most rectifier units handed on nothing for all samples of several looks in a row."""
    found = _lost_units(case, "dead-fraction", DEAD.value)
    if found is None:
        return None
    layer, share, step = found
    return Finding(
        "dead-units",
        _severity_of_loss(case, step, wall=share >= ALL_BUT_DEAD),
        f"{share:.0%} of the units of {layer} are dead: they hand on 0 for every sample, so no gradient reaches them again.",
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
        _severity_of_loss(case, step, wall=False),
        f"{share:.0%} of the units of {layer} are saturated: they sit at a bound, where the slope is almost 0, for most samples.",
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


def non_finite(case: Case) -> Finding | None:
    """A NaN or infinity in the loss or in anything measured, or an outcome that says so; at the earliest step, nearest its source."""
    seen = _first_non_finite(case)
    diverged = case.outcome is not None and case.outcome.kind == "diverged"
    if seen is None and not diverged:
        return None
    step, signal, layer = seen if seen is not None else (case.outcome.step if case.outcome else 0, "loss", "")
    steps, losses = case.finite("loss")
    before = losses[steps < step]
    last = float(before[-1]) if len(before) else float("nan")
    where = f"the {signal} of {layer}" if layer else f"the {signal.replace('_', ' ')}"
    return Finding(
        "non-finite",
        "critical",
        f"At step {step} {where} became NaN or infinite; the last loss before it was {last:.3g}.",
        layer=layer or None,
        member=case.member,
        step=step,
        evidence={
            "figure": signal, "measured": "not finite", "threshold": "finite", "healthy": "finite", "last_finite_loss": last,
            "learning_rate": median(case.curve("learning_rate"), until=step),
        },
        remedies=offered(rate(case, 1 / 10, "the usual cause is a step so large that the loss leaves the numbers' range"), clip(case), _look_at_data()),
    )  # fmt: skip


def _look_at_data() -> Remedy:
    return Remedy(
        "look-at-inputs", "an infinite or huge input or target has the same effect: look at the columns' ranges"
    )


ORDER_OF_SIGNALS = (
    "activation-mean",
    "activation-std",
    "loss",
    "gradient-norm",
    "update-ratio",
    "weight-norm",
    "train_loss",
    "validation_loss",
)
"""From source to consequence within one step: forward, loss, backward, update, evaluation."""


def _first_non_finite(case: Case) -> tuple[int, str, str] | None:
    """(step, signal, layer) of the earliest; within a step the one from which the others follow."""
    found: list[tuple[int, int, int, str, str]] = []
    for rank, signal in enumerate(ORDER_OF_SIGNALS):
        layers = case.layers(signal)
        for place, layer in enumerate(layers):
            steps, values = case.curve(signal, layer)
            bad = steps[~np.isfinite(values)]
            if len(bad):  # a gradient runs from the output back
                found.append((int(bad[0]), rank, -place if signal == "gradient-norm" else place, signal, layer))
    return (min(found)[0], *min(found)[3:]) if found else None


def _lost_units(case: Case, signal: str, bound: float) -> tuple[str, float, int] | None:
    """The layer that lost the largest share by the least of its last looks, that share, and since when; None within the bound."""
    worst: tuple[float, str, int] | None = None
    for layer in case.layers(signal):
        steps, values = case.finite(signal, layer)
        if len(values) < RECENT:
            continue
        share = float(values[-RECENT:].min())
        if share > bound and (worst is None or share > worst[0]):
            within = np.flatnonzero(values <= bound)
            worst = (share, layer, int(steps[within[-1] + 1] if len(within) else steps[0]))
    return None if worst is None else (worst[1], worst[0], worst[2])


def _severity_of_loss(case: Case, step: int, *, wall: bool) -> Severity:
    """Units lost on the way of a training that learns all the same are worth an information, unless nothing gets through.

    (tanh networks at the best rate of a sweep had half of their units at a bound in the end.)
    """
    if not case.learned:
        return "critical"
    return "warning" if wall or step <= EARLY else "info"


def _ratio(upper: Curve, lower: Curve) -> Curve:
    """One curve over another measured at the same steps; NaN where the lower is 0."""
    (steps, a), (_, b) = upper, lower
    with np.errstate(divide="ignore", invalid="ignore"):
        return steps, np.where(b > 0, a / b, np.nan)


def _growth(case: Case) -> float:
    """By how much the deviation of the signal grows from the first to the last hidden layer, or the gradient on its way back."""
    hidden = case.layers("activation-std")[:-1]
    if len(hidden) < 2:
        return float("nan")
    forward = _ratio(case.curve("activation-std", hidden[-1]), case.curve("activation-std", hidden[0]))
    backward = _ratio(case.curve("gradient-norm", hidden[0]), case.curve("gradient-norm", hidden[-1]))
    return float(np.fmax(median(forward, until=EARLY), median(backward, until=EARLY)))


def _first_step(case: Case, layer: str) -> int:
    steps, _ = case.curve("gradient-norm", layer)
    return int(steps[0])


def _listed(case: Case, layers: list[str]) -> str:
    """Gradient norms at the start, from input to output, for people to read."""
    return ", ".join(f"{median(case.curve('gradient-norm', layer), until=EARLY):.1e}" for layer in layers)


def _ends_finite(case: Case) -> bool:
    _, losses = case.curve("loss")
    return bool(len(losses)) and bool(np.isfinite(losses[-1]))


def _for_depth(case: Case, why: str) -> tuple[Remedy, ...]:
    fewer = "fewer layers shrink the gradient less often"
    return offered(initialiser(case), activation(case, "relu", why), norm(case), residual(case), shallower(case, fewer))


SIGNAL_RULES = {
    "exploding-gradient": exploding_gradient,
    "saturated-units": saturated_units,
    "dead-units": dead_units,
    "vanishing-gradient": vanishing_gradient,
    "non-finite": non_finite,
}
