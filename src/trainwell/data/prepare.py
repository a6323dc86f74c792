"""A table as the numbers a network is given, and a network's outputs as values of the user's own.

Everything is fitted on the training rows alone; only kinds and classes come from `Facts`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import polars as pl

from trainwell.base import DataError, did_you_mean
from trainwell.data.encode_numbers import Origin, fit_boolean, fit_datetime, fit_number
from trainwell.data.encode_words import fit_category, fit_text
from trainwell.data.facts import ColumnFacts, Facts, Label
from trainwell.data.kinds import ColumnKind, Task
from trainwell.data.options import PreparationOptions
from trainwell.data.table import Table
from trainwell.data.target import class_indices, target_array
from trainwell.data.values import numbers

_BLOCK = 1 << 16
"""Rows encoded at a time, which bounds the memory beside the result."""


class ColumnEncoder(Protocol):
    """One column as inputs; see `encode_numbers`."""

    @property
    def name(self) -> str:
        """The column."""
        ...

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of its dense inputs."""
        ...

    @property
    def cardinality(self) -> int:
        """Number of different indices; 0 if it gives none."""
        ...

    def encode(self, series: pl.Series, origin: Origin) -> np.ndarray:
        """(N, inputs) float32, or (N,) int64 if it is an index."""
        ...


