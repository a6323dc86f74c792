"""Which values members may differ in, and which they share."""

import pytest
import torch

from trainwell.base import InputError
from trainwell.engine import COLUMNS, STRUCTURE, structure
from trainwell.engine.columns import columns_of, one_structure
from trainwell.plan import Plan, paths


def test_columns_and_structure_are_values_of_the_plan_and_do_not_overlap() -> None:
    assert set(COLUMNS.values()) <= set(paths()) and set(STRUCTURE) <= set(paths())
    assert not set(COLUMNS.values()) & set(STRUCTURE)


def test_every_hyperparameter_is_a_column_of_its_own_value() -> None:
    plans = [Plan().edited({path: value for path in COLUMNS.values()}, by="user", why="") for value in (0.25, 0.5)]
    columns = columns_of(plans, dtype=torch.float64, device=torch.device("cpu"))
    assert set(columns) == set(COLUMNS)
    assert all(column.tolist() == [[0.25], [0.5]] for column in columns.values())


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
    }
    value = Plan().get(path)
    value = other.get(path, not value if isinstance(value, bool) else value if isinstance(value, str) else value + 1)
    changed = Plan().edited({path: value}, by="user", why="")
    assert structure(changed) != structure(Plan())
    with pytest.raises(InputError, match=f"^Members of one population must agree in {path}, but have .* and .*[.]$"):
        one_structure([Plan(), Plan(), changed])


def test_plans_that_differ_in_columns_and_seeds_alone_share_a_population() -> None:
    values = {"learning_rate": 0.5, "dropout": 0.1, "initialiser.name": "he_normal", "schedule.name": "constant"}
    changed = Plan(seed=4).edited(values, by="user", why="")
    assert structure(changed) == structure(Plan()) and one_structure([Plan(), changed]) == Plan()
