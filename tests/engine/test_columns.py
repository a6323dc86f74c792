"""Which values members may differ in, and which they share."""

import pytest
import torch

from trainwell.base import InputError
from trainwell.engine import COLUMNS, STRUCTURE, structure
from trainwell.engine.columns import columns_of, one_structure
from trainwell.plan import NAMED, Plan, hypers, paths

PLACES = ("auto", "outside", "inside")


def test_columns_and_structure_are_values_of_the_plan_and_do_not_overlap() -> None:
    assert set(COLUMNS.values()) <= set(paths()) and set(STRUCTURE) <= set(paths())
    assert not set(COLUMNS.values()) & set(STRUCTURE)


def users(path: str) -> dict[str, str]:
    """The edit that chooses an ingredient which has this hyperparameter, if it is one."""
    if path not in hypers():
        return {}
    name = hypers()[path]
    return {name: next(iter(NAMED[name].users(path.partition(".")[2])))}


@pytest.mark.parametrize("name", list(COLUMNS))
def test_every_hyperparameter_is_a_column_of_its_own_value(name: str) -> None:
    values = (2, 3) if name in ("growth", "plateau_patience") else (0.25, 0.5)
    plans = [Plan().edited({**users(COLUMNS[name]), COLUMNS[name]: v}, by="user", why="") for v in values]
    columns = columns_of(plans, dtype=torch.float64, device=torch.device("cpu"))
    assert columns[name].tolist() == [[values[0]], [values[1]]]


def test_a_hyperparameter_that_no_member_uses_is_no_column_and_one_left_open_has_its_ingredients_standard() -> None:
    plans = [Plan().edited({"optimizer.name": "adadelta"}, by="user", why="")]
    columns = columns_of(plans, dtype=torch.float64, device=torch.device("cpu"))
    assert "beta2" not in columns and "slope" not in columns
    assert columns["rho"].item() == 0.95
    assert (columns["epsilon"].item(), columns["epsilon_inside"].item()) == (0.0, 1e-6)


@pytest.mark.covers("O10")
def test_epsilon_stands_inside_or_outside_the_root_as_each_member_chooses() -> None:
    places = [Plan().edited({"optimizer.epsilon_place": p, "epsilon": 1e-3}, by="user", why="") for p in PLACES]
    columns = columns_of(places, dtype=torch.float64, device=torch.device("cpu"))
    assert columns["epsilon"].flatten().tolist() == [1e-3, 1e-3, 0.0]
    assert columns["epsilon_inside"].flatten().tolist() == [0.0, 0.0, 1e-3]


def test_members_may_have_different_schedules_with_their_own_hyperparameters() -> None:
    one = Plan().edited({"schedule.name": "step", "every": 3}, by="user", why="")
    other = Plan().edited({"schedule.name": "exponential", "schedule.decay": 0.2}, by="user", why="")
    columns = columns_of([one, other], dtype=torch.float64, device=torch.device("cpu"))
    assert columns["every"][0].item() == 3 and columns["decay"][1].item() == 0.2


def test_no_clipping_is_a_threshold_of_infinity() -> None:
    plans = [Plan(), Plan().edited({"clip_norm": 2}, by="user", why="")]
    column = columns_of(plans, dtype=torch.float32, device=torch.device("cpu"))["clip_norm"]
    assert column.flatten().tolist() == [float("inf"), 2.0]


@pytest.mark.parametrize("path", STRUCTURE)
def test_plans_share_a_population_only_if_they_agree_in_structure(path: str) -> None:
    other = {
        "data.encoding": "plain",
        "network.activation": "tanh",
        "network.norm": "layer",
        "loss.name": "mae",
        "optimizer.name": "sgd",
        "network.norm_place": "after",
        "network.weight_norm": "centred",
        "training.precision": "bfloat16",
    }
    base = Plan().edited(users(path), by="user", why="")
    value = base.effective(path)
    value = other.get(path, not value if isinstance(value, bool) else value if isinstance(value, str) else value + 1)
    changed = base.edited({path: value}, by="user", why="")
    assert structure(changed) != structure(base)
    with pytest.raises(InputError, match=f"^Members of one population must agree in {path}, but have .* and .*[.]$"):
        one_structure([base, base, changed])


def test_plans_that_differ_in_columns_and_seeds_alone_share_a_population() -> None:
    values = {"learning_rate": 0.5, "dropout": 0.1, "initialiser.name": "he_normal", "schedule.name": "constant"}
    changed = Plan(seed=4).edited(values, by="user", why="")
    assert structure(changed) == structure(Plan()) and one_structure([Plan(), changed]) == Plan()
