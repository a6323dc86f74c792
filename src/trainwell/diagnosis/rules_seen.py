"""Rules on the rows that a user's loop feeds in, as far as the batches looked at show them."""

from trainwell.diagnosis.case import Case, Threshold
from trainwell.diagnosis.edits import offered
from trainwell.diagnosis.finding import Finding, Remedy

ALL = Threshold(1.0, healthy="0 … 0.2", origin="share of inputs that never change; corner pixels never do")
RARE = Threshold(
    0.95,
    healthy="0.1 … 0.9",
    origin="share of the most frequent class: a constant guess is right so often (SageMaker: ratio > 10)",
)
FEW = 200
"""Targets seen, below which a share is no verdict."""

DOUBLED = Threshold(0.3, healthy="0 … 0.1", origin="share of rows that are in their batch twice (our assumption)")
LEAKED = (0.02, 0.9)
"""Share of the rows trained on that were judged by; above, the judgement is meant to be of the training rows."""

DRIFTED = Threshold(
    2.0, healthy="0 … 0.3", origin="deviations between the means of rows trained on and judged by (our assumption)"
)


def constant_input(case: Case) -> Finding | None:
    """No input ever changes: the network is fed the same row again and again."""
    if case.program is None or case.input_scale is None:
        return None
    share = case.input_scale.get("constant", 0.0)
    if share <= 0:
        return None
    everything = share >= ALL.value
    return Finding(
        "constant-input",
        "critical" if everything else "info",
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
        "warning",
        f"{share:.0%} of the targets are of one class: a network that always names it is right so often.",
        member=case.member,
        step=0,
        evidence=RARE.evidence("share of the most frequent class", share, targets=float(targets.count)),
        remedies=offered(
            Remedy("class-weights", "weigh rare classes higher in the loss", {"loss.balance": 1.0}),
            Remedy("another-metric", "judge by balanced accuracy or F1, which a constant guess can't win"),
        ),
    )


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


def train_test_leak(case: Case) -> Finding | None:
    """Rows that were trained on are judged by."""
    program = case.program
    if program is None:
        return None
    share, both = program.leaked
    low, high = LEAKED
    if share <= low or both < 8:
        return None
    partly = share < high
    return Finding(
        "train-test-leak",
        "warning" if partly else "info",
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


def data_drift(case: Case) -> Finding | None:
    """Rows judged by lie far from those trained on, in most inputs."""
    program = case.program
    if program is None or program.apart <= DRIFTED.value:
        return None
    return Finding(
        "data-drift",
        "warning",
        f"The rows judged by lie {program.apart:.2g} deviations from those trained on, in the middle input: "
        "they were prepared in another way, or come from elsewhere.",
        member=case.member,
        step=0,
        evidence=DRIFTED.evidence("|mean judged − mean trained| in deviations, median of inputs", program.apart),
        remedies=(Remedy("one-preparation", "fit the scaling on the training rows, and apply it to all"),),
    )
