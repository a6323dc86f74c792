"""Columns of numbers, yes or no, and dates as inputs. Fitted on training rows; missing and infinite values are filled.

Contract of an encoder, here and in `encode_words`: a frozen dataclass of plain values and arrays (so that it can be
saved), with `name` (its column), `inputs` (names of its dense inputs), `cardinality` (of its index, 0 if it has none)
and `encode(series, origin)`, which gives (N, inputs) float32, or (N,) int64 if it is an index. A row's encoding does
not depend on the other rows.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from trainwell.base import DataError
from trainwell.data.facts import ColumnFacts
from trainwell.data.options import PreparationOptions
from trainwell.data.piecewise import encode_piecewise, quantile_edges
from trainwell.data.scaling import Scaler, fit_scaler
from trainwell.data.values import booleans, instants, numbers

FEW_DISTINCT = 4
"""Numbers with fewer distinct values stay one plain input: bins would repeat it."""

_DAY = 86_400_000_000
_LARGEST = 1e300  # differences of such numbers are still finite


@dataclass(frozen=True)
class Origin:
    """Where a block of rows comes from, for messages: the table's name, and the row number of its first row."""

    source: str
    first_row: int = 1


def refuse_bad(series: pl.Series, bad: np.ndarray, expected: str, origin: Origin) -> None:
    """Raise a DataError for the first row that holds another type than in training."""
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"Column '{series.name}' of '{origin.source}' must be {expected}, as in training, but row "
            f"{origin.first_row + row} holds '{series[row]}'. Mend the value, or leave it empty if it is unknown."
        )


@dataclass(frozen=True, eq=False)
class Numeric:
    """Numbers (N,) as one scaled input, one input a bin, and one that says "missing" (if that occurred in training)."""

    fill: float
    scaler: Scaler
    edges: np.ndarray
    indicator: bool

    def inputs(self, name: str) -> tuple[str, ...]:
        """Names of the inputs."""
        bins = tuple(f"{name} [{a:.6g}, {b:.6g})" for a, b in zip(self.edges[:-1], self.edges[1:], strict=True))
        return (name, *bins, *((f"{name} is missing",) if self.indicator else ()))

    def encode(self, values: np.ndarray) -> np.ndarray:
        """(N, inputs) float32."""
        finite = np.isfinite(values)
        filled = np.where(finite, np.clip(values, -_LARGEST, _LARGEST), self.fill)
        parts = [self.scaler.apply(filled)[:, None].astype(np.float32)]
        if len(self.edges):
            parts.append(encode_piecewise(filled, self.edges))
        if self.indicator:
            parts.append((~finite)[:, None].astype(np.float32))
        return np.concatenate(parts, axis=1)


def fit_numeric(values: np.ndarray, options: PreparationOptions, *, plain: bool = False) -> Numeric:
    """Fit on training values (N,), NaN or infinite where missing; missing ones get the median."""
    finite = values[np.isfinite(values)]
    known = np.clip(finite, -_LARGEST, _LARGEST) if len(finite) else np.zeros(1)
    binned = options.encoding == "piecewise-linear" and not plain and len(np.unique(known)) >= FEW_DISTINCT
    edges = quantile_edges(known, options.bins) if binned else np.zeros(0)
    return Numeric(float(np.median(known)), fit_scaler(known, options.scaling), edges, len(finite) < len(values))


@dataclass(frozen=True, eq=False)
class NumberEncoder:
    """A quantity."""

    name: str
    missing_tokens: tuple[str, ...]
    numeric: Numeric
    cardinality: int = 0

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the dense inputs."""
        return self.numeric.inputs(self.name)

    def encode(self, series: pl.Series, origin: Origin) -> np.ndarray:
        """(N, inputs) float32."""
        read = numbers(series, self.missing_tokens)
        refuse_bad(series, read.bad, "a number", origin)
        return self.numeric.encode(read.values)


def fit_number(series: pl.Series, facts: ColumnFacts, options: PreparationOptions) -> NumberEncoder:
    """Fit on the training rows of a column."""
    values = numbers(series, facts.missing_tokens).values
    return NumberEncoder(facts.name, facts.missing_tokens, fit_numeric(values, options))


@dataclass(frozen=True)
class BooleanEncoder:
    """No or yes as 0 or 1; a missing or unknown word as the share of yes in training."""

    name: str
    fill: float
    indicator: bool
    cardinality: int = 0

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the dense inputs."""
        return (self.name, f"{self.name} is missing") if self.indicator else (self.name,)

    def encode(self, series: pl.Series, origin: Origin) -> np.ndarray:
        """(N, inputs) float32."""
        read = booleans(series)
        if series.dtype != pl.String:
            refuse_bad(series, read.bad, "yes or no", origin)
        missing = np.isnan(read.values)
        parts = [np.where(missing, self.fill, read.values)] + ([missing] if self.indicator else [])
        return np.stack(parts, axis=1).astype(np.float32)


