"""Fresh runs of several states of a training under the same seeds, compared seed by seed.

Contract: a state is its changes. Its i-th run shares seed, rows and order with the i-th run of every other state, and
each is begun once, when it is first asked for.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from trainwell.remedies.arena import Arena
from trainwell.remedies.climb import EPOCHS, MORE_SEEDS, SCHEDULE, SEEDS, WHOLE, length
from trainwell.remedies.course import Course, gain_variance
from trainwell.remedies.proof import Proof, promising, proven, row_noise

Changes = dict[str, Any]


@dataclass(eq=False)
class Bench:
    """The runs so far, by what the state is."""

    arena: Arena
    runs: dict[str, tuple[Changes, list[Course]]] = field(default_factory=dict)

    def scores(self, changes: Changes, seeds: int) -> list[float]:
        """The scores of a state on the first so many fresh seeds; those of a longer twin tell a shorter one's."""
        self._run((changes,), seeds)
        known = self._prefixes(changes)
        if len(known) >= seeds:
            return known[:seeds]
        return [course.score for course in self.courses(changes)[:seeds]]

    def courses(self, changes: Changes) -> list[Course]:
        """The runs of a state so far."""
        return self.runs.get(_key(changes), ({}, []))[1]

    def price(self, changes: Changes, seeds: int) -> float:
        """What `scores` would cost."""
        missing = seeds - len(self.courses(changes))
        if missing <= 0 or len(self._prefixes(changes)) >= seeds:
            return 0.0
        return missing * self.one(changes)

    def one(self, changes: Changes) -> float:
        """What a run costs; infinite where it can't be made."""
        known = self.courses(changes)
        if known:
            return length(known[0])
        course = self.arena.course(changes, self.arena.fresh(0))
        return math.inf if course is None else course.price(1.0)

    def affords(self, *states: Changes, seeds: int = SEEDS, last: Changes | None = None) -> bool:
        """Whether these states can be run on so many seeds, and `last` be trained on all rows in the end."""
        kept = 0.0 if last is None else WHOLE * self.one(last)
        return sum(self.price(state, seeds) for state in states) + kept <= self.arena.ledger.left

    def open(self, before: Changes, after: Changes) -> bool:
        """Whether three seeds leave it open if the change helps, and two more can be paid for."""
        a, b = self.scores(before, SEEDS), self.scores(after, SEEDS)
        return promising(a, b, smallest=self.arena.smallest) and self.affords(before, after, seeds=MORE_SEEDS)

    def proof(self, before: Changes, after: Changes, seeds: int) -> Proof:
        """A comparison on so many seeds."""
        self._run((before, after), seeds)
        scores = self.scores(before, seeds), self.scores(after, seeds)
        rows = self._rows(before, after, seeds)
        return proven(*scores, smallest=self.arena.smallest, worst=self.arena.worst, rows=rows)

    def _rows(self, before: Changes, after: Changes, seeds: int) -> float:
        """How far the rows judged by may carry the gain."""
        sides = self._outputs(before, seeds), self._outputs(after, seeds)
        gains: list[tuple[int, float]] = []
        for i, ((a, first), (b, second)) in enumerate(zip(*sides, strict=True)):
            variance = gain_variance(a, b, second.judged, (first.metric, second.metric))
            gains.append((self.arena.fold(i), variance))
        return row_noise(gains)

    def _outputs(self, changes: Changes, seeds: int) -> list[tuple[Tensor | None, Course]]:
        """What `scores` is the metric of."""
        done = self.courses(changes)
        if len(done) >= seeds:
            return [(None if c.failed else c.outputs.get(c.done), c) for c in done[:seeds]]
        longer, updates = self._longer(changes), self._epochs(changes)
        return [(c.outputs.get(updates * c.per_epoch), c) for c in longer[:seeds]]

    def _run(self, states: Sequence[Changes], seeds: int) -> None:
        """What is missing of these states' runs, side by side; longer ones first, which may tell of shorter ones."""
        for epochs in sorted({self._epochs(changes) for changes in states}, reverse=True):
            same = [changes for changes in states if self._epochs(changes) == epochs]
            missing = [c for changes in same if len(self._prefixes(changes)) < seeds for c in self._new(changes, seeds)]
            self.arena.full(*missing)

    def _new(self, changes: Changes, seeds: int) -> list[Course]:
        """Runs of a state on the seeds that it hasn't seen, not begun."""
        _, done = self.runs.setdefault(_key(changes), (changes, []))
        new: list[Course] = []
        for i in range(len(done), seeds):
            course = self.arena.course(changes, self.arena.fresh(i))
            assert course is not None, "what was made before can be made again"
            new.append(course)
        done += new
        return new

    def _epochs(self, changes: Changes) -> int:
        return changes.get(EPOCHS, self.arena.given.epochs)

    def _prefixes(self, changes: Changes) -> list[float]:
        """The scores of a state by the way of its longer twin; none where one isn't known."""
        epochs = self._epochs(changes)
        scores = [_reached(course, epochs * course.per_epoch) for course in self._longer(changes)]
        return [] if None in scores else [score for score in scores if score is not None]

    def _longer(self, changes: Changes) -> list[Course]:
        """Runs that differ in that they go on."""
        if changes.get(SCHEDULE, "constant") != "constant":
            return []
        epochs = self._epochs(changes)
        for others, done in self.runs.values():
            longer = self._epochs(others) > epochs
            if longer and without(others, EPOCHS) == without(changes, EPOCHS) and done:
                return done
        return []


def without(changes: Changes, *paths: str) -> Changes:
    """All but these."""
    return {path: value for path, value in changes.items() if path not in paths}


def _key(changes: Changes) -> str:
    return repr(sorted(changes.items()))


def _reached(course: Course, updates: int) -> float | None:
    """The score that was taken after just so many updates: NaN if the run failed before, None if none was taken."""
    if course.failed and course.done <= updates:
        return math.nan
    return next((score for update, score in course.curve if update == updates), None)
