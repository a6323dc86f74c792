"""From a request for a table to a workshop: every wrong input is found here, before anything is written."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trainwell.base import BudgetError, DataError, InputError, PlanError, Seeds, did_you_mean
from trainwell.data import (
    Facts,
    PreparationOptions,
    Split,
    Table,
    drop_missing_targets,
    fit_preparation,
    profile,
    read_table,
    split_rows,
    target_array,
)
from trainwell.data.room import told
from trainwell.engine import Population
from trainwell.engine.size import batch_that_fits, free_bytes, members_that_fit
from trainwell.networks import Blueprint
from trainwell.plan import Plan, apply_settings, complete
from trainwell.recipe.clock import Clock
from trainwell.recipe.journal import Journal
from trainwell.recipe.material import Material
from trainwell.recipe.request import Request, Show
from trainwell.recipe.table_material import TableMaterial, mismatches
from trainwell.recipe.workshop import Workshop

STANDARD_BUDGET = 120.0
CELLS_A_SECOND = (
    150_000  # of the table, by the budget: about one epoch of a 256-wide network in a tenth of it on 2 cores
)


@dataclass(frozen=True)
class Setting:
    """Checked input: the material, the split, the completed plan, and the paths that the user fixed."""

    material: Material
    split: Split
    plan: Plan
    fixed: tuple[str, ...]
    device: torch.device

    def workshop(self, folder: Path, clock: Clock, journal: Journal, show: Show, stages: tuple[str, ...]) -> Workshop:
        """The workshop of a run in this directory."""
        given = self.material, self.split
        return Workshop(folder, self.plan, self.fixed, *given, clock, journal, show, self.device, stages)


def table_setting(request: Request) -> Setting:
    """Read, profile, split, complete the plan, and try the preparation.

    Raises:
        InputError: one line saying what is wrong and how to mend it.
    """
    check_request(request)
    plan = requested_plan(request)
    fixed = tuple(path for path, origin in plan.origins.items() if origin.by != "default")
    whole = as_table(request.data)
    given, whole_rows = _affordable(whole, request), request.rows or whole.rows
    table, facts = profile(given, request.targets, task=_task(request, plan), kinds=plan.data.columns)
    if given.rows < whole_rows:
        note = f"{whole_rows - given.rows:,} of {whole_rows:,} rows were left out: more do not fit into the budget."
        facts = replace(facts, notes=(*facts.notes, note))
    test = None if request.test is None else _test_table(as_table(request.test), facts)
    y = target_array(table, facts)
    size = request.test_size if test is None else 0.0
    split = split_rows(y, task=facts.task, validation_size=plan.data.validation_size, test_size=size, seed=plan.seed)
    rows = len(split.train) + len(split.validation)
    numbers = sum(column.kind == "number" for column in facts.used)
    plan = complete(plan, facts, rows, numbers)
    _check_plan(plan, facts, rows, len(split.train))
    trial = fit_preparation(
        table, facts, split.train, PreparationOptions("plain", plan.data.bins, plan.data.one_hot_limit)
    )
    if test is not None:
        trial.encode(test, with_target=True)
    device = choose_device(request.device)
    inputs, outputs = trial.inputs, max(1, len(facts.classes) if plan.task == "multiclass" else len(facts.targets))
    plan = _fitted_to_memory(plan, Blueprint.of(plan, inputs.dense, outputs, inputs.cardinalities), fixed, device)
    material = TableMaterial(table, test, facts, split, device, given=given, whole_rows=whole_rows)
    return Setting(material, split, plan, fixed, device)


def _fitted_to_memory(plan: Plan, blueprint: Blueprint, fixed: tuple[str, ...], device: torch.device) -> Plan:
    """The plan, with smaller batches where one network would not fit otherwise.

    Raises:
        InputError: it does not fit whatever the batch, or the user fixed a batch that is too large.
    """
    free = free_bytes(device)
    size = batch_that_fits(blueprint, plan, free=free)
    if size < plan.training.batch_size and "training.batch_size" not in fixed:
        why = f"larger ones do not fit into the {told(free)} of memory that are free"
        plan = plan.edited({"training.batch_size": size}, by="data", why=why)
    members_that_fit(blueprint, plan, wanted=1, free=free)
    return plan


def check_request(request: Request) -> None:
    """Values that are wrong whatever the data are."""
    if request.budget is not None and not request.budget > 0:
        raise BudgetError(f"Budget {request.budget} must be above 0 seconds; write 60s, 5m or 1h.")
    if request.trials is not None and request.trials < 0:
        raise BudgetError(f"Trials must be 0 (no search) or more, but are {request.trials}.")
    if not 0 <= request.test_size < 1:
        raise DataError(f"The test size is a share of the rows from 0 to below 1, but is {request.test_size}.")


def _affordable(table: Table, request: Request) -> Table:
    """The table, or as many of its rows, evenly spaced, as can be learnt from within the budget."""
    most = int(CELLS_A_SECOND * (request.budget or STANDARD_BUDGET) / max(1, len(table.columns)))
    if table.rows <= most:
        return table
    rows = np.linspace(0, table.rows - 1, max(2, most)).astype(np.int64)
    return Table(table.frame[rows], table.source)


def requested_plan(request: Request) -> Plan:
    """The user's plan with settings, seed and trials applied."""
    plan = apply_settings(request.plan or Plan(), request.settings)
    if request.seed is not None:
        plan = plan.edited({"seed": request.seed}, by="user", why="--seed")
    if request.trials is not None:
        plan = plan.edited({"search.trials": request.trials}, by="user", why="--trials")
    return plan


