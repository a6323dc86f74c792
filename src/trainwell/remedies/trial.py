"""The whole trial of a training: rounds of races until nothing helps, then the proof on fresh seeds, step by step.

Contract: `tried` gives the steps that are proven, each with its evidence, within the budget. The rest is rolled back.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from trainwell.diagnosis import Finding, Remedy
from trainwell.remedies.arena import MARKS, Arena, at, better
from trainwell.remedies.course import Course
from trainwell.remedies.diagnosed import joined, observed, observer_of
from trainwell.remedies.proof import Proof, promising, proven
from trainwell.remedies.race import Contender, first_share, race

SEEDS, MORE_SEEDS = 3, 5
MOST_ROUNDS = 4
MOST_SHORT = 0.5
WORTH = 0.02
"""A step not proven by itself stays, as part of what is proven with it, if it brings so much of the whole gain."""
LONGEST = 32  # times the given epochs
RACE_SHARE = 0.4  # of what is left, for one race
Tell = Callable[[str], None]


@dataclass(eq=False)
class Step:
    """One accepted change on top of those before it."""

    remedy: Remedy
    changes: dict[str, Any]


@dataclass(eq=False)
class Verdict:
    """What the trial came to.

    Attributes:
        steps: proven, in order. courses: fresh runs of the last state, the untouched one if there is no step.
        untouched: fresh runs of the given training, as far as they were needed. findings: of all rounds.
    """

    steps: list[Step]
    findings: list[Finding]
    courses: list[Course]
    untouched: list[Course]
    proof: Proof | None = None
    refused: list[Remedy] = field(default_factory=list)


def tried(arena: Arena, tell: Tell) -> Verdict:
    """Race and prove."""
    course = arena.course({}, arena.seed)
    assert course is not None, "the given training can be built: that was checked"
    course.observer = observer_of(course)
    arena.full(course)
    course.observer, seen = None, observed(course.observer)
    chain, findings = _climb(arena, course, tell)
    verdict = _proved(arena, chain, course, tell)
    verdict.findings[:0] = joined(findings, seen)
    return verdict


def _climb(arena: Arena, course: Course, tell: Tell) -> tuple[list[Step], list[Finding]]:
    """Rounds on one seed: what seems to help, to be proven."""
    chain: list[Step] = []
    state: dict[str, Any] = {}
    all_findings: list[Finding] = []
    first = course
    for i in range(MOST_ROUNDS):
        findings, remedies = arena.examined(state)
        all_findings += [f for f in findings if f.kind not in {g.kind for g in all_findings}]
        allowed = _allowed(arena, first, course)
        short = i > 0 and first_share(first) > MOST_SHORT  # each run costs much of a training: keep them for the proof
        if allowed <= 0 or short or _saturated(arena, course.score):
            break
        tell(f"round {i + 1}: {len(remedies)} changes, {arena.ledger.left:.1f} trainings left")
        winner = race(arena, state, course, remedies, allowed)
        if winner is None:
            break
        chain.append(_step(winner))
        state, course = winner.changes, winner.course
    longer = _epochs(arena, first, course)
    if longer is not None:
        chain.append(Step(longer, state | (longer.change or {})))
    return chain, all_findings


def _step(winner: Contender) -> Step:
    remedy = winner.remedies[0]
    return Step(remedy, winner.changes)


def _saturated(arena: Arena, score: float) -> bool:
    return arena.own_metric is None and math.isfinite(score) and score > 1 - arena.smallest


def _allowed(arena: Arena, first: Course, course: Course) -> float:
    """Units for one race: what leaves enough for a proof."""
    proof = SEEDS * (_length(first) + 1.2 * _length(course))
    return min(RACE_SHARE * arena.ledger.left, arena.ledger.left - proof)


def _length(course: Course) -> float:
    """What a whole run costs; one that fails at once costs nothing."""
    updates = course.done if course.failed else course.updates
    return course.ledger.cost(updates * min(course.training.batch_size, len(course.rows)), updates, course.weights)


def _epochs(arena: Arena, first: Course, course: Course) -> Remedy | None:
    """Longer, while the score still rises and it can be paid and proven; shorter, if it fell."""
    if course.failed or course.training.schedule != "constant":
        return None
    peak = max(MARKS[:-1], key=lambda mark: _finite(at(course, mark)))
    epochs = course.training.epochs
    if better(at(course, peak), course.score, 2 * arena.smallest) and round(peak * epochs) >= 1:
        return Remedy(
            "fewer-epochs", "later ones only made it worse", {"training.epochs": max(1, round(peak * epochs))}
        )
    factor, score = 1, course.score
    while factor < LONGEST and not _saturated(arena, score) and _rising(course, arena.smallest):
        wanted = min(2 * factor, _longest(arena, first, course, factor))
        if wanted <= factor:
            break
        course.advance((factor + wanted) / 2)
        if not better(course.advance(wanted).score, score, arena.smallest):
            break
        factor, score = wanted, course.score
    if factor == 1:
        return None
    return Remedy("more-epochs", "the score was still rising", {"training.epochs": factor * epochs})


def _longest(arena: Arena, first: Course, course: Course, factor: int) -> int:
    """The factor that leaves enough for the proof of it."""
    one = max(_length(course), 1e-9)
    left = arena.ledger.left - SEEDS * _length(first) + factor * one
    return int(left / ((SEEDS + 1) * one))


def _rising(course: Course, smallest: float) -> bool:
    """Whether the score of the last third rose, or is that of the beginning."""
    scores = [score for _, score in course.curve if math.isfinite(score)]
    return len(scores) < 3 or scores[-1] - min(scores[-3:-1]) >= smallest / 2


def _finite(score: float) -> float:
    return score if math.isfinite(score) else -math.inf


@dataclass(eq=False)
class Bench:
    """Fresh runs of several states under the same seeds, by what the state is."""

    arena: Arena
    runs: dict[str, tuple[dict[str, Any], list[Course]]] = field(default_factory=dict)

    def scores(self, changes: dict[str, Any], seeds: int) -> list[float]:
        """The scores of a state on the first so many fresh seeds; those of a longer twin tell a shorter one's."""
        known = self._prefixes(changes)
        if len(known) >= seeds:
            return known[:seeds]
        _, done = self.runs.setdefault(_key(changes), (changes, []))
        for i in range(len(done), seeds):
            course = self.arena.course(changes, self.arena.fresh(i))
            assert course is not None, "what was made before can be made again"
            self.arena.full(course)
            done.append(course)
        return [course.score for course in done[:seeds]]

    def courses(self, changes: dict[str, Any]) -> list[Course]:
        """The runs of a state so far."""
        return self.runs.get(_key(changes), ({}, []))[1]

    def missing(self, changes: dict[str, Any], seeds: int) -> int:
        """How many runs `scores` would start."""
        return 0 if len(self._prefixes(changes)) >= seeds else max(0, seeds - len(self.courses(changes)))

    def _prefixes(self, changes: dict[str, Any]) -> list[float]:
        epochs = changes.get(EPOCHS, self.arena.given.epochs)
        for others, done in self.runs.values():
            if _without(others) == _without(changes) and others.get(EPOCHS, self.arena.given.epochs) > epochs:
                scores = [reached(course, epochs * course.per_epoch) for course in done]
                if scores and None not in scores:
                    return [score for score in scores if score is not None]
        return []


