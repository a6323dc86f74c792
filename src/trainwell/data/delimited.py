"""Delimited text (.csv, .tsv) as a frame: encoding, separator, quotes and number style are found from the bytes."""

import csv
import io
from collections import Counter
from dataclasses import dataclass

import numpy as np
import polars as pl

from trainwell.base import DataError
from trainwell.data.values import MISSING_NUMBERS, MISSING_WORDS, looks_like_codes, parse_numbers

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_SAMPLE = 1 << 16
_NEWLINE, _QUOTE = 10, 34


def read_delimited(data: bytes, source: str) -> pl.DataFrame:
    """The frame in these bytes: numbers as numbers, everything else as text, missing words as null.

    Raises:
        DataError: empty, header only, not text, ragged, names twice, no known separator.
    """
    text = as_utf8(data, source)
    if not text.strip():
        raise DataError(f"'{source}' is empty: it needs a line of column names and a line for each row.")
    separator = find_separator(text, source)
    shape = shape_of(text, separator)
    names = read_header(text[shape.starts[0] : shape.starts[1] if len(shape.starts) > 1 else None], separator, source)
    raw = read_cells(text, shape, separator, names, source)
    if not raw.height:
        raise DataError(f"'{source}' has a header but no rows: add a line for each row below the column names.")
    return pl.DataFrame([typed(column, decimal_comma=separator != ",") for column in raw])


def as_utf8(data: bytes, source: str) -> bytes:
    """The text as UTF-8 with "\\n" line ends and no byte-order mark; Latin-1 (Windows-1252) where it isn't UTF-8."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = data.decode("utf-16", errors="replace").encode()
    _refuse_binary(data, source)
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        data = data.decode("cp1252", errors="replace").encode()
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in data else data


def _refuse_binary(data: bytes, source: str) -> None:
    head = np.frombuffer(data[:_SAMPLE], np.uint8)
    control = (head < 32) & ~np.isin(head, (9, 10, 12, 13))
    if not (control.any() and (0 in head or control.mean() > 0.01)):
        return
    known = {b"PAR1": "a parquet file", b"ARROW1": "a feather file", b"PK": "a zip or Excel file", b"\x89HDF": "HDF5"}
    for magic, what in known.items():
        if data.startswith(magic):
            raise DataError(f"'{source}' is not text but {what}: rename it to its proper ending, or export it as .csv.")
    raise DataError(f"'{source}' is not text: it holds binary bytes. Export the table as .csv or .parquet.")


def find_separator(text: bytes, source: str) -> str:
    """The separator under which most lines have as many fields as the header; of equals, the one with most fields."""
    sample = text[:_SAMPLE] if len(text) <= _SAMPLE else text[: text.rfind(b"\n", 0, _SAMPLE) + 1] or text
    found: dict[str, tuple[float, int]] = {}
    for separator in SEPARATORS:
        fields = shape_of(sample, separator).fields
        if fields[0] > 1:
            found[separator] = (round(float((fields == fields[0]).mean()), 2), int(fields[0]))
    if found:
        return max(found, key=lambda separator: found[separator])
    _refuse_other_separator(sample, source)
    return ","


def _refuse_other_separator(sample: bytes, source: str) -> None:
    lines = [line for line in sample.decode("utf-8", "replace").split("\n") if line.strip()][:50]
    for separator, name in ((None, "spaces"), (":", "colons"), ("^", "carets"), ("~", "tildes")):
        counts = Counter(len(line.split(separator)) for line in lines)
        if len(lines) > 1 and min(counts) > 1 and len(counts) == 1:
            raise DataError(
                f"'{source}' has one column only, '{lines[0][:40]}': it seems to be separated by {name}. "
                f"Save it separated by {', '.join(SEPARATORS.values())} instead."
            )


@dataclass(frozen=True)
class Shape:
    """Records of a text: where each starts, how many fields it has, and whether all quotation marks are closed."""

    starts: np.ndarray
    fields: np.ndarray
    balanced: bool
    blank_lines: bool


def shape_of(text: bytes, separator: str) -> Shape:
    """Where each non-blank record starts and how many fields it has; quoted separators and line ends don't count."""
    raw = np.frombuffer(text, np.uint8)
    ends, marks = raw == _NEWLINE, raw == ord(separator)
    balanced = True
    if b'"' in text:
        outside = np.cumsum(raw == _QUOTE, dtype=np.uint8) % 2 == 0
        balanced = bool(outside[-1])
        ends, marks = ends & outside, marks & outside
    starts = np.concatenate([[0], np.flatnonzero(ends) + 1])
    lengths = np.diff(np.append(starts, len(raw) + 1)) - 1
    blank_lines = bool((lengths[:-1] == 0).any())
    starts = starts[lengths > 0]
    fields = np.add.reduceat(marks.view(np.uint8), starts, dtype=np.int64) + 1
    return Shape(starts, fields, balanced, blank_lines)


