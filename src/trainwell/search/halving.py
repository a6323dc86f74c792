"""Successive halving (Jamieson & Talwalkar 2016) over populations: at each rung the better rows stay in their matrices.

A *trial* is one plan; with cross-validation it is several rows, one a fold, judged by their mean.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from trainwell.base import Outcome
from trainwell.engine import Course, Moment, train
from trainwell.plan import Plan


@dataclass
class Entry:
    """One trial: its plan, its rows in a course, and what it has reached."""

    number: int
    plan: Plan
    course: Course
    structure: int
    members: list[int]
    rung: int = 0
    loss: float = float("inf")
    metric: float = -float("inf")
    outcome: Outcome | None = None
    curve: list[float] = field(default_factory=list)

    def judge(self) -> None:
        """Take over the best validation so far, the mean over folds; non-finite counts as worst."""
        best = self.course.best
        self.loss = float(best.loss[self.members].mean())
        self.metric = float(best.metric[self.members].mean())

    def worse_by(self, monitor: str) -> tuple[float, float]:
        """A key that sorts better trials first."""
        return (-self.metric, self.loss) if monitor == "metric" else (self.loss, -self.metric)


@dataclass(frozen=True)
class Rung:
    """One round: the share of the course trained when it ends, and how many trials enter it."""

    share: float
    trials: int


def ladder(trials: int, rungs: int, reduction: int) -> list[Rung]:
    """The rungs of successive halving: η times longer for one η-th of the trials each time.

    >>> ladder(27, 3, 3)
    [Rung(share=0.1111111111111111, trials=27), Rung(share=0.3333333333333333, trials=9), Rung(share=1.0, trials=3)]
    """
    rungs = max(1, min(rungs, 1 + _log(trials, reduction)))
    return [Rung(float(reduction) ** (i + 1 - rungs), max(1, round(trials / reduction**i))) for i in range(rungs)]


def _log(count: int, base: int) -> int:
    powers = 0
    while base ** (powers + 1) <= count:
        powers += 1
    return powers


def cost(rungs: Sequence[Rung]) -> float:
    """Whole courses that a ladder costs.

    >>> round(cost(ladder(27, 3, 3)), 2)
    7.0
    """
    before = [0.0, *(r.share for r in rungs)]
    return sum(r.trials * (r.share - b) for r, b in zip(rungs, before, strict=False))


def halve(
    entries: Sequence[Entry],
    rungs: Sequence[Rung],
    *,
    monitor: str,
    stop: Callable[[], bool],
    remember: Callable[[str, Callable[[], Any]], Any] = lambda name, compute: compute(),
) -> Iterator[tuple[int, Course, Moment]]:
    """Train all trials rung by rung, keep the better; yields every moment with its rung's number and its course.

    When `stop()` turns true the search ends where it is; what has been reached stands in the entries. With `remember`
    (a journal's) and courses from checkpoints, a search goes on where it was stopped: courses that have come far
    enough are not trained again, and the verdicts at the end of a rung are those of the first time.
    """
    alive = list(entries)
    for number, rung in enumerate(rungs):
        for course in dict.fromkeys(entry.course for entry in alive):
            if stop():
                break
            until = max(1, round(rung.share * course.total_steps))
            for moment in train(course, until=until):
                yield number, course, moment
                if stop():
                    break
        for entry in alive:
            entry.rung = number
            entry.judge()
        if not stop():
            _recall(alive, remember(f"search.rung.{number}", partial(_verdicts, tuple(alive))))
        alive.sort(key=lambda entry: entry.worse_by(monitor))
        if stop():
            break
        keep = rungs[number + 1].trials if number + 1 < len(rungs) else len(alive)
        for entry in alive[keep:]:
            entry.course.end(entry.members, "culled")
        alive = alive[:keep]
    for entry in entries:
        entry.outcome = entry.course.outcomes[entry.members[0]]


def _verdicts(entries: Sequence[Entry]) -> dict[str, list[float]]:
    return {str(entry.number): [entry.loss, entry.metric] for entry in entries}


def _recall(entries: Sequence[Entry], verdicts: dict[str, list[float | None]]) -> None:
    """Take over the verdicts of the first time; a journal keeps infinities as None."""
    for entry in entries:
        loss, metric = verdicts[str(entry.number)]
        entry.loss = float("inf") if loss is None else loss
        entry.metric = -float("inf") if metric is None else metric
