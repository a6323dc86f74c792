"""Rounds of races on one seed, then finer steps and another number of epochs: what seems to help, to be proven.

Contract: `climbed` gives a chain of steps, each on top of those before it, and leaves enough of the budget for a proof.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trainwell.diagnosis import Finding, Remedy
from trainwell.remedies.arena import MARKS, RATE, Arena, at, better, settled
from trainwell.remedies.course import Course
from trainwell.remedies.race import first_share, race

SEEDS, MORE_SEEDS = 3, 5
MOST_ROUNDS = 3
MOST_SHORT = 0.5
LONGEST = 32  # times the given epochs
RACE_SHARE, SHORT_SHARE = 0.4, 0.25  # of what is left, for one race; where runs can't be short, more is for epochs
LITTLE = 3.0  # smallest gains: after a round that brings less, no further one is run
LARGE = 20.0  # smallest gains, that three seeds prove
FINER = 3.0  # between the decades that the race tries
BEHIND = 5.0  # smallest gains: a finer rate that lies so far back at a third of the way is given up
WHOLE = 1.25  # a run on all rows, in units of one that holds a fifth out
Tell = Callable[[str], None]
EPOCHS, SCHEDULE = "training.epochs", "schedule.name"


@dataclass(eq=False)
class Step:
    """Changes on top of those before it: what they are, and all changes so far."""

    remedies: tuple[Remedy, ...]
    changes: dict[str, Any]


def climbed(arena: Arena, first: Course, tell: Tell) -> tuple[list[Step], list[Finding]]:
    """Rounds until nothing seems to help. `first` is the given training's whole run."""
    chain: list[Step] = []
    state: dict[str, Any] = {}
    all_findings: list[Finding] = []
    course = first
    for i in range(MOST_ROUNDS):
        findings, remedies = arena.examined(state, course)
        all_findings += [f for f in findings if f.kind not in {g.kind for g in all_findings}]
        allowed = _allowed(arena, first, course)
        short = i > 0 and first_share(first) > MOST_SHORT  # each run costs much of a training: keep them for the proof
        if allowed <= 0 or short or saturated(arena, course.score):
            break
        tell(f"round {i + 1}: {len(remedies)} changes, {arena.ledger.left:.1f} trainings left")
        dearest = (arena.ledger.left - allowed - SEEDS * length(first)) / (SEEDS + WHOLE)
        winner = race(arena, state, course, remedies, allowed, dearest)
        if winner is None:
            break
        chain.append(Step(winner.remedies, winner.changes))
        little = not better(settled(winner.course), settled(course), LITTLE * arena.smallest)
        state, course = winner.changes, winner.course
        if little:
            break
    if chain:
        tell(f"finer steps: {arena.ledger.left:.1f} trainings left")
        course = _faster(arena, first, chain, course)
    longer = _epochs(arena, first, course)
    if longer is not None:
        chain.append(Step((longer,), (chain[-1].changes if chain else {}) | (longer.change or {})))
    if chain:
        _annealed(arena, first, chain, course)
    return chain, all_findings


def saturated(arena: Arena, score: float) -> bool:
    """Whether nothing that counts is left to gain."""
    return arena.own_metric is None and math.isfinite(score) and score > 1 - arena.smallest


def length(course: Course) -> float:
    """What a whole run costs; one that fails at once costs nothing."""
    updates = course.done if course.failed else course.updates
    return course.ledger.cost(updates * min(course.training.batch_size, len(course.rows)), updates, course.weights)


def _allowed(arena: Arena, first: Course, course: Course) -> float:
    """Units for one race: what leaves enough for a proof."""
    share = RACE_SHARE if first_share(first) <= MOST_SHORT else SHORT_SHARE
    return min(share * arena.ledger.left, arena.ledger.left - _proof(arena, first, 1.2 * length(course), course))


def _proof(arena: Arena, first: Course, one: float, course: Course) -> float:
    """What a proof and the last run cost, for a training whose runs cost so much; small gains ask for more seeds."""
    large = better(settled(course), settled(first), LARGE * arena.smallest)
    return (SEEDS if large else MORE_SEEDS) * (length(first) + one) + WHOLE * one


