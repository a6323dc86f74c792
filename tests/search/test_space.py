"""Draws: within their ranges, the user's values untouched, the same for the same seed."""

from collections.abc import Callable
from math import log

import numpy as np
import pytest

from trainwell.engine import COLUMNS, STRUCTURE, structure
from trainwell.plan import Plan, paths
from trainwell.search import COLUMN_SPACE, STRUCTURE_SPACE, draw
from trainwell.search.space import Draw, choice, log_uniform, sometimes, uniform

COMPLETE = Plan().edited(
    {"task": "multiclass", "loss.name": "cross_entropy", "network.width": 64, "training.batch_size": 32},
    by="data",
    why="test",
)


def drawn(plan: Plan = COMPLETE, *, structures: int = 5, members: int = 8, fixed: tuple[str, ...] = (), seed: int = 0):
    rng = np.random.default_rng(seed)
    return draw(plan, structures=structures, members=members, rates=(1e-4, 1e-1), fixed=fixed, seed=rng)


def values(plan: Plan) -> dict[str, object]:
    return {path: plan.get(path) for path in paths()}


def test_the_first_plan_is_the_one_given_and_there_are_as_many_as_asked_for() -> None:
    groups = drawn()
    assert groups[0][0] == COMPLETE
    assert [len(group) for group in groups] == [8] * 5


def test_members_of_a_group_share_a_structure_and_groups_differ_in_it() -> None:
    groups = drawn(structures=12)
    shapes = [{structure(plan) for plan in group} for group in groups]
    assert all(len(shape) == 1 for shape in shapes)
    assert len(set.union(*shapes)) == len(groups) == 12


def test_what_is_searched_is_structure_or_column() -> None:
    assert set(STRUCTURE_SPACE) <= set(STRUCTURE) and set(COLUMN_SPACE) <= {*COLUMNS.values(), "initialiser.gain"}


@pytest.mark.covers("B6")
def test_a_value_drawn_says_so_and_all_others_stay() -> None:
    searched = {*STRUCTURE_SPACE, *COLUMN_SPACE, "network.width", "optimizer.learning_rate"}
    for plan in (plan for group in drawn() for plan in group):
        for path, value in values(plan).items():
            if value != COMPLETE.get(path):
                assert path in searched and plan.origin(path).by == "search"


@pytest.mark.covers("B6")
def test_every_draw_lies_in_its_range_and_the_ranges_are_filled() -> None:
    plans = [plan for group in drawn(structures=40, members=20) for plan in group][1:]
    rates = np.log([plan.optimizer.learning_rate for plan in plans])
    assert log(1e-4) <= rates.min() < log(2e-4) and log(5e-2) < rates.max() <= log(1e-1)
    assert np.mean(rates < (log(1e-4) + log(1e-1)) / 2) == pytest.approx(0.5, abs=0.08)  # uniform in the logarithm
    assert {1, 2, 3} <= {plan.network.depth for plan in plans} <= set(range(7))
    assert {plan.network.width for plan in plans} == {32, 64, 128}
    assert all(0 <= plan.regularisation.dropout <= 0.5 for plan in plans)
    assert {plan.get("optimizer.beta2") for plan in plans} == {0.95, 0.99, 0.999}


@pytest.mark.parametrize("path", [*STRUCTURE_SPACE, *COLUMN_SPACE, "network.width", "optimizer.learning_rate"])
def test_a_fixed_value_stays_in_every_plan(path: str) -> None:
    for group in drawn(structures=6, members=4, fixed=(path,)):
        assert all(plan.get(path) == COMPLETE.get(path) for plan in group)


def test_with_the_whole_structure_fixed_there_is_one_group() -> None:
    groups = drawn(fixed=(*STRUCTURE_SPACE, "network.width"))
    assert len(groups) == 1 and len(groups[0]) == 8
    assert len({plan.optimizer.learning_rate for plan in groups[0]}) == 8


def test_with_everything_fixed_every_plan_is_the_one_given() -> None:
    groups = drawn(fixed=(*STRUCTURE_SPACE, *COLUMN_SPACE, "network.width", "optimizer.learning_rate"))
    assert groups == [[COMPLETE] * 8]


def test_draws_follow_from_the_seed_alone() -> None:
    assert drawn(seed=3) == drawn(seed=3) and drawn(seed=3) != drawn(seed=4)


def test_batch_norm_is_not_tried_on_batches_of_a_few_samples() -> None:
    tiny = COMPLETE.edited({"training.batch_size": 4}, by="data", why="few rows")
    assert all(plan.network.norm == "none" for group in drawn(tiny, structures=20) for plan in group)


def test_numbers_are_not_smoothed() -> None:
    regression = COMPLETE.edited({"task": "regression", "loss.name": "mse"}, by="data", why="numbers")
    assert not any(plan.effective("loss.label_smoothing") for group in drawn(regression) for plan in group)


@pytest.mark.parametrize(
    ("pick", "low", "high", "middle"),
    [
        (uniform(2, 6), 2, 6, 4),
        (log_uniform(1e-4, 1), 1e-4, 1, 1e-2),
    ],
    ids=["uniform", "log-uniform"],
)
def test_a_range_is_filled_evenly_on_its_scale(pick: Draw, low: float, high: float, middle: float) -> None:
    rng = np.random.default_rng(0)
    draws = np.array([pick(rng) for _ in range(2000)])
    assert low <= draws.min() and draws.max() <= high
    assert np.mean(draws < middle) == pytest.approx(0.5, abs=0.04)  # standard error 0.011


def test_choices_are_equally_likely_and_some_draws_are_left_at_their_value() -> None:
    rng = np.random.default_rng(0)
    pick: Callable[[Draw], list] = lambda draw: [draw(rng) for _ in range(2000)]
    assert pick(choice("a", "b", "c")).count("a") / 2000 == pytest.approx(1 / 3, abs=0.04)
    assert pick(sometimes(0.3, choice(1), otherwise=0)).count(1) / 2000 == pytest.approx(0.3, abs=0.04)
