from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from trainwell.data.facts import Facts, Label
from trainwell.data.kinds import Task
from trainwell.data.table import Table


@dataclass(frozen=True)
class PreparationOptions:
    encoding: Literal["plain", "piecewise-linear"] = "piecewise-linear"
    bins: int = 32
    one_hot_limit: int = 64


@dataclass(frozen=True)
class InputSpec:
    """What a network is given: `dense` numbers and one index for each of `cardinalities` (row 0: unknown or rare)."""

    dense: int
    cardinalities: tuple[int, ...]


@dataclass(frozen=True)
class Encoded:
    x: np.ndarray
    categories: np.ndarray
    y: np.ndarray | None


@dataclass(frozen=True)
class Preparation:
    task: Task
    targets: tuple[str, ...]
    classes: tuple[Label, ...]
    target_mean: np.ndarray
    target_std: np.ndarray

    @property
    def inputs(self) -> InputSpec:
        raise NotImplementedError

    @property
    def input_names(self) -> tuple[str, ...]:
        raise NotImplementedError

    def encode(self, table: Table, *, with_target: bool) -> Encoded:
        raise NotImplementedError

    def decode(self, prediction: np.ndarray) -> pl.DataFrame:
        raise NotImplementedError


def fit_preparation(table: Table, facts: Facts, rows: np.ndarray, options: PreparationOptions) -> Preparation:
    raise NotImplementedError