EPOCHS = "training.epochs"


def _key(changes: dict[str, Any]) -> str:
    return repr(sorted(changes.items()))


def _without(changes: dict[str, Any]) -> dict[str, Any]:
    return {path: value for path, value in changes.items() if path != EPOCHS}


def reached(course: Course, updates: int) -> float | None:
    """The score that was taken after just so many updates: NaN if the run failed before, None if none was taken."""
    if course.failed and course.done <= updates:
        return math.nan
    return next((score for update, score in course.curve if update == updates), None)


def _proved(arena: Arena, chain: list[Step], course: Course, tell: Tell) -> Verdict:
    """Prove the last state against the untouched one; then ask of every step before whether the rest is needed."""
    if not chain:
        return Verdict([], [], [course], [course])
    bench, refused = Bench(arena), []
    while chain and _payable(arena, bench, {}, chain[-1].changes):
        tell(f"proof of {', '.join(step.remedy.name for step in chain)}: {arena.ledger.left:.1f} trainings left")
        proof = _compared(arena, bench, {}, chain[-1].changes)
        if proof.helped:
            steps = _stepwise(arena, bench, chain, proof)
            runs = bench.courses(steps[-1].changes) or bench.courses(chain[-1].changes)
            return Verdict(steps, [], runs, bench.courses({}), proof, refused)
        refused.append(replace(chain[-1].remedy, verified=proof.verified()))
        chain = chain[:-1]
    return Verdict([], [], bench.courses({}) or [course], bench.courses({}), None, refused)


