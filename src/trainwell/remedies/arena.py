"""Where trainings meet: one data set split the same way for all under a seed, one metric, one purse."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor

from trainwell.base.streams import stream_seed
from trainwell.diagnosis import Finding, Remedy
from trainwell.remedies.abreast import abreast
from trainwell.remedies.candidates import candidates
from trainwell.remedies.course import Course, Ledger, Metric
from trainwell.remedies.diagnosed import checked
from trainwell.remedies.facts import examined
from trainwell.remedies.look import Look, look, yes_above
from trainwell.remedies.rows import Rows, folded, split, together
from trainwell.remedies.surgery import applied
from trainwell.remedies.training import Training

HELD_OUT, FEW_ROWS = 0.2, 400  # the share to judge by; half as much again of few rows
MARKS = (0.125, 1 / 3, 2 / 3, 1.0)
"""Shares of a training at which it is judged."""
LATE = (5 / 6, 11 / 12)
"""More of them near the end: the mean of several scores tells more than the last, which leaps at a constant rate."""
RATE = "optimizer.learning_rate"
CERTAIN = 0.005
"""A hundredth of the metric's span is the smallest gain that counts; half of it is a tie."""


@dataclass
class Arena:
    """The given training and what it is judged by.

    Attributes:
        own_metric: the user's, or None for the aim's. seed: of the race; proofs have others.
        best: the highest score seen, the scale of a metric that isn't ours.
    """

    given: Training
    rows: Rows
    own_metric: Callable[[Tensor, Tensor], float] | None
    ledger: Ledger
    seed: int
    scores: list[float] = field(default_factory=list)
    _trainings: dict[str, Training | None] = field(default_factory=dict)
    _rate: float | None = None
    _race: tuple[Rows, Rows] | None = None
    _folds: list[tuple[Rows, Rows]] = field(default_factory=list)
    _place: dict[int, int] = field(default_factory=dict)

    def metric(self, training: Training) -> Metric:
        """The metric of a training's outputs; for yes-or-no outputs it knows which value divides them."""
        if self.own_metric is not None:
            return self.own_metric
        return partial(training.aim.score, threshold=yes_above(training, self.rows))

    @property
    def smallest(self) -> float:
        """The smallest gain that counts: 0.01 for metrics that end at 1, else a hundredth of the largest score."""
        seen = [abs(score) for score in self.scores if math.isfinite(score)]
        return self.given.aim.smallest * (1.0 if self.own_metric is None or not seen or max(seen) <= 1 else max(seen))

    @property
    def worst(self) -> float | None:
        """What a failed training scores; None where that isn't known."""
        return self.given.aim.worst if self.own_metric is None else None

    def parts(self, seed: int) -> tuple[Rows, Rows]:
        """Rows to train on and to judge by, under a seed; proofs judge by rows that chose nothing in the race."""
        few = len(self.rows) <= FEW_ROWS
        share = 1.5 * HELD_OUT if few else HELD_OUT
        if self._race is None:
            self._race = split(self.rows, share, self.seed)
        if seed == self.seed:
            return self._race
        unseen, used = self._race
        if not self._folds:
            self._folds = folded(unseen, math.ceil((1 - share) / share), self.seed)
        kept, judged = self._folds[self._place[seed] % len(self._folds)]
        return together(kept, used), judged

    def plain(self, changes: dict[str, Any]) -> dict[str, Any]:
        """Changes without a rate that is the given one."""
        if RATE not in changes or "optimizer.name" in changes:
            return changes
        if self._rate is None:
            self._rate = float(self.given.optimizer(self.given.module(self.seed)).param_groups[0].get("lr", 0.0))
        same = math.isclose(changes[RATE], self._rate, rel_tol=1e-3)
        return {path: value for path, value in changes.items() if path != RATE} if same else changes

    def training(self, changes: Mapping[str, Any]) -> Training | None:
        """The given training with these changes, or None where they can't be made."""
        key = repr(sorted(changes.items()))
        if key not in self._trainings:
            try:
                self._trainings[key] = applied(self.given, changes, self.rows)
            except (RuntimeError, ValueError, TypeError, IndexError, AttributeError):  # of the user's code, changed
                self._trainings[key] = None
        return self._trainings[key]

    def course(self, changes: Mapping[str, Any], seed: int) -> Course | None:
        """A run with these changes, not begun."""
        training = self.training(changes)
        if training is None:
            return None
        rows, judged = self.parts(seed)
        return Course(training, seed, rows, judged, self.metric(training), self.ledger)

    def full(self, *courses: Course) -> None:
        """Whole runs side by side, judged at all marks."""
        for epochs in sorted({course.training.epochs for course in courses}):
            group = [course for course in courses if course.training.epochs == epochs]
            given = self.given.epochs / epochs  # where twins that differ in epochs alone are compared
            for mark in sorted({*(m for m in (*MARKS, *LATE, given) if m < 1.0), 1.0}):
                abreast(group, mark)
        self.scores += [course.score for course in courses]

    def look(self, changes: Mapping[str, Any]) -> Look:
        """What is there before training, with these changes."""
        training = self.training(changes)
        assert training is not None, "changes that were made before can be made again"
        return look(training, self.parts(self.seed)[0], self.seed)

    def examined(self, changes: Mapping[str, Any], course: Course) -> tuple[list[Finding], list[Remedy]]:
        """Findings with these changes, whose whole run this is, and what to try."""
        seen = self.look(changes)
        findings = examined(seen) if changes else checked(seen)
        gap = math.nan if course.failed else course.judge(course.rows) - settled(course)
        return findings, candidates(seen, findings, gap / self.smallest)

    def fold(self, i: int) -> int:
        """Which part of the rows the i-th fresh seed is judged by."""
        self.parts(self.fresh(i))
        return i % len(self._folds)

    def fresh(self, i: int) -> int:
        """The i-th seed that no race has used."""
        seed = stream_seed(self.seed, "proof", i) % 2**31
        self._place[seed] = i
        return seed


def at(course: Course, share: float) -> float:
    """The score at a mark that was passed; NaN when the training failed before."""
    wanted = math.ceil(share * course.updates - 1e-9)
    passed = [score for update, score in course.curve if update <= wanted]
    reached = course.curve and course.curve[-1][0] >= wanted
    return passed[-1] if passed and reached else float("nan")


def better(a: float, b: float, by: float) -> bool:
    """Whether a score is higher by so much; any is higher than that of a failed training."""
    return math.isfinite(a) and (not math.isfinite(b) or a - b >= by)


def settled(course: Course) -> float:
    """The mean score of the last fifth of a run: what an end at about this time scores; NaN when it failed."""
    late = [score for update, score in course.curve if update >= 0.8 * course.done]
    return math.nan if course.failed or not late else math.fsum(late) / len(late)
