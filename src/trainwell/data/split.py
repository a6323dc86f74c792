"""Which rows train, which choose, which judge."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainwell.data.kinds import Task


@dataclass(frozen=True)
class Split:
    """Row numbers (int64) of the three parts, disjoint; `test` may be empty."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split_rows(y: np.ndarray, *, task: Task, validation_size: float, test_size: float, seed: int) -> Split:
    """`test_size` is a share of all rows, `validation_size` a share of what is left."""
    raise NotImplementedError


def fold_rows(
    y: np.ndarray, rows: np.ndarray, folds: int, *, task: Task, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """(G, n_train), (G, n_valid) row numbers out of `rows`; y belongs to the whole table."""
    raise NotImplementedError
