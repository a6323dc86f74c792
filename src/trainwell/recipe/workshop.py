"""What the stages share: the data in tensors, the plan, the clock, the journal, and how a course is built from rows."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trainwell.base import Seeds, stream_seed
from trainwell.data import (
    Encoded,
    Facts,
    Preparation,
    PreparationOptions,
    Split,
    Table,
    fit_preparation,
    fold_rows,
    target_array,
)
from trainwell.data.batches import Feed, Samples
from trainwell.engine import Course, Ensemble, train
from trainwell.networks import Blueprint
from trainwell.plan import Plan
from trainwell.recipe.clock import Clock
from trainwell.recipe.journal import Journal
from trainwell.recipe.metrics import MAIN
from trainwell.recipe.request import Progress, Show

SAVE_EVERY = float(os.environ.get("TRAINWELL_SAVE_EVERY", "5"))  # seconds between checkpoints, at the least
MEASURED_STEPS = 6
REPORTING = 1.0  # seconds that findings, files and the page take
MONITOR_METRIC_FROM = 2_000  # validation rows from which accuracy is fine enough to choose by (sd below 1 %)


@dataclass(frozen=True)
class Row:
    """One row of a population to be: its plan, its random streams, and the fold whose validation rows it leaves out."""

    plan: Plan
    seeds: Seeds
    fold: int = 0


@dataclass(frozen=True)
class Material:
    """The table under one preparation: the preparation and all rows encoded."""

    preparation: Preparation
    samples: Samples

    def blueprint(self, plan: Plan) -> Blueprint:
        """The structure of a plan on these inputs."""
        inputs = self.preparation.inputs
        outputs = len(self.preparation.classes) if plan.task == "multiclass" else max(1, len(self.preparation.targets))
        return Blueprint.of(plan, inputs.dense, outputs, inputs.cardinalities)


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

    def step(self, blueprint: Blueprint, members: int, batch: int) -> float:
        """Seconds of one step of a population."""
        return self.fixed + self.each * members * batch * blueprint.layout.size


@dataclass
class Workshop:
    """The shared state of one run. `carry` holds what a stage hands to later ones (plain values, remembered)."""

    folder: Path
    plan: Plan
    fixed: tuple[str, ...]
    table: Table
    test_table: Table | None
    facts: Facts
    split: Split
    clock: Clock
    journal: Journal
    show: Show
    device: torch.device
    stages: Sequence[str]
    carry: dict[str, Any] = field(default_factory=dict)
    stage: str = ""
    best: str | None = None
    leader: Ensemble | None = None
    encoding_seconds: float = 0.0
    _materials: dict[str, Material] = field(default_factory=dict)

    def progress(self, fraction: float, text: str) -> None:
        """Tell the user where the present stage stands."""
        index = self.stages.index(self.stage) if self.stage in self.stages else 0
        left = self.clock.left
        self.show(
            Progress(self.stage, index, len(self.stages), text, min(1.0, fraction), self.best, self.clock.spent, left)
        )

    @property
    def develop(self) -> np.ndarray:
        """Rows for training and validation: all but the test part."""
        return np.concatenate([self.split.train, self.split.validation])

    def material(self, plan: Plan) -> Material:
        """The encoded table of a plan's encoding; fitted on the training rows alone.

        With folds every row outside the test part trains in some fold, so scales and bins are of all of these.
        """
        data = plan.data
        if data.encoding not in self._materials:
            rows = self.develop if data.folds else self.split.train
            options = PreparationOptions(data.encoding, data.bins, data.one_hot_limit)
            preparation = fit_preparation(self.table, self.facts, rows, options)
            began = self.clock.spent
            encoded = preparation.encode(self.table, with_target=True)
            self.encoding_seconds = self.clock.spent - began
            self._materials[data.encoding] = Material(preparation, as_samples(encoded, plan.task, self.device))
        return self._materials[data.encoding]

    def fold_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """(G, n) training and (G, v) validation rows; G = 1 without cross-validation."""
        if not self.plan.data.folds:
            return self.split.train[None], self.split.validation[None]
        y = target_array(self.table, self.facts)
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

    def course(self, rows: Sequence[Row], *, only: np.ndarray | None = None) -> Course:
        """A course with these members; `only`: train and validate on these rows instead (for sanity checks)."""
        material = self.material(rows[0].plan)
        train, validation = self.fold_rows() if only is None else (only[None], only[None])
        parts = list(dict.fromkeys((row.fold, row.seeds.order) for row in rows))
        plan = rows[0].plan
        feed = Feed(
            material.samples,
            torch.from_numpy(train[[fold for fold, _ in parts]]).to(self.device),
            torch.from_numpy(validation[[fold for fold, _ in parts]]).to(self.device),
            [order for _, order in parts],
            plan.training.batch_size,
            drop_last=plan.training.drop_last,
        )
        groups = [parts.index((row.fold, row.seeds.order)) for row in rows]
        plans, seeds = [row.plan for row in rows], [row.seeds for row in rows]
        blueprint = material.blueprint(plan)
        p = material.preparation
        names = [str(name) for name in p.classes or p.targets]
        return Course(blueprint, plans, seeds, feed, groups, classes=names, monitor=self.monitor, device=self.device)

    @property
    def training_ends(self) -> float:
        """The share of the budget after which no training may go on: the test and the report take the rest."""
        test = self.test_table.rows if self.test_table is not None else len(self.split.test)
        reserve = REPORTING + 3 * self.encoding_seconds * test / self.table.rows
        return max(0.5, min(0.94, 1 - reserve / self.clock.budget))

    def log(self, line: str) -> None:
        """Keep a line for `log.txt`."""
        self.journal.note("log", [*self.journal.entries.get("log", []), line])

    def note_best(self, metric: float) -> None:
        """Remember the best validation metric so far, for the live view."""
        self.best = f"{MAIN[self.facts.task].replace('_', ' ')} {metric:.4f}"


def as_samples(encoded: Encoded, task: str, device: torch.device | str = "cpu") -> Samples:
    """Encoded rows as tensors; a binary target becomes one column of 0 and 1."""
    y = None
    if encoded.y is not None:
        y = torch.from_numpy(encoded.y)
        y = y.to(torch.float32).unsqueeze(1) if task == "binary" else y
    x, categories = torch.from_numpy(encoded.x), torch.from_numpy(encoded.categories)
    return Samples(x.to(device), categories.to(device), None if y is None else y.to(device))


def as_probabilities(prediction: np.ndarray, task: str) -> np.ndarray:
    """Predictions (N, C) with both classes of a binary task: (N, 2)."""
    return np.concatenate([1 - prediction, prediction], axis=1) if task == "binary" else prediction
