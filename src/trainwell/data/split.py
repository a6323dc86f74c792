"""Which rows train, which choose, which judge; which rows a fold holds out. All from the seed alone."""

from dataclasses import dataclass

import numpy as np

from trainwell.base import DataError
from trainwell.base.streams import stream
from trainwell.data.kinds import Task

_TARGET_BINS = 10
_ROWS_A_BIN = 10


@dataclass(frozen=True)
class Split:
    """Row numbers (int64, ascending) of the three parts, disjoint; `test` may be empty."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split_rows(y: np.ndarray, *, task: Task, validation_size: float, test_size: float, seed: int) -> Split:
    """Train, validation and test rows, each with the classes (or the quantiles of a number) in proportion.

    `y` is a `target_array`. `test_size` is a share of all rows, `validation_size` a share of what is left. Every class
    that has two rows or more has one in train.

    Raises:
        DataError: a share outside [0, 1), or too few rows for the parts.
    """
    for name, share in (("test_size", test_size), ("validation_size", validation_size)):
        if not 0 <= share < 1:
            raise DataError(f"{name} must be a share from 0 to below 1, but is {share}. For a fifth, give 0.2.")
    test = _part(len(y), test_size)
    validation = _part(len(y) - test, validation_size)
    if len(y) - test - validation < 1:
        raise DataError(f"{len(y)} rows are too few to train, validate and test on. Add rows, or give a test file.")
    strata = _strata(y, task)
    order = stratified_order(strata, stream(seed, "split"))
    parts = order[:test], order[test : test + validation], order[test + validation :]
    return _with_every_class(strata, *parts)


def fold_rows(y: np.ndarray, rows: np.ndarray, folds: int, *, task: Task, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(G, n_train) and (G, n_valid) row numbers out of `rows`, for G folds; `y` belongs to the whole table.

    The held-out parts are disjoint, stratified and of one size; up to G - 1 left-over rows are always in training.

    Raises:
        DataError: fewer than 2 folds, or more than rows.
    """
    if not 2 <= folds <= len(rows):
        raise DataError(
            f"Folds must number from 2 to the {len(rows)} rows, but are {folds}. Common choices are 5 and 10."
        )
    order = rows[stratified_order(_strata(y[rows], task), stream(seed, "folds"))]
    size = len(rows) // folds
    held_out = [order[i * size : (i + 1) * size] for i in range(folds)]
    kept = [np.concatenate([order[: i * size], order[(i + 1) * size :]]) for i in range(folds)]
    return np.sort(np.stack(kept).astype(np.int64), axis=1), np.sort(np.stack(held_out).astype(np.int64), axis=1)


def stratified_order(strata: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """An order of the rows in which every stretch holds the strata in proportion, shuffled within each stratum.

    The j-th row of a stratum of n rows is placed at (j + u) / n, with one u from [0, 1) a stratum.
    """
    shuffled = random.permutation(len(strata))
    _, codes, counts = np.unique(strata[shuffled], return_inverse=True, return_counts=True)
    grouped = np.argsort(codes, kind="stable")
    rank = np.empty(len(strata), np.int64)
    rank[grouped] = np.arange(len(strata)) - np.repeat(np.cumsum(counts) - counts, counts)
    place = (rank + random.random(len(counts))[codes]) / counts[codes]
    return shuffled[np.argsort(place, kind="stable")]


def _part(rows: int, share: float) -> int:
    return max(1, round(rows * share)) if share > 0 else 0


def _strata(y: np.ndarray, task: Task) -> np.ndarray:
    """(N,) int64: the class, the combination of labels, or the quantile bin of the (mean standardised) number."""
    if task in ("binary", "multiclass"):
        return y.astype(np.int64)
    if task == "multilabel":
        return np.unique(y, axis=0, return_inverse=True)[1].reshape(-1)
    columns = y.reshape(len(y), -1).astype(np.float64)
    spread = columns.std(axis=0)
    level = ((columns - columns.mean(axis=0)) / np.where(spread > 0, spread, 1.0)).mean(axis=1)
    bins = max(1, min(_TARGET_BINS, len(y) // _ROWS_A_BIN))
    edges = np.quantile(level, np.linspace(0, 1, bins + 1)[1:-1])
    return np.searchsorted(edges, level, side="right")


def _with_every_class(strata: np.ndarray, test: np.ndarray, validation: np.ndarray, train: np.ndarray) -> Split:
    """Strata that chance left out of train send one of their rows there."""
    for missing in np.setdiff1d(strata, strata[train]):
        donor = validation if (strata[validation] == missing).sum() and len(validation) > 1 else test
        places = np.flatnonzero(strata[donor] == missing)
        if len(places) and len(donor) > 1 and (strata == missing).sum() > 1:
            train = np.append(train, donor[places[0]])
            rest = np.delete(donor, places[0])
            validation, test = (rest, test) if donor is validation else (validation, rest)
    return Split(*(np.sort(part).astype(np.int64) for part in (train, validation, test)))
