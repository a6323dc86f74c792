"""Rules on the gradient's way back through the layers: it fades, it grows, or something is NaN."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from trainwell.diagnosis.case import EARLY, Case, Curve, Threshold, called, first, median
from trainwell.diagnosis.edits import activation, clip, edit, initialiser, norm, offered, rate, residual, shallower
from trainwell.diagnosis.finding import Finding, Remedy

FADED = Threshold(
    1e-3,
    healthy="0.04 … 2",
    origin="AutoTrainer β1: ‖g first‖/‖g last‖ < 1e-3; planted sigmoid stacks ≤ 2e-4, healthy recipes ≥ 0.0099",
)
STILL_FADED = 1e-2
"""Over the whole training; above, the first layers came into their own (as under an output that starts at 0)."""

FAINT = Threshold(
    0.01,
    healthy="0.15 … 30",
    origin="measured: largest ‖g‖ of a layer over the chance loss; planted small weights ≤ 0.005, healthy ≥ 0.056",
)
EXPLODED = Threshold(
    100.0,
    healthy="0.15 … 30",
    origin="measured: largest ‖g‖ of a layer over the chance loss; planted ≥ 500, healthy recipes ≤ 108",
)
GROWTH = Threshold(
    30.0,
    healthy="0.2 … 2",
    origin="measured: growth of the signal over the hidden layers; planted ≥ 190, healthy ≤ 6; AutoTrainer β3 = 70",
)
UNROLLED = Threshold(
    30.0,
    healthy="0.05 … 4.4",
    origin="the same for recurrent layers; measured over the healthy programs of testing.programs",
)
BURST = Threshold(
    1e3,
    healthy="1 … 6",
    origin="measured: largest ‖g‖ over its start; healthy recipes ≤ 13, but for passing bursts under batch norm",
)


FORGOTTEN = Threshold(
    1e-6,
    healthy="0.001 … 1",
    origin="ρ^T of a plain recurrent layer, ρ < 1 the spectral radius of its recurrent weights (Pascanu et al. 2013)",
)
SWELLS = Threshold(
    25.0,
    healthy="0.3 … 17",
    origin="‖g‖ at the last two looks over that at the first three, median of layers, of a loss on both sides of 0 "
    "whose size grew OUT_OF times, healthy ≤ 10 (measured over programs from elsewhere)",
)
OUT_OF, BLOCK = 15.0, 10
"""Times that size; losses of which its median is taken at the least."""

INFINITE, SILENT = 1e6, 3
"""Times the loss of chance at which gradients of exactly 0, at so many looks and all, were clipped by a norm that no
number holds (our assumptions)."""

LITTLE = 0.8
"""Share of the loss of chance, above which next to nothing was learned from such sequences (our assumption)."""


def vanishing_gradient(case: Case) -> Finding | None:
    """On the way through layers, or through the steps of a sequence."""
    return _through_layers(case) or _through_time(case)


def _through_time(case: Case) -> Finding | None:
    """A plain recurrent layer hands on next to nothing of the first steps, and next to nothing was learned."""
    _, losses = case.finite("loss")
    if case.program is None or not case.over or case.chance_loss is None or not case.program.memory or not len(losses):
        return None
    layer, steps, radius, reach = min(case.program.memory, key=lambda memory: memory.reach)
    left = float(losses[-max(1, len(losses) // 10) :].mean()) / max(case.chance_loss, 1e-12)
    if reach >= FORGOTTEN.value or left < LITTLE:
        return None
    return Finding(
        "vanishing-gradient",
        "critical",
        f"The gradient vanishes on its way through time: of that at the last of {steps} steps the first gets no more "
        f"than {reach:.0e}, as {called(layer)} multiplied it by about {radius:.2f} at each at first; and the loss "
        f"stays at {left:.0%} of that of chance.",
        layer=layer,
        member=case.member,
        step=1,
        evidence=FORGOTTEN.evidence("ρ^T of the recurrent weights", reach, spectral_radius=radius, steps=float(steps)),
        remedies=offered(
            edit(case, "lstm", "gates keep gradients over long sequences", {"module.recurrent": "lstm"}),
            Remedy("shorter-sequences", "fewer steps between what matters and where it is asked for"),
        ),
    )


def _first_zeros(case: Case, layers: Sequence[str]) -> bool:
    """Whether gradients end at a layer that is zero before its first update: exactly 0 behind it, and not faint before.

    In a deep network that squashes them they fade from layer to layer, until a number can't hold them.
    """
    largest = [float(case.curve("gradient-norm", layer)[1].max(initial=0.0)) for layer in layers]
    some = [norm for norm in largest if norm > 0]
    return largest[0] == 0.0 and bool(some) and min(some) > FADED.value * largest[-1]


def _through_layers(case: Case) -> Finding | None:
    """The first layer's gradient stays a tiny part of the last one's; or all are tiny and nothing is learned."""
    layers = case.layers("gradient-norm")
    if len(layers) < 2 or case.updates < EARLY // 2:
        return None
    ratios = _ratio(case.curve("gradient-norm", layers[0]), case.curve("gradient-norm", layers[-1]))
    ratio, sustained = median(ratios, until=EARLY), median(ratios)
    largest = max(median(case.curve("gradient-norm", layer), until=EARLY) for layer in layers) / case.spread_slope
    faded = ratio < FADED.value and sustained < STILL_FADED and not _first_zeros(case, layers)
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
        f"The gradient vanishes on its way back: {what}, so {called(layers[0])} hardly learns.",
        layer=layers[0],
        member=case.member,
        step=int(ratios[0][0]),
        evidence=evidence | {"per_layer": _listed(case, layers)},
        remedies=offered(
            initialiser(case),
            activation(case, "relu", "its slope is 1 for half of the inputs, where sigmoid's is 0.25 at the most"),
            norm(case),
            residual(case),
            shallower(case, "fewer layers shrink the gradient less often"),
        ),
    )


def exploding_gradient(case: Case) -> Finding | None:
    """Gradients far above the loss with signals that grow over the layers; or that grow a thousandfold in time."""
    layers = case.layers("gradient-norm")
    if not layers:
        return None
    if clipped_to_nothing(case):
        times = float(case.finite("loss")[1][0]) / case.scale
        evidence = {
            "figure": "first loss over that of chance",
            "measured": times,
            "threshold": INFINITE,
            "healthy": "1",
        }
        what = f"at a loss {times:.3g} times that of chance its norm is infinite, and clipping by it leaves exactly 0"
        found = _exploding(case, layers[-1], 1, evidence, what)
        return replace(found, remedies=tuple(r for r in found.remedies if r.name != "clip-gradients"))
    start = {layer: first(case.curve("gradient-norm", layer)) / case.slope for layer in layers}
    worst = max(layers, key=lambda layer: np.nan_to_num(start[layer]))
    growth = _growth(case)
    if case.program is not None and case.program.recurrent and not np.isfinite(growth):
        return _over_time(case, worst, start[worst]) or _burst(case, layers)
    if not (start[worst] > EXPLODED.value and growth > GROWTH.value):
        return _burst(case, layers)
    figure = "growth of the signal over the hidden layers"
    evidence = GROWTH.evidence(figure, growth, gradient_over_chance_loss=start[worst], per_layer=_listed(case, layers))
    what = f"signals grow {growth:.3g}-fold through the layers, and {called(worst)} gets a gradient"
    return _exploding(case, worst, 1, evidence, f"{what} {start[worst]:.3g} times the loss")


def without_gradient(case: Case) -> bool:
    """Whether no layer ever got a gradient, the last one's bias neither."""
    none, looks = (0, 0) if case.program is None else case.program.silent
    norms = [case.finite("gradient-norm", layer)[1] for layer in case.layers("gradient-norm")]
    return none == looks >= SILENT and all(not values.any() for values in norms)


