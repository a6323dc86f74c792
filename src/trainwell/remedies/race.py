"""Which change is worth a proof: short runs of all, longer ones of the good, and of pairs of them (successive halving).

Jamieson & Talwalkar 2016. All run on the rows, the order and the first weights of one seed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trainwell.diagnosis import Remedy
from trainwell.remedies.abreast import abreast
from trainwell.remedies.arena import CERTAIN, LATE, MARKS, Arena, at, better, settled
from trainwell.remedies.course import Course
from trainwell.remedies.surgery import size_of

FEWEST_UPDATES = 24  # below which a short run tells next to nothing
KEPT, FINALISTS, PAIRED = 4, 2, 3
GENERIC = ("rate", "adam", "momentum")
PAID = 1.5  # size of a change on top of others, for each smallest gain that it brings
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
    arena: Arena,
    state: dict[str, Any],
    course: Course,
    remedies: Sequence[Remedy],
    allowed: float,
    dearest: float = math.inf,
) -> Contender | None:
    """The contender that beats the present state at full length, the smallest change among equals; None if none does.

    Args:
        state, course: the changes so far, and their full run. allowed: units that may be spent.
        dearest: what a whole run may cost, so that a winner can be proven.
    """
    stop = arena.ledger.spent + allowed
    share = first_share(course)
    field = _started(arena, state, [(r,) for r in remedies], share, stop - (1 - share) * allowed / 2, dearest)
    alone = _best(field, share, len(field))
    field = _started(
        arena, state, _pairs(alone, remedies), share, stop - (1 - share) * allowed / 3, dearest, alone[:KEPT]
    )
    field = _best(field, share, KEPT)
    for mark, kept in ((MARKS[1], FINALISTS), (MARKS[3], FINALISTS)):
        going, spent = [], arena.ledger.spent
        for contender in field:
            price = contender.course.price(mark)
            if spent + price <= stop or contender is field[0]:
                going.append(contender.course)
                spent += price
        for stage in sorted(m for m in (*MARKS, *LATE) if share < m <= mark):
            abreast(going, stage)
        field = _best(field, max(mark, share), kept)
    for contender in field:
        arena.scores.append(contender.course.score)
    return _winner(arena, settled(course), size_of(state), field)


def first_share(course: Course) -> float:
    """The share of a training after which runs are compared first."""
    return min(1.0, max(MARKS[0], FEWEST_UPDATES / max(1, course.updates)))


def _started(
    arena: Arena,
    state: dict[str, Any],
    several: Sequence[tuple[Remedy, ...]],
    share: float,
    stop: float,
    dearest: float,
    beside: Sequence[Contender] = (),
) -> list[Contender]:
    """Those beside, and all that can be made and paid for, run to the first mark."""
    field, spent = list(beside), arena.ledger.spent
    for remedies in several:
        changes = arena.plain(state | {path: value for r in remedies for path, value in (r.change or {}).items()})
        if changes == state or any(c.changes == changes for c in field):
            continue
        course = arena.course(changes, arena.seed)
        if course is None or spent + course.price(share) > stop or course.price(1.0) > dearest:
            continue
        field.append(Contender(remedies, changes, course))
        spent += course.price(share)
    abreast([contender.course for contender in field], share)
    return field


def _best(field: list[Contender], mark: float, kept: int) -> list[Contender]:
    """The highest scores at a mark; of equal ones the smaller change."""
    ended = [c for c in field if math.isfinite(at(c.course, mark))]
    return sorted(ended, key=lambda c: (-round(at(c.course, mark), 3), c.size))[:kept]


def _pairs(alone: list[Contender], remedies: Sequence[Remedy]) -> list[tuple[Remedy, ...]]:
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
    return [(a, b) for a, b in pairs if not set(a.change or {}) & set(b.change or {})]


def _winner(arena: Arena, before: float, size: float, field: list[Contender]) -> Contender | None:
    """Later ones must pay for their size: of many small gains on one seed most are luck."""
    toll = {id(c): max(1.0, (c.size - size) / PAID if size else 1.0) * arena.smallest for c in field}
    gainers = [c for c in field if better(settled(c.course), before, toll[id(c)])]
    if not gainers:
        return None
    top = max(settled(c.course) for c in gainers)
    gain = top - before if math.isfinite(before) else abs(top)
    near = [c for c in gainers if settled(c.course) >= top - max(CERTAIN * arena.smallest / 0.01, TIED * gain)]
    return min(near, key=lambda c: (c.size, -settled(c.course)))
