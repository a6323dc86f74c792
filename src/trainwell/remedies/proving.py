"""What of a chain of changes is proven on fresh seeds, and what of that is needed.

Contract: `proved` compares the last state with the given training. Where it helped, changes are taken back one by one
as long as nothing that counts is lost; what stays is told step by step, each with its evidence. Where it didn't, one
other chain is looked at: more looks would find by chance what isn't there.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any

from trainwell.diagnosis import Finding, Remedy
from trainwell.remedies.arena import RATE, Arena
from trainwell.remedies.bench import Bench, Changes, without
from trainwell.remedies.climb import FINER, MORE_SEEDS, SEEDS, Step, Tell
from trainwell.remedies.course import Course
from trainwell.remedies.proof import Proof, promising
from trainwell.remedies.surgery import STEPS

LOOKS = (SEEDS, SEEDS, MORE_SEEDS)
"""Seeds of each look: at the chain, at another one, and at the better of them."""
APART = 6.0  # smallest gains between the seeds of one state, from which on smaller steps are tried
CLEAR = 0.05
"""Share of the whole gain: what loses more than this on a single seed is needed, and need not be run on others."""
TOGETHER = (
    ("optimizer.name", "optimizer.learning_rate", "optimizer.momentum"),
    ("loss.name", "module.output", "module.outputs"),
)
"""Changes that make sense with the first of them; taken back with it."""


@dataclass(eq=False)
class Proven:
    """A remedy that was proven, on top of those before it, and all changes with it."""

    remedy: Remedy
    changes: dict[str, Any]


@dataclass(eq=False)
class Verdict:
    """What the trial came to.

    Attributes:
        steps: proven, in order. courses: fresh runs of the last state, the untouched one if there is no step.
        untouched: fresh runs of the given training, as far as they were needed. findings: of all rounds.
    """

    steps: list[Proven]
    findings: list[Finding]
    courses: list[Course]
    untouched: list[Course]
    proof: Proof | None = None
    refused: list[Remedy] = field(default_factory=list)


def proved(arena: Arena, chain: list[Step], course: Course, tell: Tell) -> Verdict:
    """Prove, take back, tell. `course` is the given training's first run."""
    bench, refused = Bench(arena), []
    looks: list[tuple[list[Step], Proof]] = []
    for seeds in LOOKS:
        if not chain or (seeds > SEEDS and not bench.open({}, chain[-1].changes)):
            break
        if any(seeds == proof.seeds and chain is looked for looked, proof in looks):
            continue
        if not bench.affords({}, chain[-1].changes, seeds=seeds):
            break
        tell(f"proof of {', '.join(_names(chain))}: {arena.ledger.left:.1f} trainings left")
        looks.append((chain, bench.proof({}, chain[-1].changes, seeds)))
        if looks[-1][1].helped:
            break
        if seeds == SEEDS and len(looks) == 1:
            chain = _other(arena, bench, chain)
        elif looks[0][1].after > looks[-1][1].after:
            chain = looks[0][0]
    for tried, proof in looks:
        if proof.helped:
            return _verdict(bench, tried, proof, refused, tell)
        refused.append(replace(_merged(tried[-1].remedies, tried[-1].changes), verified=proof.verified()))
    untouched = bench.courses({})
    return Verdict([], [], untouched or [course], untouched or [course], None, refused)


def _other(arena: Arena, bench: Bench, chain: list[Step]) -> list[Step]:
    """What to look at after a chain that was not proven: smaller steps, where seeds disagree; else its beginning."""
    untouched, scores = bench.scores({}, SEEDS), bench.scores(chain[-1].changes, SEEDS)
    if not promising(untouched, scores, smallest=arena.smallest):
        return chain[:-1]
    gain = (math.fsum(scores) - math.fsum(s for s in untouched if math.isfinite(s))) / SEEDS
    calm = _calmer(arena, chain) if not gain > 0 or _apart(scores, max(gain, APART * arena.smallest)) else None
    return chain if calm is None else calm


def _apart(scores: list[float], by: float) -> bool:
    """Whether trainings with the same changes end so far apart that smaller steps may serve them."""
    return not all(math.isfinite(score) for score in scores) or max(scores) - min(scores) >= by


def _calmer(arena: Arena, chain: list[Step]) -> list[Step] | None:
    """The chain with a third of its rate."""
    rate = float(f"{arena.look(chain[-1].changes).rate / FINER:.3g}")
    step = Step((*chain[-1].remedies, Remedy("rate", "smaller steps, that end well more often", {RATE: rate})),
                arena.plain(chain[-1].changes | {RATE: rate}))  # fmt: skip
    return None if rate <= 0 or arena.training(step.changes) is None else [*chain[:-1], step]


