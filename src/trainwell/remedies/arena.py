"""Where trainings meet: one data set split the same way for all under a seed, one metric, one purse."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from trainwell.base.streams import stream_seed
from trainwell.diagnosis import Finding
from trainwell.remedies.candidates import candidates
from trainwell.remedies.course import Course, Ledger, Metric
from trainwell.remedies.diagnosed import checked
from trainwell.remedies.facts import examined
from trainwell.remedies.look import Look, look, yes_above
from trainwell.remedies.rows import Rows, split
from trainwell.remedies.surgery import applied
from trainwell.remedies.training import Training

HELD_OUT, FEW_ROWS = 0.2, 400  # the share to judge by; half as much again of few rows
MARKS = (0.125, 1 / 3, 2 / 3, 1.0)
"""Shares of a training at which it is judged."""
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
    _splits: dict[int, tuple[Rows, Rows]] = field(default_factory=dict)

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
        if seed not in self._splits:
            share = HELD_OUT if len(self.rows) > FEW_ROWS else 1.5 * HELD_OUT
            if seed == self.seed:
                self._splits[seed] = split(self.rows, share, seed)
            else:
                unseen, used = self.parts(self.seed)
                rows, judged = split(unseen, share / (1 - share), seed)
                both = Rows(torch.cat([rows.x, used.x]), torch.cat([rows.y, used.y]))
                self._splits[seed] = both, judged
        return self._splits[seed]

    def training(self, changes: Mapping[str, Any]) -> Training | None:
        """The given training with these changes, or None where they can't be made."""
        try:
            return applied(self.given, changes, self.rows)
        except (RuntimeError, ValueError, TypeError, IndexError, AttributeError):  # of the user's code, changed
            return None

    def course(self, changes: Mapping[str, Any], seed: int) -> Course | None:
        """A run with these changes, not begun."""
        training = self.training(changes)
        if training is None:
            return None
        rows, judged = self.parts(seed)
        return Course(training, seed, rows, judged, self.metric(training), self.ledger)

    def full(self, course: Course, last: float = 1.0) -> float:
        """The score at the end, after stops at all marks."""
        given = self.given.epochs / course.training.epochs  # where twins that differ in epochs alone are compared
        for mark in sorted({*(m for m in (*MARKS, given) if m < last), last}):
            course.advance(mark)
        self.scores.append(course.score)
        return course.score

    def look(self, changes: Mapping[str, Any]) -> Look:
        """What is there before training, with these changes."""
        training = self.training(changes)
        assert training is not None, "changes that were made before can be made again"
        return look(training, self.parts(self.seed)[0], self.seed)

    def examined(self, changes: Mapping[str, Any]) -> tuple[list[Finding], list]:
        """Findings with these changes, and what to try."""
        seen = self.look(changes)
        findings = examined(seen) if changes else checked(seen)
        return findings, candidates(seen, findings)

    def fresh(self, i: int) -> int:
        """The i-th seed that no race has used."""
        return stream_seed(self.seed, "proof", i) % 2**31


def at(course: Course, share: float) -> float:
    """The score at a mark that was passed; NaN when the training failed before."""
    wanted = math.ceil(share * course.updates - 1e-9)
    passed = [score for update, score in course.curve if update <= wanted]
    reached = course.curve and course.curve[-1][0] >= wanted
    return passed[-1] if passed and reached else float("nan")


def better(a: float, b: float, by: float) -> bool:
    """Whether a score is higher by so much; any is higher than that of a failed training."""
    return math.isfinite(a) and (not math.isfinite(b) or a - b >= by)
