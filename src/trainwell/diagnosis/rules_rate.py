"""Rules on the learning rate: nothing moves, or everything is thrown about."""

import numpy as np

from trainwell.diagnosis.case import EARLY, LEARNED, Case, Curve, Threshold, begun, called, median, running_mean
from trainwell.diagnosis.edits import clip, offered, rate
from trainwell.diagnosis.finding import Finding, Remedy
from trainwell.diagnosis.rules_curve import FEW, NEARLY
from trainwell.diagnosis.rules_layers import shrinking_activations
from trainwell.diagnosis.rules_strength import decay_of_an_update
from trainwell.diagnosis.rules_units import saturated_units

ENOUGH_UPDATES = 10
"""Fewer do not show how fast a network learns (our assumption)."""

ENOUGH_OF_PLAN = 0.2
"""Share of the planned updates before which a slow start may still be warm-up (our assumption)."""

SHORT_PATH = Threshold(
    0.05,
    healthy="0.1 … 60",
    origin="measured: planted too small rates ≤ 0.023, healthy recipes ≥ 0.079 (testing.faults)",
)
SLOWLY, PARTS = 4.0, 8
"""So many times as long a path is short too where nothing was learned, though the loss fell in each of so many parts
of FEW updates and more (our assumptions; no healthy program that learned nothing has a path under 0.4)."""

LITTLE_GAIN = 0.2
"""A loss that lost a larger share than this, and is below chance, has learned on however short a path (assumption)."""

FALLEN, EARLY_END, STILL_HIGH, AT_ONCE, NOT_LOW = 0.01, 0.4, 0.5, 0.15, 0.3
"""A rate that is under this share of its largest before this share of the training, with a loss above this share of
that of chance, fell too early; where it fell AT_ONCE, a loss that is NOT_LOW is enough (our assumptions)."""

FULL, STILL_FALLING = 0.5, 0.1
"""So it is where the loss fell by this share from the third to the last quarter of the steps at the FULL rate."""

NOTHING = 1e-12
"""‖Δw‖/‖w‖ that counts as none."""

NO_SLOPE = 1e-6
"""A gradient over that of chance below which nothing was clipped: there is none."""

EVEN = 0.05
"""Deviation of gradient norms over their mean, below which they are clipped to one (biases are not in them)."""

SIGNAL = (0.01, 100.0)
"""‖g‖ over the chance loss; with less or more, not the rate is at fault but the gradient (`rules_gradient`)."""

LEAP = Threshold(
    3.0,
    healthy="0.5 … 1.9",
    origin="measured: planted too large rates ≥ 4.4, healthy recipes ≤ 2.5; TheDeepChecker takes 2 × the minimum",
)
THROWN = Threshold(
    0.1,
    healthy="0.00001 … 0.03",
    origin="TheDeepChecker: log10 ‖Δw‖/‖w‖ > −1 is too fast; healthy recipes ≤ 0.06 at the start",
)
OVERWRITTEN = Threshold(
    2.0,
    healthy="0.001 … 0.8",
    origin="‖Δw‖/‖w‖ of the first update, median of the layers: it replaces the weights (our assumption)",
)
HALFWAY, DEEP, STAYS = 0.75, 4, 0.6
"""The same of DEEP networks, so many layers, whose loss STAYS above this share of that of chance (our assumptions)."""

LOST = Threshold(2.0, healthy="1 … 1.3", origin="TheDeepChecker: the loss diverges from twice its minimum on")
FAST_ENOUGH = 0.01
"""‖Δw‖/‖w‖ of some layer at some look from the lowest loss on: steps so large can throw away what was learned, and
steps that are added up, as with momentum, smaller ones than others (healthy at the start: ≤ 0.06)."""

JOLT = 10
"""Updates above ABOVE that a training which learns all the same may forget (measured: 7 in a healthy one)."""

ABOVE = 1.5
"""Times the first loss (our assumption)."""

REPLACED = 1.0
"""‖Δw‖/‖w‖ above which one update leaves nothing of a layer: no jolt but a new start."""


BEGUN, FAR_BEYOND = 32, 10.0
"""First losses that are asked for their sign, and how many times their size counts as a start (our assumptions)."""