def fit_boolean(series: pl.Series, facts: ColumnFacts, options: PreparationOptions) -> BooleanEncoder:
    """Fit on the training rows of a column."""
    values = booleans(series).values
    known = values[~np.isnan(values)]
    return BooleanEncoder(facts.name, float(known.mean()) if len(known) else 0.5, len(known) < len(values))


CYCLES: dict[str, int] = {"month": 12, "day": 31, "weekday": 7, "time": 24 * 60}
"""Calendar parts that come round, with their length in steps; "time" counts minutes."""

_CIRCLES = {
    part: np.stack([np.sin(angle), np.cos(angle)], axis=1).astype(np.float32)
    for part, steps in CYCLES.items()
    for angle in [2 * np.pi * np.arange(steps) / steps]
}


@dataclass(frozen=True, eq=False)
class DatetimeEncoder:
    """Days since 1970 and the year as numbers; those calendar parts that vary in training as sine and cosine."""

    name: str
    format: str
    parts: tuple[str, ...]
    days: Numeric
    year: Numeric
    cardinality: int = 0

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the dense inputs."""
        waves = (f"{self.name} {part} {wave}" for part in self.parts for wave in ("sine", "cosine"))
        return (*self.days.inputs(self.name), *self.year.inputs(f"{self.name} year"), *waves)

    def encode(self, series: pl.Series, origin: Origin) -> np.ndarray:
        """(N, inputs) float32."""
        read = instants(series, self.format)
        expected = f"a date written as {self.format}" if self.format else "a date"
        refuse_bad(series, read.bad, expected, origin)
        missing = np.isnat(read.values)
        steps = _calendar(np.where(missing, np.datetime64(0, "us"), read.values))
        circles = [np.where(missing[:, None], np.float32(0), _CIRCLES[part][steps[part]]) for part in self.parts]
        numbers_ = [self.days.encode(_days(read.values)), self.year.encode(_years(read.values))]
        return np.concatenate([*numbers_, *circles], axis=1)


def fit_datetime(series: pl.Series, facts: ColumnFacts, options: PreparationOptions) -> DatetimeEncoder:
    """Fit on the training rows of a column."""
    values = instants(series, facts.format).values
    steps = _calendar(values[~np.isnat(values)])
    varying = tuple(part for part in CYCLES if len(np.unique(steps[part])) > 1)
    days = fit_numeric(_days(values), options)
    years = fit_numeric(np.where(np.isnat(values), days.fill, _years(values)), options, plain=True)
    return DatetimeEncoder(facts.name, facts.format, varying, days, years)


def _days(values: np.ndarray) -> np.ndarray:
    return np.where(np.isnat(values), np.nan, values.astype(np.int64) / _DAY)


def _years(values: np.ndarray) -> np.ndarray:
    return np.where(np.isnat(values), np.nan, values.astype("M8[Y]").astype(np.int64) + 1970.0)


def _calendar(values: np.ndarray) -> dict[str, np.ndarray]:
    """Each cycle's step (N,), counted from 0, of present instants."""
    months, days = values.astype("M8[M]"), values.astype("M8[D]")
    return {
        "month": months.astype(np.int64) % 12,
        "day": (days - months.astype("M8[D]")).astype(np.int64),
        "weekday": (days.astype(np.int64) + 3) % 7,
        "time": (values.astype(np.int64) % _DAY) // 60_000_000,
    }
