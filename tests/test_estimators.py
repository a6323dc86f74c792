"""`trainwell.fit` and the scikit-learn estimators: conformance, frames, labels of any type, and what is kept."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import has_fit_parameter

import trainwell
from tests.recipe.tables import moons, waves
from trainwell.base import DataError, InputError, PlanError
from trainwell.estimators import Classifier, Regressor

QUICK = {
    "training.epochs": 12,
    "ensemble.members": 1,
    "data.folds": 0,
    "network.width": 32,
    "optimizer.learning_rate": 0.03,
}


def classifier(**more: Any) -> Classifier:
    return Classifier(**{"trials": 0, "budget": 60, "settings": QUICK, **more})


def regressor(**more: Any) -> Regressor:
    return Regressor(**{"trials": 0, "budget": 60, "settings": QUICK, **more})


@parametrize_with_checks([classifier(), regressor()])
def test_the_contract_of_scikit_learn_is_kept(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_with_mixed_columns_are_learned_from(library: str) -> None:
    frame = moons(200)
    X, y = frame.drop("label"), frame["label"]
    given: Any = (X.to_pandas(), y.to_pandas()) if library == "pandas" else (X, y)
    model: Any = classifier().fit(*given)
    assert model.classes_.tolist() == ["down", "up"]
    assert model.feature_names_in_.tolist() == ["x", "z", "colour"] and model.n_features_in_ == 3
    assert model.score(*given) > 0.9
    np.testing.assert_array_equal(model.classes_[model.predict_proba(given[0]).argmax(axis=1)], model.predict(given[0]))
    kinds = {c["name"]: c["kind"] for c in model.run_.result["stages"][0]["evidence"]["columns"]}
    assert kinds["colour"] == "category" and kinds["x"] == "number"


def test_columns_are_taken_by_position_where_names_are_missing() -> None:
    frame = moons(100).drop("colour", "label").to_pandas()
    model = regressor().fit(frame, frame["x"])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        np.testing.assert_allclose(model.predict(frame.to_numpy()), model.predict(frame))


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["no", "yes"]),
        np.array([-1, 1]),
        np.array([False, True]),
        np.array([2.0, 7.0]),
        np.array(["b", "a", "c"]),
    ],
    ids=lambda labels: str(labels.dtype),
)
def test_labels_come_back_in_their_own_type(labels: np.ndarray) -> None:
    y = labels[np.arange(60) % len(labels)]
    X = np.eye(len(labels))[np.arange(60) % len(labels)]
    model = classifier().fit(X, y)
    np.testing.assert_array_equal(model.classes_, np.unique(y))
    assert model.predict(X).dtype == y.dtype
    np.testing.assert_array_equal(model.predict(X), y)


def test_several_labels_and_several_numbers_have_a_column_each() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3))
    labels = (X[:, :2] > 0).astype(int)
    model = classifier().fit(X, labels)
    assert model.predict(X).shape == model.predict_proba(X).shape == (80, 2)
    assert (model.predict(X) == labels).mean() > 0.9
    assert regressor().fit(X, X[:, :2]).predict(X).shape == (80, 2)


def test_a_target_keeps_its_name_unless_a_feature_has_it() -> None:
    frame = waves(60).to_pandas()
    assert regressor().fit(frame[["a", "b"]], frame["height"]).run_.result["targets"] == ["height"]
    twice = pd.DataFrame({"target": frame["a"], "other": frame["b"]})
    assert regressor().fit(twice, frame["height"].to_numpy()).run_.result["targets"] == ["target_"]


def test_missing_values_are_no_obstacle() -> None:
    X = np.random.default_rng(0).normal(size=(60, 2))
    y = X[:, 0] > 0
    X[::7, 1] = np.nan
    assert classifier().fit(X, y).score(X, y) > 0.9


def test_a_label_that_occurs_once_is_learned_too() -> None:
    X = np.arange(40.0)[:, None]
    y = np.where(np.arange(40) == 39, "last", np.where(np.arange(40) < 20, "low", "high"))
    model = classifier().fit(X, y)
    assert model.classes_.tolist() == ["high", "last", "low"]
    assert model.predict_proba(X).shape == (40, 3)


def test_pipelines_searches_and_clones_take_the_estimators() -> None:
    frame = waves(90).to_pandas()
    scale = make_column_transformer((StandardScaler(), make_column_selector(dtype_include="number")))
    pipeline = make_pipeline(scale, regressor(settings=QUICK | {"training.epochs": 3}))
    grid = GridSearchCV(pipeline, {"regressor__seed": [0, 1]}, cv=2)
    grid.fit(frame[["a", "b"]], frame["height"])
    assert grid.cv_results_["mean_test_score"].shape == (2,)
    assert np.isfinite(grid.cv_results_["mean_test_score"]).all()
    copy: Any = clone(grid.best_estimator_)
    assert copy.get_params()["regressor__seed"] == grid.best_params_["regressor__seed"]
    assert not hasattr(copy[-1], "run_")


def test_a_fitted_estimator_needs_no_directory_and_can_be_pickled() -> None:
    frame = moons(80)
    X, y = frame.drop("label"), frame["label"]
    model = classifier().fit(X, y)
    assert not model.run_.path.exists()
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert again.run_.findings == model.run_.findings and again.run_.plan == model.run_.plan
    assert again.run_.member(0)


def test_a_directory_that_is_named_is_kept_with_its_report(tmp_path: Path) -> None:
    frame = moons(80)
    model = classifier(out=tmp_path / "run").fit(frame.drop("label"), frame["label"])
    assert (tmp_path / "run" / "report.html").exists()
    run = trainwell.load(tmp_path / "run")
    np.testing.assert_array_equal(run.predict(frame), model.predict(frame.drop("label")))


def test_the_seed_decides_and_the_same_seed_gives_the_same() -> None:
    frame = moons(80)
    X, y = frame.drop("label"), frame["label"]
    one, same, other = (classifier(seed=seed).fit(X, y).predict_proba(X) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)


def test_sample_weights_are_not_promised() -> None:
    assert not has_fit_parameter(classifier(), "sample_weight")
    assert not has_fit_parameter(regressor(), "sample_weight")


@pytest.mark.parametrize(
    ("more", "error", "message"),
    [
        ({"budget": "soon"}, InputError, "'soon' is not a duration"),
        ({"settings": {"learning_rat": 1}}, PlanError, "Did you mean 'learning_rate'"),
        ({"plan": 3}, PlanError, "must be a trainwell.Plan or the path of its file, but is a int"),
        ({"plan": "nowhere.yaml"}, PlanError, "cannot read 'nowhere.yaml'"),
        ({"device": "gpu7"}, InputError, "'gpu7' is not available"),
    ],
)
def test_wrong_parameters_are_told_when_fitting_and_not_before(more: dict, error: type, message: str) -> None:
    model = classifier(**more)
    with pytest.raises(error, match=message):
        model.fit(np.eye(10), np.arange(10) % 2)


def fit(*args: Any, **more: Any) -> trainwell.Run:
    return trainwell.fit(*args, **{"quiet": True, "trials": 0, "budget": 60, "settings": QUICK, **more})


def test_fit_takes_features_and_targets(tmp_path: Path) -> None:
    frame = waves(90).to_pandas()
    run = fit(frame[["a", "b"]], frame["height"], out=tmp_path / "run")
    assert run.result["task"] == "regression" and run.result["targets"] == ["height"]
    assert run.report_path.exists() and (tmp_path / "run" / "model" / "README.md").exists()
    assert run.result["stages"][0]["evidence"]["test"] == 18


def test_fit_takes_a_table_and_the_name_of_its_target(tmp_path: Path) -> None:
    path = tmp_path / "moons.parquet"
    moons(90).write_parquet(path)
    first = fit(path, "label", out=tmp_path / "a")
    second = fit(moons(90), "label", out=str(tmp_path / "b"))
    assert first.result["test"] == second.result["test"]
    both = pl.DataFrame({"x": np.arange(60.0), "low": [1, 0] * 30, "high": [0, 1] * 30})
    assert fit(both, ("low", "high"), out=tmp_path / "c").result["task"] == "multilabel"


def test_fit_holds_to_a_plan_and_its_file(tmp_path: Path) -> None:
    plan = trainwell.Plan().edited({"network.depth": 1, "seed": 5}, by="user", why="a test")
    assert fit(moons(90), "label", plan, out=tmp_path / "a").plan.network.depth == 1
    plan.to_yaml(tmp_path / "plan.yaml")
    run = fit(moons(90), "label", tmp_path / "plan.yaml", out=tmp_path / "b")
    assert (run.plan.network.depth, run.result["seed"]) == (1, 5)


def test_fit_makes_a_new_directory_under_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = fit(moons(60), "label")
    assert run.path.parent == Path("runs") and run.report_path.exists()


def test_fit_shows_its_progress_unless_quiet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(moons(60), "label", out=tmp_path / "a")
    assert capsys.readouterr().err == ""
    fit(moons(60), "label", out=tmp_path / "b", quiet=False)
    assert "10/10" in capsys.readouterr().err


def test_fit_refuses_what_it_cannot_use(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No column 'lable'.* Did you mean 'label'"):
        fit(moons(60), "lable", out=tmp_path / "a")
    with pytest.raises(DataError, match="Columns must be equally long"):
        fit(np.eye(10), np.arange(9), out=tmp_path / "a")
    assert not (tmp_path / "a").exists()