def learning_rate_too_small(case: Case) -> Finding | None:
    """All layers hardly move in the whole training, though there is a gradient, and the loss stays.

    The path of a layer is Σ_t ‖Δw_t‖/‖w‖, how many times its own length its weights travel; of a training that is not
    over, what it will be at this pace.
    """
    layers, (_, losses) = begun(case), case.finite("loss")
    if not layers or case.updates < ENOUGH_UPDATES or len(losses) < 4:
        return None
    over = case.over
    if not over and case.plan is None:
        return None  # nobody knows how much is still to come
    if not over and case.updates < ENOUGH_OF_PLAN * case.planned_updates:
        return None
    if (starved := _starved(case, layers)) is not None:
        return starved
    path = max(_pace(case, layer) for layer in layers) * (case.updates if over else case.planned_updates)
    gradient = max(median(case.curve("gradient-norm", layer)) for layer in layers) / case.spread_slope
    smooth = running_mean(losses, _points_per_epoch(case, len(losses)))
    gain = 1 - float(smooth[-1] / max(smooth[0], 1e-12))
    stays = gain < LITTLE_GAIN or not case.learned
    signal = SIGNAL[0] < gradient < SIGNAL[1] or _clipped(case, layers)
    short = SHORT_PATH.value * (SLOWLY if gain < LITTLE_GAIN and _falls_on(case, losses) else 1.0)
    if not (path < short and signal and stays):
        return None
    used = case.learning_rate
    return Finding(
        "learning-rate-too-small",
        "critical" if gain < LEARNED else "warning",
        f"The learning rate {used:.3g} is too small: over the whole training the weights move by {path:.2g} of their "
        f"own size, and the loss falls by {max(gain, 0):.0%}.",
        member=case.member,
        step=case.updates,
        evidence=SHORT_PATH.evidence("Σ ‖Δw‖/‖w‖ over the training", path, loss_lost=gain, learning_rate=used),
        remedies=offered(
            rate(case, 10, "the weights can reach a solution in the time they have"),
            rate(case, 100, "tenfold may not be enough where the weights hardly move"),
        ),
    )


def _falls_on(case: Case, losses: np.ndarray) -> bool:
    """Whether the loss fell from part to part of the training, and is that of chance still."""
    if not case.over or case.learned or len(losses) < FEW:
        return False
    means = [part.mean() for part in np.array_split(losses, PARTS)]
    return bool((np.diff(means) < 0).all())


def _clipped(case: Case, layers: list[str]) -> bool:
    """Whether the gradient has the same norm at all looks: clipping takes its size away."""
    looks = [case.finite("gradient-norm", layer)[1] for layer in layers]
    if case.program is None or not looks or len({len(values) for values in looks}) > 1 or len(looks[0]) < 5:
        return False
    norms = np.sqrt(np.square(looks).sum(axis=0))
    return bool(NO_SLOPE * case.slope < norms.mean() and norms.std() < EVEN * norms.mean())


