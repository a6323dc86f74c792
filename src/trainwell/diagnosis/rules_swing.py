"""Rules on a loss that goes up and down, by the rate or by the momentum."""

import numpy as np

from trainwell.diagnosis.case import Case, Threshold, median, running_mean
from trainwell.diagnosis.edits import edit, offered, rate
from trainwell.diagnosis.finding import Finding
from trainwell.diagnosis.rules_curve import FEWEST, HIGH, NEARLY, SAME, judgeable, read_curve

SWING = Threshold(
    1.0,
    healthy="0 … 0.6",
    origin="swings of the mean loss as a share of chance; AutoTrainer counts swings of 0.03 in the accuracy",
)
FAST, THROWN, SLOW = 0.1, 0.3, 0.02
"""‖Δw‖/‖w‖ above which the rate throws weights about (as THROWN in rules_rate); this share of a swing counts then. With
less than SLOW in all layers later on, half of it of weights that were thrown, it is the batches that swing, as where
one in hundred samples is of the rare class."""

DRAWN = 6.0
"""Deviations that a swing must have of what the draw of a batch makes: three up and three down."""

STABLE = 64
"""Samples in a batch, from which its loss does not swing by that of chance by itself (our assumption)."""

SWINGS = 4
"""So many of them in the second half of the training."""

HEAVY, WAVE, WAVES = 0.98, 1.5, 3
"""Momentum with which the weights run on for 50 updates and more; and the factor by which the mean loss, or that of
the judgements, went up or down so many times in the last two thirds (seen in nine programs with it, all sick)."""

SWOLLEN = 2.0
"""Or times its least that it rose to after that."""


def oscillating_loss(case: Case) -> Finding | None:
    """In the second half, the last quarter or the middle the loss swings widely, up and down, and gets no lower."""
    _, losses = case.finite("loss")
    batch = int(case.setting("training.batch_size", 0) or 0)
    if not judgeable(case) or len(losses) < 2 * FEWEST or 0 < batch < 8:
        return None
    if case.setting("optimizer.momentum", 0.0) >= HEAVY and (waves := _in_waves(case)) is not None:
        return waves
    looks = [case.finite("update-ratio", layer) for layer in case.layers("update-ratio")]
    speeds = [median(curve) for curve in looks]
    thrown = max(speeds, default=0.0) > FAST
    if looks and max(_late(*curve, case.updates) for curve in looks) < (SLOW / 2 if thrown else SLOW):
        return None
    size = max(SWING.value * (THROWN if thrown else 1.0), DRAWN * _of_the_draw(case, batch))
    quarters = np.array_split(losses, 4)
    parts = {"second half": quarters[2:], "last quarter": quarters[3:], "middle half": quarters[1:3]}
    for where, part in ((where, np.concatenate(part)) for where, part in parts.items()):
        read = part if thrown or batch >= STABLE else running_mean(part)  # small batches swing by themselves
        unsure = thrown and (batch < STABLE or where == "middle half")  # then only of a loss that is not low
        turns = _restless(read / case.scale, size, NEARLY if unsure else HIGH)
        if turns:
            return _swinging(case, where, turns, size, float(np.ptp(read)) / case.scale)
    return None


def _in_waves(case: Case) -> Finding | None:
    """A heavy momentum carries the weights over the valley and back."""
    read, (_, held) = read_curve(case), case.finite("validation_loss")
    if read is None:
        return None
    curves = [curve[len(curve) // 3 :] for curve in (read, held) if len(curve) > SAME and (curve > 0).all()]
    waves = max((_swings(np.log(curve), float(np.log(WAVE))) for curve in curves), default=0)
    swollen = float(read[int(read.argmin()) :].max() / read.min()) if read.min() > 0 else 0.0
    if waves >= WAVES:
        what, figure, measured = f"{waves} times it went up or down by a factor of {WAVE:g}", "waves of the loss", waves
    elif swollen > SWOLLEN:
        what, figure, measured = f"it rose to {swollen:.2g} times its least", "mean loss over its least before", swollen
    else:
        return None
    momentum = float(case.setting("optimizer.momentum"))
    bound = WAVES if waves >= WAVES else SWOLLEN
    return Finding(
        "oscillating-loss",
        "warning",
        f"The loss comes and goes in waves: {what}, and with a momentum of {momentum:.3g} the weights run on for "
        f"{1 / max(1 - momentum, 1e-6):.0f} updates.",
        member=case.member,
        step=case.updates // 2,
        evidence={"figure": figure, "measured": float(measured), "threshold": float(bound), "momentum": momentum},
        remedies=offered(
            edit(case, "less-momentum", "the weights forget sooner where they ran", {"optimizer.momentum": 0.9}),
            rate(case, 1 / 10, "the same way in smaller steps"),
        ),
    )


def _of_the_draw(case: Case, batch: int) -> float:
    """Deviation of a batch's loss at chance that its share of rare classes makes, over the loss of chance; else 0."""
    targets = None if case.program is None else case.program.targets
    counts = np.array([] if targets is None else [count for count in targets.counts if count], dtype=float)
    if case.chance_loss is None or len(counts) < 2 or batch < 1:
        return 0.0
    share = counts / counts.sum()
    each = -np.log(share)
    deviation = float(np.sqrt((share * (each - (share * each).sum()) ** 2).sum() / batch))
    return deviation / case.chance_loss


def _late(steps: np.ndarray, values: np.ndarray, updates: int) -> float:
    """The median after the first quarter of the training; the last one where nothing was looked at since."""
    late = values[steps >= updates / 4]
    return float(np.median(late)) if len(late) else float(values[-1]) if len(values) else 0.0


def _restless(read: np.ndarray, size: float, low: float) -> int:
    """How often a part of a loss curve, in units of chance, turned after a swing; 0 where it got lower, or is low."""
    half = len(read) // 2
    turns, gain = _swings(read, size), float(np.mean(read[:half]) - np.mean(read[half:]))
    calm = turns < max(SWINGS, len(read) // 30) or gain > SWING.value or float(np.median(read)) < low
    return 0 if calm else turns


def _swinging(case: Case, where: str, turns: int, size: float, largest: float) -> Finding:
    return Finding(
        "oscillating-loss",
        "warning",
        f"The loss swings: in the {where} of the training it went up and down {turns} times by more than {size:.0%} of "
        "that of chance.",
        member=case.member,
        step=case.updates // 2,
        evidence=SWING.evidence("largest swing over the chance loss", largest, swings=float(turns)),
        remedies=offered(
            rate(case, 1 / 3, "smaller steps stay in the valley"),
            edit(case, "falling-rate", "a rate that falls lets the loss settle", {"schedule.name": "cosine"}),
        ),
    )


def _swings(values: np.ndarray, size: float) -> int:
    """How many times a curve turned after going up or down by more than `size`.

    >>> _swings(np.array([0.0, 1.0, 0.0, 1.0, 0.9, 1.1]), 0.5)
    2
    """
    turns, rising, extreme = 0, bool(values[-1] > values[0]), values[0]
    for value in values[1:]:
        if (value > extreme) == rising:
            extreme = value
        elif abs(value - extreme) > size:
            turns, rising, extreme = turns + 1, not rising, value
    return turns
