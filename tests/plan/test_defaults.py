"""Values left open are chosen from the data, each with its reason; the user's stay."""

import pytest
from hypothesis import given, settings, strategies as st

from trainwell.base import PlanError
from trainwell.data import Facts, Task
from trainwell.plan import Plan, complete, complete_for_module

TASKS: list[Task] = ["binary", "multiclass", "multilabel", "regression"]


def facts(task: Task = "binary") -> Facts:
    return Facts("a table", 100, (), ("y",), task, f"the target looks {task}")


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(rows=st.integers(2, 10**7), numbers=st.integers(0, 5000), task=st.sampled_from(TASKS))
def test_a_complete_plan_leaves_nothing_open_and_can_be_trained(rows: int, numbers: int, task: Task) -> None:
    plan = complete(Plan(), facts(task), rows, numbers)
    assert plan.task == task and plan.loss.name != "auto"
    train = rows - rows // plan.data.folds if plan.data.folds else round(rows * 0.8)
    assert 1 <= plan.training.batch_size <= max(1, train)
    assert plan.data.folds == 0 or plan.data.folds <= rows
    assert numbers * plan.data.bins <= 4096 or plan.data.encoding == "plain"
    assert 1 <= plan.training.patience <= plan.training.epochs


def test_every_value_taken_from_the_data_says_why() -> None:
    plan = complete(Plan(), facts("regression"), 900, 8)
    chosen = {path: origin for path, origin in plan.origins.items() if origin.by == "data"}
    assert {"task", "loss.name", "training.batch_size", "training.epochs"} <= set(chosen)
    assert all(origin.why for origin in chosen.values())
    assert plan.origin("task").why == "the target looks regression"


@pytest.mark.covers("H5")
def test_batches_grow_with_the_table() -> None:
    sizes = [complete(Plan(), facts(), rows, 8).training.batch_size for rows in (20, 1_000, 4_000, 20_000, 10**6)]
    assert sizes == sorted(sizes) and len(set(sizes)) == 5
    assert all(size & (size - 1) == 0 for size in sizes[1:])  # powers of two


@pytest.mark.covers("A10", "A11")
@pytest.mark.parametrize(
    ("task", "loss"),
    [
        ("binary", "binary_cross_entropy"),
        ("multilabel", "binary_cross_entropy"),
        ("multiclass", "cross_entropy"),
        ("regression", "mse"),
    ],
)
def test_the_loss_follows_the_task(task: Task, loss: str) -> None:
    assert complete(Plan(), facts(task), 1000, 3).loss.name == loss


def test_what_the_user_chose_stays_even_where_it_is_the_standard_value() -> None:
    values = {
        "network.width": Plan().network.width,
        "training.epochs": 3,
        "training.batch_size": 7,
        "data.folds": 0,
        "loss.name": "mae",
    }
    plan = complete(Plan().edited(values, by="user", why="--set"), facts("regression"), 900, 3)
    assert {path: plan.get(path) for path in values} == values
    assert all(plan.chosen_by_user(path) for path in values)


def test_auto_said_by_the_user_is_still_decided_by_the_data() -> None:
    plan = complete(Plan().edited({"task": "auto", "loss.name": "auto"}, by="user", why="x"), facts("binary"), 900, 3)
    assert (plan.task, plan.loss.name) == ("binary", "binary_cross_entropy")


def test_the_plan_of_a_module_leaves_structure_and_preparation_alone() -> None:
    loss, given = ("cross_entropy", "two outputs"), {"regularisation.dropout": (0.2, "the module's own rate")}
    plan = complete_for_module(Plan(), facts("binary"), 1000, loss=loss, given=given)
    assert (plan.task, plan.loss.name, plan.regularisation.dropout) == ("binary", "cross_entropy", 0.2)
    assert plan.origin("regularisation.dropout").why == "the module's own rate"
    assert plan.network == Plan().network and plan.data.folds == 0 and plan.training.batch_size == 32
    for path, value in {"network.depth": 3, "initialiser.name": "he_normal", "data.bins": 9}.items():
        with pytest.raises(PlanError, match=f"{path} = {value} has no use: "):
            given_plan = Plan().edited({path: value}, by="user", why="test")
            complete_for_module(given_plan, facts(), 1000, loss=loss, given={})
