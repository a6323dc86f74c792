"""Rules on stretches of the loss curve (rows B8, D12): it is held up, stays for long, or leaps."""

import numpy as np

from trainwell.diagnosis.case import Case, Threshold, median
from trainwell.diagnosis.edits import adam, edit, initialiser, offered, rate
from trainwell.diagnosis.finding import Finding
from trainwell.diagnosis.rules_curve import CLEAR, POINTS, read_curve
from trainwell.diagnosis.rules_gradient import FAINT
from trainwell.diagnosis.rules_layers import shrinking_activations
from trainwell.diagnosis.rules_loss import runaway
from trainwell.diagnosis.rules_strength import BOUNDED

FLAT = Threshold(
    0.3,
    healthy="0.03 … 0.27",
    origin="measured over the healthy programs of testing.programs: share of the training before the loss fell",
)
FLAT_FADED = Threshold(
    0.09,
    healthy="0.03 … 0.17",
    origin="the same where the signal fades from layer to layer at the start, which says why (our assumption)",
)
LONG = 0.4
"""Share of a training without a fall from which it is a warning (our assumption)."""

STAYS = 0.02
"""Share of the chance loss by which a flat curve may fall from its first third to its last (our assumption)."""

WAITED = 50
"""Updates without a fall, below which the training is short rather than its start slow (our assumption)."""

SPIKE = Threshold(
    5.0,
    healthy="1 … 3",
    origin="Composer: fast mean ≥ 5 × slow mean; here a loss over the median of those around it",
)

LEAP = 1e3
"""A loss so many times that of the steps around it, where nothing is learned, is the training's ruin (assumption)."""


FAR, REPEATED, CALM = 20.0, 5, 0.02
"""A loss so many times that of the steps around it, so often, with updates ‖Δw‖/‖w‖ below this: single rows are wrong
by orders (our assumptions)."""


