"""A user's own training, healed: what is wrong with it, what was changed, and the proof that each change helped."""

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from rich.console import Console
from torch import Tensor, nn
from torch.optim import Optimizer

from trainwell.base import BudgetError, InputError
from trainwell.base.randomness import own_randomness
from trainwell.diagnosis import Finding, Remedy
from trainwell.diagnosis.subject import one_line
from trainwell.remedies.aim import Aim
from trainwell.remedies.arena import Arena
from trainwell.remedies.course import Course, Ledger, judged
from trainwell.remedies.diagnosed import told
from trainwell.remedies.look import task_of
from trainwell.remedies.proving import Verdict
from trainwell.remedies.rows import Rows, read_rows
from trainwell.remedies.settings import Settings, settings_of
from trainwell.remedies.training import Make, Training
from trainwell.remedies.trial import tried

LAST_RUNS = 3  # on all rows, where the first ones end badly


class Pair(NamedTuple):
    """A figure of the given training and of the healed one."""

    before: float
    after: float


@dataclass(frozen=True)
class Cure:
    """A training and what became of it.

    Attributes:
        findings: what is wrong with the given one. changes: proven, in the order in which they were made.
        settings: before and after, by path; `print(cure.settings)` shows what differs.
        model: trained with all changes; takes inputs as given, gives outputs on the target's scale.
        metric: on `test`, or on rows held out where there is none; larger is better.
        cost: units of the given training that were spent. refused: changes that seemed to help, and were not proven.
    """

    findings: list[Finding]
    changes: list[Remedy]
    settings: Settings
    model: nn.Module
    metric: Pair
    cost: float
    refused: list[Remedy]

    def __str__(self) -> str:
        lines = [f"{f.severity}: {f.message}" for f in self.findings if f.severity != "info"]
        lines += [f"changed: {r.name} ({(r.verified or {}).get('why', r.why)})" for r in self.changes]
        lines += [str(self.settings)] if self.changes else ["no change was proven to help"]
        return "\n".join([*lines, f"metric: {self.metric.before:.4g} → {self.metric.after:.4g}"])


def cure(
    make_model: Make,
    data: Any,
    *,
    loss_fn: Callable[..., Tensor],
    make_optimizer: Callable[..., Optimizer],
    epochs: int,
    batch_size: int,
    test: Any = None,
    metric: Callable[[Tensor, Tensor], float] | None = None,
    budget: float = 20.0,
    seed: int = 0,
) -> Cure:
    """Look for what is wrong with a training, try changes side by side, keep those that are proven on fresh seeds.

    Args:
        make_model: builds a fresh untrained module at each call.
        data, test: (X, y), or a map-style Dataset. `test` is only used for `Cure.metric`.
        loss_fn: (outputs, targets) → loss. make_optimizer: (parameters) → optimizer.
        metric: (outputs, targets) → figure, larger is better; by default accuracy or R².
        budget: what may be spent, in units of what the given training costs.

    Raises:
        InputError: an argument that can't be used, in one line; also when nothing makes the training run at all.
    """
    _check_numbers(epochs, batch_size, budget)
    rows = read_rows(data)
    tested = None if test is None else read_rows(test, "test")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the user's code: what they are about is in the findings
        _check_model(make_model, make_optimizer)
        bare = Training(make_model, loss_fn, make_optimizer, epochs, batch_size, Aim("numbers", rows.y))
        given = Training(make_model, loss_fn, make_optimizer, epochs, batch_size, task_of(bare, rows, seed))
        arena = Arena(given, rows, metric, _ledger(given, rows, budget), seed)
        _check_runs(arena)
        with _progress() as tell:
            verdict = tried(arena, tell)
            if not verdict.steps and not math.isfinite(verdict.courses[0].score):
                _refuse_hopeless(verdict)
            return _told(arena, verdict, tested)


def _check_numbers(epochs: int, batch_size: int, budget: float) -> None:
    for name, value in (("epochs", epochs), ("batch_size", batch_size)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"{name} must be a whole number of at least 1, but is {value!r}.")
    if not isinstance(budget, int | float) or not budget >= 1:
        raise BudgetError(f"budget must be at least 1 training, the given one, but is {budget!r}; 20 is usual.")


