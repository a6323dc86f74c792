"""What a rule on data is given: the rows of the parts as numbers, and what a cheap model makes of them.

Axes: N rows, D inputs, C targets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any, get_args

import numpy as np

from trainwell.base import InputError, did_you_mean
from trainwell.data import Task
from trainwell.diagnosis.data_forests import Guess, guess_out_of_bag, rows_for

BLOCK = 1 << 20
"""Numbers whose bytes are laid out at a time."""

LARGE = 1e30
"""Numbers are cut here, which float32 still holds."""


@dataclass(frozen=True)
class Part:
    """Some rows: x (N, D) numbers, NaN where missing; y (N,) int64 class numbers, or (N, C) float64."""

    x: np.ndarray
    y: np.ndarray

    def __len__(self) -> int:
        return len(self.x)

    def only(self, rows: np.ndarray) -> "Part":
        """These rows."""
        return Part(self.x[rows], self.y[rows])


@dataclass(frozen=True)
class DataCase:
    """Data to judge.

    Attributes:
        train: the rows that a network learns from.
        others: the rest by the name of their part ("validation", "test"), where there are any.
        task: what is predicted.
        names: of the inputs (D).
        classes: labels by class number; of regression ().
        constant: names of inputs that are known to be constant and were left out of x.
        drawn: names of the parts that were drawn at random from the same rows, which cannot drift.
        seconds: of work that models may take, roughly.
        seed: of everything that is drawn.
    """

    train: Part
    others: dict[str, Part]
    task: Task
    names: tuple[str, ...]
    classes: tuple[str, ...] = ()
    constant: tuple[str, ...] = ()
    drawn: tuple[str, ...] = ()
    seconds: float = 2.0
    seed: int = 0

    @property
    def of_classes(self) -> bool:
        """Whether each row is of one class."""
        return self.task in ("binary", "multiclass")

    @property
    def most_rows(self) -> int:
        """Rows of a model that takes its share of the time: of label noise, of leaking inputs, of drift."""
        return rows_for(self.seconds / 3, self.train.x.shape[1])

    @cached_property
    def train_hashes(self) -> np.ndarray:
        """Of the training rows, target included."""
        return hashes(self.train.x, self.train.y)

    @cached_property
    def sample(self) -> Part:
        """Training rows that models learn from: different ones, so that no twin gives a row away."""
        random = np.random.default_rng(self.seed)
        some = self.train.only(np.sort(random.permutation(len(self.train))[: 2 * self.most_rows]))
        first = np.sort(np.unique(hashes(some.x), return_index=True)[1])
        return some.only(np.sort(random.permutation(first)[: self.most_rows]))

    @cached_property
    def guess(self) -> Guess | None:
        """What a forest predicts for each row of the sample, from trees that have not seen it."""
        return guess_out_of_bag(self.sample.x, self.sample.y, seed=self.seed)


def data_case(
    x: Any,
    y: Any,
    task: str,
    *,
    names: Sequence[str] = (),
    classes: Sequence[object] = (),
    test: tuple[Any, Any] | None = None,
    validation: tuple[Any, Any] | None = None,
    **more: Any,
) -> DataCase:
    """Arrays as they come, as a case; where `classes` are given, y holds their numbers. `more` as in `DataCase`.

    Raises:
        InputError: an unknown task, x that is no numbers, parts that do not fit one another.
    """
    known = _as_task(task)
    given = {"train": (x, y), "validation": validation, "test": test}
    inputs = _of_one_type({part: _numbers(pair[0], part) for part, pair in given.items() if pair is not None})
    targets = {part: np.asarray(pair[1]) for part, pair in given.items() if pair is not None}
    width = inputs["train"].shape[1]
    for part, rows in inputs.items():
        if len(rows) != len(targets[part]):
            raise InputError(
                f"Each row needs a target, but {part} has {len(rows)} rows of x and {len(targets[part])} of y."
            )
        if rows.shape[1] != width:
            raise InputError(
                f"All parts need the same inputs, but train has {width} and {part} {rows.shape[1]}: give one shape."
            )
    numbered, labels = _targets(targets, known, tuple(map(str, classes)))
    parts = {part: Part(rows, numbered[part]) for part, rows in inputs.items()}
    named = tuple(map(str, names)) if len(names) == width else tuple(f"x{i}" for i in range(width))
    return DataCase(parts.pop("train"), parts, known, named, labels, **more)


def _as_task(name: str) -> Task:
    tasks = get_args(Task)
    if name not in tasks:
        raise InputError(f"Unknown task '{name}'.{did_you_mean(name, tasks)} Known: {', '.join(tasks)}.")
    return next(known for known in tasks if known == name)


def hashes(*columns: np.ndarray) -> np.ndarray:
    """(N,) uint64, equal for rows that are equal in all of these arrays (N, …); two missing numbers are equal.

    Others are equal by chance in one of 1e19 pairs. Arrays that are compared must be of one type.
    """
    matrices = [array.reshape(len(array), int(np.prod(array.shape[1:]))) for array in columns]
    step = max(1, BLOCK // max(1, sum(matrix.shape[1] for matrix in matrices)))
    digests: list[bytes] = []
    for start in range(0, len(columns[0]), step):
        rows = np.concatenate([_bytes(matrix[start : start + step]) for matrix in matrices], axis=1)
        digests += [blake2b(row, digest_size=8).digest() for row in rows]
    return np.frombuffer(b"".join(digests), np.uint64)


def _bytes(values: np.ndarray) -> np.ndarray:
    """(N, bytes) of numbers (N, D), with one zero and one NaN."""
    if values.dtype.kind == "f":
        values = values + values.dtype.type(0)  # -0.0 becomes 0.0
        values[np.isnan(values)] = np.nan
    return np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)


def _numbers(x: Any, part: str) -> np.ndarray:
    """(N, D) floats of any array of numbers (N, …); what is infinite is cut."""
    array = np.asarray(x)
    if array.dtype.kind not in "biuf" or array.ndim < 1:
        raise InputError(f"x of {part} must be numbers, but is {array.dtype}. Encode words as numbers first.")
    flat = array.reshape(len(array), int(np.prod(array.shape[1:])))  # -1 would not do for no rows
    floats = flat if flat.dtype in (np.float32, np.float64) else flat.astype(np.float32 if flat.itemsize < 4 else float)
    return np.clip(floats, -LARGE, LARGE) if np.isinf(floats).any() else floats


def _of_one_type(parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same numbers, so that equal rows have equal bytes."""
    common = np.result_type(*parts.values())
    return {part: rows.astype(common, copy=False) for part, rows in parts.items()}


def _targets(
    targets: dict[str, np.ndarray], task: Task, classes: tuple[str, ...]
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Class numbers and labels; or numbers (N, C) and nothing."""
    if task not in ("binary", "multiclass"):
        return {
            part: y.reshape(len(y), int(np.prod(y.shape[1:]))).astype(np.float64) for part, y in targets.items()
        }, ()
    flat = {part: y.reshape(-1) for part, y in targets.items()}
    labels, whole = np.unique(np.concatenate(list(flat.values()))), all(y.dtype.kind == "i" for y in flat.values())
    if classes and whole and len(labels) and 0 <= labels[0] and labels[-1] < len(classes):
        return {part: y.astype(np.int64) for part, y in flat.items()}, classes
    return {part: np.searchsorted(labels, y) for part, y in flat.items()}, tuple(map(str, labels))
