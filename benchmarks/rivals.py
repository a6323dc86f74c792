"""What trainwell is held against: scikit-learn's models as a person would use them, on the same rows.

Inputs are imputed and scaled or one-hot encoded by an ordinary pipeline, from the same column kinds as trainwell's.
"""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from benchmarks.sets import DataSet
from trainwell.data import profile, read_table

MLPS = ("mlp", "mlp, scaled target")  # the better of the two is the one to beat
SEED = 0
MOST_CATEGORIES = 200


@dataclass(frozen=True)
class Columns:
    """A table as arrays: numbers (N, D) with NaN for missing, names (N, E), and the target (N,)."""

    numbers: np.ndarray
    names: np.ndarray
    y: np.ndarray

    @property
    def x(self) -> np.ndarray:
        """(N, D + E) objects, numbers first."""
        return np.concatenate([self.numbers.astype(object), self.names], axis=1)


def columns_of(data: DataSet) -> tuple[Columns, Columns]:
    """Training and test part of a set; kinds of columns from the training part."""
    table, facts = profile(
        read_table(data.train), [data.target], task="regression" if data.task == "regression" else "auto"
    )
    numbers = [c.name for c in facts.used if c.kind in ("number", "boolean")]
    names = [c.name for c in facts.used if c.kind not in ("number", "boolean")]
    test = read_table(data.test).frame
    return _columns(table.frame, numbers, names, data), _columns(test, numbers, names, data)


def _columns(frame: pl.DataFrame, numbers: list[str], names: list[str], data: DataSet) -> Columns:
    frame = frame.drop_nulls(data.target)
    parts = [frame[name].cast(pl.Float64, strict=False).to_numpy() for name in numbers]
    words = [frame[name].cast(pl.String).fill_null("missing").to_numpy() for name in names]
    target = frame[data.target]
    y = target.cast(pl.Float64).to_numpy() if data.task == "regression" else target.cast(pl.String).to_numpy()
    matrix = np.stack(parts, axis=1) if parts else np.zeros((frame.height, 0))
    matrix = np.where(np.isfinite(matrix), matrix, np.nan)
    return Columns(matrix, np.stack(words, axis=1).astype(object) if words else np.zeros((frame.height, 0), object), y)


def scores(data: DataSet) -> dict[str, dict[str, float | None]]:
    """Test metric and seconds of every rival."""
    train, test = columns_of(data)
    models = REGRESSORS if data.task == "regression" else CLASSIFIERS
    return {name: _judge(make(), train, test, data.metric) for name, make in models.items()}


def _judge(model: Any, train: Columns, test: Columns, metric: str) -> dict[str, float | None]:
    began = time.monotonic()
    width = train.numbers.shape[1]
    whole = make_pipeline(_inputs(model, width, train.names.shape[1]), model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a rival that has not converged is still the default one
        try:
            whole.fit(train.x, train.y)
        except ValueError:  # a class too small to hold rows out of it
            return {metric: None, "seconds": time.monotonic() - began}
    return {metric: figure(metric, test.y, whole.predict(test.x)), "seconds": time.monotonic() - began}


def figure(metric: str, truth: np.ndarray, prediction: np.ndarray) -> float:
    """Accuracy, or the root of the mean squared error."""
    if metric == "accuracy":
        return float(np.mean(truth == prediction))
    return float(np.sqrt(np.mean((truth - prediction) ** 2)))


def _inputs(model: Any, numbers: int, names: int) -> ColumnTransformer:
    """Imputed, scaled and one-hot; trees take missing numbers and categories as they are."""
    if isinstance(model, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
        model.set_params(categorical_features=list(range(numbers, numbers + names)) or None)
        words: Any = OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=np.nan, max_categories=MOST_CATEGORIES
        )
        scaled: Any = "passthrough"
    else:
        words = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MOST_CATEGORIES, sparse_output=False)
        scaled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    order = [("numbers", scaled, slice(0, numbers)), ("names", words, slice(numbers, numbers + names))]
    return ColumnTransformer([part for part in order if part[2].stop > part[2].start])


CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "majority": lambda: DummyClassifier(),
    "linear": lambda: LogisticRegression(max_iter=1000),
    "mlp": lambda: MLPClassifier(early_stopping=True, random_state=SEED),
    "boosting": lambda: HistGradientBoostingClassifier(random_state=SEED),
}
REGRESSORS: dict[str, Callable[[], Any]] = {
    "mean": lambda: DummyRegressor(),
    "linear": lambda: Ridge(),
    "mlp": lambda: MLPRegressor(early_stopping=True, random_state=SEED),
    "mlp, scaled target": lambda: TransformedTargetRegressor(
        MLPRegressor(early_stopping=True, random_state=SEED), transformer=StandardScaler()
    ),
    "boosting": lambda: HistGradientBoostingRegressor(random_state=SEED),
}
