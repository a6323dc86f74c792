"""The target beside inputs of any shape: its task follows from its type and from how many outputs the module has."""

from typing import get_args

import numpy as np

from trainwell.base import DataError, did_you_mean
from trainwell.data.facts import Label
from trainwell.data.kinds import TASKS, Task
from trainwell.data.statistics import describe
from trainwell.data.target import TargetFacts

AS_NUMBERS = "if its numbers are a quantity, name the task regression"


def pairs_target(y: np.ndarray, outputs: int, task: str = "auto") -> TargetFacts:
    """Task, classes and figures of a target y (N,) or (N, C) for a module with so many outputs.

    Raises:
        DataError: an unknown task, or a target that does not fit the task or the outputs.
    """
    if task != "auto" and task not in get_args(Task):
        raise DataError(f"Unknown task '{task}'.{did_you_mean(task, TASKS)} Known: auto, {', '.join(TASKS)}.")
    if len(np.unique(y, axis=0)) < 2:
        raise DataError("y is constant: all rows have the same target, so nothing can be learned from it.")
    chosen, why = _inferred(y, outputs) if task == "auto" else (task, "named by the user")
    if chosen == "regression":
        return _regression(y, outputs, why)
    if chosen == "multilabel":
        return _multilabel(y, outputs, why)
    return _classes(y, outputs, chosen, why)


def _inferred(y: np.ndarray, outputs: int) -> tuple[str, str]:
    """Task "classes" stands for binary or multiclass."""
    if y.ndim == 2:
        if np.isin(y, (0, 1)).all():
            return "multilabel", f"each of the {y.shape[1]} columns of y is 0 or 1"
        return "regression", f"y has {y.shape[1]} columns of numbers"
    if y.dtype.kind in "Ub":
        return "classes", f"y holds {'words' if y.dtype.kind == 'U' else 'truth values'}"
    distinct = len(np.unique(y))
    if y.dtype.kind == "f":
        if np.isin(y, (0, 1)).all() and outputs <= 2:
            return "classes", "y is 0 or 1"
        return "regression", "y holds decimal numbers"
    if outputs == 1 and distinct > 2:
        return "regression", f"y holds whole numbers with {distinct:,} distinct values, and the module has one output"
    return "classes", f"y holds whole numbers; {AS_NUMBERS}"


def _regression(y: np.ndarray, outputs: int, why: str) -> TargetFacts:
    if y.dtype.kind == "U":
        raise DataError(f"Task regression needs numbers, but y holds words such as '{y[0]}'.")
    columns = y.reshape(len(y), -1).astype(np.float64)
    whole = "; or give y as whole numbers, if they are classes" if y.ndim == 1 else ""
    _fit(outputs, columns.shape[1], "numbers a row", whole)
    stats = {n: describe(c) | {"unique": float(len(np.unique(c)))} for n, c in zip(names(y), columns.T, strict=True)}
    return TargetFacts("regression", why, (), (), stats)


def _multilabel(y: np.ndarray, outputs: int, why: str) -> TargetFacts:
    if y.ndim != 2 or y.dtype.kind == "U" or not np.isin(y, (0, 1)).all():
        raise DataError("Task multilabel needs a y (N, C) of 0 and 1, a column a label; name another task.")
    _fit(outputs, y.shape[1], "labels")
    counts = tuple(int(n) for n in (y != 0).sum(axis=0))
    stats = {name: {"mean": n / len(y), "unique": 2.0} for name, n in zip(names(y), counts, strict=True)}
    return TargetFacts("multilabel", why, names(y), counts, stats)


def _classes(y: np.ndarray, outputs: int, task: str, why: str) -> TargetFacts:
    if y.ndim == 2:
        raise DataError(f"Task {task} needs one class a row, y (N,), but y is {y.shape}; or name the task multilabel.")
    if y.dtype.kind == "f" and (y != np.round(y)).any():
        raise DataError(f"Task {task} needs classes, but y holds decimal numbers; name the task regression.")
    y = y.astype(np.int64) if y.dtype.kind == "f" else y
    labels, times = np.unique(y, return_counts=True)
    if task == "binary" and len(labels) != 2:
        raise DataError(f"Task binary needs 2 classes, but y has {len(labels):,}; name the task multiclass (or auto).")
    rare = labels[times < 2].tolist()
    if rare:
        raise DataError(f"Each class needs 2 rows or more, but '{rare[0]}' has one; {AS_NUMBERS}.")
    two = len(labels) == 2 and outputs <= 2
    chosen: Task = "binary" if two else "multiclass"
    if y.dtype.kind == "i" and not two and 0 <= labels[0] and labels[-1] < outputs:
        known, times = np.arange(outputs), np.bincount(y, minlength=outputs)  # a class is the number of an output
    else:
        known = labels
        _fit(outputs, 1 if two and outputs == 1 else len(labels), "classes", f"; {AS_NUMBERS}" * (outputs == 1))
    classes: tuple[Label, ...] = tuple(known.tolist())
    return TargetFacts(chosen, why, classes, tuple(int(n) for n in times), {"y": {"unique": float(len(labels))}})


def _fit(outputs: int, wanted: int, what: str, more: str = "") -> None:
    if outputs != wanted:
        what = what.removesuffix("s a row") + " a row" if wanted == 1 and what.endswith("s a row") else what
        gives = f"{outputs} output{'s' * (outputs != 1)}"
        raise DataError(f"y has {wanted} {what}, but the module gives {gives}: let its last layer give {wanted}{more}.")


def names(y: np.ndarray) -> tuple[str, ...]:
    """What the columns of a target are called: y, or y0, y1, …"""
    return ("y",) if y.ndim == 1 else tuple(f"y{i}" for i in range(y.shape[1]))


def encoded_target(y: np.ndarray, found: TargetFacts, *, what: str = "y") -> np.ndarray:
    """As `target_array` has it: class numbers (N,); 0/1 (N, C); numbers (N, C).

    Raises:
        DataError: a class that the training rows do not have, or another number of columns.
    """
    if found.task in ("binary", "multiclass"):
        place = {label: i for i, label in enumerate(found.classes)}
        odd = next((label for label in np.unique(y).tolist() if label not in place), None) if y.ndim == 1 else y.shape
        if odd is not None:
            raise DataError(f"{what} has the class '{odd}', which the training rows do not have; remove those rows.")
        return np.array([place[label] for label in y.tolist()], dtype=np.int64)
    columns = y.reshape(len(y), -1)
    if y.dtype.kind == "U" or columns.shape[1] != len(found.stats):
        raise DataError(f"{what} must have {len(found.stats)} columns of numbers, as the training rows have.")
    if found.task == "multilabel" and not np.isin(columns, (0, 1)).all():
        raise DataError(f"{what} must be 0 or 1.")
    return columns.astype(np.int64 if found.task == "multilabel" else np.float64)