def _tried(arena: Arena, first: Course, chain: list[Step], rival: Course, remedy: Remedy) -> Course | None:
    """A whole run with one more change, if it is better than its rival and can be paid and proven; then it joins."""
    changes = arena.plain(chain[-1].changes | (remedy.change or {}))
    course = arena.course(changes, arena.seed)
    if course is None or changes == chain[-1].changes or saturated(arena, settled(rival)):
        return None
    price = course.price(1.0)
    if price + _proof(arena, first, price, rival) > arena.ledger.left:
        return None
    if RATE in (remedy.change or {}):
        course.advance(MARKS[0]).advance(MARKS[1])
        if not better(at(course, MARKS[1]), at(rival, MARKS[1]), -BEHIND * arena.smallest):
            return None
    arena.full(course)
    if not better(settled(course), settled(rival), arena.smallest):
        return None
    chain.append(Step((remedy,), changes))
    return course


def _faster(arena: Arena, first: Course, chain: list[Step], course: Course) -> Course:
    """A rate between those of the race: larger where the score still rises, smaller where it leaps."""
    up = rising(course, arena.smallest)
    if course.failed or not (up or leaping(course, arena.smallest)):
        return course
    rate = arena.look(chain[-1].changes).rate
    factor = FINER if up else 1 / FINER
    remedy = Remedy("rate", "steps of a size that learns", {RATE: float(f"{rate * factor:.3g}")})
    return _tried(arena, first, chain, course, remedy) or course


def _annealed(arena: Arena, first: Course, chain: list[Step], course: Course) -> None:
    """The rate falls to nothing: at a constant one the last weights leap about the best ones."""
    if leaping(course, arena.smallest) and course.training.schedule == "constant":
        remedy = Remedy("cosine", "ever smaller steps end in better weights", {SCHEDULE: "cosine"})
        _tried(arena, first, chain, course, remedy)


def _epochs(arena: Arena, first: Course, course: Course) -> Remedy | None:
    """Longer, while the score still rises and it can be paid and proven; shorter, if it fell."""
    if course.failed or course.training.schedule != "constant":
        return None
    peak = max(MARKS[:-1], key=lambda mark: _finite(at(course, mark)))
    epochs = course.training.epochs
    if better(at(course, peak), settled(course), 2 * arena.smallest) and round(peak * epochs) >= 1:
        return Remedy("fewer-epochs", "later ones only made it worse", {EPOCHS: max(1, round(peak * epochs))})
    factor, score = 1, course.score
    while factor < LONGEST and not saturated(arena, score) and rising(course, arena.smallest):
        wanted = min(2 * factor, _longest(arena, first, course, factor))
        if wanted <= factor:
            break
        course.advance((factor + wanted) / 2)
        if not better(course.advance(wanted).score, score, arena.smallest):
            break
        factor, score = wanted, course.score
    if factor == 1:
        return None
    return Remedy("more-epochs", "the score was still rising", {EPOCHS: factor * epochs})


def _longest(arena: Arena, first: Course, course: Course, factor: int) -> int:
    """The factor that leaves enough for the proof of it."""
    one = max(length(course), 1e-9)
    left = arena.ledger.left - SEEDS * length(first) + factor * one
    return int(left / ((SEEDS + 1 + WHOLE) * one))


def leaping(course: Course, smallest: float) -> bool:
    """Whether the scores of the last fifth lie apart."""
    late = [score for update, score in course.curve if update >= 0.8 * course.done]
    return not course.failed and max(late) - min(late) >= smallest


def rising(course: Course, smallest: float) -> bool:
    """Whether the score of the last third rose, or is that of the beginning."""
    ended = [(update, score) for update, score in course.curve if math.isfinite(score)]
    before = [score for update, score in ended if course.done / 3 <= update <= 0.7 * course.done]
    return not before or ended[-1][1] - min(before) >= smallest / 2


def _finite(score: float) -> float:
    return score if math.isfinite(score) else -math.inf
