"""Rules on the rows that a user's loop feeds in, as far as the batches looked at show them."""

import numpy as np

from trainwell.diagnosis.case import Case, Threshold
from trainwell.diagnosis.edits import offered
from trainwell.diagnosis.finding import Finding, Remedy
from trainwell.vitals.strays import Strays
from trainwell.vitals.sureness import Shares

ALL = Threshold(1.0, healthy="0 … 0.2", origin="share of inputs that never change; corner pixels never do")
MANY, COLUMNS = 0.3, 64
"""Share of so few inputs that never change, from which columns of a table were lost (our assumption)."""

RARE = Threshold(
    0.95,
    healthy="0.1 … 0.9",
    origin="share of the most frequent class: a constant guess is right so often (SageMaker: ratio > 10)",
)
FEW = 100
"""Targets seen, below which a share is no verdict."""

NOISE = Threshold(
    0.08,
    healthy="0 … 0.3, fading with sureness",
    origin="share of targets that contradict the surer half of the outputs (our assumption; in the data rules 0.05)",
)
SEEN, SKILL, FADES, FADES_OF_TWO = 300, 0.3, (0.6, 0.4), (0.65, 0.55)
"""Samples that tell it; errors of a constant guess that must be avoided; the surest fifth and tenth are wrong as often,
by these factors (as SURER in rules_data_labels: where classes merely overlap errors fade)."""

STRAYS = Threshold(
    0.12,
    healthy="0 … 0.1",
    origin="share of targets that lie anywhere; healthy recipes 0 … 0.09, of very noisy targets up to 0.3, where the "
    "others lie about no line of their own (measured: testing.faults)",
)
STEEP, CLOSE, BETTER, BALANCED, MOST = 1.2, 0.6, 0.012, 0.25, 0.6
"""The slope of the others (1 of noise), their spread in deviations of the targets, the gain in nats a sample over
noise, how far slope × share of the others may be from 1, as a network has learned it, and a share of strays with which
it has learned nothing else (our assumptions)."""

LOOK_AT_LABELS = Remedy("look-at-the-labels", "look at the rows of the largest loss with their targets: correct them")

TASTE = 3.5
"""χ² over its degrees of freedom, above which the true classes of wrong samples depend on the class that was named: a
network that is too small takes certain classes for one another (seen: 3.8 … 46); wrong labels are of any (0 … 2.7)."""

GATHERED = 2.0
"""χ² over its degrees of freedom of the errors of each step: wrong labels fall evenly on them (seen: 0.7 … 1.6); those
of the judge in a game of two networks do not (3.6 … 9.8), nor those of weights that are thrown about (2.2 … 2.7)."""

LOWER, JUST, JUDGEMENTS = 0.8, 50, 4
"""What wrong labels, learned by heart since, leave: of first outputs errors that do not fade, and all along a
validation loss below the training loss, though nothing is dropped (planted 0.5 … 0.75). One alone is common: at that
age two classes may not be learned yet, and noise on inputs makes training dearer (healthy 0.4 … 4)."""

MANY_SEEN, EVEN, FLOOR = 500, 1.5, 0.8
"""First outputs that tell it; how much more often than the surer half the surest may be wrong, as labels are wrong
everywhere alike; and of the loss of a network that knows how many are wrong, −ln(1 − share), the part that no judgement
is below: whoever is surer than that does not doubt the labels (our assumptions)."""

DOUBLED = Threshold(0.3, healthy="0 … 0.1", origin="share of rows that are in their batch twice (our assumption)")
LEAKED, GRAVE = (0.02, 0.9), 0.08
"""Share of the rows trained on that were judged by; above, the judgement is meant to be of the training rows. Below
GRAVE they may be rows that are in the data twice, as of the red wines (240 of 1,599), and it is told as information."""

SHIFTED = 0.7
"""So many are enough where validation never gets below chance, though training does (our assumption)."""

DRIFTED = Threshold(
    2.0, healthy="0 … 0.3", origin="deviations between the means of rows trained on and judged by (our assumption)"
)


