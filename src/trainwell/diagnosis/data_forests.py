"""A cheap model of rows: extremely randomised trees, each judged on the rows that it has not seen.

The rows outside a tree's bootstrap sample (about 37 %) are out of fold for it, so one forest is a cross-validation
(Breiman 1996, Out-of-bag estimation; Geurts et al. 2006, Extremely randomized trees).
"""

import warnings
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

TREES = 60
"""Of which about 22 judge a row (our assumption: more do not change a finding)."""

LEAF = 2
"""Rows in a leaf, at the least."""

MOST_ROWS, LEAST_ROWS = 5_000, 300
EACH, EACH_INPUT = 3e-5, 1.5e-7
"""Seconds of a row in one forest, and more for each input (measured on one core of the development machine)."""

CHOICES = 12
"""Inputs that a split of a regression chooses among, on average; of classes the root of their number."""


@dataclass(frozen=True)
class Guess:
    """Out-of-bag predictions of a forest.

    Attributes:
        y: (N,) class numbers or (N, C) numbers, as given. p: (N, K) shares of the trees, or (N, C) means.
        skill: share of the errors of the best constant guess that the forest avoids; of numbers R² (the smallest).
    """

    y: np.ndarray
    p: np.ndarray
    skill: float

    @property
    def wrong(self) -> np.ndarray:
        """(N,) bool: rows of classes that the forest gives another class."""
        return self.p.argmax(axis=1) != self.y


def rows_for(seconds: float, inputs: int) -> int:
    """How many rows a forest may learn from in this time; from the sizes alone, so that it is the same everywhere."""
    return int(np.clip(seconds / (EACH + EACH_INPUT * inputs), LEAST_ROWS, MOST_ROWS))


def guess_out_of_bag(x: np.ndarray, y: np.ndarray, *, seed: int) -> Guess | None:
    """The guess of a forest on x (N, D) for y, classes (N,) int64 or numbers (N, C); None where there is no choice.

    Missing numbers are taken as their column's median.
    """
    if len(x) < 20 or not x.shape[1] or (y == y[0]).all():
        return None
    classes = y.ndim == 1
    ensemble: Any = import_module("sklearn.ensemble")  # heavy, and whoever watches a training has no need of it
    kind = ensemble.ExtraTreesClassifier if classes else ensemble.ExtraTreesRegressor
    features = "sqrt" if classes else min(1.0, CHOICES / x.shape[1])
    forest = kind(
        TREES,
        bootstrap=True,
        oob_score=True,
        min_samples_leaf=LEAF,
        max_features=features,
        random_state=seed % 2**32,
    )
    target = y if classes or y.shape[1] > 1 else y[:, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a row that all trees have seen, one in 1e12
        forest.fit(filled(x), target)
    if not classes:
        p = np.nan_to_num(np.asarray(forest.oob_prediction_)).reshape(y.shape)
        return Guess(y, p, float(r_squared(y, p).min()))
    p = np.zeros((len(y), int(y.max()) + 1))
    p[:, forest.classes_] = np.nan_to_num(forest.oob_decision_function_)
    guessed = len(y) - np.bincount(y).max()
    return Guess(y, p, 1 - float((p.argmax(axis=1) != y).sum()) / guessed)


def filled(x: np.ndarray) -> np.ndarray:
    """x (N, D) with each column's median where it is missing; 0 where all of it is."""
    missing = np.isnan(x)
    if not missing.any():
        return x
    told = np.where(missing.all(axis=0), 0.0, x)
    return np.where(missing, np.nanmedian(told, axis=0), x)


def r_squared(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """(C,) share of the variance of y (N, C) that p tells."""
    spread = ((y - y.mean(axis=0)) ** 2).sum(axis=0)
    return 1 - ((y - p) ** 2).sum(axis=0) / np.where(spread > 0, spread, 1.0)
