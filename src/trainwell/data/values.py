"""One column as the values of its kind: the same reading for training, test and new data.

Each reader takes a column in whatever type it came and gives the values with a mask of the rows that hold something
of another type ("bad" rows). Nothing here is fitted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

MISSING_WORDS = ("", "?", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null")
MISSING_NUMBERS = (*MISSING_WORDS, "None", "none", "-", ".", "na")
TRUE_WORDS = ("true", "yes", "y", "t", "1", "1.0", "on")
FALSE_WORDS = ("false", "no", "n", "f", "0", "0.0", "off")

_GROUPED = r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$"
_PLAIN = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_DECIMAL_COMMA = r"^[+-]?(\d+|\d{1,3}([.' ]\d{3})+)(,\d+)?([eE][+-]?\d+)?$"
_CODE = r"^0\d+$"


@dataclass(frozen=True)
class Reading:
    """`values` (N,) with NaN (of words: null, of instants: NaT) where missing; `bad` (N,) True for another type."""

    values: np.ndarray
    bad: np.ndarray


def words(series: pl.Series) -> pl.Series:
    """A column's values as text that names them: 2 and 2.0 are both "2"; missing words are null."""
    kind = series.dtype
    if kind == pl.String:
        text = series.str.strip_chars()
        return text.set(text.is_in(list(MISSING_WORDS)).fill_null(False), None)
    if kind.is_float():
        exact = series.cast(pl.Float64).fill_nan(None)
        whole = exact.cast(pl.Int64, strict=False)
        is_whole = ((whole.cast(pl.Float64) == exact) & (exact.abs() < 2**53)).fill_null(False)
        return whole.cast(pl.String).zip_with(is_whole, exact.cast(pl.String))
    return series.cast(pl.String)


def numbers(series: pl.Series, tokens: Sequence[str] = ()) -> Reading:
    """Numbers, ±∞ kept. Text is parsed; the usual words and `tokens` are missing. Dates are bad."""
    kind = series.dtype
    if kind.is_numeric() or kind in (pl.Boolean, pl.Null):
        values = series.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
        return Reading(np.array(values, np.float64), np.zeros(len(series), bool))
    if kind != pl.String:
        return Reading(np.full(len(series), np.nan), series.is_not_null().to_numpy())
    text = series.str.strip_chars()
    absent = (text.is_null() | text.is_in([*MISSING_NUMBERS, *tokens])).to_numpy()
    parsed = parse_numbers(text.set(pl.Series(absent), None))
    values = parsed.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return Reading(np.array(values, np.float64), parsed.is_null().to_numpy() & ~absent)


def parse_numbers(text: pl.Series, *, decimal_comma: bool = True) -> pl.Series:
    """Text as Int64 if all of it is, else Float64; null where a text is no number.

    Decimal commas ("1.234,5") and grouped thousands ("1,234.5") are understood where the whole column is written so;
    `decimal_comma` says which of the two "1,234" is.
    """
    there = text.len() - text.null_count()
    whole = text.cast(pl.Int64, strict=False)
    if whole.len() - whole.null_count() == there:
        return whole
    decimal = text.cast(pl.Float64, strict=False)
    if decimal.len() - decimal.null_count() == there or not text.str.contains(",", literal=True).any():
        return decimal
    styles = [(_DECIMAL_COMMA, r"[.' ]"), (_GROUPED, ",")]
    for pattern, separator in styles if decimal_comma else styles[::-1]:
        fits = text.str.contains(pattern) if separator != "," else text.str.contains(f"{pattern}|{_PLAIN}")
        if fits.all():
            return (
                text.str.replace_all(separator, "").str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
            )
    return decimal


def looks_like_codes(text: pl.Series) -> bool:
    """Whether some values are digits behind a zero ("007"), as in codes that are names, not quantities."""
    return bool(text.str.contains(_CODE).any())


def booleans(series: pl.Series) -> Reading:
    """0, 1 or NaN. A number counts as yes from one half on; words are compared without regard to case."""
    if series.dtype != pl.String:
        reading = numbers(series)
        present = ~np.isnan(reading.values)
        return Reading(np.where(present, reading.values >= 0.5, np.nan), reading.bad)
    text = words(series).str.to_lowercase()
    yes = text.is_in(list(TRUE_WORDS)).fill_null(False).to_numpy()
    no = text.is_in(list(FALSE_WORDS)).fill_null(False).to_numpy()
    values = np.where(yes, 1.0, np.where(no, 0.0, np.nan))
    return Reading(values, ~yes & ~no & text.is_not_null().to_numpy())


def instants(series: pl.Series, form: str) -> Reading:
    """Instants as datetime64[us], NaT where missing. Text is parsed by `form`; numbers are bad."""
    kind = series.dtype
    if kind == pl.String:
        text = words(series)
        parsed = text.str.to_datetime(form, strict=False, time_unit="us") if form else text.cast(pl.Datetime)
        return Reading(_microseconds(parsed), (parsed.is_null() & text.is_not_null()).to_numpy())
    if kind.is_temporal() or kind == pl.Null:
        return Reading(_microseconds(series), np.zeros(len(series), bool))
    return Reading(np.full(len(series), np.datetime64("NaT", "us")), series.is_not_null().to_numpy())


def _microseconds(series: pl.Series) -> np.ndarray:
    if isinstance(series.dtype, pl.Datetime) and series.dtype.time_zone is not None:
        series = series.dt.replace_time_zone(None)
    return np.array(series.cast(pl.Datetime("us")).to_numpy(), "datetime64[us]")
