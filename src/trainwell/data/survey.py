"""Looking through a file for what a sample of it doesn't show: words among numbers, rare classes, lacking targets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from trainwell.data.blocks import Blocks
from trainwell.data.columns import column_facts
from trainwell.data.facts import ColumnFacts
from trainwell.data.infer import ODD_WORDS
from trainwell.data.kinds import ColumnKind
from trainwell.data.scan import Scan
from trainwell.data.table import Table
from trainwell.data.target import MOST_CLASSES, label_keys, with_target
from trainwell.data.values import booleans, instants, numbers, words

EACH = 2  # rows of a class that a table needs


@dataclass(frozen=True)
class Survey:
    """What is in a file.

    Attributes:
        rows: with all targets; `dropped` lack one.
        labels: rows by value of each target, as `label_keys` writes it; none of a target with too many for classes.
        odd: places of rows that must be among those that kinds and classes are found from, ascending.
    """

    rows: int
    dropped: int
    labels: Mapping[str, Mapping[str, int]]
    odd: tuple[int, ...]


def survey(
    scan: Scan,
    sample: Table,
    targets: Sequence[str],
    kinds: Mapping[str, ColumnKind],
    blocks: Blocks,
    most: int,
) -> Survey:
    """Look at the taken blocks of a file, given a sample of their rows, up to about `most` rows at a time.

    Raises:
        DataError: it can't be read; a column of the sample can't be of the kind that the user names.
    """
    frame = sample.frame
    columns = [column_facts(frame[name], kinds.get(name)) for name in frame.columns]
    watched = [column for column in columns if _can_surprise(column.kind, frame[column.name].dtype, scan.typed)]
    odd = {column.name: _Seen(ODD_WORDS + 1) for column in watched}
    found = {target: _Seen(MOST_CLASSES + 1, EACH, _counts(frame[target])) for target in targets}
    rows = dropped = 0
    for place, raw in scan.pieces(blocks, most, [*targets, *odd]):
        table = scan.table(raw, place, frame)
        present = with_target(table, targets)
        rows, dropped = rows + int(present.sum()), dropped + int((~present).sum())
        for target, seen in found.items():
            seen.look(label_keys(table.frame[target], lower=False), present, place)
        for column in watched:
            series = table.frame[column.name]
            if (strange := _unexpected(series, column)).any():
                odd[column.name].look(words(series), strange, place)
    places = {place for seen in (*odd.values(), *(s for s in found.values() if not s.many)) for place in seen.places}
    labels = {target: {} if seen.many else seen.counts for target, seen in found.items()}
    return Survey(rows, dropped, labels, tuple(sorted(places)))


def _can_surprise(column: ColumnKind, kind: pl.DataType, typed: bool) -> bool:
    """Whether other rows may hold what the column's kind has no place for."""
    text = kind == pl.String
    return {"boolean": kind != pl.Boolean, "number": text or not typed, "datetime": text}.get(column, False)


def _unexpected(series: pl.Series, facts: ColumnFacts) -> np.ndarray:
    """(N,) which values are not of the kind that the sample shows."""
    if facts.kind == "number":
        return numbers(series, facts.missing_tokens).bad
    if facts.kind == "datetime":
        return instants(series, facts.format).bad
    if series.dtype == pl.String:
        return booleans(series).bad
    values = numbers(series).values
    return np.isfinite(values) & ~np.isin(values, (0, 1))


def _counts(column: pl.Series) -> dict[str, int]:
    counts = label_keys(column, lower=False).drop_nulls().value_counts()
    return dict(counts.iter_rows())


@dataclass
class _Seen:
    """Distinct values up to a number of `most`: how often each came, and where the first `each` of it stand.

    Of values of which enough are `known` already, no places are kept.
    """

    most: int
    each: int = 1
    known: Mapping[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    places: list[int] = field(default_factory=list)
    many: bool = False

    def look(self, values: pl.Series, which: np.ndarray, place: int) -> None:
        """Look at the values of these rows, of which the first of all stands at `place`."""
        if self.many:
            return
        rows = np.flatnonzero(which)
        values = values.gather(rows).fill_null("")
        for value, count in values.to_frame("value").group_by("value", maintain_order=True).len().iter_rows():
            wanted = self.each - self.counts.get(value, 0)
            if wanted > 0 and self.known.get(value, 0) < self.each:
                self.places += (place + rows[(values == value).to_numpy()][:wanted]).tolist()
            self.counts[value] = self.counts.get(value, 0) + count
            if len(self.counts) >= self.most:
                self.many = True
                return
