"""Rules on how strongly a training is held: batches, regularisation, and weights that shrink or grow (D13, D14)."""

import numpy as np

from trainwell.diagnosis.case import EARLY, Case, Threshold, called, median
from trainwell.diagnosis.edits import dropout, edit, offered, rate
from trainwell.diagnosis.finding import Finding, Remedy
from trainwell.diagnosis.rules_curve import CLEAR, POINTS, judgeable, read_curve

NOISY = Threshold(
    0.5,
    healthy="0 … 0.4",
    origin="deviation of single losses over their mean in the last half (our assumption)",
)
DROWNED, FAST = 0.5, 3e-3
"""Or the loss stays above this share of chance, with first updates ‖Δw‖/‖w‖ above this: too fast for one sample (row
B7 wants about 1e-3 for a whole batch)."""

SILENCED = Threshold(
    0.1,
    healthy="0.2 … 3",
    origin="deviation over samples of what an inner layer hands on, last look over first (measured over programs from "
    "elsewhere; with too strong a divergence 0.05 … 0.09)",
)
FAINT = 0.02
"""Where it is larger, it still tells samples apart."""

EACH, DECAYING, HEAVY = 0.01, ("sgd", "adamw"), 0.05
"""Share of the weights that a single update takes away, with optimizers whose decay is the rate times it; and a decay
from which it is the cause where weights collapse, with any (our assumptions)."""

COLLAPSED = 0.2
"""Share of the first weights' size; healthy trainings keep 0.7 … 3 (TheDeepChecker: 95 % of the weights under 1e-5)."""

VANISHED = 0.01
"""The same of one layer, through which nothing comes any more (our assumption)."""

STILL, RUNS_OFF = 1.3, 3.0
"""Growth in the last two fifths of the training: small first weights grow too, and then stay (our assumption)."""

BOUNDED = ("cross-entropy", "binary", "binary-logits", "squared", "absolute", "huber")
"""Losses that are never below 0; one that is has something added to it that rewards large weights."""

BELOW = 0.1
"""Share of the first losses, below 0: nearer to it other terms lie, such as an entropy (our assumption)."""

HASTY, LARGE, HUGE, LATE, LATE_OF_FEW = 50, 128, 1024, 0.08, 0.04
"""Updates in a whole training that are too few, and the batch size from which that is its fault. Of a HUGE batch four
times as many are, if so much of the fall came in the last third: of few updates less is needed (our assumptions)."""


