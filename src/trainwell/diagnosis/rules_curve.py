"""Rules on the shape of the loss curve (row B8): it never falls, falls still, or is not what is wanted."""

import numpy as np

from trainwell.diagnosis.case import SURE, Case, Threshold, running_mean
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

MANY_PAIRED, EXPLAINED = 2048, 0.01
"""Rows of which a correlation that is surely there, but explains no more than this, is next to nothing (assumption)."""

NEARLY = 0.8
"""A best mean loss below this share of that of chance is no failure to learn, however noisy (our assumption)."""

FALLEN = 0.7
"""Share of its start to which a loss made of two must have fallen, not to be held against chance (our assumption)."""

NONE_BELOW, NEAR = 0.97, 0.96
"""Share of chance that no mean of JUDGED judgements was below, and the training loss is (our assumptions)."""

SAME, ALIKE = 4, 1e-7
"""So many judgements with losses that differ by no more than this: the weights make no difference (our assumption)."""


Figures = tuple[str, float, float, str]
"""Figure, measured, threshold, healthy."""


def not_learning(case: Case) -> Finding | None:
    """After many updates the loss is still that of the best constant prediction, or judgements are all the same."""
    _, losses = case.finite("loss")
    if not judgeable(case) or case.updates < FEW or not len(losses):
        return None
    told = _always_alike(case) or _at_chance(case, losses) or _in_vain(case)
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
    window = max(1, len(losses) // 10)
    best = float(running_mean(losses, window).min())
    low = best < NEARLY * case.chance_loss and not (blind and _nothing_but_noise(losses, best, window))
    if low or _a_little(case, losses, best):
        return None  # not surely below chance, and not surely at it
    joined = case.program is not None and case.program.loss.joined
    if joined and not blind and best < FALLEN * float(losses[:FEWEST].mean()):
        return None  # another loss is in it, of which nobody knows that of chance
    if blind and case.program is not None:
        samples, t, explained = case.program.follows
        what = f"After {case.updates} updates the outputs have nothing to do with the targets: Student's t of their "
        what += f"rank correlation is {t:.2g} over the last {samples} rows, and {max(explained, 0):.1%} is explained"
        return what, ("Student's t of the rank correlation of outputs and targets", t, FOLLOWED, "20 and more")
    place = "is still that" if best < (1 + BEGUN) * case.chance_loss else "is not even down to that"
    what = f"After {case.updates} updates the loss ({best:.3g}) {place} of the best constant prediction "
    what += f"({case.chance_loss:.3g})"
    return what, ("best mean loss over that of chance", best / max(case.chance_loss, 1e-12), 1 - BEGUN, "0 … 0.9")


def _nothing_but_noise(losses: np.ndarray, best: float, window: int) -> bool:
    """Whether the lowest mean of so many losses is one of noise: few targets may tell the loss of chance wrongly."""
    return best > float(losses.mean()) - SURE * float(losses.std()) / window**0.5


def _in_vain(case: Case) -> tuple[str, Figures] | None:
    """A training loss that falls while no judgement was ever below chance, in words and figures."""
    (_, held), (_, train), chance = case.finite("validation_loss"), case.finite("train_loss"), case.chance_loss
    if chance is None or len(held) < SAME + 1 or len(train) != len(held) or not HALF < float(train[-1]) / chance < NEAR:
        return None
    best = float((running_mean(held) if len(held) >= JUDGED else held).min()) / chance
    low = NONE_BELOW if len(held) >= JUDGED else 1.0
    if not low < best < 1 + BEGUN or float(held[-2:].mean()) < chance * best:
        return None
    what = f"The training loss falls, but of {len(held)} judgements none is clearly below chance ({best:.0%} of it at "
    what += "best): rows are learned, and nothing that holds for others, as where targets belong to other rows"
    return what, ("best mean validation loss over that of chance", best, low, "0 … 0.9")


def _follows_nothing(case: Case) -> bool:
    """Whether the newest outputs have nothing to do with their targets, which a loss near chance tells less surely."""
    if case.program is None:
        return False
    samples, t, explained = case.program.follows
    hardly = samples >= MANY_PAIRED and -EXPLAINED < explained < EXPLAINED
    return hardly or (samples >= PAIRED and t < FOLLOWED and explained < 1 - SLIGHTLY)


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
    if not (steady and high > HIGH and begun) or _worsens(case) or _in_vain(case) is not None:
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
