"""Remedies on trial: the sick plan and each edit of it train side by side as rows, on the same batches, over seeds.

Twins share all but the remedy: first weights, rows, their order, noise. Rows of one structure are one population.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from trainwell.base import InputError, PlanError
from trainwell.diagnosis import Finding
from trainwell.engine import STRUCTURE, Course, structure, train
from trainwell.engine.checkpoint import Saver
from trainwell.plan import Plan, paths
from trainwell.recipe.chance import chance_loss
from trainwell.recipe.workshop import SAVE_EVERY, Row, Workshop

SLICES = 8  # of a round: where time ends it early, all have come equally far
FAILED = 10.0  # times the chance loss: whatever is beyond is a failed training
SMALLEST = {"loss": 0.01, "metric": 0.005}  # gain that counts: of the chance loss, and of the metric (our assumption)
PAIR = 1_000  # a pair is larger than any single change

Scores = list[list[float]]  # of the untouched twins, then of each candidate: a score a seed, larger is better


@dataclass(frozen=True)
class Candidate:
    """An edit of the sick plan that may cure it.

    Attributes:
        name, why: of the remedy, or of both of a pair.
        change: what differs from the sick plan, by path.
        size: its place among all, the smallest change first.
    """

    name: str
    why: str
    change: dict[str, Any]
    size: int

    def joined(self, other: "Candidate") -> "Candidate | None":
        """Both changes; None where they set the same value."""
        if self.change.keys() & other.change.keys():
            return None
        first, second = sorted((self, other), key=lambda c: c.size)
        words = f"{first.why}; {second.why}"
        names = f"{first.name} + {second.name}"
        return Candidate(names, words, first.change | second.change, PAIR + first.size + second.size)


def change_of(sick: Plan, change: dict[str, Any] | None) -> dict[str, Any]:
    """What an edit really changes about the plan; empty where it is none of this plan, or changes nothing.

    >>> change_of(Plan(), {"optimizer.name": "adamw", "optimizer.learning_rate": 0.1})
    {'optimizer.learning_rate': 0.1}
    """
    if not change or any(path not in paths() for path in change):
        return {}
    changed = {path: value for path, value in change.items() if sick.get(path) != value}
    try:
        sick.edited(changed, by="remedy", why="to see whether it can be")
    except PlanError:
        return {}
    return changed


def candidates_of(sick: Plan, findings: Sequence[Finding]) -> list[Candidate]:
    """Every edit of the plan that these findings offer, once, the smallest first.

    Small is what changes numbers in which members of one population may differ, larger what changes the structure. Of
    these what changes few values, then what a finding offers first, then what the first finding offers.
    """
    offers = [
        (len(change.keys() & {*STRUCTURE}), len(change), place, number, remedy, change)
        for number, finding in enumerate(findings)
        for place, remedy in enumerate(finding.remedies)
        if (change := change_of(sick, remedy.change))
    ]
    found: list[Candidate] = []
    for *_, remedy, change in sorted(offers, key=lambda offer: offer[:4]):
        if all(change != known.change for known in found):
            found.append(Candidate(remedy.name, remedy.why, change, len(found)))
    return found


def pairs_of(leaders: Sequence[Candidate]) -> list[Candidate]:
    """Every two of them that can be done together."""
    return [pair for a, b in combinations(leaders, 2) if (pair := a.joined(b)) is not None]


@dataclass(frozen=True)
class Round:
    """One comparison.

    Attributes:
        name: by which it is remembered; other names have other seeds.
        epochs: of each training. seeds: trainings of each candidate. ends: seconds of the run's clock.
        figure: what is compared: the validation "loss" or "metric".
        bar: from which to which fraction the stage's progress goes meanwhile.
    """

    name: str
    epochs: int
    seeds: int
    ends: float
    figure: str
    bar: tuple[float, float]


def compare(ws: Workshop, sick: Plan, candidates: Sequence[Candidate], round_: Round) -> Scores | None:
    """Train the untouched twins and each candidate; None where Ctrl-C or time left no comparison.

    A score is minus the validation loss, or the metric, of the best evaluation; NaN of a failed training. It is
    remembered: a resumed run compares by what was seen the first time.
    """
    key = f"healing.{round_.name}"
    if key not in ws.journal:
        scores = _trained(ws, [_short(sick, None, round_), *(_short(sick, c, round_) for c in candidates)], round_)
        if ws.clock.interrupted:
            return None
        ws.journal.note(key, scores)
    known = ws.journal.entries[key]
    return known and [[math.nan if score is None else score for score in scores] for scores in known]


def _short(sick: Plan, candidate: Candidate | None, round_: Round) -> Plan:
    """A plan for the round: as long as it says, but for a remedy that is about just that."""
    change = {} if candidate is None else candidate.change
    epochs = round_.epochs
    if "training.epochs" in change:
        epochs = max(1, round(epochs * change["training.epochs"] / sick.training.epochs))
    course = {"training.epochs": epochs, "training.patience": max(5, epochs // 4)}
    return sick.edited({**course, **change, "training.epochs": epochs}, by="remedy", why="trial of a remedy")


def _trained(ws: Workshop, plans: Sequence[Plan], round_: Round) -> Scores | None:
    """Scores of these plans; those of the last moment at which all had come equally far."""
    parts = list(_populations(ws, plans, round_))
    files = {ws.folder / "checkpoints" / f"healing-{round_.name}-{i}.safetensors": c for i, (c, _) in enumerate(parts)}

    def beside():
        ws.journal.note("elapsed", ws.clock.spent)
        return lambda: None

    saver = Saver(files, least=SAVE_EVERY, beside=beside, say=ws.log)
    saver.load()
    scores = None
    for number in range(1, SLICES + 1):
        for course, _ in parts:
            _slice(ws, course, number, saver, round_)
        if ws.clock.interrupted or ws.clock.spent >= round_.ends:
            break
        scores = _scores(ws, parts, len(plans), round_)
    if ws.clock.interrupted:
        saver.save()
    saver.close()
    return scores


def _populations(ws: Workshop, plans: Sequence[Plan], round_: Round) -> Iterator[tuple[Course, list[int]]]:
    """A course for the plans of each structure, with their numbers; those that can't be trained at all are left out."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for number, plan in enumerate(plans):
        groups.setdefault(structure(plan), []).append(number)
    streams = [
        (ws.own_seeds(f"healing {round_.name} {s}", fold=s % ws.folds), s % ws.folds) for s in range(round_.seeds)
    ]
    for numbers in groups.values():
        try:
            yield ws.course([Row(plans[n], own, fold) for n in numbers for own, fold in streams]), numbers
        except InputError as error:
            ws.log(f"A remedy could not be tried: {error}")


def _slice(ws: Workshop, course: Course, number: int, saver: Saver, round_: Round) -> None:
    """Train up to the end of slice `number`, the end of the round's time, or Ctrl-C."""
    low, high = round_.bar
    for moment in train(course, until=max(1, course.total_steps * number // SLICES)):
        saver.offer()
        if moment.evaluation is not None:
            fraction = low + (high - low) * moment.step / course.total_steps
            ws.progress(fraction, f"{round_.name} trial, networks at once: {len(moment.members)}")
        if ws.clock.interrupted or ws.clock.spent >= round_.ends:
            break


def _scores(ws: Workshop, parts: Sequence[tuple[Course, list[int]]], plans: int, round_: Round) -> Scores:
    worst = FAILED * chance_loss(ws)
    scores = [[math.nan] * round_.seeds for _ in range(plans)]
    for course, numbers in parts:
        losses, metrics = course.best.loss.tolist(), course.best.metric.tolist()
        for place, number in enumerate(numbers):
            for seed in range(round_.seeds):
                member = place * round_.seeds + seed
                score = metrics[member] if round_.figure == "metric" else -losses[member]
                scores[number][seed] = score if losses[member] <= worst else math.nan
    return scores