def batch_too_small(case: Case) -> Finding | None:
    """Single samples, or pairs, whose noise drowns the gradient."""
    batch, (_, losses) = int(case.setting("training.batch_size", 0) or 0), case.finite("loss")
    if case.program is None or not 0 < batch <= 2 or len(losses) < 2 * POINTS:
        return None
    late = losses[len(losses) // 2 :]
    noise = float(late.std() / max(late.mean(), 1e-12))
    high = float(late.mean()) / case.scale
    speeds = [median(case.curve("update-ratio", layer), until=EARLY) for layer in case.layers("update-ratio")]
    drowned = high > DROWNED and max(speeds, default=0.0) > FAST
    if not drowned and (noise <= NOISY.value or high < 0.05):
        return None
    return Finding(
        "batch-too-small",
        "warning",
        f"A batch is {batch} sample{'s' * (batch > 1)}: the losses of single steps deviate by {noise:.0%} of their "
        "mean, and most of each gradient is noise.",
        member=case.member,
        step=case.updates,
        evidence=NOISY.evidence("deviation of single losses over their mean", noise, batch=float(batch)),
        remedies=offered(
            edit(
                case, "larger-batches", "the mean of 32 gradients has a sixth of the noise", {"training.batch_size": 32}
            ),
            rate(case, 1 / 10, "small steps average over many samples"),
        ),
    )


def decay_of_an_update(case: Case) -> float:
    """The share of the weights that decay takes in an update, with optimizers that take the rate times it."""
    decay, rate_ = float(case.setting("optimizer.weight_decay", 0.0) or 0.0), case.learning_rate
    return decay * rate_ if case.setting("optimizer.name") in DECAYING and np.isfinite(rate_) else 0.0


def too_much_regularisation(case: Case) -> Finding | None:
    """Dropout, decay or a penalty so strong that not even the training part is learned."""
    read, program = read_curve(case), case.program
    collapsed = weights_collapse(case) is not None
    if read is None or program is None or (case.chance_loss is None and not collapsed):
        return None
    end = float(read[-3:].mean()) / case.scale
    decay, rate_ = float(case.setting("optimizer.weight_decay", 0.0) or 0.0), case.learning_rate
    kept = _weights_kept(case)
    _, least = _least_kept(case)
    kept = least if kept >= 0.5 and least < VANISHED else kept  # of large ones much is left for long
    each = decay * (rate_ if np.isfinite(rate_) else 0.0)
    strong = decay_of_an_update(case) > EACH and each * case.updates > 1
    decayed = decay > 0 and ((kept < 0.5 and each * case.updates > 0.2) or strong or (collapsed and decay > HEAVY))
    dropped = program.dropout >= 0.7
    penalised = program.penalty is not None and program.penalty > 0.5
    if end < 0.5 or not (decayed or dropped or penalised):
        return _silenced(case)
    what, figure, measured, bound = (
        (f"dropout of {program.dropout:g}", "rate of dropout", program.dropout, 0.7)
        if dropped
        else (f"weight decay of {decay:g}", "share of the weights that an update takes away", each, EACH)
        if decayed and strong
        else (f"weight decay of {decay:g}", "weights left of the first ones", kept, 0.5)
        if decayed
        else ("a penalty on the weights", "share of the loss that is penalty", float(program.penalty or 0.0), 0.5)
    )
    return Finding(
        "too-much-regularisation",
        "warning",
        f"Regularisation is too strong: with {what} the training loss stays at {end:.0%} of that of chance.",
        member=case.member,
        step=case.updates,
        evidence={"figure": figure, "measured": measured, "threshold": bound, "healthy": "0 … 0.5"},
        remedies=offered(
            edit(case, "less-dropout", "units may rely on one another again", {"regularisation.dropout": 0.2})
            if dropped
            else None,
            edit(case, "less-decay", "weights may grow as the data ask for", {"optimizer.weight_decay": 0.0})
            if decay
            else None,
        ),
    )


def _silenced(case: Case) -> Finding | None:
    """A term added to the loss made an inner layer hand on the same for all samples, as a divergence from a prior."""
    program = case.program
    if program is None or program.loss.alone or not program.loss.kind:
        return None
    looks = {layer: case.finite("signal-std", layer)[1] for layer in case.layers("signal-std")[:-1]}
    left = {layer: float(v[-1] / v[0]) for layer, v in looks.items() if len(v) >= 4 and v[0] > 0 and v[-1] < FAINT}
    if not left or min(left.values()) >= SILENCED.value:
        return None
    layer = min(left, key=lambda k: left[k])
    return Finding(
        "too-much-regularisation",
        "warning",
        f"What is added to the loss silences {called(layer)}: what it hands on differs between samples by "
        f"{left[layer]:.1g} of what it did at first, so that all that comes after knows little of the inputs.",
        layer=layer,
        member=case.member,
        step=case.updates,
        evidence=SILENCED.evidence("deviation over samples at the last look over that at the first", left[layer]),
        remedies=(Remedy("weigh-less", "average every term over the same numbers, or let the added one begin small"),),
    )


def weights_collapse(case: Case) -> Finding | None:
    """The weights of most layers shrank to a small part of what they were; where nothing is learned, of one layer."""
    (layer, least), kept, which = _least_kept(case), _weights_kept(case), "the middle layer"
    if least < VANISHED and kept >= COLLAPSED and not case.learned:
        kept, which = least, called(layer)
    if not kept < COLLAPSED or case.updates < POINTS:
        return None
    return Finding(
        "weights-collapse",
        "warning" if case.learned else "critical",
        f"The weights collapse: those of {which} are {kept:.2g} of their first size.",
        member=case.member,
        step=case.updates,
        evidence={
            "figure": "‖w‖ over its start, median of layers",
            "measured": kept,
            "threshold": COLLAPSED,
            "healthy": "0.7 … 3",
        },
        remedies=offered(
            edit(case, "less-decay", "decay takes more than the gradient gives", {"optimizer.weight_decay": 0.0}),
            rate(case, 1 / 10, "decay acts through the rate"),
        ),
    )


def weights_grow(case: Case) -> Finding | None:
    """The weights of most layers grew many times over, and still grow."""
    grown, (_, losses) = _weights_kept(case), case.finite("loss")
    below = case.program is not None and case.program.loss.kind in BOUNDED and len(losses) > 0 and _sinks(losses)
    still = _weights_kept(case, since=0.6) > STILL
    runs = grown > RUNS_OFF and _runs_off(losses)
    if not ((grown > 10.0 and still) or (below and grown > 1.3) or runs) or case.updates < POINTS:
        return None
    return Finding(
        "weights-grow",
        "warning" if case.learned else "critical",
        f"The weights grow without bound: those of the middle layer are {grown:.2g} times their first size.",
        member=case.member,
        step=case.updates,
        evidence={
            "figure": "‖w‖ over its start, median of layers",
            "measured": grown,
            "threshold": 10.0,
            "healthy": "0.7 … 3",
        },
        remedies=offered(
            rate(case, 1 / 10, "smaller steps add less"),
            edit(case, "weight-decay", "large weights cost something", {"optimizer.weight_decay": 0.01}),
        ),
    )


def _sinks(losses: np.ndarray) -> bool:
    """Whether losses are below 0 in the end and still fall, by more than their noise: what was added has no bottom."""
    part = len(losses) // 6
    if part < 2:
        return False
    before, end = (float(np.median(losses[place])) for place in (slice(-2 * part, -part), slice(-part, None)))
    noise = float(np.median(np.abs(np.diff(losses[-2 * part :])))) / part**0.5
    below = -BELOW * abs(float(np.median(losses[:part])))
    return end < below and before - end > CLEAR * noise  # medians: it may burst in the end


def _runs_off(losses: np.ndarray) -> bool:
    """Whether losses sink below 0 faster and faster: in the last third by twice as much as in the one before."""
    if len(losses) < 2 * POINTS:
        return False
    ends = [float(np.median(part)) for part in np.array_split(losses, 10)]
    first, second, third = ends[0] - ends[3], ends[3] - ends[6], ends[6] - ends[9]
    noise = float(np.median(np.abs(np.diff(losses)))) / (len(losses) / 10) ** 0.5
    return ends[-1] < -abs(float(losses[0])) and third > 2 * second and second > first > CLEAR * noise


def missing_regularisation(case: Case) -> Finding | None:
    """Nothing keeps the network from learning by heart, and validation is twice the training loss or more."""
    (_, held), (_, train) = case.finite("validation_loss"), case.finite("train_loss")
    if case.program is None or len(held) < 3 or len(train) != len(held):
        return None
    bare = not case.setting("regularisation.dropout", 0.0) and not case.setting("optimizer.weight_decay", 0.0)
    gap, ratio = float(held[-1] - train[-1]) / case.scale, float(held[-1] / max(train[-1], 1e-12))
    if not (bare and gap > 0.15 and ratio > 2):
        return None
    return Finding(
        "missing-regularisation",
        "info",
        f"Nothing keeps the network from learning by heart, and its validation loss is {ratio:.3g} times its training "
        "loss.",
        member=case.member,
        step=case.updates,
        evidence={
            "figure": "validation loss over training loss",
            "measured": ratio,
            "threshold": 2.0,
            "healthy": "0.8 … 2",
        },
        remedies=offered(
            dropout(case),
            edit(case, "weight-decay", "large weights cost something", {"optimizer.weight_decay": 1e-2}),
        ),
    )


def batch_too_large(case: Case) -> Finding | None:
    """So few updates, of so large batches, that the loss had only begun to fall."""
    batch, (_, losses) = int(case.setting("training.batch_size", 0) or 0), case.finite("loss")
    most = HASTY if batch < HUGE else 4 * HASTY
    if (
        not judgeable(case)
        or case.chance_loss is None
        or batch < LARGE
        or not 4 <= case.updates <= most
        or len(losses) < 4
    ):
        return None
    high = float(losses[-2:].mean()) / max(case.chance_loss, 1e-12)
    third = max(1, len(losses) // 3)
    fall = float(losses[:2].mean() - losses[-2:].mean())
    late = float(losses[-third - 1] - losses[-2:].mean())
    least = LATE_OF_FEW if case.updates <= HASTY else LATE
    falling = late > least * fall > 0 if batch >= HUGE else float(losses[-third:].mean()) < float(losses[:third].mean())
    enough = 0.5 if batch < HUGE else 0.2 if case.updates <= HASTY else 0.4
    if high < enough or not falling:
        return None
    return Finding(
        "batch-too-large",
        "warning",
        f"Batches of {batch} left time for {case.updates} updates only, and the loss is still {high:.0%} of that of "
        "chance.",
        member=case.member,
        step=case.updates,
        evidence={"figure": "updates", "measured": float(case.updates), "threshold": float(HASTY), "healthy": "100 …"},
        remedies=offered(
            edit(
                case,
                "smaller-batches",
                "as many samples give more updates",
                {"training.batch_size": max(8, batch // 8)},
            ),
            rate(case, 3, "a large batch permits larger steps"),
        ),
    )


def _weights_kept(case: Case, since: float = 0.0) -> float:
    """Median over layers of ‖w‖ at the end over ‖w‖ after a share of the training; those that begin at 0 left out."""
    ratios = _ratios(case, since)
    return float(np.median(list(ratios.values()))) if ratios else 1.0


def _least_kept(case: Case) -> tuple[str, float]:
    """The layer of which the smallest share is left, and that share."""
    ratios = _ratios(case)
    layer = min(ratios, key=lambda name: ratios[name], default="")
    return layer, ratios.get(layer, 1.0)


def _ratios(case: Case, since: float = 0.0) -> dict[str, float]:
    """‖w‖ at the end over ‖w‖ after a share of the training, by layer."""
    ratios = {}
    for layer in case.layers("weight-norm"):
        steps, values = case.finite("weight-norm", layer)
        values = values[steps >= since * case.updates] if since else values
        if len(values) >= (2 if since else 3) and values[0] > 1e-3:
            ratios[layer] = float(values[-1] / values[0])
    return ratios
