"""Which change is worth a proof: short runs of all, longer ones of the good, and of pairs of them (successive halving).

Jamieson & Talwalkar 2016. All run on the rows, the order and the first weights of one seed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trainwell.diagnosis import Remedy
from trainwell.remedies.arena import CERTAIN, MARKS, Arena, at, better
from trainwell.remedies.course import Course
from trainwell.remedies.surgery import size_of

FEWEST_UPDATES = 24  # below which a short run tells next to nothing
KEPT, FINALISTS, PAIRED = 4, 2, 3
GENERIC = ("rate", "adam", "momentum")
TIED = 0.02
"""Scores within this share of the gain are equal, and the smaller change is taken."""


@dataclass(eq=False)
class Contender:
    """A change on top of what is accepted, and its run."""

    remedies: tuple[Remedy, ...]
    changes: dict[str, Any]
    course: Course

    @property
    def size(self) -> float:
        """How large its changes are."""
        return size_of(self.changes)


def race(
    arena: Arena, state: dict[str, Any], course: Course, remedies: Sequence[Remedy], allowed: float
) -> Contender | None:
    """The contender that beats the present state at full length, the smallest change among equals; None if none does.

    Args:
        state, course: the changes so far, and their full run. allowed: units that may be spent.
    """
    stop = arena.ledger.spent + allowed
    share = first_share(course)
    field = _started(arena, state, remedies, share, stop - allowed / 2)
    alone = _best(field, share, len(field))
    field = alone[:KEPT] + _started(arena, state, _pairs(alone, remedies), share, stop - allowed / 3)
    field = _best(field, share, KEPT)
    for mark, kept in ((MARKS[1], FINALISTS), (MARKS[3], FINALISTS)):
        for contender in field:
            if arena.ledger.spent + contender.course.price(mark) <= stop or contender is field[0]:
                for stage in (m for m in MARKS if share < m <= mark):
                    contender.course.advance(stage)
        field = _best(field, max(mark, share), kept)
    for contender in field:
        arena.scores.append(contender.course.score)
    return _winner(arena, course.score, field)


def first_share(course: Course) -> float:
    """The share of a training after which runs are compared first."""
    return min(1.0, max(MARKS[0], FEWEST_UPDATES / max(1, course.updates)))


def _started(
    arena: Arena, state: dict[str, Any], remedies: Sequence[Remedy], share: float, stop: float
) -> list[Contender]:
    """All that can be made and paid for, run to the first mark."""
    field: list[Contender] = []
    for remedy in remedies:
        changes = state | (remedy.change or {})
        if changes == state or any(c.changes == changes for c in field):
            continue
        course = arena.course(changes, arena.seed)
        if course is None or arena.ledger.spent + course.price(share) > stop:
            continue
        field.append(Contender((remedy,), changes, course))
        course.advance(share)
    return field


def _best(field: list[Contender], mark: float, kept: int) -> list[Contender]:
    """The highest scores at a mark; of equal ones the smaller change."""
    ended = [c for c in field if math.isfinite(at(c.course, mark))]
    return sorted(ended, key=lambda c: (-round(at(c.course, mark), 3), c.size))[:kept]


def _pairs(alone: list[Contender], remedies: Sequence[Remedy]) -> list[Remedy]:
    """The best with the next ones and with what was found; what was found with the best rates and optimizers.

    A training with two faults may show no gain from either remedy, as a right rate shows none behind a wrong loss.
    """
    if not alone:
        return []
    best = [c.remedies[0] for c in alone]
    found = [remedy for remedy in remedies if remedy.name not in GENERIC]
    anchor = next((remedy for remedy in found if remedy.name == "all-found"), found[0] if found else None)
    pairs = [(best[0], other) for other in [*([anchor] if anchor else []), *best[1:]]][:PAIRED]
    movers = [remedy for remedy in best if remedy.name in GENERIC][:PAIRED]
    pairs += [(anchor, mover) for mover in movers] if anchor is not None else []
    return [_joined(a, b) for a, b in pairs if not set(a.change or {}) & set(b.change or {})]


def _joined(a: Remedy, b: Remedy) -> Remedy:
    return Remedy(f"{a.name} + {b.name}", f"{a.why}; {b.why}", {**(a.change or {}), **(b.change or {})})


def _winner(arena: Arena, before: float, field: list[Contender]) -> Contender | None:
    gainers = [c for c in field if better(c.course.score, before, arena.smallest)]
    if not gainers:
        return None
    top = max(c.course.score for c in gainers)
    gain = top - before if math.isfinite(before) else abs(top)
    near = [c for c in gainers if c.course.score >= top - max(CERTAIN * arena.smallest / 0.01, TIED * gain)]
    return min(near, key=lambda c: (c.size, -c.course.score))