@dataclass(frozen=True)
class InputSpec:
    """What a network is given: `dense` numbers, and an index below each of `cardinalities` (0: unseen or rare)."""

    dense: int
    cardinalities: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Encoded:
    """Rows as arrays.

    Attributes:
        x: (N, D) float32.
        categories: (N, E) int64, one index an embedding.
        y: classes: (N,) int64 index (binary: 0 or 1); multi-label: (N, C) float32 of 0 and 1; regression: (N, C)
            float32, standardised; None if not asked for.
    """

    x: np.ndarray
    categories: np.ndarray
    y: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Preparation:
    """Fitted encoders of the features and the scale of the target.

    Attributes:
        classes: as in `Facts`.
        target_mean, target_std: (C,) float64 of the training rows; empty unless the task is regression.
        boolean_targets: whether multi-label targets were true and false rather than 1 and 0.
    """

    task: Task
    targets: tuple[str, ...]
    classes: tuple[Label, ...]
    columns: tuple[ColumnEncoder, ...]
    options: PreparationOptions = PreparationOptions()
    target_mean: np.ndarray = field(default_factory=lambda: np.zeros(0))
    target_std: np.ndarray = field(default_factory=lambda: np.zeros(0))
    boolean_targets: bool = False

    @property
    def inputs(self) -> InputSpec:
        """Sizes of what `encode` gives."""
        cardinalities = tuple(column.cardinality for column in self.columns if column.cardinality)
        return InputSpec(len(self.input_names), cardinalities)

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the D dense inputs, in order."""
        return tuple(name for column in self.columns for name in column.inputs)

    @property
    def embedded_names(self) -> tuple[str, ...]:
        """Names of the columns that become an index, in order."""
        return tuple(column.name for column in self.columns if column.cardinality)

    def encode(self, table: Table, *, with_target: bool) -> Encoded:
        """The same numbers for a row wherever it stands: in training, test or new data. Other columns are ignored.

        Raises:
            DataError: a column is lacking or of another type than in training; a target of no known class.
        """
        self._check_columns(table, with_target)
        spec = self.inputs
        x = np.empty((table.rows, spec.dense), np.float32)
        categories = np.empty((table.rows, len(spec.cardinalities)), np.int64)
        dense = index = 0
        for column in self.columns:
            width = len(column.inputs)
            for start in range(0, table.rows, _BLOCK):
                block = slice(start, start + _BLOCK)
                series = table.frame[column.name].slice(start, _BLOCK)
                coded = column.encode(series, Origin(table.source, table.first_row + start))
                if column.cardinality:
                    categories[block, index] = coded
                else:
                    x[block, dense : dense + width] = coded
            dense, index = dense + width, index + bool(column.cardinality)
        return Encoded(x, categories, self.encode_target(table) if with_target else None)

    def decode(self, prediction: np.ndarray) -> pl.DataFrame:
        """Predictions, in the form of `Encoded.y`, as columns of the targets: labels, or numbers on their scale."""
        values = np.asarray(prediction)
        if self.task in ("binary", "multiclass"):
            labels = pl.Series(self.targets[0], list(self.classes))
            return pl.DataFrame([labels.gather(values.reshape(-1).astype(np.int64))])
        columns = values.reshape(len(values), len(self.targets))
        if self.task == "regression":
            columns = columns.astype(np.float64) * self.target_std + self.target_mean
        else:
            columns = (columns >= 0.5).astype(bool if self.boolean_targets else np.int64)
        return pl.DataFrame({name: columns[:, i] for i, name in enumerate(self.targets)})

    def _check_columns(self, table: Table, with_target: bool) -> None:
        needed = [*(column.name for column in self.columns), *(self.targets if with_target else ())]
        lacking = [name for name in needed if name not in table.columns]
        if lacking:
            others = f" (and {len(lacking) - 1} more)" if len(lacking) > 1 else ""
            spare = [name for name in table.columns if name not in needed]
            raise DataError(
                f"'{table.source}' lacks the column '{lacking[0]}'{others}, which the network was trained on."
                f"{did_you_mean(lacking[0], spare)} Add it; it may be empty where unknown."
            )

    def encode_target(self, table: Table) -> np.ndarray:
        """As `Encoded.y`, of rows that all have a target.

        Raises:
            DataError: one lacks it, or it is of no known class.
        """
        if self.task in ("binary", "multiclass"):
            column = table.frame[self.targets[0]]
            indices = class_indices(column, self.classes)
            self._refuse(table, self.targets[0], indices < 0, "one of the classes in training")
            return indices
        joined = np.stack([self._target_numbers(table, name) for name in self.targets], axis=1)
        if self.task == "regression":
            joined = (joined - self.target_mean) / self.target_std
        return joined.astype(np.float32)

    def _target_numbers(self, table: Table, name: str) -> np.ndarray:
        values = numbers(table.frame[name]).values
        if self.task == "regression":
            self._refuse(table, name, ~np.isfinite(values), "a number")
        else:
            self._refuse(table, name, ~np.isin(values, (0, 1)), "0 or 1")
        return values

    def _refuse(self, table: Table, name: str, wrong: np.ndarray, expected: str) -> None:
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            value = table.frame[name][row]
            found = "is missing" if value is None else f"is '{value}'"
            raise DataError(
                f"Target '{name}' of '{table.source}' must be {expected}, but {found} in row {table.first_row + row}. "
                "Mend or remove the row."
            )


def fit_preparation(table: Table, facts: Facts, rows: np.ndarray, options: PreparationOptions) -> Preparation:
    """Fit on these rows of the profiled table, and on nothing else."""
    train = Table(table.frame[rows], table.source)
    columns = tuple(FITTERS[column.kind](train.frame[column.name], column, options) for column in facts.used)
    preparation = Preparation(facts.task, facts.targets, facts.classes, columns, options)
    if facts.task == "regression":
        y = target_array(train, facts)
        std = y.std(axis=0)
        scale = {"target_mean": y.mean(axis=0), "target_std": np.where(std > 0, std, 1.0)}
        return Preparation(facts.task, facts.targets, facts.classes, columns, options, **scale)
    if facts.task == "multilabel":
        boolean = all(train.frame[target].dtype == pl.Boolean for target in facts.targets)
        return Preparation(facts.task, facts.targets, facts.classes, columns, options, boolean_targets=boolean)
    return preparation


FITTERS: Mapping[ColumnKind, Callable[[pl.Series, ColumnFacts, PreparationOptions], ColumnEncoder]] = {
    "number": fit_number,
    "boolean": fit_boolean,
    "category": fit_category,
    "datetime": fit_datetime,
    "text": fit_text,
}