def _verdict(bench: Bench, chain: list[Step], proof: Proof, refused: list[Remedy], tell: Tell) -> Verdict:
    chain, proof = _steadier(bench, chain, proof)
    changes, proof = _needed(bench, chain[-1].changes, proof, tell)
    runs = bench.courses(changes) or bench.courses(chain[-1].changes)
    return Verdict(_told(bench, _kept(chain, changes), proof), [], runs, bench.courses({}), proof, refused)


def _steadier(bench: Bench, chain: list[Step], proof: Proof) -> tuple[list[Step], Proof]:
    """With smaller steps, where trainings with the proven changes end far apart, and these end better."""
    smallest = bench.arena.smallest
    if not _apart(bench.scores(chain[-1].changes, SEEDS), APART * smallest):
        return chain, proof
    calm = _calmer(bench.arena, chain)
    if calm is None or not bench.affords(calm[-1].changes, last=calm[-1].changes):
        return chain, proof
    other = bench.proof({}, calm[-1].changes, SEEDS)
    return (calm, other) if other.helped and other.after - proof.after >= smallest / 2 else (chain, proof)


def _names(chain: list[Step]) -> list[str]:
    return [remedy.name for step in chain for remedy in step.remedies]


def _needed(bench: Bench, changes: Changes, proof: Proof, tell: Tell) -> tuple[Changes, Proof]:
    """Without what brings less than the smallest gain that counts: the largest changes are asked first."""
    whole = bench.scores(changes, SEEDS)
    for part in _parts(changes):
        less = without(changes, *part)
        if not less or bench.arena.training(less) is None or not bench.affords(less, last=less):
            continue
        tell(f"without {', '.join(part)}: {bench.arena.ledger.left:.1f} trainings left")
        if not _lost(bench, less, whole, proof.gain):
            shorter = bench.proof({}, less, SEEDS)
            if shorter.helped:
                changes, proof = less, shorter
    return changes, proof


def _parts(changes: Changes) -> list[tuple[str, ...]]:
    """What may be taken back at once."""
    grouped = {path: group for group in TOGETHER if group[0] in changes for path in group if path in changes}
    parts = [tuple(p for p in grouped.get(path, (path,)) if p in changes) for path in changes]
    return sorted(dict.fromkeys(parts), key=lambda part: -sum(STEPS[path] for path in part))


def _lost(bench: Bench, less: Changes, whole: list[float], gain: float) -> bool:
    """Whether a smaller set of changes scores worse than the whole, on as many seeds as it takes to see."""
    losses: list[float] = []
    for i in range(SEEDS):
        score, smallest = bench.scores(less, i + 1)[i], bench.arena.smallest
        if not math.isfinite(score):
            return True
        losses.append(whole[i] - score)
        if losses[-1] > CLEAR * gain + 2 * smallest:
            return True
    return math.fsum(losses) / SEEDS >= bench.arena.smallest


def _kept(chain: list[Step], changes: Changes) -> list[Step]:
    """The chain with those changes alone, of which it was made; steps of which nothing is left are gone."""
    kept: list[Step] = []
    for step in chain:
        state = {path: changes[path] for path in step.changes if changes.get(path) == step.changes[path]}
        remedies = tuple(left for remedy in step.remedies if (left := _left(remedy, state)) is not None)
        if kept and not any(p not in kept[-1].changes or kept[-1].changes[p] != v for p, v in state.items()):
            continue
        if state and remedies:
            kept.append(Step(remedies, state))
    return kept


def _left(remedy: Remedy, state: Changes) -> Remedy | None:
    """What of a remedy is among these changes, named by it."""
    whole = remedy.change or {}
    made = {path: value for path, value in whole.items() if path in state and state[path] == value}
    name = remedy.name if len(made) == len(whole) else " + ".join(made)
    return replace(remedy, name=name, change=made) if made else None


def _told(bench: Bench, chain: list[Step], whole: Proof) -> list[Proven]:
    """The steps with their own evidence; one that isn't proven by itself is told with the next, or with all."""
    steps: list[Proven] = []
    before: Changes = {}
    waiting: list[Remedy] = []
    for step in chain:
        waiting += step.remedies
        if step is not chain[-1] and not bench.affords(step.changes, last=chain[-1].changes):
            continue
        proof = bench.proof(before, step.changes, SEEDS)
        if proof.helped:
            steps.append(Proven(_merged(tuple(waiting), step.changes, before, proof), step.changes))
            before, waiting = step.changes, []
    if waiting:
        remedies = tuple(remedy for step in chain for remedy in step.remedies)
        return [Proven(_merged(remedies, chain[-1].changes, {}, whole), chain[-1].changes)]
    return steps


def _merged(
    remedies: tuple[Remedy, ...], changes: Changes, before: Changes | None = None, proof: Proof | None = None
) -> Remedy:
    known = before or {}
    made = {path: value for path, value in changes.items() if path not in known or known[path] != value}
    names, whys = ([*dict.fromkeys(values)] for values in ([r.name for r in remedies], [r.why for r in remedies]))
    return Remedy(" + ".join(names), "; ".join(whys), made, None if proof is None else proof.verified())