STRETCHED = Threshold(
    3.0, healthy="1 … 1.4", origin="ratio of the deviations of rows trained on and judged by (our assumption)"
)
LATER = Threshold(1e-3, healthy="0 … 1e-6", origin="relative change of outputs with later inputs (our assumption)")

ELSEWHERE = Threshold(
    1.5,
    healthy="0 … 0.4",
    origin="deviations between the means of rows trained on and judged by, in one input of a table (our assumption)",
)
WORSE = 1.5
"""Times the training loss that the validation loss must be there (our assumption)."""

ONE_PREPARATION = Remedy("one-preparation", "fit the scaling on the training rows, and apply it to all")


def constant_input(case: Case) -> Finding | None:
    """No input ever changes: the network is fed the same row again and again."""
    if case.program is None or case.input_scale is None:
        return None
    share = case.input_scale.get("constant", 0.0)
    if share <= 0:
        return None
    everything, inputs = share >= ALL.value, case.input_scale.get("inputs", float("inf"))
    many = share >= MANY and inputs <= COLUMNS and inputs * share >= 2
    return Finding(
        "constant-input",
        "critical" if everything else "warning" if many else "info",
        "No input ever changes: every sample is the same to the network."
        if everything
        else f"{share:.0%} of the inputs never change in the batches that were looked at.",
        member=case.member,
        step=0,
        evidence=ALL.evidence("share of inputs that never change", share),
        remedies=(
            Remedy("look-at-a-batch", "print two rows as the network gets them, and follow them back to the file"),
        ),
    )


def class_imbalance(case: Case) -> Finding | None:
    """Almost all targets are of one class."""
    program = case.program
    targets = None if program is None else program.targets
    if program is None or targets is None or targets.count < FEW or program.task not in ("multiclass", "binary"):
        return None
    counts = [count for count in targets.counts if count]
    if len(counts) < 2:
        return None
    share = max(counts) / sum(counts)
    if share <= RARE.value:
        return None
    return Finding(
        "class-imbalance",
        "info" if program.loss.weighted else "warning",
        f"{share:.0%} of the targets are of one class: a network that always names it is right so often.",
        member=case.member,
        step=0,
        evidence=RARE.evidence("share of the most frequent class", share, targets=float(targets.count)),
        remedies=offered(
            Remedy("class-weights", "weigh rare classes higher in the loss", {"loss.balance": 1.0}),
            Remedy("another-metric", "judge by balanced accuracy or F1, which a constant guess can't win"),
        ),
    )


def label_noise(case: Case) -> Finding | None:
    """A network that learned much is wrong as often where it is surest: the labels are wrong."""
    program = case.program
    if program is None:
        return None
    if program.sureness.samples < SEEN and program.early.samples < SEEN:
        return _stray_numbers(case, program.strays)
    if _contradicted(program.sureness):
        return _wrong_labels(case, program.sureness, "")
    lower = _judged_lower(case)
    if _contradicted(program.early) and _everywhere(case, program.early) and program.dropout == 0 and lower <= LOWER:
        told = f", before it knew them by heart; rows that it isn't trained on cost it {lower:.2f} times as much"
        return _wrong_labels(case, program.early, told)
    return None


def _contradicted(shares: Shares) -> bool:
    """Whether errors do not fade with sureness, and are of any class and any step."""
    samples, skill, (sure, surer, surest), taste, gathered = shares
    fades = FADES if taste == taste else FADES_OF_TWO
    if samples < SEEN or skill < SKILL or sure <= NOISE.value or surer < fades[0] * sure or surest < fades[1] * sure:
        return False
    return not (taste > TASTE or gathered > GATHERED)


def _everywhere(case: Case, shares: Shares) -> bool:
    """Whether errors are as frequent everywhere, and no judgement was surer than they permit."""
    _, judged = case.finite("validation_loss")
    sure, surest = shares.wrong[0], shares.wrong[-1]
    doubts = len(judged) > 0 and float(judged.min()) >= -FLOOR * float(np.log(1 - min(sure, 0.99)))
    return doubts and shares.samples >= MANY_SEEN and surest <= EVEN * sure