def _check_model(make_model: Make, make_optimizer: Callable[..., Optimizer]) -> None:
    if isinstance(make_model, nn.Module):
        raise InputError("make_model is a module: give a function that builds a fresh one, such as lambda: Net().")
    try:
        with own_randomness(0, "cure", "check"):
            first, second = make_model(), make_model()
    except Exception as error:
        raise InputError(f"make_model fails: {one_line(error)}.") from error
    if not isinstance(first, nn.Module):
        raise InputError(f"make_model must give an nn.Module, but gives a {type(first).__name__}.")
    if first is second or {id(p) for p in first.parameters()} & {id(p) for p in second.parameters()}:
        raise InputError("make_model gives the same module twice: build a new one at each call.")
    if not list(first.parameters()):
        raise InputError("make_model gives a module without parameters: there is nothing to train.")
    try:
        optimizer = make_optimizer(list(first.parameters()))
    except Exception as error:
        raise InputError(f"make_optimizer fails on the module's parameters: {one_line(error)}.") from error
    if not isinstance(optimizer, Optimizer):
        raise InputError(f"make_optimizer must give a torch optimizer, but gives a {type(optimizer).__name__}.")


def _check_runs(arena: Arena) -> None:
    few = arena.rows.x[:4]
    module = arena.given.module(arena.seed)
    try:
        with own_randomness(0, "cure", "check"):
            module.eval()(few.to(next(module.parameters()).device))
    except Exception as error:
        raise InputError(f"The module fails on rows {tuple(few.shape)} of X: {one_line(error)}.") from error


def _ledger(given: Training, rows: Rows, budget: float) -> Ledger:
    updates = given.epochs * -(-len(rows) // given.batch_size)
    weights = sum(p.numel() for p in given.module(0).parameters())
    return Ledger(float(budget), (float(given.epochs * len(rows)), float(updates)), weights)


def _refuse_hopeless(verdict: Verdict) -> None:
    failed = verdict.courses[0].failed
    if failed and verdict.courses[0].done == 0:
        raise InputError(f"loss_fn fails on the module's outputs, and no change repairs it: {failed}.")


def _told(arena: Arena, verdict: Verdict, tested: Rows | None) -> Cure:
    changes = verdict.steps[-1].changes if verdict.steps else {}
    course = _final(arena, changes, verdict.courses)
    before, after = (settings_of(arena.look(state)) for state in ({}, changes))
    return Cure(
        findings=told(verdict.findings, [step.remedy for step in verdict.steps]),
        changes=[step.remedy for step in verdict.steps],
        settings=Settings(before, after | _made(changes)),
        model=course.freed().eval(),
        metric=_metric(arena, verdict, course, tested),
        cost=arena.ledger.spent,
        refused=verdict.refused,
    )


def _made(changes: dict[str, Any]) -> dict[str, Any]:
    """Changes that a look at the module can't tell."""
    return {path: value for path, value in changes.items() if path not in ("optimizer.name", "module.output")}


def _final(arena: Arena, changes: dict[str, Any], courses: list[Course]) -> Course:
    """A run on all rows that fits them as well as the proven ones do, if it can be paid for; else the best of those."""
    known = [course for course in courses if math.isfinite(course.score)]
    best = max(known, key=lambda course: course.score, default=courses[0])
    training = arena.training(changes)
    assert training is not None
    bar = math.nan
    for i in range(LAST_RUNS):
        whole = Course(training, arena.seed + i, arena.rows, arena.rows, arena.metric(training), arena.ledger)
        if whole.price(1.0) > arena.ledger.left + 1e-9:
            break
        whole.advance(1.0)
        if math.isnan(bar):
            scores = [course.judge(arena.rows) for course in known]
            bar = math.fsum(scores) / len(scores) - arena.smallest / 2 if scores else -math.inf
        if whole.score >= bar:
            return whole
    return best


def _metric(arena: Arena, verdict: Verdict, course: Course, tested: Rows | None) -> Pair:
    if tested is None:
        proof = verdict.steps[-1].remedy.verified if verdict.steps else None
        if verdict.proof is not None and proof is not None:
            return Pair(verdict.proof.before, float(proof["after"]))
        return Pair(verdict.courses[0].score, verdict.courses[0].score)
    after = judged(course.module, tested, course.metric)
    if not verdict.steps:
        return Pair(after, after)
    scores = [judged(run.module, tested, run.metric) if not run.failed else math.nan for run in verdict.untouched]
    worst = arena.worst
    ended = [score if math.isfinite(score) or worst is None else worst for score in scores]
    return Pair(sum(ended) / max(1, len(ended)) if ended else math.nan, after)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda text: None
        return
    with console.status("cure") as status:
        yield lambda text: status.update(f"cure: {text}")
