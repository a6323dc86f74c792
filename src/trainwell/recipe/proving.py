"""Which remedies are proven: a short round of all, then a longer one of those that lead, by the untouched twins.

Of the leading ones pairs are tried too. The longer round has other seeds: who led by luck does not lead again.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from trainwell.diagnosis import Finding, Remedy
from trainwell.engine import Course, Record, structure
from trainwell.engine.size import free_bytes, members_that_fit
from trainwell.plan import Plan
from trainwell.recipe.chance import chance_loss
from trainwell.recipe.judging import findings_of, told_of
from trainwell.recipe.trial import (
    FAILED,
    PAIR,
    SMALLEST,
    Candidate,
    Round,
    Scores,
    candidates_of,
    change_of,
    compare,
    pairs_of,
)
from trainwell.recipe.workshop import EVALUATION, Row, Speed, Workshop
from trainwell.remedies import Proof, proven

SHARE = 0.4  # of the time left that the trial may take; training anew, or to the end, has the rest
SAFETY = 0.7  # of that time is planned with: structures differ in what they cost
SHORT_TIME = 0.4  # of that time, after which the short round ends
SHORT_SEEDS = 3
SHORT = 4  # times shorter the first round is
FEWEST_EPOCHS = 4.0  # of the longer round, below which it would tell nothing
LOOK = 0.25  # of the final training, after which it is looked whether something is wrong
FAR = 2.0  # times another rate that the range test suggests is worth trying


@dataclass(frozen=True)
class Size:
    """How large a trial is: candidates, those of them tried for longer (with all pairs of them), and seeds of these."""

    candidates: int
    leaders: int
    seeds: int

    @property
    def short_rows(self) -> int:
        """Members of the short round."""
        return SHORT_SEEDS * (1 + self.candidates)

    @property
    def long_rows(self) -> int:
        """Members of the longer round."""
        return self.seeds * (1 + self.leaders + self.leaders * (self.leaders - 1) // 2)


SIZES = (Size(12, 3, 5), Size(8, 3, 5), Size(6, 2, 5), Size(4, 2, 3))  # the first that there is room for


@dataclass(frozen=True)
class Trial:
    """What was tried, and what it showed.

    Attributes:
        tried: candidates with their proof against the untouched twins, and the epochs that it rests on.
        accepted: the one that is proven, if any.
    """

    tried: tuple[tuple[Candidate, Proof, int], ...]
    accepted: Candidate | None
    figure: str

    def verified(self, change: dict[str, Any]) -> dict[str, Any] | None:
        """What goes into the remedy with this change; None: it was not tried."""
        found = next(((p, e) for c, p, e in self.tried if c.change == change), None)
        if found is None:
            return None
        proof, epochs = found
        told = proof.verified() | {"figure": f"validation {self.figure}", "epochs": epochs, "failed": [*proof.failed]}
        if self.figure == "loss":
            told |= {"before": -proof.before, "after": -proof.after}
        return told


def worth_giving_up(ws: Workshop, course: Course, record: Record) -> bool:
    """Whether the final training, a part of it done, is critically sick, and a remedy that may be applied is proven.

    What is merely a warning waits for the end: best weights are restored then, and time is no longer taken from them.
    """
    if ws.processes.world > 1:
        return False
    found = findings_of(ws, record, told_of(course))
    if all(finding.severity != "critical" for finding in treatable(ws.plan, found)):
        return False
    found = ws.journal.remember("healing.findings", lambda: [finding.as_dict() for finding in found])
    trial = tried(ws, treatable(ws.plan, [Finding.from_dict(values) for values in found]), (LOOK, LOOK))
    return trial is not None and trial.accepted is not None and may_apply(ws, trial.accepted)


def may_apply(ws: Workshop, cure: Candidate) -> bool:
    """Whether it leaves alone what the user fixed."""
    return cure.change.keys().isdisjoint(ws.fixed)


def treatable(plan: Plan, found: Sequence[Finding]) -> list[Finding]:
    """The grave ones that an edit of the plan may cure."""
    return [f for f in found if f.severity != "info" and any(change_of(plan, r.change) for r in f.remedies)]


def with_tested_rate(ws: Workshop, plan: Plan, finding: Finding) -> Finding:
    """With the rate of the range test as a last remedy, where others are about the rate and it is another one."""
    rate, now = ws.carry["rate-range"]["suggested"], plan.optimizer.learning_rate
    about = any("optimizer.learning_rate" in (remedy.change or {}) for remedy in finding.remedies)
    if not about or max(rate / now, now / rate) < FAR:
        return finding
    change = {"optimizer.learning_rate": float(f"{rate:.3g}")}
    tested = Remedy("tested-rate", "half of the rate that was best in the range test", change)
    return replace(finding, remedies=(*finding.remedies, tested))


def _design(ws: Workshop, candidates: Sequence[Candidate]) -> dict[str, Any]:
    """How many candidates, leaders, seeds and epochs there is room for; no epochs: too few to tell anything."""
    plan = ws.plan
    sample = [Row(plan, ws.own_seeds(f"healing {i}", fold=i % ws.folds), i % ws.folds) for i in range(4)]
    course = ws.course(sample)
    blueprint, steps, speed = course.blueprint, course.feed.steps_per_epoch, Speed.measured(course)
    structures = len({structure(plan.edited(c.change, by="remedy", why=c.why)) for c in candidates})
    began, left = ws.clock.spent, max(0.0, ws.training_ends * ws.clock.budget - ws.clock.spent)
    seconds, wanted = SAFETY * SHARE * left, plan.training.epochs
    room = members_that_fit(ws.material.structure(plan), plan, wanted=10_000, free=free_bytes(ws.device))

    def fitting(size: Size) -> float:
        """Epochs of the longer round that the time is enough for, with the shorter round."""
        rounds = [(size.long_rows, 1.0), (size.short_rows, 1 / SHORT)]
        each = [speed.step(blueprint, rows, plan.training.batch_size) * share for rows, share in rounds]
        return seconds / (steps * EVALUATION * (sum(each) + structures * speed.fixed))

    sizes = [size for size in SIZES if max(size.long_rows, size.short_rows) <= room]
    for least in (max(FEWEST_EPOCHS, wanted / 4), FEWEST_EPOCHS):
        for size in sizes:
            if fitting(size) >= min(wanted, least):
                ends = [began + share * SHARE * left for share in (SHORT_TIME, 1.0)]
                return {**asdict(size), "epochs": int(min(wanted, fitting(size))), "ends": ends}
    return {"epochs": 0}


def tried(ws: Workshop, sick: Sequence[Finding], bar: tuple[float, float]) -> Trial | None:
    """The trial of what these findings offer; None where there was no room for it, or it was ended early."""
    plan = ws.plan
    candidates = candidates_of(plan, [with_tested_rate(ws, plan, finding) for finding in sick])
    design = ws.journal.remember("healing.design", lambda: _design(ws, candidates))
    if not design["epochs"]:
        return None
    chosen = candidates[: design["candidates"]]
    figure = "metric" if ws.monitor == "metric" or any("loss.name" in c.change for c in chosen) else "loss"
    epochs, ends, middle = design["epochs"], design["ends"], bar[0] + SHORT_TIME * (bar[1] - bar[0])
    proofs: dict[str, tuple[Candidate, Proof, int]] = {}
    if len(chosen) > design["leaders"]:
        short = Round("short", max(2, epochs // SHORT), SHORT_SEEDS, ends[0], figure, (bar[0], middle))
        scores = compare(ws, plan, chosen, short)
        if scores is None:
            return None
        proofs = _proofs(ws, chosen, scores, short)
        chosen = _leading(proofs, design["leaders"])
    long = Round("long", epochs, design["seeds"], ends[1], figure, (middle, bar[1]))
    chosen = [*chosen, *pairs_of(chosen)]
    scores = compare(ws, plan, chosen, long)
    if scores is None:
        return None
    proofs |= _proofs(ws, chosen, scores, long)
    return Trial(tuple(proofs.values()), _accepted(ws, chosen, scores, figure), figure)


def _smallest(ws: Workshop, figure: str) -> float:
    return SMALLEST[figure] * (chance_loss(ws) if figure == "loss" else 1.0)


def _compared(ws: Workshop, before: Sequence[float], after: Sequence[float], figure: str) -> Proof:
    worst = -FAILED * chance_loss(ws) if figure == "loss" else None
    return proven(before, after, smallest=_smallest(ws, figure), worst=worst)


def _proofs(
    ws: Workshop, chosen: Sequence[Candidate], scores: Scores, round_: Round
) -> dict[str, tuple[Candidate, Proof, int]]:
    """Each candidate against the untouched twins."""
    twins, *treated = scores
    compared = [(c, _compared(ws, twins, own, round_.figure)) for c, own in zip(chosen, treated, strict=True)]
    return {c.name: (c, proof, round_.epochs) for c, proof in compared}


def _leading(proofs: dict[str, tuple[Candidate, Proof, int]], count: int) -> list[Candidate]:
    """The best few of a short round, the smallest change first."""
    best = sorted(proofs.values(), key=lambda found: -found[1].gain)[:count]
    return sorted((candidate for candidate, _, _ in best), key=lambda c: c.size)


def _accepted(ws: Workshop, chosen: Sequence[Candidate], scores: Scores, figure: str) -> Candidate | None:
    """The smallest change that beats the twins; then a larger one only where it beats that too.

    Of changes to the same values none is the smaller one: there it is the best.
    """
    now, accepted = scores[0], None
    alike: dict[frozenset[str], list[tuple[Candidate, list[float]]]] = {}
    for candidate, own in zip(chosen, scores[1:], strict=True):
        alike.setdefault(frozenset(candidate.change), []).append((candidate, own))
    for group in alike.values():
        proofs = [(_compared(ws, now, own, figure), candidate, own) for candidate, own in group]
        better = [found for found in proofs if found[0].helped]
        if better:
            _, accepted, now = max(better, key=lambda found: found[0].gain)
    return accepted


def with_proof(ws: Workshop, plan: Plan, finding: Finding, trial: Trial) -> Finding:
    """With what the trial showed of its remedies; and with the accepted pair that one of them is part of."""
    finding = with_tested_rate(ws, plan, finding)
    changes = [change_of(plan, remedy.change) for remedy in finding.remedies]
    told = zip(finding.remedies, changes, strict=True)
    remedies = [replace(remedy, verified=trial.verified(change)) for remedy, change in told]
    pair = trial.accepted
    if pair is not None and pair.size >= PAIR and any(c and c.items() <= pair.change.items() for c in changes):
        remedies.append(Remedy(pair.name, pair.why, pair.change, trial.verified(pair.change)))
    return replace(finding, remedies=tuple(remedies))