def _judged_lower(case: Case) -> float:
    """The median of validation losses over the training losses just before them; infinite of too few."""
    (at, losses), (judged_at, judged) = case.finite("loss"), case.finite("validation_loss")
    ends = np.searchsorted(at, judged_at, side="right")
    before = [losses[max(0, end - JUST) : end] for end in ends]
    ratios = [float(v / b.mean()) for v, b in zip(judged, before, strict=True) if len(b) and b.mean() > 0]
    return float(np.median(ratios)) if len(ratios) >= JUDGEMENTS else float("inf")


def _wrong_labels(case: Case, shares: Shares, told: str) -> Finding:
    _, skill, (sure, _, surest), taste, _ = shares
    return Finding(
        "label-noise",
        "warning",
        f"{surest:.0%} of the targets contradict the network where it is surest, and {sure:.0%} in its surer half"
        f"{told}: errors that do not fade with sureness are mostly wrong labels.",
        member=case.member,
        step=case.updates,
        evidence=NOISE.evidence("share of targets that contradict the surer half", sure, surest=surest, skill=skill)
        | ({"chi2_per_degree_of_freedom": taste} if taste == taste else {}),
        remedies=offered(
            LOOK_AT_LABELS,
            Remedy("label-smoothing", "a target of 0.9 is not followed to the end", {"loss.label_smoothing": 0.1}),
        ),
    )


def _stray_numbers(case: Case, strays: Strays) -> Finding | None:
    """Some targets lie close to a line over the outputs that is too steep for noise, the others anywhere."""
    balance = strays.slope * (1 - strays.share)
    if (
        strays.samples < SEEN
        or not STRAYS.value < strays.share <= MOST
        or strays.slope < STEEP
        or strays.spread > CLOSE
    ):
        return None
    if strays.gain < BETTER or abs(balance - 1) > BALANCED or strays.fades < FADES[0]:
        return None
    return Finding(
        "label-noise",
        "warning",
        f"{strays.share:.0%} of the targets lie anywhere, whatever the network says, and the others close to a line of "
        f"slope {strays.slope:.2g} over its outputs: it averages over targets that are not those of their rows.",
        member=case.member,
        step=case.updates,
        evidence=STRAYS.evidence(
            "share of targets that lie anywhere", strays.share, slope=strays.slope, spread=strays.spread,
            log_likelihood_gained_a_sample=strays.gain,
        ),
        remedies=offered(
            LOOK_AT_LABELS,
            Remedy("robust-loss", "a few errors that are huge do not draw the line", {"loss.name": "huber"}),
        ),
    )  # fmt: skip


def duplicate_rows(case: Case) -> Finding | None:
    """Within batches many rows are there twice."""
    program = case.program
    if program is None or program.doubled <= DOUBLED.value:
        return None
    if case.input_scale is not None and case.input_scale.get("constant", 0.0) >= ALL.value:
        return None  # told as constant-input
    return Finding(
        "duplicate-rows",
        "warning",
        f"{program.doubled:.0%} of the rows of a batch are equal to another one of it: the data are fewer than they "
        "seem.",
        member=case.member,
        step=0,
        evidence=DOUBLED.evidence("share of rows that are in their batch twice", program.doubled),
        remedies=(Remedy("drop-duplicates", "keep one of each row, before the rows are split"),),
    )


def sees_the_future(change: float) -> Finding | None:
    """Targets are the inputs of the step after, and outputs change by so much with later inputs."""
    if not change > LATER.value:
        return None
    return Finding(
        "train-test-leak",
        "critical",
        f"The module sees the future: outputs at a step change by {change:.2g} of their size with later inputs, "
        "and these hold the targets of that step.",
        step=0,
        evidence=LATER.evidence("relative change of outputs with later inputs", change),
        remedies=(Remedy("causal-mask", "let a step attend to itself and earlier ones only, in one direction"),),
    )


