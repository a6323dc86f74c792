"""What makes a result too good to be true: rows that stand twice, features that give the target away."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from trainwell.data.facts import ColumnFacts
from trainwell.data.table import Table
from trainwell.data.target import TargetFacts
from trainwell.data.values import booleans, numbers, words

SAME = 0.999
"""A correlation above this means that a feature is the target in other units."""

_SAMPLE = 2000
_ROWS_A_VALUE = 10


def duplicate_rows(table: Table) -> int:
    """Rows equal to an earlier row in every column."""
    return table.rows - table.frame.n_unique()


def find_leaks(
    table: Table, features: Sequence[ColumnFacts], targets: Sequence[str], found: TargetFacts
) -> tuple[tuple[str, str], ...]:
    """Features that give a target away, each with the reason as a sentence without a full stop."""
    leaks: list[tuple[str, str]] = []
    for target in targets:
        column = table.frame[target]
        values = _as_numbers(column, found.classes)
        for feature in features:
            if not feature.used or feature.name in (name for name, _ in leaks):
                continue
            if why := _gives_away(table.frame[feature.name], feature, column, values, found.task == "regression"):
                leaks.append((feature.name, f"'{feature.name}' {why} the target '{target}'"))
    return tuple(leaks)


def _as_numbers(column: pl.Series, classes: Sequence[object]) -> np.ndarray | None:
    """The target as numbers, for a correlation: numbers as they are, two classes as 0 and 1, more not at all."""
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        return numbers(column).values
    return (column == str(classes[1])).cast(pl.Float64).to_numpy() if len(classes) == 2 else None


def _gives_away(
    column: pl.Series, facts: ColumnFacts, target: pl.Series, values: np.ndarray | None, numeric_target: bool
) -> str:
    if facts.kind in ("number", "boolean") and values is not None:
        read = numbers(column, facts.missing_tokens) if facts.kind == "number" else booleans(column)
        correlation = _correlation(read.values, values)
        if abs(correlation) > SAME:
            return f"has a correlation of {correlation:.4f} with"
    if 2 <= facts.unique <= len(column) / _ROWS_A_VALUE and facts.kind in ("number", "boolean", "category"):
        text = words(column)
        if _determines(text.head(_SAMPLE), target.head(_SAMPLE)) and _determines(text, target):
            return "determines" if not numeric_target else "determines, value by value,"
    return ""


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    both = np.isfinite(a) & np.isfinite(b)
    a, b = a[both], b[both]
    if len(a) < 10 or not a.any() or not b.any():
        return 0.0
    a, b = a / np.abs(a).max(), b / np.abs(b).max()  # squares of huge numbers would overflow
    a, b = a - a.mean(), b - b.mean()
    length = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / length if length > 0 else 0.0


def _determines(text: pl.Series, target: pl.Series) -> bool:
    """Whether rows with one value of the feature always have one value of the target; rows without a value aside."""
    pair = pl.DataFrame({"feature": text, "target": target}).drop_nulls()
    return pair.n_unique() == pair["feature"].n_unique() and pair["target"].n_unique() > 1