def as_table(source: Any) -> Table:
    """A table, read if it is not one yet."""
    return source if isinstance(source, Table) else read_table(source)


def choose_device(name: str) -> torch.device:
    """The device of this name; auto is the GPU if there is one.

    Raises:
        InputError: unknown, or not on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"Device '{name}' is not available here; choose auto or cpu.") from error
    return device


def _task(request: Request, plan: Plan) -> str:
    return plan.task if request.task == "auto" else request.task


def _test_table(table: Table, facts: Facts) -> Table:
    """The test table without rows that lack a target.

    Raises:
        DataError: it lacks the target, has no rows, or a class that the training table does not have.
    """
    for target in facts.targets:
        if target not in table.columns:
            raise DataError(
                f"The test data '{table.source}' has no column '{target}'; add the target, or leave out --test."
            )
    table, _ = drop_missing_targets(table, facts.targets)
    if table.rows == 0:
        raise DataError(f"The test data '{table.source}' has no rows; leave out --test to hold out a part instead.")
    if facts.task in ("binary", "multiclass"):
        wrong = np.flatnonzero(target_array(table, facts) < 0)
        if len(wrong):
            label = table.frame[facts.targets[0]][int(wrong[0])]
            raise DataError(
                f"The test data '{table.source}' has a class '{label}' in '{facts.targets[0]}' that the training data "
                "does not have; remove those rows, or add such rows to the training data."
            )
    return table


def _check_plan(plan: Plan, facts: Facts, rows: int, train: int) -> None:
    """Values that only the data can show to be wrong (rows H2, A11)."""
    check_sizes(plan, rows, train)
    if plan.training.batch_size == 1 and plan.network.norm == "batch":
        raise InputError(
            "Batch norm needs batches of at least 2 samples; raise training.batch_size or use network.norm=layer."
        )
    for mismatch in mismatches(plan):
        if mismatch.severity == "refuse":
            raise PlanError(mismatch.message)
    check_class_weights(plan, facts)
    Blueprint.of(plan, inputs=2, outputs=1)  # groups that do not divide the units
    tiny = {"network.depth": min(1, plan.network.depth), "network.width": 8, "network.norm": "none"}
    small = plan.edited(tiny, by="default", why="to see whether first weights can be drawn")
    Population(Blueprint.of(small, inputs=2, outputs=1), [small], [Seeds(0, 0, 0)])


def check_sizes(plan: Plan, rows: int, train: int) -> int:
    """Folds and batches that so many rows can fill; gives the rows that a network trains on."""
    folds, size = plan.data.folds, plan.training.batch_size
    if folds == 1 or folds > rows // 2:
        raise InputError(f"data.folds must be 0 (one held-out part) or from 2 to {rows // 2}, but is {folds}.")
    train = rows - rows // folds if folds else train
    if size > train:
        raise InputError(f"training.batch_size is {size} for only {train} training rows; choose from 1 to {train}.")
    return train


def check_class_weights(plan: Plan, facts: Facts) -> None:
    """Weights of classes that there are."""
    classes = [str(name) for name in facts.classes or facts.targets]
    for name in plan.loss.class_weights:
        if facts.task == "regression":
            raise PlanError("loss.class_weights are for classes, and this is a regression; leave them out.")
        if name not in classes:
            known = ", ".join(classes[:8]) + (", …" if len(classes) > 8 else "")
            raise PlanError(f"loss.class_weights: no class '{name}'.{did_you_mean(name, classes)} Classes: {known}.")
