"""Rules on the targets: classes that are too rare to matter, labels that are probably wrong."""

import numpy as np

from trainwell.diagnosis.case import Threshold
from trainwell.diagnosis.data_case import DataCase, hashes
from trainwell.diagnosis.finding import Finding, Remedy

UNEVEN = Threshold(
    10.0,
    healthy="1 … 175",
    origin="SageMaker Debugger: ratio > 10; common in healthy data, so no more than an information by itself",
)
ALL_THE_SAME = Threshold(
    0.95,
    healthy="0.1 … 0.94",
    origin="share of the most frequent class, with MISSED: then ignoring all others costs 5 % (our assumption)",
)
MISSED = 0.7
"""Share of the rare rows that a cheap model misses, out of sample (SageMaker Debugger: misprediction 0.7)."""

HARDLY_ANY = 0.99
"""Share of the most frequent class at which accuracy tells nothing, whatever a model does (our assumption)."""

ENOUGH_RARE = 10
"""Rare rows by which a model can be judged (our assumption)."""

NOISE = Threshold(
    0.05,
    healthy="0 … 0.04, or fading with sureness",
    origin="share of wrong labels among the rows of which a forest is surest; measured on 30 public sets",
)
NOTABLE_NOISE = 0.025
"""Share from which it is worth an information (our assumption)."""

SURE = 0.5
"""Share of the rows that count as sure."""

SURER = ((0.2, 0.7), (0.1, 0.5))
"""Wrong labels are as frequent among the surest fifth and tenth as among the sure half, at least by these factors;
where classes merely overlap errors fade with sureness (measured in clean sets: 0 … 0.69, 0 … 0.5)."""

LEARNABLE = 0.5
"""Skill of the forest below which nothing can be said of single labels (our assumption)."""

ENOUGH_SURE, ENOUGH_TO_WARN = 50, 100
"""Rows of the surest tenth that tell a share roughly, and well (our assumption)."""

OUTLYING, HALF = 5.0, 0.5
"""A number is contradicted when it is so many robust deviations from its guess, and half the target's deviation."""

WILD = Threshold(
    0.05,
    healthy="0 … 0.011",
    origin="share of contradicted numbers; measured on 13 public sets, planted 10 % of them in sets that are learnable",
)
NOTABLE_WILD, TELLING = 0.02, 0.5
"""Share that is worth an information; R² of the forest below which no number can be contradicted (our assumption)."""


def class_imbalance(case: DataCase) -> list[Finding]:
    """A class is over ten times as frequent as another; a warning where ignoring all others costs next to nothing."""
    if case.task == "multilabel":
        return _rare_labels(case)
    if not case.of_classes:
        return []
    counts = np.bincount(case.train.y, minlength=len(case.classes))
    present = counts > 0
    most, rare = int(counts.argmax()), int(np.where(present, counts, counts.max() + 1).argmin())
    ratio, share = counts[most] / counts[rare], counts[most] / counts.sum()
    if ratio <= UNEVEN.value:
        return []
    missed = _missed(case, most)
    grave = share >= HARDLY_ANY or (share >= ALL_THE_SAME.value and missed is not None and missed >= MISSED)
    told = "" if missed is None else f"; a simple model misses {missed:.0%} of the other rows"
    text = (
        f"Class {case.classes[most]} is {share:.1%} of the rows, so ignoring all others costs next to nothing{told}."
        if grave
        else f"Class {case.classes[most]} is {ratio:.0f} times as frequent as class {case.classes[rare]}."
    )
    evidence = (
        ALL_THE_SAME.evidence("share of the most frequent class", float(share), ratio=float(ratio))
        if grave
        else UNEVEN.evidence("most frequent class over the rarest", float(ratio), share=float(share))
    )
    known = {} if missed is None else {"missed": missed}
    return [Finding("class-imbalance", "warning" if grave else "info", text, evidence=evidence | known, remedies=EVEN)]


EVEN = (
    Remedy("balance-classes", "errors on rare classes count as much as on frequent ones", {"loss.balance": 1.0}),
    Remedy("balance-by-half", "a milder weight, which costs the frequent class less", {"loss.balance": 0.5}),
    Remedy("fair-metric", "judge by balanced accuracy, F1 or the area under the precision-recall curve, not accuracy"),
)


