"""Rules on the shape of the loss curve (row B8): it never falls, falls still, swings, or is not what is wanted."""

import numpy as np

from trainwell.diagnosis.case import Case, Threshold, median, running_mean
from trainwell.diagnosis.edits import adam, edit, longer, offered, rate
from trainwell.diagnosis.finding import Finding, Remedy

POINTS, FEWEST = 30, 12
"""Means that a curve is read as, of two losses each at the least; with fewer it is not read."""

STEADY = Threshold(
    0.18,
    healthy="0 … 0.06",
    origin="share of the whole fall of the loss that came between the last two sixths; an exponential approach to some "
    "value gives 0.11 after one of its time constants, and 0.04 after three",
)
STRAIGHT = 0.31
"""Share of the fall that came between the middle third and the last: 0.33 of a straight line; healthy: 0 … 0.26."""

NARROW = 4
"""So many classes for each unit of the narrowest layer are hard to tell apart (our assumption)."""

HALF = 0.45
"""And the loss must be above this share of that of chance (our assumption)."""

HIGH = 0.3
"""Share of the chance loss above which a falling loss is not yet low."""

LEFT = 0.15
"""The same where layers that follow one another without a function between say why (our assumption)."""

BEGUN = 0.05
"""Share of the chance loss that must be gone, before a loss counts as falling (as LEARNED)."""

CLEAR = 2.0
"""Standard errors that a fall must have."""

FEW = 100
"""Updates before which a loss that is still that of chance is no verdict (our assumption)."""

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

TOGETHER = Threshold(
    0.5, healthy="-1 … 0", origin="TheDeepChecker: |correlation| < 0.5; overfitting moves both up for a while"
)
JUDGED = 8
"""Judgements from which a correlation tells something."""

FOLLOWS = 2.5
"""Student's t of the rank correlation from which a metric follows the loss (two-sided p of 0.04 at 9 judgements)."""

SLIGHTLY = 0.98
"""Of two classes: below this share of chance something is learned, if it is clear (our assumption)."""

PAIRED, FOLLOWED = 512, 2.5
"""Rows from which a correlation tells that outputs follow nothing; Student's t below which they don't."""

NEARLY = 0.8
"""A best mean loss below this share of that of chance is no failure to learn, however noisy (our assumption)."""

SAME, ALIKE = 4, 1e-7
"""So many judgements with losses that differ by no more than this: the weights make no difference (our assumption)."""


Figures = tuple[str, float, float, str]
"""Figure, measured, threshold, healthy."""


def not_learning(case: Case) -> Finding | None:
    """After many updates the loss is still that of the best constant prediction, or judgements are all the same."""
    _, losses = case.finite("loss")
    if not judgeable(case) or case.updates < FEW or not len(losses):
        return None
    told = _always_alike(case) or _at_chance(case, losses)
    if told is None:
        return None
    what, figures = told
    return Finding(
        "not-learning",
        "critical",
        f"{what}.",
        member=case.member,
        step=case.updates,
        evidence=dict(zip(("figure", "measured", "threshold", "healthy"), figures, strict=True)),
        remedies=offered(
            Remedy("overfit-a-batch", "learn ten rows by heart first: what can't do that has a fault in the program"),
            rate(case, 10, "the weights may hardly move"),
            rate(case, 1 / 10, "the weights may be thrown about"),
            adam(case, "it finds a step for each weight by itself"),
        ),
    )


def _always_alike(case: Case) -> tuple[str, Figures] | None:
    """Judgements that are all the same, in words and figures."""
    _, held = case.finite("validation_loss")
    if len(held) < SAME or np.ptp(held) > ALIKE * np.abs(held).max():
        return None
    what = f"All {len(held)} judgements gave the same validation loss, {held[0]:.6g}: training changes nothing"
    return what, ("spread of the validation losses over their size", float(np.ptp(held)), ALIKE, "0.05 … 2")


