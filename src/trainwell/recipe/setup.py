"""From a request for a table to a workshop: every wrong input is found here, before anything is written."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from trainwell.base import BudgetError, DataError, InputError, PlanError, Seeds, did_you_mean
from trainwell.data import Facts, Table, drop_missing_targets, target_array
from trainwell.data.room import told
from trainwell.engine import Population
from trainwell.engine.size import batch_that_fits, check_fits, free_bytes
from trainwell.networks import Blueprint
from trainwell.plan import Plan, apply_settings, complete
from trainwell.recipe.clock import Clock
from trainwell.recipe.intake import take_in, test_table
from trainwell.recipe.journal import Journal
from trainwell.recipe.material import Material
from trainwell.recipe.request import Request, Show
from trainwell.recipe.table_material import TableMaterial, mismatches
from trainwell.recipe.workshop import Workshop


@dataclass(frozen=True)
class Setting:
    """Checked input: the material, the completed plan, and the paths that are fixed."""

    material: Material
    plan: Plan
    fixed: tuple[str, ...]
    device: torch.device

    def workshop(self, folder: Path, clock: Clock, journal: Journal, show: Show, stages: tuple[str, ...]) -> Workshop:
        """The workshop of a run in this directory."""
        self.material.settle(folder / "checkpoints")
        return Workshop(folder, self.plan, self.fixed, self.material, clock, journal, show, self.device, stages)


def table_setting(request: Request) -> Setting:
    """Read, profile, split, complete the plan, and try the preparation.

    Raises:
        InputError: one line saying what is wrong and how to mend it.
    """
    check_request(request)
    plan = requested_plan(request)
    fixed = tuple(path for path, origin in plan.origins.items() if origin.by != "default")
    device = choose_device(request.device)
    taken = take_in(request, plan, device)
    if taken.rows.one_order:
        plan, fixed = _for_streaming(plan), (*fixed, "data.encoding")  # rows are encoded once
    facts = taken.facts
    test = None if request.test is None else _checked_test(test_table(request), facts)
    numbers = sum(column.kind == "number" for column in facts.used)
    plan = complete(plan, facts, taken.develop, numbers)
    _check_plan(plan, facts, taken.develop, taken.train)
    material = TableMaterial(taken.table, test, facts, taken.split, taken.rows)
    if test is not None:
        material.preparation(plan).encode(test, with_target=True)  # refuses what does not fit the training table
    plan = _fitted_to_memory(plan, material.structure(plan), fixed, device)
    return Setting(material, plan, fixed, device)


def _for_streaming(plan: Plan) -> Plan:
    """The plan without cross-validation."""
    if plan.chosen_by_user("data.folds"):
        return plan
    return plan.edited({"data.folds": 0}, by="data", why="rows that are streamed stand in one order on disk")


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
    check_fits(blueprint, plan, free=free)
    return plan


def check_request(request: Request) -> None:
    """Values that are wrong whatever the data are."""
    if request.budget is not None and not request.budget > 0:
        raise BudgetError(f"Budget {request.budget} must be above 0 seconds; write 60s, 5m or 1h.")
    if request.trials is not None and request.trials < 0:
        raise BudgetError(f"Trials must be 0 (no search) or more, but are {request.trials}.")
    if not 0 <= request.test_size < 1:
        raise DataError(f"The test size is a share of the rows from 0 to below 1, but is {request.test_size}.")


def requested_plan(request: Request) -> Plan:
    """The user's plan with settings, seed and trials applied."""
    plan = apply_settings(request.plan or Plan(), request.settings)
    if request.seed is not None:
        plan = plan.edited({"seed": request.seed}, by="user", why="--seed")
    if request.trials is not None:
        plan = plan.edited({"search.trials": request.trials}, by="user", why="--trials")
    return plan


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


def _checked_test(table: Table, facts: Facts) -> Table:
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
