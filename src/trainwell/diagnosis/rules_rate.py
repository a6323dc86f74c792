"""Rules on the learning rate: nothing moves, or everything is thrown about."""

import numpy as np

from trainwell.diagnosis.case import EARLY, LEARNED, Case, Curve, Threshold, median, running_mean
from trainwell.diagnosis.edits import clip, offered, rate
from trainwell.diagnosis.finding import Finding, Remedy

ENOUGH_UPDATES = 10
"""Fewer do not show how fast a network learns (our assumption)."""

ENOUGH_OF_PLAN = 0.2
"""Share of the planned updates before which a slow start may still be warm-up (our assumption)."""

SHORT_PATH = Threshold(
    0.05,
    healthy="0.1 … 60",
    origin="measured: planted too small rates ≤ 0.023, healthy recipes ≥ 0.079 (testing.faults)",
)
LITTLE_GAIN = 0.2
"""A loss that lost a larger share than this, and is below chance, has learned on however short a path (assumption)."""

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
JOLT = 10
"""Updates above ABOVE that a training which learns all the same may forget (measured: 7 in a healthy one)."""

ABOVE = 1.5
"""Times the first loss (our assumption)."""

REPLACED = 1.0
"""‖Δw‖/‖w‖ above which one update leaves nothing of a layer: no jolt but a new start."""


def learning_rate_too_small(case: Case) -> Finding | None:
    """All layers hardly move in the whole training, though there is a gradient, and the loss stays.

    The path of a layer is Σ_t ‖Δw_t‖/‖w‖, how many times its own length its weights travel; of a training that is not
    over, what it will be at this pace.
    """
    layers, (_, losses) = case.layers("update-ratio"), case.finite("loss")
    if not layers or case.updates < ENOUGH_UPDATES or len(losses) < 4:
        return None
    over = case.over
    if not over and case.plan is None:
        return None  # nobody knows how much is still to come
    if not over and case.updates < ENOUGH_OF_PLAN * case.planned_updates:
        return None
    path = max(_pace(case, layer) for layer in layers) * (case.updates if over else case.planned_updates)
    gradient = max(median(case.curve("gradient-norm", layer)) for layer in layers) / case.scale
    smooth = running_mean(losses, _points_per_epoch(case, len(losses)))
    gain = 1 - float(smooth[-1] / max(smooth[0], 1e-12))
    stays = gain < LITTLE_GAIN or not case.learned
    if not (path < SHORT_PATH.value and SIGNAL[0] < gradient < SIGNAL[1] and stays):
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


def learning_rate_too_large(case: Case) -> Finding | None:
    """The loss leaps above its start, or never gets below chance, while updates are as large as weights."""
    layers = case.layers("update-ratio")
    if not layers:
        return None
    curves = [case.finite("update-ratio", layer) for layer in layers]
    peaks = [float(values.max()) if len(values) else 0.0 for _, values in curves]
    worst = int(np.argmax(peaks))
    usual = min(median(curve, until=EARLY) for curve in curves)
    leap, above = leap_of_loss(case)
    restless = usual > THROWN.value and not case.learned and case.updates >= ENOUGH_UPDATES
    leapt = leap > LEAP.value and peaks[worst] > THROWN.value
    if not (leapt or restless):
        return None
    used, forgotten = case.learning_rate, above < JOLT and peaks[worst] < REPLACED
    what = f"the loss leapt to {leap:.3g} times its start" if leapt else "the loss stays at that of chance"
    figure = ("largest loss over the first", leap) if leapt else ("‖Δw‖/‖w‖", usual)
    evidence = (LEAP if leapt else THROWN).evidence(*figure, largest_update_ratio=peaks[worst], learning_rate=used)
    return Finding(
        "learning-rate-too-large",
        "critical" if not case.learned else "info" if forgotten else "warning",
        f"The learning rate {used:.3g} is too large: single updates change the weights of {layers[worst]} by up to "
        f"{peaks[worst]:.2g} of their size, and {what}.",
        member=case.member,
        step=_first_above(curves, THROWN.value),
        evidence=evidence | {"updates_above_start": float(above)},
        remedies=offered(
            rate(case, 1 / 3, "smaller steps do not jump over the valley"),
            rate(case, 1 / 10, "a third may still be too much"),
            clip(case),
        ),
    )


def loss_sums(case: Case) -> Finding | None:
    """The loss is a sum over the batch; a fault where the steps that follow from it are too large."""
    terms = 1 if case.program is None else case.program.loss.terms
    if terms < 2:
        return None
    peaks = [float(values.max()) for layer in case.layers("update-ratio") if len(values := _speeds(case, layer))]
    harm = not case.learned and max(peaks, default=0.0) > THROWN.value
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


def _speeds(case: Case, layer: str) -> np.ndarray:
    return case.finite("update-ratio", layer)[1]


def leap_of_loss(case: Case) -> tuple[float, int]:
    """The largest running mean of the training loss, and how many updates it spends above ABOVE.

    In units of the first loss, or of chance if that is more.
    """
    steps, losses = case.curve("loss")
    if not len(losses) or not np.isfinite(losses[0]):
        return float("nan"), 0
    limit = float(np.finfo(np.float32).max)  # what is not finite was larger than anything
    relative = np.nan_to_num(np.minimum(losses, limit), nan=limit) / max(losses[0], case.chance_loss or 0.0, 1e-12)
    lasting = np.diff(steps, prepend=0)  # losses need not be recorded at each step
    return float(running_mean(relative).max()), int(lasting[relative > ABOVE].sum())


def _pace(case: Case, layer: str) -> float:
    """Mean of ‖Δw‖/‖w‖ over all updates, interpolated between those that were looked at."""
    steps, values = case.finite("update-ratio", layer)
    return float(np.interp(np.arange(1, case.updates + 1), steps, values).mean()) if len(steps) else 0.0


def _points_per_epoch(case: Case, points: int) -> int:
    """How many recorded losses are of one epoch; at the most half of all."""
    return max(1, min(points // 2, round(points * case.updates_per_epoch / case.updates)))


def _first_above(curves: list[Curve], bound: float) -> int | None:
    first = [int(steps[values > bound][0]) for steps, values in curves if (values > bound).any()]
    return min(first) if first else None
