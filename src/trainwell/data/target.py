"""The target: which rows have one, what task follows from it, its classes or its numbers as an array."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import polars as pl

from trainwell.base import DataError, did_you_mean
from trainwell.data.facts import Facts, Label
from trainwell.data.kinds import TASKS, Task
from trainwell.data.statistics import describe
from trainwell.data.table import Table
from trainwell.data.values import numbers, words

FEW_INTEGERS = 20
"""Whole numbers with at most so many distinct values are read as classes, if five rows or more share each."""

MOST_CLASSES = 1000


@dataclass(frozen=True)
class TargetFacts:
    """The part of `Facts` that the target decides."""

    task: Task
    why: str
    classes: tuple[Label, ...]
    counts: tuple[int, ...]
    stats: Mapping[str, Mapping[str, float]]


def check_targets(table: Table, targets: Sequence[str]) -> None:
    """There is a target, each is a column, none is named twice, and something is left to predict it from.

    Raises:
        DataError: otherwise.
    """
    if not targets:
        raise DataError(f"Name the column to predict: one of {_some(table.columns)}.")
    for target, times in Counter(targets).items():
        if times > 1:
            raise DataError(f"Target '{target}' is named twice. Name each target once.")
        if target not in table.columns:
            hint = did_you_mean(target, table.columns)
            data_first = " Does the file lack its line of column names?" if all(map(_is_number, table.columns)) else ""
            raise DataError(
                f"No column '{target}' in '{table.source}'.{hint} Columns: {_some(table.columns)}.{data_first}"
            )
    if len(targets) == table.frame.width:
        raise DataError(f"'{table.source}' has no columns but its target: add columns to predict it from.")


def drop_missing_targets(table: Table, targets: Sequence[str]) -> tuple[Table, int]:
    """The table without the rows that lack a target (null, NaN or infinite), and how many those were.

    Raises:
        DataError: all rows lack it, or there is no such column.
    """
    for target in targets:
        if target not in table.columns:
            raise DataError(
                f"'{table.source}' lacks the target '{target}'.{did_you_mean(target, table.columns)} Add it."
            )
        if not with_target(table, [target]).any():
            raise DataError(f"Target '{target}' of '{table.source}' is missing in all {table.rows:,} rows. Fill it in.")
    present = with_target(table, targets)
    if not present.any():
        raise DataError(f"No row of '{table.source}' has all of its {len(targets)} targets. Fill them in.")
    dropped = int((~present).sum())
    return (Table(table.frame.filter(present), table.source), dropped) if dropped else (table, 0)


def with_target(table: Table, targets: Sequence[str]) -> np.ndarray:
    """(N,) which rows have all targets, none of them null, NaN or infinite."""
    present = np.ones(table.rows, bool)
    for target in targets:
        column = table.frame[target]
        present &= np.isfinite(numbers(column).values) if column.dtype.is_float() else column.is_not_null().to_numpy()
    return present


def target_facts(table: Table, targets: Sequence[str], task: str) -> tuple[Table, TargetFacts]:
    """Task, classes and figures of complete targets; for a regression on text the table comes back with numbers.

    Raises:
        DataError: an unknown task, one that does not fit, a constant target, too many classes, a class with one row.
    """
    if task != "auto" and task not in get_args(Task):
        raise DataError(f"Unknown task '{task}'.{did_you_mean(task, TASKS)} Known: auto, {', '.join(TASKS)}.")
    for target in targets:
        if table.frame[target].dtype.is_temporal():
            raise DataError(f"Target '{target}' holds dates. Turn it into a number, such as the days since the first.")
        if table.frame[target].n_unique() < 2:
            raise DataError(
                f"Target '{target}' is constant: all {table.rows:,} rows are '{table.frame[target][0]}', one class or "
                "number. Nothing can be learned from it: name another target, or add rows with other values."
            )
    chosen, why = _infer_task(table, targets) if task == "auto" else (_as_task(task), "named by the user")
    if chosen == "regression":
        return _regression(table, targets, why)
    if chosen == "multilabel":
        return table, _multilabel(table, targets, why)
    return table, _classes(table, targets, chosen, why)


def _as_task(task: str) -> Task:
    return next(known for known in get_args(Task) if known == task)


def _infer_task(table: Table, targets: Sequence[str]) -> tuple[Task, str]:
    if len(targets) > 1:
        return _infer_joint_task(table, targets)
    column = table.frame[targets[0]]
    unique, name = column.n_unique(), targets[0]
    classes: Task = "binary" if unique == 2 else "multiclass"
    if not column.dtype.is_numeric():
        what = "words" if column.dtype == pl.String else "true or false"
        return classes, f"'{name}' is {what} with {unique:,} distinct values"
    if unique == 2:
        return "binary", f"'{name}' has 2 distinct values"
    low, high = column.min(), column.max()
    if column.dtype.is_integer() and unique <= FEW_INTEGERS and table.rows >= 5 * unique:
        why = f"'{name}' is a whole number with {unique} distinct values ({low} to {high}), read as names of classes"
        return "multiclass", f"{why}; if they are a quantity, name the task regression"
    if unique <= FEW_INTEGERS and not column.dtype.is_integer():
        why = f"'{name}' has {unique} distinct values ({low} to {high}) written as decimal numbers, read as a quantity"
        return "regression", f"{why}; if they are names of classes, name the task multiclass"
    return "regression", f"'{name}' is a number with {unique:,} distinct values ({low} to {high})"


def _infer_joint_task(table: Table, targets: Sequence[str]) -> tuple[Task, str]:
    odd = [target for target in targets if not _is_zero_one(table.frame[target])]
    if not odd:
        return "multilabel", f"each of the {len(targets)} targets is 0 or 1"
    wordy = [target for target in targets if not table.frame[target].dtype.is_numeric()]
    if wordy:
        raise DataError(
            f"Several targets must be all 0 or 1 (multilabel) or all numbers (regression), but '{wordy[0]}' holds "
            f"'{table.frame[wordy[0]][0]}'. Train one network for each such target."
        )
    return "regression", f"{len(targets)} targets, all of them numbers"


def _regression(table: Table, targets: Sequence[str], why: str) -> tuple[Table, TargetFacts]:
    frame, stats = table.frame, {}
    for target in targets:
        read = numbers(frame[target])
        wrong = read.bad | np.isnan(read.values)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise DataError(
                f"Task regression needs a number, but target '{target}' holds '{frame[target][row]}' in row {row + 1}. "
                "Name the task multiclass (or auto), or another target."
            )
        if not frame[target].dtype.is_numeric():
            frame = frame.with_columns(pl.Series(target, read.values))
        figures = describe(read.values)
        stats[target] = {**figures, "unique": float(len(np.unique(read.values)))}
    return Table(frame, table.source), TargetFacts("regression", why, (), (), stats)


def _multilabel(table: Table, targets: Sequence[str], why: str) -> TargetFacts:
    for target in targets:
        if not _is_zero_one(table.frame[target]):
            other = next(v for v in table.frame[target].unique().sort() if v not in (0, 1, False, True))
            raise DataError(
                f"Task multilabel needs targets that are 0 or 1, but '{target}' holds '{other}'. Recode it."
            )
    counts = tuple(int(table.frame[target].cast(pl.Int64).sum()) for target in targets)
    stats = {target: {"mean": count / table.rows, "unique": 2.0} for target, count in zip(targets, counts, strict=True)}
    return TargetFacts("multilabel", why, tuple(targets), counts, stats)


def _classes(table: Table, targets: Sequence[str], task: Task, why: str) -> TargetFacts:
    if len(targets) > 1:
        raise DataError(
            f"Task {task} needs one target, but {len(targets)} are named. Name one, or the task multilabel."
        )
    target, column = targets[0], table.frame[targets[0]]
    counts = column.value_counts().sort(target)
    labels, times = counts[target].to_list(), counts["count"].to_list()
    if task == "binary" and len(labels) != 2:
        raise DataError(
            f"Task binary needs 2 classes, but target '{target}' has {len(labels):,}: "
            f"{_some([str(label) for label in labels])}. Name the task multiclass (or auto)."
        )
    if len(labels) > MOST_CLASSES or (len(labels) > FEW_INTEGERS and len(labels) > table.rows / 2):
        raise DataError(
            f"Target '{target}' has {len(labels):,} classes in {table.rows:,} rows: it looks like an identifier or a "
            "number. Name another target, or the task regression (--task regression)."
        )
    single = [str(label) for label, count in zip(labels, times, strict=True) if count < 2]
    if single:
        raise DataError(
            f"Each class needs 2 rows or more, but of target '{target}' {_some(single)} {_has(len(single))} one. "
            "Add rows of such a class, merge it with another, or remove its row."
        )
    return TargetFacts(
        task, why, tuple(map(_plain_label, labels)), tuple(times), {target: {"unique": float(len(labels))}}
    )


def _plain_label(label: object) -> Label:
    return label if isinstance(label, str | bool | int | float) else str(label)


def _has(count: int) -> str:
    return "has" if count == 1 else "have"


def target_array(table: Table, facts: Facts) -> np.ndarray:
    """For splitting: class indices (N,) int64; multi-label (N, C) int64; regression (N, C) float64, original scale."""
    if facts.task in ("binary", "multiclass"):
        return class_indices(table.frame[facts.targets[0]], facts.classes)
    columns = [numbers(table.frame[target]).values for target in facts.targets]
    joined = np.stack(columns, axis=1)
    return joined.astype(np.int64) if facts.task == "multilabel" else joined


def class_indices(column: pl.Series, classes: Sequence[Label]) -> np.ndarray:
    """(N,) int64 position of each value among the classes; -1 for any other value. 2 and 2.0 are the same class."""
    keys = label_keys(column, lower=isinstance(classes[0], bool))
    known = label_keys(pl.Series(column.name, list(classes)), lower=False)
    codes = keys.replace_strict(known, pl.Series(range(len(classes))), default=-1, return_dtype=pl.Int64)
    return codes.fill_null(-1).to_numpy().astype(np.int64)


def label_keys(column: pl.Series, *, lower: bool) -> pl.Series:
    """Labels as text: 2 and 2.0 are both "2"; text stays as it is, in lower case if asked for."""
    if column.dtype == pl.String:
        return column.str.to_lowercase() if lower else column
    return words(column)


def _is_zero_one(column: pl.Series) -> bool:
    if column.dtype == pl.Boolean:
        return True
    return column.dtype.is_numeric() and set(column.unique().to_list()) <= {0, 1}


def _is_number(name: str) -> bool:
    return name.replace(".", "", 1).removeprefix("-").isdigit()


def _some(names: Sequence[str], how_many: int = 6) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:how_many])
    return f"{shown} and {len(names) - how_many:,} more" if len(names) > how_many else shown