def clipped_to_nothing(case: Case) -> bool:
    """Whether that is so at a loss so high that the norm of the gradient was infinite, and it was clipped by it."""
    _, losses = case.finite("loss")
    return len(losses) > 0 and bool(losses[0] > INFINITE * case.scale) and without_gradient(case)


def _over_time(case: Case, layer: str, gradient: float) -> Finding | None:
    """In a recurrent layer the gradient grows over the steps of a sequence, and not over layers."""
    if not gradient > UNROLLED.value:
        return None
    evidence = UNROLLED.evidence("largest ‖g‖ of a layer over the chance loss", gradient)
    return _exploding(
        case, layer, 1, evidence, f"{called(layer)} gets a gradient {gradient:.3g} times the loss, over time"
    )


def _burst(case: Case, layers: list[str]) -> Finding | None:
    """The first layer whose gradient grew far above its own start, and did not come back.

    (A last batch of two samples under batch norm gives single looks of that sort in healthy trainings.)
    """
    for layer in layers:
        steps, values = case.finite("gradient-norm", layer)
        burst = values / max(first((steps, values)), 1e-12)
        beyond = (burst > BURST.value) & (values / case.slope > EXPLODED.value)
        lasting = beyond.sum() > 1 and (beyond[-1] or not case.learned)
        if lasting or (beyond.any() and not _ends_finite(case)):
            evidence = BURST.evidence("largest ‖g‖ over that of the start", float(burst.max()))
            what = f"that of {called(layer)} grew to {burst.max():.3g} times its start"
            return _exploding(case, layer, int(steps[beyond][0]), evidence, what)
    return _swell(case, layers)