def read_header(line: bytes, separator: str, source: str) -> list[str]:
    """Names of the columns; "unnamed_2" for an empty one."""
    given = [name.strip() for name in next(csv.reader(io.StringIO(line.decode("utf-8")), delimiter=separator))]
    for name, times in Counter(given).items():
        if times > 1 and name:
            places = " and ".join(str(i + 1) for i, other in enumerate(given) if other == name)
            raise DataError(f"Column names must differ, but '{name}' names columns {places} of '{source}'. Rename one.")
    return [name or f"unnamed_{i + 1}" for i, name in enumerate(given)]


def read_cells(
    text: bytes, shape: Shape, separator: str, names: list[str], source: str, *, line: int = 1
) -> pl.DataFrame:
    """The cells below a header as text, untouched; `line` is that of the header, for messages."""
    if shape.balanced and bool((shape.fields == len(names)).all()):
        body = _without_blank_lines(text, shape.starts) if shape.blank_lines else text
        try:
            frame = pl.read_csv(io.BytesIO(body), separator=separator, infer_schema=False)
            if frame.shape == (len(shape.starts) - 1, len(names)):
                return _trimmed(frame.rename(dict(zip(frame.columns, names, strict=True))))
        except pl.exceptions.PolarsError:
            pass  # quotes inside a field: the slow reader below understands them
    return _trimmed(_cells_one_by_one(text, shape.balanced, separator, names, source, line))


def _without_blank_lines(text: bytes, starts: np.ndarray) -> bytes:
    stops = np.append(starts[1:], len(text))
    return b"".join(text[a:b].rstrip(b"\n") + b"\n" for a, b in zip(starts, stops, strict=True))


def _cells_one_by_one(
    text: bytes, balanced: bool, separator: str, names: list[str], source: str, line: int
) -> pl.DataFrame:
    reader = csv.reader(io.StringIO(text.decode("utf-8"), newline=""), delimiter=separator)
    rows: list[list[str]] = []
    started = last = line
    try:
        for record in reader:
            if record and len(record) != len(names):
                raise DataError(_ragged(source, started, len(record), len(names), separator))
            rows += [record] if record else []
            last, started = started, reader.line_num + line
    except csv.Error as error:
        raise DataError(f"'{source}', line {started}: {error}. Is a quotation mark left open there?") from None
    if reader.line_num + line - 1 > last and not balanced:
        raise DataError(f"'{source}', line {last}: a quotation mark opens there and is never closed. Close it.")
    return pl.DataFrame(rows[1:], schema=dict.fromkeys(names, pl.String), orient="row")


def _ragged(source: str, line: int, found: int, expected: int, separator: str) -> str:
    return (
        f"'{source}', line {line}: {found} field{'s' * (found != 1)} where the header has {expected}, counting by "
        f"{SEPARATORS[separator]}. Mend the line, or put quotation marks around text that holds the separator."
    )


def _trimmed(frame: pl.DataFrame) -> pl.DataFrame:
    """Without the empty rows that spreadsheets leave at the end (rows of separators alone)."""
    last = frame.tail(1)
    if frame.width == 1 or not frame.height or any((value or "").strip() for value in last.row(0)):
        return frame
    filled = frame.select(pl.any_horizontal(pl.all().fill_null("").str.strip_chars() != "")).to_series()
    places = np.flatnonzero(filled.to_numpy())
    return frame.head(int(places[-1]) + 1 if len(places) else 0)


def typed(column: pl.Series, *, decimal_comma: bool, like: pl.DataType | None = None) -> pl.Series:
    """A column of text as numbers where all of it is numbers, else as stripped text; missing words as null.

    `like`: the type of the whole column of which this is a piece.
    """
    text = column.str.strip_chars()
    if like != pl.String:
        numeric = text.set(text.is_in(list(MISSING_NUMBERS)).fill_null(False), None)
        if numeric.null_count() == len(numeric):
            if like is not None:
                return numeric.cast(pl.Float64)
        elif not looks_like_codes(numeric):
            values = parse_numbers(numeric, decimal_comma=decimal_comma)
            if values.null_count() == numeric.null_count():
                return values.fill_nan(None) if values.dtype.is_float() else values
    return text.set(text.is_in(list(MISSING_WORDS)).fill_null(False), None)
