"""Tables in files, read piece by piece: what is in them is known before their rows are, and never all rows at once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl

from trainwell.base import DataError
from trainwell.data.blocks import Blocks, Places
from trainwell.data.bundled import BUNDLED
from trainwell.data.footers import Parts, feather_parts, parquet_parts
from trainwell.data.room import SWITCH, told
from trainwell.data.scan_arrays import open_arrays
from trainwell.data.scan_text import open_text
from trainwell.data.table import Table, table_from_frame

FIXED, STRING = 8, 16  # bytes of a number and of a short text in a table
SLICE = 6  # times what is asked for is taken while a part of a file is unpacked (measured: 2.3 of a row group)


class Scan(Protocol):
    """A file of rows.

    Attributes:
        source: names it in messages.
        columns: their names.
        rows: how many; of text an estimate, until all of it has been read once.
        row_bytes: what a row takes in a table in memory, about.
        typed: whether the file says the types of its columns; in text a word may come at any row.
        parts: what must be unpacked in memory to read any row of it; nothing where rows are read one by one.
    """

    source: str
    columns: tuple[str, ...]
    rows: int
    row_bytes: float
    typed: bool
    parts: Parts

    def pieces(
        self, blocks: Blocks | Places, most: int, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[int, pl.DataFrame]]:
        """The taken blocks in order, whole and as they stand, up to about `most` rows at a time, each with its place.

        Args:
            columns: only these are needed.

        Raises:
            DataError: what is there can't be read, or a part of it would not fit into memory.
        """
        ...

    def table(self, raw: pl.DataFrame, place: int, like: pl.DataFrame | None = None) -> Table:
        """A piece as the table that reading the whole file would give, which is `like` this one in its types."""
        ...


@dataclass
class ColumnScan:
    """Parquet or Feather."""

    source: str
    columns: tuple[str, ...]
    rows: int
    row_bytes: float
    lazy: pl.LazyFrame
    parts: Parts
    typed: bool = True

    def pieces(
        self, blocks: Blocks | Places, most: int, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[int, pl.DataFrame]]:
        """See `Scan`."""
        lazy = self.lazy if columns is None else self.lazy.select(columns)
        for start, stop in blocks.runs(0, self.rows, most):
            try:
                yield start, lazy.slice(start, stop - start).collect()
            except (Exception, pl.exceptions.PanicException) as error:  # whatever damage makes the decoder raise
                raise DataError(
                    f"'{self.source}' is damaged: rows {start + 1:,} to {stop:,} can't be read "
                    f"({' '.join(str(error).split())[:120].rstrip('.')}). Write it again."
                ) from None

    def table(self, raw: pl.DataFrame, place: int, like: pl.DataFrame | None = None) -> Table:
        """See `Scan`."""
        return Table(table_from_frame(raw, self.source).frame, self.source, place + 1)


def open_scan(source: object) -> Scan | None:
    """The file of this path, not yet read; None for what is in memory, or can only be read whole."""
    if not isinstance(source, str | Path) or str(source) in BUNDLED:
        return None
    path = Path(source).expanduser()
    opener = next((open_ for ending, open_ in OPENERS.items() if path.name.lower().endswith(ending)), None)
    if opener is None or not path.is_file():
        return None
    try:
        return opener(path)
    except Exception:  # whatever is wrong with it, reading it whole says so best
        return None


def _open_parquet(path: Path) -> ColumnScan:
    lazy = pl.scan_parquet(path)
    schema, rows = lazy.collect_schema(), lazy.select(pl.len()).collect().item()
    parts = parquet_parts(path)
    fixed = _fixed_bytes(list(schema.dtypes()))
    return ColumnScan(path.name, tuple(schema), rows, max(fixed, parts.bytes / max(1, parts.rows)), lazy, parts)


def _open_feather(path: Path) -> ColumnScan:
    lazy = pl.scan_ipc(path)
    schema, rows = lazy.collect_schema(), lazy.select(pl.len()).collect().item()
    parts = feather_parts(path, rows)
    width = max(_fixed_bytes(list(schema.dtypes())), parts.bytes / max(1, parts.rows))
    return ColumnScan(path.name, tuple(schema), rows, width, lazy, Parts(parts.rows, round(parts.rows * width)))


def _fixed_bytes(types: Sequence[pl.DataType]) -> float:
    return float(sum(FIXED if kind.is_numeric() or kind.is_temporal() else STRING for kind in types))


OPENERS: dict[str, Callable[[Path], Scan]] = {
    ".csv": open_text,
    ".tsv": open_text,
    ".txt": open_text,
    ".csv.gz": open_text,
    ".tsv.gz": open_text,
    ".txt.gz": open_text,
    ".parquet": _open_parquet,
    ".feather": _open_feather,
    ".npz": open_arrays,
}


def read_blocks(scan: Scan, blocks: Blocks | Places, most: int) -> tuple[pl.DataFrame, np.ndarray]:
    """The taken blocks as one raw frame, and the place (n,) of each row in the file."""
    pieces = list(scan.pieces(blocks, most))
    if not pieces:
        raise DataError(f"'{scan.source}' has no rows: it needs at least one.")
    places = [np.arange(start, start + piece.height) for start, piece in pieces]
    return pl.concat([piece for _, piece in pieces], rechunk=True), np.concatenate(places)


def check_parts(scan: Scan, allowed: int) -> None:
    """Raise a DataError if even one part of the file doesn't fit into the allowed memory."""
    if scan.parts.bytes * SLICE > allowed:
        raise DataError(
            f"'{scan.source}' is written in parts of {scan.parts.rows:,} rows ({told(scan.parts.bytes)}); to be read "
            f"within {told(allowed)} of memory they must be below {told(allowed / SLICE)}. Write it in smaller ones "
            f"(row_group_size=, record_batch_size=), or allow more memory ({SWITCH}=)."
        )
