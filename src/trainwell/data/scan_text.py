"""Delimited text read piece by piece, by the rules of `delimited`; a column's type is that of what was read first."""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import polars as pl

from trainwell.base import DataError
from trainwell.data.blocks import Blocks, Places
from trainwell.data.delimited import as_utf8, find_separator, read_cells, read_header, shape_of, typed
from trainwell.data.footers import Parts
from trainwell.data.table import Table, table_from_frame

_HEAD = 1 << 20  # bytes that the size of a row is estimated by
_OPEN = 64 << 20  # a quotation mark that is open for so long was never closed


@dataclass
class TextScan:
    """A text of one record a line. It is read from the start for every pass; only taken records are parsed."""

    source: str
    columns: tuple[str, ...]
    rows: int
    row_bytes: float
    path: Path
    separator: str
    line_bytes: float
    parts: Parts = Parts(0, 0)
    typed: bool = False

    def pieces(
        self, blocks: Blocks | Places, most: int, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[int, pl.DataFrame]]:
        """See `data.scan.Scan`; all cells are text."""
        header, rest, line, place, first = b"", b"", 1, 0, True
        for text, last in self._chunks(max(1 << 12, int(max(most, blocks.size) * self.line_bytes))):
            text = rest + text
            if not text:
                continue
            shape = shape_of(text, self.separator)
            starts = [*shape.starts.tolist(), len(text)]
            if first and len(starts) > 2:
                header, first = text[: starts[1]], False
                text, starts = text[starts[1] :], [start - starts[1] for start in starts[1:]]
                line += header.count(b"\n")
            complete = len(starts) - 1 - (not shape.balanced)
            whole = len(starts) - 1 if last else max(0, complete) // blocks.size * blocks.size
            for start, stop in blocks.runs(place, whole, most) if whole and not first else ():
                piece = text[starts[start - place] : starts[stop - place]]
                own = line + text[: starts[start - place]].count(b"\n")
                yield start, self._cells(header, piece, own)
            rest = text[starts[whole] :] if not first else text
            line, place = line + text[: len(text) - len(rest)].count(b"\n"), place + whole
            if len(rest) > max(_OPEN, 100 * blocks.size * self.line_bytes):
                raise DataError(
                    f"'{self.source}', from line {line} on: a quotation mark opens and isn't closed. Close it."
                )
        self.rows = place

    def _cells(self, header: bytes, piece: bytes, line: int) -> pl.DataFrame:
        text = header.rstrip(b"\n") + b"\n" + piece
        shape = shape_of(text, self.separator)
        return read_cells(text, shape, self.separator, list(self.columns), self.source, line=line - 1)

    def _chunks(self, size: int) -> Iterator[tuple[bytes, bool]]:
        """The text in pieces that end with a line, and whether it is the last."""
        with open_bytes(self.path) as file:
            rest = b""
            while True:
                try:
                    more = file.read(size)
                except (OSError, EOFError, zlib.error) as error:
                    raise DataError(
                        f"'{self.source}' is damaged: it does not unzip ({error}). Copy it again."
                    ) from None
                end = more.rfind(b"\n") + 1
                if not more:
                    yield as_utf8(rest, self.source) if rest else b"", True
                    return
                if end:
                    yield as_utf8(rest + more[:end], self.source), False
                rest = more[end:] if end else rest + more

    def table(self, raw: pl.DataFrame, place: int, like: pl.DataFrame | None = None) -> Table:
        """See `data.scan.Scan`. A column of text stays text; one of numbers becomes text where it holds a word."""
        comma = self.separator != ","
        types = {} if like is None else like.schema
        columns = [typed(column, decimal_comma=comma, like=types.get(column.name)) for column in raw]
        return Table(table_from_frame(pl.DataFrame(columns), self.source).frame, self.source, place + 1)


def open_text(path: Path) -> TextScan:
    """A text of which the head has been looked at.

    Raises:
        ValueError: of a kind that is only read whole: UTF-16, line ends of one carriage return, no rows.
    """
    source = path.name
    with open_bytes(path) as file:
        head = file.read(_HEAD)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\n" not in head:
        raise ValueError("read whole")
    text = as_utf8(head[: head.rfind(b"\n") + 1], source)
    separator = find_separator(text, source)
    shape = shape_of(text, separator)
    names = read_header(text[shape.starts[0] : shape.starts[1]], separator, source)
    raw = read_cells(text, shape, separator, names, source)
    table = pl.DataFrame([typed(column, decimal_comma=separator != ",") for column in raw])
    line = (len(text) - int(shape.starts[1])) / raw.height
    rows = max(1, round(_text_bytes(path) / line))
    return TextScan(source, tuple(names), rows, table.estimated_size() / raw.height, path, separator, line)


def open_bytes(path: Path) -> IO[bytes]:
    """The file, unzipped where it is zipped."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if zipped else path.open("rb")  # pyright: ignore[reportReturnType]


def _text_bytes(path: Path) -> float:
    """Bytes of the text; of a zipped one by how far its start was zipped."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(_HEAD)
    if not start.startswith(b"\x1f\x8b"):
        return size
    unzipped = zlib.decompressobj(wbits=31).decompress(start)
    return size * len(unzipped) / len(start)