def _at_chance(case: Case, losses: np.ndarray) -> tuple[str, Figures] | None:
    """A loss of the size of chance, or outputs that follow nothing, in words and figures."""
    blind = _follows_nothing(case)
    if case.chance_loss is None or (case.learned and not blind):
        return None
    best = float(running_mean(losses, max(1, len(losses) // 10)).min())
    if best < NEARLY * case.chance_loss or _a_little(case, losses, best):
        return None  # not surely below chance, and not surely at it
    if blind and case.program is not None:
        samples, t, _ = case.program.follows
        what = f"After {case.updates} updates the outputs have nothing to do with the targets: Student's t of their "
        what += f"rank correlation is {t:.2g} over the last {samples} rows"
        return what, ("Student's t of the rank correlation of outputs and targets", t, FOLLOWED, "20 and more")
    place = "is still that" if best < (1 + BEGUN) * case.chance_loss else "is not even down to that"
    what = f"After {case.updates} updates the loss ({best:.3g}) {place} of the best constant prediction "
    what += f"({case.chance_loss:.3g})"
    return what, ("best mean loss over that of chance", best / max(case.chance_loss, 1e-12), 1 - BEGUN, "0 … 0.9")


def _follows_nothing(case: Case) -> bool:
    """Whether the newest outputs have nothing to do with their targets, which a loss near chance tells less surely."""
    if case.program is None:
        return False
    samples, t, explained = case.program.follows
    return samples >= PAIRED and t < FOLLOWED and explained < 1 - SLIGHTLY


def _a_little(case: Case, losses: np.ndarray, best: float) -> bool:
    """Whether a loss of two classes is surely, if not far, below chance, as of the judge in a game of two networks.

    Where no judgement ever was below chance, what is learned is rows by heart.
    """
    if case.program is None or case.program.task != "binary" or case.chance_loss is None:
        return False
    _, held = case.finite("validation_loss")
    if len(held) >= SAME and case.chance_loss <= held.min() < (1 + BEGUN) * case.chance_loss:
        return False
    half = losses[len(losses) // 2 :]
    below = case.chance_loss - float(half.mean())
    return best < SLIGHTLY * case.chance_loss and below > CLEAR * float(half.std()) / len(half) ** 0.5


def underfitting(case: Case) -> Finding | None:
    """The training ended while its loss was high and still falling; or a network that can't bend was all there was."""
    read = read_curve(case)
    if read is None:
        return None
    straight = _too_simple(case, float(read[-3:].mean()) / max(case.scale, 1e-12))
    if straight is not None or case.chance_loss is None:
        return straight
    part = max(2, len(read) // 6)
    before, end, top = read[-2 * part : -part], read[-part:], float(read[:2].mean())
    fall, noise = float(before.mean() - end.mean()), float(np.diff(read[-2 * part :]).std()) / np.sqrt(part)
    share, high = fall / max(top - float(end.mean()), 1e-12), float(end.mean()) / max(case.chance_loss, 1e-12)
    begun = top - float(end.mean()) > BEGUN * case.chance_loss
    steady = (share > STEADY.value and fall > CLEAR * noise) or (high > HALF and _straight(read, top))
    if not (steady and high > HIGH and begun) or _worsens(case):
        return None
    return Finding(
        "underfitting",
        "warning",
        f"The training ended too early: the loss is {high:.0%} of that of chance, and {share:.0%} of its fall came in "
        "the last sixth: it was still falling.",
        member=case.member,
        step=case.updates,
        evidence=STEADY.evidence("share of the fall of the loss in the last sixth", share, over_chance=high),
        remedies=offered(
            longer(case, 5, "the loss was still falling"),
            rate(case, 3, "larger steps get further in the same time"),
            adam(case, "it is often several times as fast as SGD"),
        ),
    )


def _straight(read: np.ndarray, top: float) -> bool:
    """Whether the last third brought about as much as the others."""
    third = len(read) // 3
    middle, end = read[-2 * third : -third], read[-third:]
    fall, noise = float(middle.mean() - end.mean()), float(np.diff(read[-2 * third :]).std()) / third**0.5
    return fall > STRAIGHT * max(top - float(end.mean()), 1e-12) and fall > 1.5 * CLEAR * noise


def _worsens(case: Case) -> bool:
    """Whether the judgements of the last third are worse than the best: no longer training will help."""
    (_, held), (_, metrics) = case.finite("validation_loss"), case.finite("validation_metric")
    if len(held) >= 6 and float(held[-2:].min()) > 1.1 * float(running_mean(held).min()):
        return True
    return len(metrics) >= 6 and float(metrics[-2:].max()) < float(running_mean(metrics).max()) - 0.05


def _too_simple(case: Case, high: float) -> Finding | None:
    """A network that can't bend, or passes all through one unit, and a loss that stayed high."""
    program = case.program
    assert program is not None
    linear = program.bends == 0 and (program.weighted or 0) > 1 and program.chains[1] > 0
    narrow, classes = program.narrowest, 0 if program.targets is None else program.targets.classes
    tight = narrow == 1 or (program.task == "multiclass" and 0 < narrow <= classes / NARROW)
    bound = LEFT if linear else HIGH
    if high < bound or not (linear or tight):
        return None
    units = "a single unit" if narrow == 1 else f"{narrow} units, for {classes} classes"
    what = "is one linear map" if linear else f"passes everything through {units}"
    return Finding(
        "underfitting",
        "warning",
        f"The network is too simple: it {what}, and the loss stays at {high:.0%} of that of chance.",
        member=case.member,
        step=case.updates,
        evidence={"figure": "loss over that of chance", "measured": high, "threshold": bound, "healthy": "0 … 0.3"},
        remedies=offered(
            edit(case, "add-relu", "layers with a bend between them can fit curves", {"module.add_activation": "relu"})
            if linear
            else Remedy("wider", "more units can hold more of the inputs", {"module.width": 16}),
        ),
    )


def oscillating_loss(case: Case) -> Finding | None:
    """In the second half, the last quarter or the middle the loss swings widely, up and down, and gets no lower."""
    _, losses = case.finite("loss")
    batch = int(case.setting("training.batch_size", 0) or 0)
    if not judgeable(case) or len(losses) < 2 * FEWEST or 0 < batch < 8:
        return None
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


def loss_not_the_metric(case: Case) -> Finding | None:
    """The metric falls when the loss falls, by rank, or does not follow a loss that halves: it tells something else."""
    (_, losses), (_, metrics) = case.finite("validation_loss"), case.finite("validation_metric")
    if case.program is None or len(losses) < JUDGED or len(losses) != len(metrics):
        return None
    if losses.std() == 0 or metrics.std() == 0:
        return None
    ranks = [np.argsort(np.argsort(values)).astype(float) for values in (losses, metrics)]
    together = float(np.corrcoef(ranks[0], ranks[1])[0, 1])
    halved = float(losses[-JUDGED // 2 :].mean()) < 0.5 * float(losses[0])
    freedom = len(losses) - 2
    follows = -together * np.sqrt(freedom / max(1 - together**2, 1e-12)) > FOLLOWS
    deaf = halved and not follows and not 0.9 < float(metrics[-JUDGED // 2 :].mean()) <= 1.0
    if together <= TOGETHER.value and not deaf:
        return None
    what = "does not follow the loss, which halves" if together <= TOGETHER.value else "falls when the loss falls"
    return Finding(
        "loss-not-the-metric",
        "info",
        f"Over {len(losses)} judgements the metric {what} (rank correlation {together:.2f}).",
        member=case.member,
        step=case.updates,
        evidence=TOGETHER.evidence("rank correlation of validation loss and metric", together),
        remedies=(
            Remedy("choose-by-the-metric", "keep the weights with the best metric, not with the best loss"),
            Remedy("same-rows", "compute loss and metric of the same outputs and targets, in the same order"),
        ),
    )


def judgeable(case: Case) -> bool:
    """Whether enough was seen of a training of the user's, and it has ended."""
    return case.program is not None and case.over


def read_curve(case: Case) -> np.ndarray | None:
    """The loss curve as POINTS means; None while it can't be judged."""
    _, losses = case.finite("loss")
    points = min(POINTS, len(losses) // 2)
    if not judgeable(case) or points < FEWEST:
        return None
    return np.array([part.mean() for part in np.array_split(losses, points)])


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