def _compared(arena: Arena, bench: Bench, before: dict[str, Any], after: dict[str, Any]) -> Proof:
    """Three seeds, and two more when they leave it open."""
    proof = _proof(arena, bench, before, after, SEEDS)
    open_ = promising(bench.scores(before, SEEDS), bench.scores(after, SEEDS), smallest=arena.smallest)
    if not proof.helped and open_ and _payable(arena, bench, before, after, seeds=MORE_SEEDS):
        return _proof(arena, bench, before, after, MORE_SEEDS)
    return proof


def _proof(arena: Arena, bench: Bench, before: dict[str, Any], after: dict[str, Any], seeds: int) -> Proof:
    untouched, treated = bench.scores(before, seeds), bench.scores(after, seeds)
    return proven(untouched, treated, smallest=arena.smallest, worst=arena.worst)


def _payable(arena: Arena, bench: Bench, *states: dict[str, Any], seeds: int = SEEDS) -> bool:
    price = 0.0
    for state in states:
        known, missing = bench.courses(state), bench.missing(state, seeds)
        course = known[0] if known else arena.course(state, arena.fresh(0)) if missing else None
        price += 0.0 if course is None else missing * (_length(course) if known else course.price(1.0))
    return price <= arena.ledger.left


def _stepwise(arena: Arena, bench: Bench, chain: list[Step], whole: Proof) -> list[Step]:
    """The steps with their own evidence: a step that doesn't help beyond the one before joins it, or is left out."""
    steps: list[Step] = []
    before: dict[str, Any] = {}
    waiting: list[Remedy] = []
    for i, step in enumerate(chain):
        waiting.append(step.remedy)
        last = i == len(chain) - 1
        if not last and not _payable(arena, bench, step.changes):
            continue
        proof = _compared(arena, bench, before, step.changes)
        if proof.helped:
            steps.append(Step(_merged(waiting, step.changes, before, proof), step.changes))
            before, waiting = step.changes, []
    last = chain[-1]
    if waiting and steps and _worth(arena, bench, before, last.changes, whole):
        joined = [*(step.remedy for step in steps), *waiting]
        return [Step(_merged(joined, last.changes, {}, whole), last.changes)]
    if not steps:
        steps = [Step(_merged([s.remedy for s in chain], chain[-1].changes, {}, whole), chain[-1].changes)]
    return steps


def _worth(arena: Arena, bench: Bench, before: dict[str, Any], after: dict[str, Any], whole: Proof) -> bool:
    """Whether the rest brings a good part of the gain, in most seeds: the whole is proven, its parts are not."""
    a, b = bench.scores(before, SEEDS), bench.scores(after, SEEDS)
    gain = whole.after - sum(a) / len(a)
    won = sum(y > x for x, y in zip(a, b, strict=True))
    return gain >= max(arena.smallest, WORTH * whole.gain) and won * 2 > len(a)


def _merged(remedies: list[Remedy], changes: dict[str, Any], before: dict[str, Any], proof: Proof) -> Remedy:
    made = {path: value for path, value in changes.items() if before.get(path, None) != value or path not in before}
    names = list(dict.fromkeys(name for remedy in remedies for name in remedy.name.split(" + ")))
    whys = list(dict.fromkeys(why for remedy in remedies for why in remedy.why.split("; ")))
    return Remedy(" + ".join(names), "; ".join(whys), made, proof.verified())
