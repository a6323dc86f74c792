"""Draws: within their ranges, the user's values untouched, the same for the same seed."""

from collections.abc import Callable
from math import log

import numpy as np
import pytest

from trainwell.base import Between, Hyper, OneOf, Search
from trainwell.engine import COLUMNS, STRUCTURE, structure
from trainwell.plan import Plan, described, hypers, paths, searched
from trainwell.search import COLUMN_SPACE, STRUCTURE_SPACE, draw, module_space
from trainwell.search.space import ALWAYS

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
    ("search", "low", "high", "middle"),
    [
        (Between(2, 6), 2, 6, 4),
        (Between(1e-4, 1, log=True), 1e-4, 1, 1e-2),
    ],
    ids=["uniform", "log-uniform"],
)
def test_a_range_is_filled_evenly_on_its_scale(search: Between, low: float, high: float, middle: float) -> None:
    rng = np.random.default_rng(0)
    draws = np.array([search.draw(rng) for _ in range(2000)])
    assert low <= draws.min() and draws.max() <= high
    assert np.mean(draws < middle) == pytest.approx(0.5, abs=0.04)  # standard error 0.011


def test_choices_are_equally_likely_and_some_draws_are_left_at_their_value() -> None:
    rng = np.random.default_rng(0)
    pick: Callable[[Search], list] = lambda search: [search.draw(rng) for _ in range(2000)]
    assert pick(OneOf("a", "b", "c")).count("a") / 2000 == pytest.approx(1 / 3, abs=0.04)
    assert pick(Between(1, 2, share=0.3, otherwise=7)).count(7) / 2000 == pytest.approx(0.7, abs=0.04)


def chosen(name: str) -> Plan:
    return COMPLETE.edited({"optimizer.name": name}, by="user", why="--set")


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("momentum", {"optimizer.momentum": {0.8, 0.9, 0.95, 0.99}}),
        ("nesterov", {"optimizer.momentum": {0.8, 0.9, 0.95, 0.99}}),
        ("adadelta", {"optimizer.rho": {0.9, 0.95, 0.99}}),
        ("rmsprop", {"optimizer.beta2": {0.95, 0.99, 0.999}}),
        ("adam", {"optimizer.beta2": {0.95, 0.99, 0.999}}),
        ("sgd", {}),
    ],
)
def test_a_chosen_optimizer_has_its_own_hyperparameters_searched_and_no_others(
    name: str, own: dict[str, set[float]]
) -> None:
    plans = [plan for group in drawn(chosen(name), structures=6, members=12) for plan in group][1:]
    of_optimizers = [path for path in COLUMN_SPACE if hypers().get(path) == "optimizer.name"]
    varied = {path: {plan.get(path) for plan in plans} for path in of_optimizers}
    assert {path: values for path, values in varied.items() if values != {None}} == own


def test_what_is_drawn_for_the_standard_choice_stays_what_it_was() -> None:
    """The quality benchmark's figures depend on it. By hand: numpy's generator, in the order of the first release."""
    rng = np.random.default_rng(5)
    (group,) = drawn(fixed=(*STRUCTURE_SPACE, "network.width"), structures=1, members=4, seed=5)
    for i, plan in enumerate(group):
        rate = np.exp(rng.uniform(log(1e-4), log(1e-1)))
        decay = np.exp(rng.uniform(log(1e-4), log(0.3))) if rng.random() < 0.7 else 0.0
        dropout = rng.uniform(0.05, 0.5) if rng.random() < 0.6 else 0.0
        smoothing = np.exp(rng.uniform(log(0.01), log(0.1))) if rng.random() < 0.3 else 0.0
        gain = np.exp(rng.uniform(log(0.5), log(1.5))) if rng.random() < 0.3 else 1.0
        beta2 = (0.95, 0.99, 0.999)[rng.integers(3)]
        if i:
            values = (rate, decay, dropout, smoothing, gain, beta2)
            assert [plan.get(path) for path in ("optimizer.learning_rate", *ALWAYS)] == [float(v) for v in values]


def test_a_range_in_a_registry_is_searched_wherever_it_stands() -> None:
    assert searched("optimizer.momentum") == described("optimizer.momentum").search  # type: ignore[union-attr]
    assert searched("network.depth") is not None and searched("training.epochs") is None
    with pytest.raises(AssertionError, match="share of the past"):
        Hyper("share of the past", least=0, below=1, search=Between(0.5, 1.5))


@pytest.mark.parametrize("dropout", [True, False])
def test_of_a_module_only_what_it_permits_is_drawn(dropout: bool) -> None:
    space = module_space(dropout=dropout, largest=2.5, fixed=())
    assert space.most == 2 and ("regularisation.dropout" in space.paths) == dropout
    rng = np.random.default_rng(0)
    groups = draw(COMPLETE, space, structures=2, members=12, rates=(1e-3, 1e-2), fixed=(), seed=rng)
    plans = [plan for group in groups for plan in group]
    varied = {path for path in paths() if len({str(plan.get(path)) for plan in plans}) > 1}
    assert varied <= set(space.paths) and not any(path.startswith(("network.", "initialiser.")) for path in varied)
    assert {plan.training.batch_size for plan in plans} == {32, 64}


def test_a_batch_size_that_is_fixed_leaves_a_module_one_structure() -> None:
    space = module_space(dropout=True, largest=8.0, fixed=("training.batch_size",))
    assert space.most == 1 and "training.batch_size" not in space.paths
