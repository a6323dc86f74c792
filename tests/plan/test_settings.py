"""`--set key=value` as people type it."""

import pytest

from trainwell.base import PlanError
from trainwell.plan import Plan, apply_settings


@pytest.mark.parametrize(
    ("key", "text", "path", "value"),
    [
        ("learning_rate", "1e-3", "optimizer.learning_rate", 1e-3),
        ("optimizer.learning_rate", "1E-3", "optimizer.learning_rate", 1e-3),
        ("learning_rate", ".5", "optimizer.learning_rate", 0.5),
        ("learning_rate", "1", "optimizer.learning_rate", 1.0),
        ("batch_size", " 64 ", "training.batch_size", 64),
        ("clip_norm", "null", "regularisation.clip_norm", None),
        ("clip_norm", "", "regularisation.clip_norm", None),
        ("clip_norm", "2", "regularisation.clip_norm", 2.0),
        ("residual", "true", "network.residual", True),
        ("residual", "on", "network.residual", True),
        ("drop_last", "no", "training.drop_last", False),
        ("norm", "none", "network.norm", "none"),
        ("norm", "'none'", "network.norm", "none"),
        ("optimizer.name", "sgd", "optimizer.name", "sgd"),
        ("columns", "{age: category}", "data.columns", {"age": "category"}),
        ("folds", "0", "data.folds", 0),
    ],
)
def test_a_value_is_read_as_a_person_means_it(key: str, text: str, path: str, value: object) -> None:
    plan = apply_settings(Plan(), {key: text})
    assert plan.get(path) == value and type(plan.get(path)) is type(value)
    assert plan.origin(path).by == "user" and plan.origin(path).why == "--set"


@pytest.mark.parametrize(
    ("key", "text", "sentence"),
    [
        ("learning_rte", "3", "Plan: unknown key 'learning_rte'. Did you mean 'learning_rate'?"),
        ("optimizer", "adam", "Plan: unknown key 'optimizer'. Did you mean 'optimizer.name'?"),
        ("name", "adam", "Plan: 'name' may mean initialiser.name or loss.name or optimizer.name or schedule.name; "),
        ("depth", "[1, 2]", "Plan: network.depth = [1, 2]: input should be a valid integer."),
        ("depth", "two", "Plan: network.depth = 'two': input should be a valid integer"),
        ("depth", "true", "Plan: network.depth = True: "),
        ("seed", "", "Plan: seed = None: input should be a valid integer."),
        ("seed", "{", "--set seed: '{' is not a value."),
        ("seed", "2020-13-45", "--set seed: '2020-13-45' is not a value."),
        ("learning_rate", "nan", "Plan: optimizer.learning_rate = nan: "),
        ("learning_rate", "-1", "Plan: optimizer.learning_rate = -1: input should be greater than 0."),
        ("activation", "rleu", "Plan: network: Unknown activation 'rleu'. Did you mean 'relu'?"),
        ("columns", "{age: categry}", "Plan: data.columns.age = 'categry': input should be "),
    ],
)
def test_a_wrong_setting_is_answered_in_one_line(key: str, text: str, sentence: str) -> None:
    with pytest.raises(PlanError) as caught:
        apply_settings(Plan(), {key: text})
    assert str(caught.value).startswith(sentence) and "\n" not in str(caught.value)


def test_several_settings_are_applied_together_and_the_rest_stays() -> None:
    before = Plan().edited({"depth": 3}, by="data", why="rows")
    plan = apply_settings(before, {"batch_size": "64", "optimizer.name": "adam"})
    assert (plan.training.batch_size, plan.optimizer.name, plan.network.depth) == (64, "adam", 3)
    assert plan.origin("network.depth").by == "data"


def test_no_settings_change_nothing() -> None:
    assert apply_settings(Plan(seed=3), {}) == Plan(seed=3)
