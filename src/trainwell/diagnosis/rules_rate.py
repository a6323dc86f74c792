"""Rules on the learning rate: nothing moves, or everything is thrown about."""

import numpy as np

from trainwell.diagnosis.case import EARLY, LEARNED, Case, Threshold, median, running_mean
from trainwell.diagnosis.edits import clip, offered, rate
from trainwell.diagnosis.finding import Finding

ENOUGH_UPDATES = 10
"""Fewer do not show how fast a network learns (our assumption)."""

ENOUGH_OF_PLAN = 0.2
"""Share of the planned updates before which a slow start may still be warm-up (our assumption)."""

SHORT_PATH = Threshold(
    0.05,
    healthy="0.1 … 80",
    origin="measured: planted too small rates ≤ 0.023, healthy recipes ≥ 0.107 (testing.faults)",
)
LITTLE_GAIN = 0.2
"""A loss that lost a larger share than this has learned, however short its path (our assumption)."""

SIGNAL = (0.01, 100.0)
"""‖g‖ over the chance loss; with less or more, it is not the rate that is at fault but the gradient (see rules_signal)."""

LEAP = Threshold(
    3.0,
    healthy="0.6 … 2.3",
    origin="measured: planted too large rates ≥ 4.4, healthy recipes ≤ 2.3; TheDeepChecker takes 2 × the minimum",
)
THROWN = Threshold(
    0.1,
    healthy="0.0001 … 0.06",
    origin="TheDeepChecker: log10 ‖Δw‖/‖w‖ > −1 is too fast; healthy recipes stay below 0.07 at the start",
)
JOLT = 10
"""Updates above 1.5 times the first loss that a training which learns all the same may forget (measured: 7 in a healthy one)."""
REPLACED = 1.0
"""‖Δw‖/‖w‖ above which one update leaves nothing of a layer: no jolt but a new start."""


def learning_rate_too_small(case: Case) -> Finding | None:
    """All layers together move hardly at all in the whole training, though there is a gradient, and the loss stays.

    The path of a layer is Σ_t ‖Δw_t‖/‖w‖, how many times its own length its weights travel; of a training that is not
    over, what it will be at this pace.
    """
    layers, (_, losses) = case.layers("update-ratio"), case.finite("loss")
    if not layers or case.updates < ENOUGH_UPDATES or len(losses) < ENOUGH_UPDATES:
        return None
    over = case.outcome is not None or case.updates >= case.planned_updates
    if not over and case.updates < ENOUGH_OF_PLAN * case.planned_updates:
        return None
    pace = max(float(np.mean(np.interp(*_grid(case, layer)))) for layer in layers)
    path = pace * (case.updates if over else case.planned_updates)
    gradient = max(median(case.curve("gradient-norm", layer)) for layer in layers) / case.scale
    end = running_mean(losses, min(len(losses) // 2, case.updates_per_epoch))[-1]
    gain = 1 - float(end) / float(running_mean(losses, min(len(losses) // 2, case.updates_per_epoch))[0])
    if not (path < SHORT_PATH.value and SIGNAL[0] < gradient < SIGNAL[1] and (gain < LITTLE_GAIN or not case.learned)):
        return None
    return Finding(
        "learning-rate-too-small",
        "critical" if gain < LEARNED else "warning",
        f"The learning rate {_rate(case):.3g} is too small: over the whole training the weights move by {path:.2g} of their "
        f"own size, and the loss falls by {max(gain, 0):.0%}.",
        member=case.member,
        step=case.updates,
        evidence=SHORT_PATH.evidence("Σ ‖Δw‖/‖w‖ over the training", path, loss_lost=gain, learning_rate=_rate(case)),
        remedies=offered(
            rate(case, 10, "the weights can reach a solution in the time they have"),
            rate(case, 100, "tenfold may not be enough where the weights hardly move"),
        ),
    )


def learning_rate_too_large(case: Case) -> Finding | None:
    """The loss leaps above its start, or the training never gets below chance, while updates are as large as weights."""
    layers = case.layers("update-ratio")
    if not layers:
        return None
    curves = [case.finite("update-ratio", layer) for layer in layers]
    peaks = [float(values.max()) if len(values) else 0.0 for _, values in curves]
    worst = int(np.argmax(peaks))
    usual = min(median((steps, values), until=EARLY) for steps, values in curves)
    leap, above = leap_of_loss(case)
    restless = usual > THROWN.value and not case.learned and case.updates >= ENOUGH_UPDATES
    leapt = leap > LEAP.value and peaks[worst] > THROWN.value
    if not (leapt or restless):
        return None
    what = f"the loss leapt to {leap:.3g} times its start" if leapt else "the loss stays at that of chance"
    bound, figure, measured = (LEAP, "largest loss over the first", leap) if leapt else (THROWN, "‖Δw‖/‖w‖", usual)
    return Finding(
        "learning-rate-too-large",
        "critical"
        if not case.learned
        else "warning"
        if restless or above >= JOLT or peaks[worst] > REPLACED
        else "info",
        f"The learning rate {_rate(case):.3g} is too large: single updates change the weights of {layers[worst]} by up to "
        f"{peaks[worst]:.2g} of their size, and {what}.",
        member=case.member,
        step=_first_above(curves, THROWN.value),
        evidence=bound.evidence(
            figure, measured, largest_update_ratio=peaks[worst], updates_above_start=above, learning_rate=_rate(case)
        ),
        remedies=offered(
            rate(case, 1 / 3, "smaller steps do not jump over the valley"),
            rate(case, 1 / 10, "a third may still be too much"),
            clip(case),
        ),
    )


def leap_of_loss(case: Case) -> tuple[float, int]:
    """The largest running mean of the training loss, in units of the first loss (or of chance, if that is more), and how many exceed 1.5."""
    _, losses = case.curve("loss")
    if not len(losses) or not np.isfinite(losses[0]):
        return float("nan"), 0
    limit = np.finfo(np.float32).max  # what is not finite was larger than anything
    smooth = running_mean(np.nan_to_num(np.minimum(losses, limit), nan=limit))
    smooth = smooth / max(losses[0], case.chance_loss or 0.0, 1e-12)
    return float(smooth.max()), int((smooth > 1.5).sum())


def _grid(case: Case, layer: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For `np.interp`: every step so far, and the update ratio where it was measured."""
    steps, values = case.finite("update-ratio", layer)
    return (
        (np.arange(1, case.updates + 1), steps, values)
        if len(steps)
        else (np.array([1]), np.array([1]), np.array([0.0]))
    )


def _first_above(curves: list[tuple[np.ndarray, np.ndarray]], bound: float) -> int | None:
    first = [int(steps[values > bound][0]) for steps, values in curves if (values > bound).any()]
    return min(first) if first else None


def _rate(case: Case) -> float:
    """The largest rate used so far, or the planned one."""
    _, rates = case.finite("learning_rate")
    return float(rates.max()) if len(rates) else case.plan.optimizer.learning_rate


RATE_RULES = {
    "learning-rate-too-large": learning_rate_too_large,
    "learning-rate-too-small": learning_rate_too_small,
}