def train_test_leak(case: Case) -> Finding | None:
    """Rows that were trained on are judged by; or a module for sequences sees what it is to predict."""
    program = case.program
    if program is None:
        return None
    share, both = program.leaked
    low, high = LEAKED
    if share <= low or both < 8:
        return sees_the_future(program.future)
    partly = share < high
    return Finding(
        "train-test-leak",
        "warning" if partly and share >= GRAVE else "info",
        f"{share:.0%} of the rows that were trained on in the steps looked at are judged by as well"
        + (": the judgement is too good." if partly else ": the judgement tells nothing of new rows."),
        member=case.member,
        step=0,
        evidence={
            "figure": "share of rows trained on that are judged by",
            "measured": share,
            "threshold": low,
            "healthy": "0",
            "rows": float(both),
        },
        remedies=(Remedy("split-first", "split rows once, before anything else, equal rows to the same side"),),
    )


def _fails_there(case: Case) -> bool:
    """Whether what was learned is of no use for the rows judged by, from the first judgement on."""
    (_, held), (_, train) = case.finite("validation_loss"), case.finite("train_loss")
    if case.chance_loss is None or len(held) < 3 or len(train) != len(held):
        return False
    return float(held.min()) > case.chance_loss and float(train[-1]) < 0.5 * case.chance_loss


def _unshuffled(case: Case) -> Finding | None:
    """Batches hold one class each, of several: each undoes what the one before did."""
    program = case.program
    single, batches = (0, 0) if program is None else program.single
    if program is None or program.targets is None or program.targets.classes < 3 or batches < 5:
        return None
    if single <= 0.5 * batches or max(program.targets.counts, default=0) > 0.8 * program.targets.count:
        return None
    return Finding(
        "data-drift",
        "warning",
        f"{single} of {batches} batches that were looked at hold a single class, of {program.targets.classes}: the "
        "rows are sorted and not shuffled, and each batch undoes what the one before did.",
        member=case.member,
        step=0,
        evidence={"figure": "batches of one class", "measured": single / batches, "threshold": 0.5, "healthy": "0"},
        remedies=(Remedy("shuffle", "draw the rows of a batch from all of them: shuffle=True, or a permutation"),),
    )


def data_drift(case: Case) -> Finding | None:
    """Rows judged by lie far from those trained on, in most inputs."""
    program = case.program
    if program is None:
        return None
    if not (program.apart > DRIFTED.value or (program.apart > SHIFTED and _fails_there(case))):
        if program.stretched > STRETCHED.value:
            return _stretched(case)
        return _elsewhere(case) if program.furthest[0] > ELSEWHERE.value else _unshuffled(case)
    return Finding(
        "data-drift",
        "warning",
        f"The rows judged by lie {program.apart:.2g} deviations from those trained on, in the middle input: "
        "they were prepared in another way, or come from elsewhere.",
        member=case.member,
        step=0,
        evidence=DRIFTED.evidence("|mean judged − mean trained| in deviations, median of inputs", program.apart),
        remedies=(ONE_PREPARATION,),
    )


def _elsewhere(case: Case) -> Finding | None:
    """In one input of a table the rows judged by lie where none was trained on, and the network is worse there."""
    (_, held), (_, train) = case.finite("validation_loss"), case.finite("train_loss")
    assert case.program is not None
    if len(held) < 3 or len(train) != len(held) or float(held[-1]) < WORSE * float(train[-1]):
        return None
    far, place = case.program.furthest
    return Finding(
        "data-drift",
        "warning",
        f"In input {place} the rows judged by lie {far:.2g} deviations from those trained on, and the loss there is "
        f"{held[-1] / max(train[-1], 1e-12):.2g} times as high: they come from elsewhere.",
        member=case.member,
        step=0,
        evidence=ELSEWHERE.evidence("|mean judged − mean trained| over the larger deviation, of one input", far),
        remedies=(Remedy("split-at-random", "draw the rows judged by from all rows, if new ones will be like all"),),
    )


def _stretched(case: Case) -> Finding:
    """Rows judged by are spread otherwise than those trained on."""
    assert case.program is not None
    return Finding(
        "data-drift",
        "warning",
        f"Rows trained on and rows judged by are spread unlike by a factor of {case.program.stretched:.2g}, in the "
        "middle input: they were scaled in another way, or come from elsewhere.",
        member=case.member,
        step=0,
        evidence=STRETCHED.evidence("larger over smaller deviation, median of inputs", case.program.stretched),
        remedies=(ONE_PREPARATION,),
    )
