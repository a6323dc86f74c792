"""From facts to a complete plan: values that the user left open are chosen from the data, each with its reason."""

from collections.abc import Mapping
from math import ceil
from typing import Any

from trainwell.base import PlanError
from trainwell.data import Facts
from trainwell.ingredients import loss_for
from trainwell.plan.plan import NAMED, Plan, hypers

Choice = tuple[Any, str]

# TabM's author's table for AutoGluon (practice.md 4.2): rows below → batch size.
BATCH_SIZES = ((2_800, 32), (4_500, 64), (6_400, 128), (32_000, 256), (108_000, 512))
LARGEST_BATCH = 1024
FOLDS_BELOW = 6_000  # below, one held-out fifth is too noisy to choose by: sd of an accuracy ≥ 1 % (docs/log.md)
BINNED_INPUTS = 512  # assumption: more inputs than this from bins cost more time than they bring
BINNED_CELLS = 200_000_000  # of all rows: 800 MB in float32
TABLE_VALUES = ("data.columns", "data.encoding", "data.bins", "data.one_hot_limit")
UPDATES = 3_000  # assumption: updates within which small dense networks converge under Adam; the budget may cut it


def complete(plan: Plan, facts: Facts, rows: int, numbers: int) -> Plan:
    """The plan with every open value chosen; given the rows to train and validate on and the numeric inputs.

    Raises:
        PlanError: a value of the user's does not fit the data.
    """
    choices = {**_data(rows, numbers), **_network(rows), **_training(plan, rows)}
    choices["task"] = (facts.task, facts.why_task)
    choices["loss.name"] = (loss_for(facts.task), f"the loss of a {facts.task} output")
    return _chosen(plan, choices)


def complete_for_module(plan: Plan, facts: Facts, rows: int, *, loss: Choice, given: Mapping[str, Choice]) -> Plan:
    """The plan of a user's module with every open value chosen; `given`: what the module decides, by path.

    Raises:
        PlanError: a value of the user's has no use for a module.
    """
    for path, origin in plan.origins.items():
        if origin.by == "user" and is_of_tables(path):
            whose = "inputs" if path.startswith("data.") else "structure and first weights"
            raise PlanError(f"Plan: {path} = {plan.get(path)} has no use: {whose} are your module's own; leave it out.")
    choices = {
        "data.folds": (0, "folds multiply what a module's steps cost"),
        "training.precision": ("float32", "products of your module are as it makes them"),
        **_training(plan, rows),
        "task": (facts.task, facts.why_task),
        "loss.name": loss,
        **given,
    }
    return _chosen(plan, choices)


def is_of_tables(path: str) -> bool:
    """Whether a value of the plan describes our preparation of a table or our dense networks."""
    return path.startswith(("network.", "initialiser.")) or path in TABLE_VALUES


def _chosen(plan: Plan, choices: Mapping[str, Choice]) -> Plan:
    """The plan with the choices where the user left it open, and standard values elsewhere."""
    for path, (value, why) in choices.items():
        if path not in plan.origins or plan.get(path) == "auto":
            plan = plan.edited({path: value}, by="data", why=why)
    return _standards(plan)


def _standards(plan: Plan) -> Plan:
    """Hyperparameters left open get the standard values of the chosen ingredients.

    Raises:
        PlanError: the user set one that the chosen ingredient does not have.
    """
    for path, name in hypers().items():
        chosen, value = plan.chosen(name), plan.standard(path)
        if value is None and plan.get(path) is not None and plan.chosen_by_user(path):
            users = list(NAMED[name].users(path.partition(".")[2]))
            whose = f"{', '.join(users)} {'have' if len(users) > 1 else 'has'} it"
            raise PlanError(f"Plan: {path} = {plan.get(path)} has no use: {chosen} has no such value; {whose}.")
        if value is not None and plan.get(path) is None:
            whole = NAMED[name].hypers[path.partition(".")[2]].whole
            standard = int(value) if whole else value
            plan = plan.edited({path: standard}, by="default", why=f"standard of {chosen}")
    return plan


def _data(rows: int, numbers: int) -> dict[str, Choice]:
    folds = 5 if 10 <= rows < FOLDS_BELOW else 0
    bins = 8 if rows < 500 else 16 if rows < 20_000 else 32
    bins = max(2, min(bins, BINNED_INPUTS // max(1, numbers), BINNED_CELLS // max(1, numbers * rows)))
    choices: dict[str, Choice] = {
        "data.folds": (folds, f"{rows} rows: every row judges once, in {folds} folds" if folds else f"{rows} rows"),
        "data.bins": (bins, f"{rows} rows and {numbers} numbers"),
    }
    if bins < 4:
        choices["data.encoding"] = ("plain", f"{numbers} numbers are inputs enough without bins")
    return choices


def _network(rows: int) -> dict[str, Choice]:
    width = 64 if rows < 500 else 128 if rows < FOLDS_BELOW else 256
    return {"network.width": (width, f"{rows} rows")}


def _training(plan: Plan, rows: int) -> dict[str, Choice]:
    folds = plan.data.folds
    train = rows - rows // folds if folds > 1 else max(1, rows - round(rows * plan.data.validation_size))
    size = next((size for below, size in BATCH_SIZES if rows < below), LARGEST_BATCH)
    size = min(size, max(1, train // 2))
    given = plan.training.batch_size if "training.batch_size" in plan.origins else size
    epochs = min(200, max(20, ceil(UPDATES * given / train)))
    return {
        "training.batch_size": (size, f"{rows} rows (table of TabM's author)"),
        "training.epochs": (epochs, f"about {UPDATES} updates, at least 20 and at most 200 epochs"),
        "training.patience": (max(5, epochs // 4), "a quarter of the epochs"),
    }
