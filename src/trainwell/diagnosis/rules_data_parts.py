"""Rules on rows and parts: twins, leaks from training to test, parts that differ."""

import numpy as np

from trainwell.diagnosis.case import Threshold
from trainwell.diagnosis.data_case import DataCase, Part, hashes
from trainwell.diagnosis.data_forests import guess_out_of_bag
from trainwell.diagnosis.data_measures import apart, auc, auc_error, by_chance, skills_of_inputs
from trainwell.diagnosis.finding import Finding, Remedy

TWINS = Threshold(
    0.05,
    healthy="0 … 0.05",
    origin="share of the rows that equal another one, not by chance; deepchecks takes 0.05 for test rows",
)
FEW_TWINS = 0.01
"""Share that is worth an information (our assumption)."""

MOSTLY = 0.5
"""Share of twins that meet by chance from which on all are taken for chance."""

ENOUGH_TWINS = 5
"""Fewer are no pattern (our assumption)."""

GIVEN_AWAY = Threshold(
    0.999,
    healthy="0.02 … 0.988",
    origin="skill of one input alone, R² or the share of errors avoided; data.leaks takes a correlation of 0.999",
)
NEARLY = 0.99
"""The bound for classes, where a single row may be mistaken (our assumption)."""

OTHERS = 0.95
"""Skill of the other inputs together, from which on the target is easy and no input alone is to blame (assumption)."""

ENOUGH_ERRORS = 20
"""Rows outside the most frequent class, at the least, and rows of a target of numbers times ten (our assumption)."""

NUMBERS = 1_500_000
"""Numbers that are looked at one input at a time."""

DRIFT = Threshold(
    0.75,
    healthy="0.28 … 0.57",
    origin="AUC of a forest that tells the parts apart; 2 AUC − 1 is twice the 0.25 that deepchecks allows",
)
SOME_DRIFT = 0.625
"""AUC that is worth an information (deepchecks: 2 AUC − 1 < 0.25)."""

SURE = 4.0
"""Standard deviations above one half: chance in one of 30 000 pairs of parts."""

LEAST = 30
"""Rows of a part that can be told from another (our assumption)."""

SHOWN = 3
"""Inputs that a message names."""


def duplicate_rows(case: DataCase) -> list[Finding]:
    """Rows of the training part equal an earlier one, target included; a warning where these are no coincidences."""
    rows = case.train
    _, first = np.unique(case.train_hashes, return_index=True)
    twins = np.setdiff1d(np.arange(len(rows)), first)
    share = len(twins) / len(rows)
    if share < FEW_TWINS or len(twins) < ENOUGH_TWINS:
        return []
    chance = by_chance(rows.x, twins, case.seed)
    copies = 0.0 if chance > MOSTLY else share * (1 - chance)
    told = " (rows like these are common, and meet by chance)" if chance > MOSTLY else ""
    return [
        Finding(
            "duplicate-rows",
            "warning" if copies > TWINS.value else "info",
            f"{len(twins):,} of {len(rows):,} training rows ({share:.1%}) equal an earlier one, target included{told}.",
            evidence=TWINS.evidence("share of equal rows", share, by_chance=chance, rows=float(len(twins))),
            remedies=(
                Remedy("keep-one", "drop all but one of equal rows before splitting, or keep them in one part"),
                Remedy("weigh-by-count", "if they are rows in their own right, leave them, but split by group"),
            ),
        )
    ]


def train_test_leak(case: DataCase) -> list[Finding]:
    """Rows of another part are in the training part, or one input alone gives the target away."""
    across = [finding for part, rows in case.others.items() for finding in _known_rows(case, part, rows)]
    worst = sorted(across, key=lambda finding: float(finding.evidence["measured"]), reverse=True)[:1]
    return [*worst, *_given_away(case)]


