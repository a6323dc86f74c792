"""Sick trainings with their known fixes: what `trainwell.cure` is judged by.

A case is two sets of the same arguments, sick and fixed. What `cure` reaches is judged on rows that it never sees.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

import trainwell
from trainwell.testing.programs.materials import Material, material

Rows = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Training:
    """The arguments of `cure` that a user would have.

    Attributes:
        view: what becomes of inputs and targets of the material before they are given, in all parts alike.
    """

    make_model: Callable[[], nn.Module]
    loss_fn: Callable[[Tensor, Tensor], Tensor]
    make_optimizer: Callable[[Any], Optimizer]
    epochs: int = 10
    batch_size: int = 32
    view: Callable[[Rows], Rows] = lambda rows: rows


@dataclass(frozen=True)
class CureCase:
    """A sick training and its fix; without one it is healthy, and there is nothing to gain.

    Attributes:
        metric: as `cure` takes it, or None for its own choice; what the case is judged by is `score`.
    """

    name: str
    data: str
    sick: Training
    fix: Training | None
    metric: Callable[[Tensor, Tensor], float] | None = None

    @property
    def architecture(self) -> str:
        """That of the material."""
        return material(self.data).architecture


@dataclass(frozen=True)
class Cured:
    """How a case went.

    Attributes:
        before, fixed, after: accuracy or R², at least 0, on rows that `cure` did not see.
        cost: processor seconds of `cure` in units of the sick training's.
        changes: names of the accepted remedies.
        error: what was raised instead, or None.
    """

    name: str
    seed: int
    before: float
    fixed: float | None
    after: float
    cost: float
    changes: tuple[str, ...]
    error: str | None = None


def parts(m: Material, view: Callable[[Rows], Rows]) -> tuple[Rows, Rows, Rows]:
    """Rows to train on, rows to test by (given to `cure`), rows that nobody sees."""
    half = len(m.test_x) // 2
    tested, held = (m.test_x[:half], m.test_y[:half]), (m.test_x[half:], m.test_y[half:])
    return view((m.x, m.y)), view(tested), view(held)


def score(outputs: Tensor, y: Tensor) -> float:
    """Accuracy for class numbers, and for 0 and 1; R² for other numbers. At least 0; 0 where it is not finite."""
    if not bool(outputs.isfinite().all()):
        return 0.0
    if y.dtype == torch.int64 or set(y.unique().tolist()) == {0.0, 1.0}:
        return float((classes(outputs) == y.reshape(-1)).float().mean())
    y = y.reshape(-1)
    return max(0.0, float(1 - (outputs.reshape(-1) - y).square().mean() / y.var(correction=0)))


def classes(outputs: Tensor) -> Tensor:
    """The class of each row; a single output is a probability or a logit."""
    if outputs.dim() == 2 and outputs.shape[1] > 1:
        return outputs.argmax(1)
    single = outputs.reshape(-1)
    threshold = 0.5 if bool(((single >= 0) & (single <= 1)).all()) else 0.0
    return (single > threshold).long()


def trained(training: Training, m: Material, seed: int) -> float:
    """Train as the arguments say; the score on the rows that nobody sees."""
    torch.manual_seed(seed)
    (x, y), _, held = parts(m, training.view)
    model = training.make_model()
    optimizer = training.make_optimizer(model.parameters())
    for _epoch in range(training.epochs):
        for index in torch.randperm(len(x)).split(training.batch_size):
            optimizer.zero_grad()
            training.loss_fn(model(x[index]), y[index]).backward()
            optimizer.step()
    return held_score(model, held)


def held_score(model: nn.Module, held: Rows) -> float:
    """In evaluation mode."""
    model.eval()
    with torch.no_grad():
        return score(model(held[0]), held[1])


def cured(case: CureCase, seed: int) -> Cured:
    """Run `cure` on a case, and judge it."""
    m, sick = material(case.data), case.sick
    before, unit = trained(sick, m, seed), inf
    for _ in range(2):  # after the first, which warms up
        began = time.process_time()
        trained(sick, m, seed)
        unit = min(unit, time.process_time() - began)
    data, test, held = parts(m, sick.view)
    began = time.process_time()
    cure = trainwell.cure(
        sick.make_model, data, loss_fn=sick.loss_fn, make_optimizer=sick.make_optimizer, epochs=sick.epochs,
        batch_size=sick.batch_size, test=test, metric=case.metric, seed=seed,
    )  # fmt: skip
    cost = (time.process_time() - began) / unit
    after = held_score(cure.model, held)
    fixed = None if case.fix is None else trained(case.fix, m, seed)
    return Cured(case.name, seed, before, fixed, after, cost, tuple(change.name for change in cure.changes))


def pair(name: str, data: str, fix: Training, **edits: Any) -> CureCase:
    """A case whose sick side is the fix with edits."""
    return CureCase(name, data, replace(fix, **edits), fix)
