"""Rules on the rows that a user's loop trains on and judges by, beside each other: copies, leaks, drift."""

import numpy as np

from trainwell.diagnosis.case import Case, Threshold
from trainwell.diagnosis.finding import Finding, Remedy
from trainwell.diagnosis.rules_seen import ALL, BLANK
from trainwell.vitals.losses import NUMBER_LOSSES

DOUBLED = Threshold(0.3, healthy="0 … 0.1", origin="share of rows that are in their batch twice (our assumption)")
LEAKED, GRAVE, ALL_OF_THEM = (0.02, 0.9), 0.12, 0.98
"""Share of the rows trained on that were judged by; above, the judgement is meant to be of the training rows, or of
ALL_OF_THEM, where copies among the rows of a batch say that so many may be there twice. Below GRAVE they may be rows
that are in the data twice, as of the red wines (240 of 1,599), and it is told as information."""

OVERLAP = Threshold(
    0.5,
    healthy="0 … 0.2",
    origin="share of windows judged by that overlap one trained on; where a series is split by time, those at the "
    "border do (our assumption)",
)
SHIFTED, DEARER = 0.7, 5.0
"""So many are enough where validation never gets below chance, though training does, or costs so many times as much
as training at every judgement but the first (our assumptions)."""

DRIFTED = Threshold(
    2.0, healthy="0 … 0.3", origin="deviations between the means of rows trained on and judged by (our assumption)"
)


STRETCHED = Threshold(
    3.0, healthy="1 … 1.4", origin="ratio of the deviations of rows trained on and judged by (our assumption)"
)
LOOKED = 3
"""Batches that tell what all are like (our assumption)."""

LATER = Threshold(1e-3, healthy="0 … 1e-6", origin="relative change of outputs with later inputs (our assumption)")

ELSEWHERE = Threshold(
    1.5,
    healthy="0 … 0.4",
    origin="deviations between the means of rows trained on and judged by, in one input of a table (our assumption)",
)
FAR_OFF = Threshold(
    3.0,
    healthy="0.05 … 1.2",
    origin="least validation loss over that of a constant guess on the rows trained on (our assumption)",
)
UNLIKE = 1.2
"""Ratio of deviations that is enough where most judgements cost many times what training does (healthy 1 … 1.17)."""

WORSE = 1.5
"""Times the training loss that the validation loss must be there (our assumption)."""

ONE_PREPARATION = Remedy("one-preparation", "fit the scaling on the training rows, and apply it to all")


def duplicate_rows(case: Case) -> Finding | None:
    """Within batches many rows are there twice."""
    program = case.program
    if program is None or program.doubled <= DOUBLED.value:
        return None
    if case.input_scale is not None and case.input_scale.get("constant", 0.0) >= ALL.value:
        return None  # told as constant-input
    if program.blank > BLANK.value:
        return None  # so is this
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
    """Rows that were trained on are judged by; a module for sequences sees what it is to predict; or one input tells
    it."""
    program = case.program
    if program is None:
        return None
    share, both = program.leaked
    low, high = LEAKED
    if share <= low or both < 8:
        found = sees_the_future(program.future) or _overlapping(program.overlapping) or _told(program.telling)
        return found or _answered(*program.answered)
    partly = share < (ALL_OF_THEM if program.doubled > low else high)
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


def _told(place: int | None) -> Finding | None:
    """One input tells the target alone."""
    if place is None:
        return None
    return Finding(
        "train-test-leak",
        "warning",
        f"Input {place} gives the target away: who knows the one knows the other, in every row that was looked at. It "
        "is the target itself, or was made from it, and won't be known of new rows.",
        step=0,
        evidence={"figure": "inputs that tell the target alone", "measured": 1.0, "threshold": 0.0, "healthy": "0"},
        remedies=(Remedy("leave-it-out", "take the target, and what is known only with it, from the inputs"),),
    )


def _answered(batches: int, looked: int) -> Finding | None:
    """What is to be told at some places of a sequence stands there."""
    if looked < LOOKED or batches < looked:
        return None
    return Finding(
        "train-test-leak",
        "warning",
        "The inputs hold the targets at the very places where they are to be told, in every batch that was looked at: "
        "the network gets the rows as they are, not as they were masked.",
        step=0,
        evidence={
            "figure": "batches whose inputs hold their targets",
            "measured": 1.0,
            "threshold": 0.0,
            "healthy": "0",
        },
        remedies=(Remedy("mask-the-inputs", "give the network the masked copy, and the loss what was masked"),),
    )


def _overlapping(share: float) -> Finding | None:
    """Most windows judged by were cut from the stretches that windows trained on were cut from."""
    if share < OVERLAP.value:
        return None
    return Finding(
        "train-test-leak",
        "warning",
        f"{share:.0%} of the windows judged by hold a piece of windows that were trained on: they were cut from the "
        "same stretches of the same series, so the judgement is too good.",
        step=0,
        evidence=OVERLAP.evidence("share of windows judged by that overlap one trained on", share),
        remedies=(
            Remedy("split-first", "split the series, by time or by where they come from, before windows are cut"),
        ),
    )


def _fails_there(case: Case) -> bool:
    """Whether what was learned is of little use for the rows judged by, from the first judgement on."""
    (_, held), (_, train) = case.finite("validation_loss"), case.finite("train_loss")
    if case.chance_loss is None or len(held) < 3 or len(train) != len(held):
        return False
    if float(train[-1]) >= 0.5 * case.chance_loss:
        return False
    return float(held.min()) > case.chance_loss or float((held / np.maximum(train, 1e-12))[1:].min()) > DEARER


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
    """Rows judged by lie far from those trained on, in most inputs, or their targets do."""
    program = case.program
    if program is None:
        return None
    if not (program.apart > DRIFTED.value or (program.apart > SHIFTED and _fails_there(case))):
        if program.stretched > STRETCHED.value or (program.stretched > UNLIKE and _fails_there(case)):
            return _stretched(case)
        if program.furthest[0] > ELSEWHERE.value and (found := _elsewhere(case)) is not None:
            return found
        return _other_targets(case) or _unshuffled(case)
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


def _other_targets(case: Case) -> Finding | None:
    """From the first judgement on, numbers judged by cost far more than the mean of those trained on would."""
    (_, held), (_, train) = case.finite("validation_loss"), case.finite("train_loss")
    program, chance = case.program, case.chance_loss
    if program is None or chance is None or program.loss.kind not in NUMBER_LOSSES or program.lagging[1] < 1:
        return None
    if len(held) < 5 or len(train) != len(held) or float(train[-1]) > 0.8 * min(chance, float(train[0])):
        return None
    dear = float(held.min()) / max(chance, 1e-12)
    if dear < FAR_OFF.value or float(held.min()) < 0.8 * float(held[0]):  # what falls may be in other units
        return None
    return Finding(
        "data-drift",
        "warning",
        f"The rows judged by cost {dear:.2g} times what a constant guess costs on the rows trained on, from the first "
        "judgement on, while those are learned: their targets lie elsewhere.",
        member=case.member,
        step=0,
        evidence=FAR_OFF.evidence("least validation loss over that of chance", dear),
        remedies=(Remedy("split-at-random", "draw the rows judged by from all rows: the data may be sorted"),),
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