def slow_start(case: Case) -> Finding | None:
    """The loss stayed where it was for a large part of the training, and then fell suddenly."""
    read = read_curve(case)
    if read is None:
        return None
    first, last = float(read[: max(1, len(read) // 15)].mean()), float(read.min())
    fall = first - last
    bounded = case.program is not None and case.program.loss.kind in BOUNDED
    if fall < 0.3 * case.scale or first > 1.3 * case.scale or (bounded and last < 0):
        return None
    if runaway(case) is not None or last < -first:  # what has no bottom falls faster and faster
        return None
    began = int(np.argmax(read < first - 0.1 * fall))
    share, quick = began / len(read), float(np.mean(read[began:] < last + 0.5 * fall))
    bound = FLAT_FADED if shrinking_activations(case) is not None else FLAT
    if share <= bound.value or share * case.updates < WAITED or quick < 0.2:
        return None
    return Finding(
        "slow-start",
        "warning",
        f"For {share:.0%} of the training the loss stayed at {first:.3g}, then it fell to {last:.3g}: "
        "the first weights were badly chosen, or the rate was too small to leave them.",
        member=case.member,
        step=int(share * case.updates),
        evidence=bound.evidence("share of the training before the loss began to fall", share),
        remedies=offered(
            initialiser(case),
            adam(case, "it leaves flat regions sooner"),
            rate(case, 3, "larger steps leave a flat region sooner"),
        ),
    )


def plateau(case: Case) -> Finding | None:
    """After a first fall the loss stayed for long, then fell once more; or it stays from the start, without slope."""
    read = read_curve(case)
    if read is None:
        return None
    paused = _pause(case, read)
    begin, length, told = paused or _flat(case, read) or (0, 0, "")
    if not told:
        return None
    share = length / len(read)
    return Finding(
        "plateau",
        "warning" if share > LONG else "info",
        f"The loss stayed at {read[begin]:.3g} for {share:.0%} of the training{told}.",
        member=case.member,
        step=int(begin / len(read) * case.updates) if paused else case.updates,
        evidence={"figure": "share without a fall", "measured": share, "threshold": 0.25, "healthy": "0 … 0.2"},
        remedies=offered(adam(case, "it leaves flat regions sooner"), initialiser(case)),
    )


def _pause(case: Case, read: np.ndarray) -> tuple[int, int, str] | None:
    """A stretch without a fall between two falls: where it begins, how long it is, in points."""
    fall = float(read[0] - read.min())
    if fall < 0.3 * case.scale:
        return None
    steps = -np.diff(read) / max(fall, 1e-12)
    begin, length = _longest(np.abs(steps) < 0.005)
    after = float(read[min(begin + length, len(read) - 1)] - read[-1]) / max(fall, 1e-12)
    before = float(read[0] - read[begin]) / max(fall, 1e-12)
    if length < len(read) // 4 or after < 0.2 or before < 0.1:
        return None
    return begin, length, " before it fell again"


def _flat(case: Case, read: np.ndarray) -> tuple[int, int, str] | None:
    """The whole training, where nothing is learned and there is next to no gradient: a flat region, not a floor."""
    slopes = [median(case.curve("gradient-norm", layer)) for layer in case.layers("gradient-norm")]
    if case.updates < 2 * WAITED or not max(slopes, default=1.0) < FAINT.value * case.spread_slope:
        return None
    third = len(read) // 3
    parts = (third, 3) if case.learned else (third,)  # it may be the first single losses that were high by chance
    for part in parts:
        first, last = read[:part], read[-third:]
        noise = CLEAR * float(np.hypot(first.std() / part**0.5, last.std() / third**0.5))
        if float(first.mean() - last.mean()) >= STAYS * case.scale + noise:
            return None
    return 0, len(read), ", and no layer gets a gradient to speak of"


def loss_spike(case: Case) -> Finding | None:
    """Single losses many times above those around them, after which the training went on."""
    steps, losses = case.finite("loss")
    if len(losses) < 4 * POINTS or (losses < 0).any():  # with no bottom at 0 there is no saying how many times
        return None
    window = 25
    middle = np.array([np.median(losses[max(0, i - window) : i + window]) for i in range(len(losses))])
    ratio = losses / np.maximum(middle, 1e-3 * case.scale)
    high = (ratio > SPIKE.value) & (losses > 2 * case.scale)
    if not high[len(losses) // 10 :].any():
        return None
    worst = int(np.argmax(np.where(high, ratio, 0.0)))
    return Finding(
        "loss-spike",
        "warning" if (ratio[worst] > LEAP and not case.learned) or _often(case, ratio, losses) else "info",
        f"At step {steps[worst]} the loss leapt to {ratio[worst]:.3g} times that of the steps around it.",
        member=case.member,
        step=int(steps[worst]),
        evidence=SPIKE.evidence("loss over the median around it", float(ratio[worst]), spikes=float(high.sum())),
        remedies=offered(
            edit(
                case, "clip-gradients", "one odd batch can't throw the weights far", {"regularisation.clip_norm": 1.0}
            ),
            rate(case, 1 / 3, "smaller steps do less harm"),
        ),
    )


def _often(case: Case, ratio: np.ndarray, losses: np.ndarray) -> bool:
    """Whether the loss leaps far, and again and again: rows are wrong, not a step."""
    speeds = [median(case.finite("update-ratio", layer)) for layer in case.layers("update-ratio")]
    if case.chance_loss is None or max(speeds, default=0.0) > CALM:  # else the steps are it
        return False
    return int(((ratio > FAR) & (losses > SPIKE.value * case.chance_loss)).sum()) >= REPEATED


def _longest(flags: np.ndarray) -> tuple[int, int]:
    """Where the longest run of True begins, and its length."""
    best, begin = (0, 0), 0
    for i, flag in enumerate([*flags, False]):
        if not flag:
            best = max(best, (begin, i - begin), key=lambda run: run[1])
            begin = i + 1
    return best
