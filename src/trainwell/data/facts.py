"""What is known of a table: plain frozen values, made by `profile`, shown in the report."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from trainwell.data.kinds import ColumnKind, Task

Label = str | int | float | bool


@dataclass(frozen=True)
class ColumnFacts:
    """One feature.

    Attributes:
        why: the reason for its kind, as a sentence without a full stop.
        used: False for what cannot help: identifiers, constants, all missing; `note` says which.
        missing, infinite: rows without a value, and with ±∞ (also treated as missing).
        unique: distinct values, missing ones not counted.
        mean, std, minimum, maximum, median, skew: of the finite values of numbers and booleans, else None.
        outliers: values further than three interquartile ranges outside the quartiles.
        top: the most frequent values of categories and booleans with their counts.
        format: of a date-time written as text, as in `strptime`.
        missing_tokens: words that stand for a missing number in this column, beyond the usual ones.
    """

    name: str
    kind: ColumnKind
    why: str
    used: bool = True
    missing: int = 0
    infinite: int = 0
    unique: int = 0
    mean: float | None = None
    std: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    median: float | None = None
    skew: float | None = None
    outliers: int = 0
    top: tuple[tuple[str, int], ...] = ()
    note: str = ""
    format: str = ""
    missing_tokens: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return plain(asdict(self))


@dataclass(frozen=True)
class Facts:
    """A table, its features and its target.

    Attributes:
        rows: with a target; `dropped` rows had none and are no longer in the table.
        why_task: the reason for the task, as a sentence without a full stop.
        classes: labels in the user's own type, sorted; of multi-label the targets' names; of regression ().
        class_counts: rows of each class; of multi-label the rows that are 1.
        target_stats: by target: "unique", and of numbers the figures of `statistics.describe`.
        duplicates: rows equal to an earlier row, target included.
        leaks: features that give the target away.
        notes: one sentence for each thing the user should know.
    """

    source: str
    rows: int
    features: tuple[ColumnFacts, ...]
    targets: tuple[str, ...]
    task: Task
    why_task: str
    classes: tuple[Label, ...] = ()
    class_counts: tuple[int, ...] = ()
    target_stats: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    duplicates: int = 0
    dropped: int = 0
    leaks: tuple[str, ...] = ()

    @property
    def used(self) -> tuple[ColumnFacts, ...]:
        """The features that become inputs."""
        return tuple(column for column in self.features if column.used)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return plain(asdict(self))


def plain(value: Any) -> Any:
    """The same value in the types that JSON has: tuples as lists, non-finite numbers as None.

    >>> plain({"a": (1, float("nan"))})
    {'a': [1, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
