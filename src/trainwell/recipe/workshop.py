"""What the stages share: the data in tensors, the plan, the clock, the journal, and how a course is built from rows."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trainwell.base import Seeds, stream_seed
from trainwell.data import Facts, Split, fold_rows
from trainwell.engine import Course, Networks, Processes, ensemble_of, train
from trainwell.networks import Structure
from trainwell.plan import Plan
from trainwell.recipe.clock import Clock
from trainwell.recipe.journal import Journal
from trainwell.recipe.material import Material
from trainwell.recipe.metrics import MAIN
from trainwell.recipe.request import Progress, Show

SAVE_EVERY = float(os.environ.get("TRAINWELL_SAVE_EVERY", "5"))  # seconds between checkpoints, at the least
MEASURED_STEPS = 6
EVALUATION = 1.3  # cost of evaluation and vitals on top of the steps
REPORTING = 1.0  # seconds that findings, files and the page take
MONITOR_METRIC_FROM = 2_000  # validation rows from which accuracy is fine enough to choose by (sd below 1 %)


@dataclass(frozen=True)
class Row:
    """One row of a population to be: its plan, its random streams, and the fold whose validation rows it leaves out."""

    plan: Plan
    seeds: Seeds
    fold: int = 0


@dataclass(frozen=True)
class Speed:
    """Seconds of a training step: `fixed` for the step, and `each` for every member × sample × parameter."""

    each: float
    fixed: float = 1e-3  # Python and torch calls of a two-layer network, whatever its size

    @classmethod
    def measured(cls, course: Course) -> "Speed":
        """By a few steps of this course, which is used up."""
        for _ in train(course, until=2):
            pass
        began = time.monotonic()
        for _ in train(course, until=MEASURED_STEPS + 2):
            pass
        each = (time.monotonic() - began) / max(1, course.population.step - 2)
        work = len(course.plans) * course.feed.batch_size * course.blueprint.layout.size
        return cls(max(1e-12, (each - cls.fixed) / work))

    def step(self, blueprint: Structure, members: int, batch: int) -> float:
        """Seconds of one step of a population."""
        return self.fixed + self.each * members * batch * blueprint.layout.size


@dataclass
class Workshop:
    """The shared state of one run. `carry` holds what a stage hands to later ones (plain values, remembered)."""

    folder: Path
    plan: Plan
    fixed: tuple[str, ...]
    material: Material
    clock: Clock
    journal: Journal
    show: Show
    device: torch.device
    stages: Sequence[str]
    carry: dict[str, Any] = field(default_factory=dict)
    stage: str = ""
    best: str | None = None
    leader: Networks | None = None

    def progress(self, fraction: float, text: str) -> None:
        """Tell the user where the present stage stands."""
        index = self.stages.index(self.stage) if self.stage in self.stages else 0
        shown = self.clock.shown
        self.show(Progress(self.stage, index, len(self.stages), text, min(1.0, fraction), self.best, *shown))

    @property
    def processes(self) -> Processes:
        """Those that train together."""
        return self.clock.processes

    @property
    def facts(self) -> Facts:
        """What is known of the rows."""
        return self.material.facts

    @property
    def split(self) -> Split:
        """Which of the samples train, choose and judge."""
        return self.material.parts(self.plan)

    @property
    def develop(self) -> np.ndarray:
        """Rows for training and validation: all but the test part."""
        return np.concatenate([self.split.train, self.split.validation])

    def fold_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """(G, n) training and (G, v) validation rows; G = 1 without cross-validation."""
        if not self.plan.data.folds:
            return self.split.train[None], self.split.validation[None]
        y = self.material.truth(self.plan, np.arange(self.facts.rows))
        return fold_rows(y, self.develop, self.plan.data.folds, task=self.facts.task, seed=self.plan.seed)

    @property
    def folds(self) -> int:
        """Data parts a trial is judged on: the folds, or 1."""
        return max(1, self.plan.data.folds)

    @property
    def monitor(self) -> str:
        """What members and trials are chosen by: the metric on large validation parts of classes, else the loss."""
        rows = len(self.develop) if self.plan.data.folds else len(self.split.validation)
        classes = self.facts.task in ("binary", "multiclass")
        return "metric" if classes and rows >= MONITOR_METRIC_FROM else "loss"

    def seeds(self, member: int | str, *, fold: int, shared: bool) -> Seeds:
        """The streams of a member: its own first weights; batches and noise of the fold, or of its own."""
        data: int | str = f"fold {fold}" if shared else f"member {member}"
        seed = self.plan.seed
        return Seeds(
            *(stream_seed(seed, key, purpose) for key, purpose in ((member, "init"), (data, "order"), (data, "noise")))
        )

    def own_seeds(self, member: str, *, fold: int) -> Seeds:
        """The streams of a member of the ensemble: all its own, but for the order of rows where there is one."""
        own = self.seeds(member, fold=fold, shared=False)
        return replace(own, order=self.seeds(member, fold=fold, shared=True).order) if self.material.one_order else own

    def course(self, rows: Sequence[Row], *, only: np.ndarray | None = None) -> Course:
        """A course with these members; `only`: train and validate on these rows instead (for sanity checks)."""
        train, validation = self.fold_rows() if only is None else (only[None], only[None])
        parts = list(dict.fromkeys((row.fold, row.seeds.order) for row in rows))
        plan = rows[0].plan
        folds, orders = [fold for fold, _ in parts], [order for _, order in parts]
        feed = self.material.feed(plan, train[folds], validation[folds], orders)
        groups = [parts.index((row.fold, row.seeds.order)) for row in rows]
        plans, seeds = [row.plan for row in rows], [row.seeds for row in rows]
        structure = self.material.structure(plan, bare=only is not None)
        names = [str(name) for name in self.facts.classes or self.facts.targets]
        return Course(
            structure,
            plans,
            seeds,
            feed,
            groups,
            classes=names,
            monitor=self.monitor,
            processes=self.processes,
            device=self.device,
        )

    def ensemble(self, course: Course, members: Sequence[int]) -> Networks:
        """The best weights of these members, as they are kept."""
        return self.material.finished(ensemble_of(course, members))

    @property
    def test_rows(self) -> int:
        """Rows that nothing is chosen by."""
        given = self.material.test_target
        return len(self.split.test) if given is None else len(given)

    @property
    def training_ends(self) -> float:
        """The share of the budget after which no training may go on: the test and the report take the rest."""
        reserve = REPORTING + self.material.test_seconds * self.test_rows
        return max(0.5, min(0.94, 1 - reserve / self.clock.budget))

    def log(self, line: str) -> None:
        """Keep a line for `log.txt`."""
        self.journal.note("log", [*self.journal.entries.get("log", []), line])

    def note_best(self, metric: float) -> None:
        """Remember the best validation metric so far, for the live view."""
        self.best = f"{MAIN[self.facts.task].replace('_', ' ')} {metric:.4f}"