def _starved(case: Case, layers: list[str]) -> Finding | None:
    """The rate fell so early that for most of the training nothing moved, while the loss was still high."""
    steps, rates = case.finite("learning_rate")
    _, losses = case.finite("loss")
    if case.program is None or not case.over or len(rates) < 4 or (losses <= 0).any():
        return None
    since = _fallen_at(steps, rates, case.updates)
    high = float(losses[-max(1, len(losses) // 10) :].mean()) / case.scale
    path = max(_pace(case, layer, since, falling=True) for layer in layers) * (case.updates - since)
    bound = NOT_LOW if since <= AT_ONCE * case.updates or _fell_till_then(case) else STILL_HIGH
    if since > EARLY_END * case.updates or high < bound or path >= SHORT_PATH.value:
        return None
    return Finding(
        "learning-rate-too-small",
        "critical" if not case.learned else "warning",
        f"The learning rate fell from {rates.max():.3g} to under a hundredth of it by step {since} of {case.updates}: "
        f"since then the weights moved by {path:.2g} of their own size, and the loss stays at {high:.0%} of "
        f"{'the first' if case.chance_loss is None else 'that of chance'}.",
        member=case.member,
        step=since,
        evidence=SHORT_PATH.evidence("Σ ‖Δw‖/‖w‖ since the rate fell", path, loss_over_chance=high),
        remedies=(
            Remedy("slower-schedule", "call scheduler.step() once an epoch, or let it fall over the whole training"),
        ),
    )


def _fallen_at(steps: np.ndarray, rates: np.ndarray, end: int) -> int:
    """The step from which on the rate is FALLEN; between two at which it was noted, where it was on its way by then."""
    last = int(np.flatnonzero(rates > FALLEN * rates.max())[-1])
    if last + 1 == len(steps):
        return end
    if rates[last] > FULL * rates.max() or not rates[last + 1] > 0:
        return int(steps[last + 1])
    known, bound = np.log(rates[[last + 1, last]]), np.log(FALLEN * rates.max())
    return int(np.ceil(np.interp(bound, known, steps[[last + 1, last]])))


def _fell_till_then(case: Case) -> bool:
    """Whether the loss still fell when the rate began to."""
    (steps, rates), (at, losses) = case.finite("learning_rate"), case.finite("loss")
    full = losses[at <= steps[np.flatnonzero(rates > FULL * rates.max())[-1]]]
    part = len(full) // 4
    return part > 0 and float(full[-part:].mean()) < (1 - STILL_FALLING) * float(full[-2 * part : -part].mean())


def learning_rate_too_large(case: Case) -> Finding | None:
    """The loss leaps above its start, or never gets below chance, while updates are as large as weights."""
    layers = case.layers("update-ratio")
    if not layers:
        return None
    curves = [case.finite("update-ratio", layer) for layer in layers]
    peaks = [float(values.max()) if len(values) else 0.0 for _, values in curves]
    worst = int(np.argmax(peaks))
    leap, above = leap_of_loss(case)
    usual, lost = _usual(case), _lost(case, curves)
    at_first = float(np.median([float(v[0]) if len(v) else 0.0 for _, v in curves]))
    overwritten = at_first > OVERWRITTEN.value and (not _better_at_once(case) or saturated_units(case) is not None)
    if leap > LEAP.value and peaks[worst] > THROWN.value:
        what, bound = f"the loss leapt to {leap:.3g} times its start", LEAP
        figure, measured = "largest loss over the first", leap
    elif usual > THROWN.value:
        what, bound, figure, measured = "the loss stays at that of chance", THROWN, "‖Δw‖/‖w‖", usual
    elif lost:
        what, bound = f"the loss ended {lost:.3g} times as high as it had been", LOST
        figure, measured = "last losses over the lowest", lost
    elif overwritten or (at_first > HALFWAY and len(layers) >= DEEP and _stays_high(case)):
        what, bound = "the first one leaves nothing of the first weights", OVERWRITTEN
        figure, measured = "first ‖Δw‖/‖w‖", at_first
    else:
        return None
    used, forgotten = case.learning_rate, not lost and above < JOLT and peaks[worst] < REPLACED
    evidence = bound.evidence(figure, measured, largest_update_ratio=peaks[worst], learning_rate=used)
    return Finding(
        "learning-rate-too-large",
        "critical" if not case.learned else "info" if forgotten else "warning",
        f"The learning rate {used:.3g} is too large: single updates change the weights of {called(layers[worst])} by "
        f"up to {peaks[worst]:.2g} of their size, and {what}.",
        member=case.member,
        step=_first_above(curves, THROWN.value),
        evidence=evidence | {"updates_above_start": float(above)},
        remedies=offered(
            rate(case, 1 / 3, "smaller steps do not jump over the valley"),
            rate(case, 1 / 10, "a third may still be too much"),
            clip(case),
        ),
    )


def _stays_high(case: Case) -> bool:
    _, losses = case.finite("loss")
    end = losses[-max(1, len(losses) // 10) :]
    return case.chance_loss is not None and len(end) > 0 and float(end.mean()) > STAYS * case.chance_loss


def loss_sums(case: Case) -> Finding | None:
    """The loss is a sum over the batch; a fault where the steps that follow from it are too large."""
    terms = 1 if case.program is None else case.program.loss.terms
    if terms < 2:
        return None
    speeds = [case.finite("update-ratio", layer)[1] for layer in case.layers("update-ratio")]
    harm = not case.learned and any(len(values) and values.max() > THROWN.value for values in speeds)
    return Finding(
        "loss-sums",
        "warning" if harm or not np.isfinite(case.curve("loss")[1]).all() else "info",
        f"The loss is the sum of {terms} terms, not their mean: gradients, and with them the steps, are {terms} times "
        "as large, and grow with the batch.",
        member=case.member,
        step=1,
        evidence={"figure": "terms that are summed up", "measured": float(terms), "threshold": 1.0, "healthy": "1"},
        remedies=offered(
            Remedy("mean-reduction", "with the mean a rate suits every batch size"),
            rate(case, 1 / terms, "so small a rate does the same for this batch size"),
        ),
    )


def _usual(case: Case) -> float:
    """The first updates ‖Δw‖/‖w‖ of the middle layer, of a training that learns nothing for no other reason; else 0."""
    if case.learned or case.updates < ENOUGH_UPDATES or shrinking_activations(case) is not None:
        return 0.0  # tiny weights move far for their size
    if _signed(case):
        return 0.0  # who knows what is learned by it
    speeds = [median(case.curve("update-ratio", layer), until=EARLY) for layer in begun(case)]
    usual = float(np.median(speeds)) if speeds else 0.0
    return 0.0 if decay_of_an_update(case) > 0.5 * usual else usual


def _signed(case: Case) -> bool:
    """Whether the first losses lie on both sides of 0, where nobody knows that of chance."""
    _, losses = case.finite("loss")
    return case.chance_loss is None and bool((losses[:BEGUN] < 0).any()) and bool((losses[:BEGUN] > 0).any())


def _better_at_once(case: Case) -> bool:
    """Whether the loss fell with the first updates, without a leap, and became low: first weights of nearly nothing."""
    _, losses = case.finite("loss")
    begin = losses[1 : EARLY + 1]
    if len(losses) <= EARLY or np.median(begin) > losses[0] or begin.max() > ABOVE * losses[0]:
        return False
    return float(losses[-max(1, len(losses) // 10) :].mean()) < NEARLY * case.scale


def _lost(case: Case, curves: list[Curve]) -> float:
    """How many times its lowest mean the loss is in the end, where it is above chance again; 0 where it is not."""
    steps, losses = case.finite("loss")
    window = len(losses) // 10
    if case.program is None or case.chance_loss is None or window < ENOUGH_UPDATES:
        return 0.0
    means = running_mean(losses, window)
    best = int(means.argmin())
    since = [values[max(0, int(np.searchsorted(at, steps[best])) - 1) :] for at, values in curves]
    if max((float(values.max()) for values in since if len(values)), default=0.0) < FAST_ENOUGH:
        return 0.0
    low, end = float(means[best]), float(means[-1])
    learned = low < (1 - 6 * LEARNED) * case.scale
    return end / max(low, 1e-12) if learned and end > LOST.value * low and end > (1 - LEARNED) * case.scale else 0.0


def leap_of_loss(case: Case) -> tuple[float, int]:
    """The largest running mean of the training loss, and how many updates it spends above ABOVE.

    In units of the first loss, or of chance if that is more. Where the first losses lie on both sides of 0, as a
    difference does, their size says little: only what is far beyond it counts.
    """
    steps, losses = case.curve("loss")
    if not len(losses) or not np.isfinite(losses[0]):
        return float("nan"), 0
    limit = float(np.finfo(np.float32).max)  # what is not finite was larger than anything
    unit = max(losses[0], case.chance_loss or 0.0, 1e-12)
    if _signed(case):
        unit = FAR_BEYOND * float(np.abs(losses[np.isfinite(losses)][:BEGUN]).max())
    relative = np.nan_to_num(np.minimum(losses, limit), nan=limit) / unit
    lasting = np.diff(steps, prepend=0)  # losses need not be recorded at each step
    return float(running_mean(relative).max()), int(lasting[relative > ABOVE].sum())


def _pace(case: Case, layer: str, since: int = 1, *, falling: bool = False) -> float:
    """Mean of ‖Δw‖/‖w‖ over all updates from one on, interpolated between those that were looked at; of one
    that falls with the rate its logarithm is."""
    steps, values = case.finite("update-ratio", layer)
    wanted = np.arange(since, case.updates + 1)
    if not len(steps) or not len(wanted):
        return 0.0
    if falling:
        return float(np.exp(np.interp(wanted, steps, np.log(np.maximum(values, NOTHING)))).mean())
    return float(np.interp(wanted, steps, values).mean())


def _points_per_epoch(case: Case, points: int) -> int:
    """How many recorded losses are of one epoch; at the most half of all."""
    return max(1, min(points // 2, round(points * case.updates_per_epoch / case.updates)))


def _first_above(curves: list[Curve], bound: float) -> int | None:
    first = [int(steps[values > bound][0]) for steps, values in curves if (values > bound).any()]
    return min(first) if first else None