def _known_rows(case: DataCase, part: str, rows: Part) -> list[Finding]:
    """Rows that equal a training row, target included, and not by chance."""
    known = np.isin(hashes(rows.x, rows.y), case.train_hashes)
    share = float(known.mean()) if len(rows) else 0.0
    if share < FEW_TWINS or known.sum() < ENOUGH_TWINS:
        return []
    both = np.concatenate([rows.x, case.train.x])
    chance = by_chance(both, np.flatnonzero(known), case.seed)
    copies = 0.0 if chance > MOSTLY else share * (1 - chance)
    grave = copies > TWINS.value
    told = "they are known by heart and flatter the score" if grave else "they flatter the score a little"
    told = "rows like these are common, and meet by chance" if chance > MOSTLY else told
    return [
        Finding(
            "train-test-leak",
            "warning" if grave else "info",
            f"{int(known.sum()):,} of {len(rows):,} {part} rows ({share:.1%}) stand in the training part too, target "
            f"included: {told}.",
            evidence=TWINS.evidence(f"share of {part} rows in training", copies, by_chance=chance, twin_share=share),
            remedies=(
                Remedy("drop-known-rows", f"take these rows out of the {part} part, or out of training"),
                Remedy("split-by-group", "keep rows that belong together in one part"),
            ),
        )
    ]


def _given_away(case: DataCase) -> list[Finding]:
    """Inputs that tell the target by themselves, while all others together do not."""
    rows = case.sample.only(np.arange(min(len(case.sample), max(500, NUMBERS // max(1, case.train.x.shape[1])))))
    enough = len(rows) - np.bincount(rows.y).max() if case.of_classes and len(rows) else len(rows) / 10
    if enough < ENOUGH_ERRORS or case.task == "multilabel":
        return []
    skills = skills_of_inputs(rows.x, rows.y)
    bound = NEARLY if case.of_classes else GIVEN_AWAY.value
    telling = np.flatnonzero(skills >= bound)
    others = np.setdiff1d(np.arange(len(skills)), telling)
    if not len(telling) or not len(others):
        return []
    rest = guess_out_of_bag(case.sample.x[:, others], case.sample.y, seed=case.seed)
    skill = 0.0 if rest is None else rest.skill
    if skill >= OTHERS:
        return []
    best = telling[np.argsort(-skills[telling], kind="stable")][:SHOWN]
    names = ", ".join(case.names[i] for i in best)
    verb = "gives" if len(best) == 1 else "each give"
    return [
        Finding(
            "train-test-leak",
            "warning",
            f"{names} {verb} the target away alone ({skills[best[0]]:.2%} of what there is to tell), while all other "
            f"inputs together tell {max(0.0, skill):.0%}: is it known at the time of predicting?",
            evidence=GIVEN_AWAY.evidence("skill of one input", float(skills[best[0]]), others=skill, inputs=names)
            | {"threshold": bound},
            remedies=(
                Remedy("leave-input-out", "train without it, if it is made from the target or known only later"),
            ),
        )
    ]


def data_drift(case: DataCase) -> list[Finding]:
    """A forest tells rows of another part from training rows, out of sample."""
    return [
        finding
        for part, rows in case.others.items()
        if part not in case.drawn
        for finding in _told_apart(case, part, rows)
    ]


def _told_apart(case: DataCase, part: str, rows: Part) -> list[Finding]:
    random = np.random.default_rng(case.seed)
    size = min(len(case.train), len(rows), case.most_rows // 2)
    if size < LEAST:
        return []
    a, b = (some.x[np.sort(random.permutation(len(some))[:size])] for some in (case.train, rows))
    side = np.repeat(np.array([0, 1]), size)
    guess = guess_out_of_bag(np.concatenate([a, b]), side, seed=case.seed)
    area = 0.5 if guess is None else auc(guess.p[:, 1], side == 1)
    if area < max(SOME_DRIFT, 0.5 + SURE * auc_error(size, size)):
        return []
    distances = apart(a, b)
    worst = np.argsort(-distances, kind="stable")[:SHOWN]
    names = ", ".join(f"{case.names[i]} ({distances[i]:.2f})" for i in worst)
    return [
        Finding(
            "data-drift",
            "warning" if area >= DRIFT.value else "info",
            f"The {part} rows differ from the training rows: a simple model tells them apart (AUC {area:.2f}); most in "
            f"{names}.",
            evidence=DRIFT.evidence("AUC of telling the parts apart", area, worst=names, rows=float(size)),
            remedies=(
                Remedy("split-as-used", "validate on rows that differ from training as later ones will"),
                Remedy("steady-inputs", "leave out inputs that drift, or take their differences and ratios"),
            ),
        )
    ]