def _missed(case: DataCase, most: int) -> float | None:
    """Share of the rows outside the most frequent class that the forest puts into it; None where there are too few."""
    guess = case.guess
    if guess is None or (guess.y != most).sum() < ENOUGH_RARE:
        return None
    return float((guess.p.argmax(axis=1)[guess.y != most] == most).mean())


def _rare_labels(case: DataCase) -> list[Finding]:
    """Labels of several that are hardly ever, or nearly always, given: common, hence an information."""
    share = case.train.y.mean(axis=0)
    worst = int(np.minimum(share, 1 - share).argmin())
    rarer = float(min(share[worst], 1 - share[worst]))
    if not 0 < rarer < 1 / (1 + UNEVEN.value):
        return []
    text = f"Of target {worst + 1} of {len(share)}, {share[worst]:.1%} of the rows are 1."
    evidence = UNEVEN.evidence("rows of one value over rows of the other", 1 / rarer - 1)
    return [Finding("class-imbalance", "info", text, evidence=evidence, remedies=EVEN)]


def label_noise(case: DataCase) -> list[Finding]:
    """A forest that learns the rest well is contradicted even where it is surest, out of sample."""
    if case.of_classes:
        return _wrong_classes(case)
    return _wrong_numbers(case) if case.task == "regression" else []


def _wrong_classes(case: DataCase) -> list[Finding]:
    """Errors that do not fade with sureness are of the labels (after Northcutt et al. 2021, Confident learning)."""
    guess = case.guess
    if guess is None or guess.skill < LEARNABLE or _few_different(case):
        return []
    ranked = np.sort(guess.p, axis=1)
    wrong = guess.wrong[np.argsort(ranked[:, -2] - ranked[:, -1], kind="stable")]  # the surest first
    sure, parts = int(len(wrong) * SURE), [int(len(wrong) * part) for part, _ in SURER]
    if parts[-1] < ENOUGH_SURE:
        return []
    share, surer = float(wrong[:sure].mean()), [float(wrong[:part].mean()) for part in parts]
    fades = any(found < least * share for found, (_, least) in zip(surer, SURER, strict=True))
    if share < NOTABLE_NOISE or fades:
        return []
    text = (
        f"About {share:.0%} of the labels are probably wrong: a simple model contradicts so many even among the rows "
        "of which it is surest."
    )
    return [
        Finding(
            "label-noise",
            "warning" if share >= NOISE.value and parts[-1] >= ENOUGH_TO_WARN else "info",
            text,
            evidence=NOISE.evidence(
                "share of contradicted labels among the surest rows",
                share,
                surest=surer[-1],
                of_all=float(wrong.mean()),
            ),
            remedies=(
                LOOK,
                Remedy("label-smoothing", "no label is taken for certain", {"loss.label_smoothing": 0.1}),
                STOP,
            ),
        )
    ]


LOOK = Remedy("look-at-rows", "read the contradicted rows with their targets: mistakes often have a pattern")
STOP = Remedy("early-stopping", "wrong targets are learned last, by heart", {"training.patience": 10})


def _few_different(case: DataCase) -> bool:
    """Whether many rows are equal, so that their targets differ without any being wrong."""
    some = case.train.x[: 2 * case.most_rows]
    return len(np.unique(hashes(some))) < len(some) / 2


def _wrong_numbers(case: DataCase) -> list[Finding]:
    """Targets far from what the forest says, which is right for most."""
    guess = case.guess
    if guess is None or len(guess.y) < 4 * ENOUGH_SURE:
        return []
    residual = np.abs(guess.y - guess.p)
    typical = 1.4826 * np.median(residual, axis=0)  # a deviation, were the errors normal
    limit = np.maximum(OUTLYING * typical, HALF * guess.y.std(axis=0))
    share = float((residual > limit).mean(axis=0).max())
    inner = 1 - (typical / np.maximum(guess.y.std(axis=0), 1e-12)) ** 2
    if share < NOTABLE_WILD or inner.min() < TELLING:
        return []
    return [
        Finding(
            "label-noise",
            "warning" if share >= WILD.value else "info",
            f"{share:.1%} of the targets are far from what a simple model says, which is right for most rows.",
            evidence=WILD.evidence(f"share of targets {OUTLYING:.0f} deviations off", share, skill=guess.skill),
            remedies=(LOOK, Remedy("robust-loss", "large errors count linearly", {"loss.name": "huber"}), STOP),
        )
    ]
