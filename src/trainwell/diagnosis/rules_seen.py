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

BLANK = Threshold(
    0.3, healthy="0 … 0.05", origin="share of rows that hold the same number in all inputs (our assumption)"
)

RARE = Threshold(
    0.94,
    healthy="0.1 … 0.9",
    origin="share of the most frequent class: a constant guess is right so often (SageMaker: ratio > 10)",
)
FAIR = {"auc": 0.75, "balanced": 0.7, "f1": 0.4, "recall": 0.4, "dice": 0.4, "iou": 0.4, "mcc": 0.4, "kappa": 0.4}
"""Metrics that no constant guess can win, by parts of their names, and from where on they are good (assumptions)."""

FEW = 100
"""Targets seen, below which a share is no verdict."""

NOISE = Threshold(
    0.08,
    healthy="0 … 0.3, fading with sureness",
    origin="share of targets that contradict the surer half of the outputs (our assumption; in the data rules 0.05)",
)
SEEN, SKILL, FADES, FADES_OF_TWO = 300, 0.3, (0.6, 0.4), (0.65, 0.55)
"""Samples that tell it; share of the errors of a constant guess that must be avoided; the surest fifth and tenth are
wrong as often, by these factors (as SURER in rules_data_labels: where classes merely overlap errors fade)."""

LITTLE, CHEAPER = 0.2, 0.9
"""Of very many wrong labels the best skill is less; then the rows judged by must cost less than those trained on, by
this factor, as theirs are right (our assumptions)."""

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

HARDLY = 2
"""Judgements of which none is taken for that of a network that had learned what is true (planted: the seventh best is
the earliest; one of rows that come from elsewhere is the first)."""

MANY_SEEN, EVEN, FLOOR = 500, 1.5, 0.8
"""First outputs that tell it; how much more often than the surer half the surest may be wrong, as labels are wrong
everywhere alike; and of the loss of a network that knows how many are wrong, −ln(1 − share), the part that no judgement
is below: whoever is surer than that does not doubt the labels (our assumptions)."""


def constant_input(case: Case) -> Finding | None:
    """No input ever changes: the network is fed the same row again and again, or rows that hold nothing."""
    if case.program is None or case.input_scale is None:
        return None
    if case.program.blank > BLANK.value and case.input_scale.get("constant", 0.0) < ALL.value:
        return _blank(case, case.program.blank)
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


def _blank(case: Case, share: float) -> Finding:
    """Rows that are the same number all over."""
    return Finding(
        "constant-input",
        "warning",
        f"{share:.0%} of the rows of a batch hold the same number in all inputs: what was in them got lost.",
        member=case.member,
        step=0,
        evidence=BLANK.evidence("share of rows that hold one number only", share),
        remedies=(
            Remedy("look-at-a-batch", "print a row as the network gets it: was it divided as whole numbers, by //?"),
        ),
    )


def class_imbalance(case: Case) -> Finding | None:
    """Almost all targets are of one class."""
    program = case.program
    targets = None if program is None else program.targets
    if (
        program is None
        or targets is None
        or targets.count * targets.columns < FEW
        or program.task not in ("multiclass", "binary")
    ):
        return None
    counts = [count for count in targets.counts if count]
    if len(counts) < 2:
        return None
    share = max(counts) / sum(counts)
    if share <= RARE.value:
        return None
    return Finding(
        "class-imbalance",
        "info" if program.loss.weighted or _judged_fairly(case) else "warning",
        f"{share:.0%} of the targets are of one class: a network that always names it is right so often.",
        member=case.member,
        step=0,
        evidence=RARE.evidence("share of the most frequent class", share, targets=float(targets.count)),
        remedies=offered(
            Remedy("class-weights", "weigh rare classes higher in the loss", {"loss.balance": 1.0}),
            Remedy("another-metric", "judge by balanced accuracy or F1, which a constant guess can't win"),
        ),
    )


def _judged_fairly(case: Case) -> bool:
    """Whether a metric that no constant guess can win was told, and is good."""
    told = [name for name in case.record.signals(member=case.member) if name.startswith("validation_")]
    last = {name.lower(): float(case.finite(name)[1][-1:].max(initial=0.0)) for name in told}
    return any(word in name and value > bound for name, value in last.items() for word, bound in FAIR.items())


def label_noise(case: Case) -> Finding | None:
    """A network that learned much is wrong as often where it is surest: the labels are wrong."""
    program = case.program
    if program is None:
        return None
    if program.sureness.samples < SEEN and program.early.samples < SEEN:
        return _stray_numbers(case, program.strays)
    if not case.learned:
        return None  # it is sure of what it began with
    lower = _judged_lower(case)
    many = lower < CHEAPER and program.dropout == 0
    if _contradicted(program.sureness, LITTLE if many else SKILL):
        return _wrong_labels(case, program.sureness, "")
    early = _contradicted(program.early, SKILL) and _everywhere(case, program.early)
    if early and program.dropout == 0 and lower <= LOWER:
        told = f", before it knew them by heart; rows that it isn't trained on cost it {lower:.2f} times as much"
        return _wrong_labels(case, program.early, told)
    return None


def _contradicted(shares: Shares, least: float) -> bool:
    """Whether errors do not fade with sureness, and are of any class and any step."""
    samples, skill, (sure, surer, surest), taste, gathered = shares
    fades = FADES if taste == taste else FADES_OF_TWO
    if samples < SEEN or skill < least or sure <= NOISE.value or surer < fades[0] * sure or surest < fades[1] * sure:
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
    _, judged = case.finite("validation_loss")
    if len(judged) > JUDGEMENTS and judged.argmin() < HARDLY:
        return None  # the outputs are those before the best judgement: little was learned by then
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
