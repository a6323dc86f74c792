from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks.rivals import columns_of, figure, scores
from benchmarks.sets import DataSet

ROWS = 240


def data_set(folder: Path, task: str) -> DataSet:
    """Missing numbers, categories with an unseen one in the test, and a target that follows both."""
    rng = np.random.default_rng(0)
    size = rng.normal(size=ROWS)
    colour = rng.choice(["red", "green", "blue"], size=ROWS)
    value = 3 * size + 2 * (colour == "red") + 100
    y = pl.Series("y", value if task == "regression" else np.where(value > 100.5, "high", "low"))
    frame = pl.DataFrame({"size": size, "colour": colour}).with_columns(y)
    hidden = pl.when(pl.int_range(pl.len()) % 7 == 0).then(None).otherwise(pl.col("size")).alias("size")
    frame = frame.with_columns(hidden)
    unseen = frame[200:].with_columns(
        pl.when(pl.int_range(pl.len()) == 3).then(pl.lit("pink")).otherwise("colour").alias("colour")
    )
    frame[:200].write_csv(folder / "train.csv")
    unseen.write_csv(folder / "test.csv")
    return DataSet("made", folder / "train.csv", folder / "test.csv", "y", task)


def test_columns_are_split_into_numbers_and_names_with_the_target_apart(tmp_path: Path) -> None:
    train, test = columns_of(data_set(tmp_path, "classes"))
    assert train.numbers.shape == (200, 1) and train.names.shape == (200, 1) and test.x.shape == (40, 2)
    assert np.isnan(train.numbers).sum() == 29
    assert set(train.y) == {"high", "low"}


def test_rivals_learn_a_simple_table_and_guessing_does_not(tmp_path: Path) -> None:
    found = scores(data_set(tmp_path, "classes"))
    assert list(found) == ["majority", "linear", "mlp", "boosting"]
    figures = {name: row["accuracy"] for name, row in found.items()}
    assert (figures["linear"] or 0) > 0.8 > (figures["majority"] or 1)


def test_a_regression_has_a_network_with_a_scaled_target_too(tmp_path: Path) -> None:
    found = scores(data_set(tmp_path, "regression"))
    assert list(found) == ["mean", "linear", "mlp", "mlp, scaled target", "boosting"]
    figures = {name: row["rmse"] or 0.0 for name, row in found.items()}
    assert figures["linear"] < figures["mean"]
    assert figures["mlp, scaled target"] < figures["mlp"], "a target far from 0 is hard to reach unscaled"


def test_figures_are_accuracy_and_root_mean_squared_error() -> None:
    assert figure("accuracy", np.array(["a", "b"]), np.array(["a", "a"])) == 0.5
    assert figure("rmse", np.array([0.0, 0.0]), np.array([3.0, 4.0])) == pytest.approx(12.5**0.5)