def _swell(case: Case, layers: list[str]) -> Finding | None:
    """A loss that is a difference grows with all gradients, without end: nothing keeps the scale, as of a critic's."""
    (_, losses), part = case.finite("loss"), len(case.finite("loss")[1]) // 10
    late = losses[-2 * part :]
    if case.program is None or part < BLOCK or not ((late < 0).any() and (late > 0).any()):
        return None
    looks = {layer: case.finite("gradient-norm", layer)[1] for layer in layers}
    grown = {k: float(np.median(v[-2:]) / max(np.median(v[:3]), 1e-12)) for k, v in looks.items() if len(v) > 3}
    size = float(np.median(np.abs(late)) / max(np.median(np.abs(losses[:part])), 1e-12))
    middle = float(np.median(list(grown.values()))) if grown else 0.0
    if size < OUT_OF or middle < SWELLS.value:
        return None
    worst = max(grown, key=lambda layer: grown[layer])
    evidence = SWELLS.evidence("‖g‖ at the end over that of the start, median of layers", middle, size_of_losses=size)
    what = f"losses on both sides of 0 grew to {size:.3g} times their first size, and gradients to {middle:.3g} times"
    return _exploding(case, worst, case.updates, evidence, what)


def _exploding(case: Case, layer: str, step: int, evidence: dict[str, float | str], what: str) -> Finding:
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
            shallower(case, "each layer multiplies the signal once more"),
        ),
    )


def non_finite(case: Case) -> Finding | None:
    """A NaN or infinity in anything measured, or an outcome that says so; the earliest, nearest its source."""
    seen = _first_non_finite(case)
    if seen is None and (case.outcome is None or case.outcome.kind != "diverged"):
        return None
    step, signal, layer = seen or (case.outcome.step if case.outcome else case.updates, "loss", "")
    steps, losses = case.finite("loss")
    before = losses[steps < step]
    last = float(before[-1]) if len(before) else float("nan")
    where = f"the {signal} of {called(layer)}" if layer else f"the {signal.replace('_', ' ')}"
    origin = None if case.program is None else case.program.origin
    source = "" if origin is None else f"; {origin}"
    more = {} if origin is None else {"origin": str(origin), "passed_on": ", ".join(origin.passed_on)}
    healthy = {"figure": signal, "measured": "not finite", "threshold": "finite", "healthy": "finite"}
    return Finding(
        "non-finite",
        "critical",
        f"At step {step} {where} became NaN or infinite{source}; the last loss before it was {last:.3g}.",
        layer=(origin.module if origin is not None and origin.module else layer) or None,
        member=case.member,
        step=step,
        evidence=healthy
        | {"last_finite_loss": last, "learning_rate": median(case.curve("learning_rate"), until=step)}
        | more,
        remedies=offered(
            rate(case, 1 / 10, "the usual cause is a step so large that the loss leaves the range of the numbers"),
            clip(case),
            Remedy("look-at-inputs", "an infinite or huge input or target does the same: look at the columns' ranges"),
        ),
    )


SOURCES_FIRST = (
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
    for rank, signal in enumerate(SOURCES_FIRST):
        for place, layer in enumerate(case.layers(signal)):
            steps, values = case.curve(signal, layer)
            bad = steps[~np.isfinite(values)]
            if len(bad):  # a gradient runs from the output back
                found.append((int(bad[0]), rank, -place if signal == "gradient-norm" else place, signal, layer))
    if not found:
        return None
    step, _, _, signal, layer = min(found)
    return step, signal, layer


def _ratio(upper: Curve, lower: Curve) -> Curve:
    """One curve over another at the steps at which both were measured; NaN where the lower is 0."""
    steps, i, j = np.intersect1d(upper[0], lower[0], return_indices=True)
    a, b = upper[1][i], lower[1][j]
    with np.errstate(divide="ignore", invalid="ignore"):
        return steps, np.where(b > 0, a / b, np.nan)


def _growth(case: Case) -> float:
    """Growth of the signal's deviation from the first to the last hidden layer, or of the gradient on its way back."""
    hidden = case.layers("activation-std")[:-1]
    if len(hidden) < 2:
        return float("nan")
    forward = _ratio(case.curve("activation-std", hidden[-1]), case.curve("activation-std", hidden[0]))
    backward = _ratio(case.curve("gradient-norm", hidden[0]), case.curve("gradient-norm", hidden[-1]))
    return float(np.fmax(first(forward), first(backward)))


def _ends_finite(case: Case) -> bool:
    _, losses = case.curve("loss")
    return bool(len(losses)) and bool(np.isfinite(losses[-1]))


def _listed(case: Case, layers: list[str]) -> str:
    """Gradient norms at the start, from input to output, for people to read."""
    return ", ".join(f"{median(case.curve('gradient-norm', layer), until=EARLY):.1e}" for layer in layers)
