"""From values to places on an axis: linear, logarithmic (with a place for 0) or by category, and its ticks."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from trainwell.report.words import MINUS, SUPERSCRIPT

Tick = tuple[float, str]  # place in [0, 1], text
ROOM = 0.05  # of the span, left free at both ends of a linear axis that was not given bounds


@dataclass(frozen=True)
class Axis:
    """What an axis shows.

    Attributes:
        log: decades of equal length; zeros then stand left of (below) the lowest value.
        low, high: bounds; None: those of the values. categories: names in place of numbers 0, 1, 2 …
        whole: ticks at whole numbers only.
    """

    label: str = ""
    log: bool = False
    low: float | None = None
    high: float | None = None
    categories: tuple[str, ...] = ()
    whole: bool = False


@dataclass(frozen=True)
class Scale:
    """A fitted axis: `low` … `high` (logarithms where `log`) lie on 0 … 1; `zero` is the place of 0 on a log axis."""

    low: float
    high: float
    log: bool
    ticks: tuple[Tick, ...]
    zero: float | None = None

    def place(self, value: float) -> float | None:
        """Where a value lies; None for one that has no place: NaN, infinite, not positive on a log axis without zero.

        >>> fit(Axis(low=0, high=10), []).place(2.5)
        0.25
        """
        if not math.isfinite(value):
            return None
        if not self.log:
            return (value - self.low) / (self.high - self.low)
        if value <= 0:
            return self.zero if value == 0 else None
        start = 0.0 if self.zero is None else ZERO_ROOM
        return start + (1 - start) * (math.log10(value) - self.low) / (self.high - self.low)


ZERO_ROOM = 0.1  # of a log axis, for its 0


def fit(axis: Axis, values: Iterable[float]) -> Scale:
    """The scale of an axis for these values; ticks on round numbers."""
    finite = [v for v in (float(value) for value in values) if math.isfinite(v)]
    if axis.categories:
        count = len(axis.categories)
        places = [(i + 0.5) / count for i in range(count)]
        return Scale(-0.5, count - 0.5, False, tuple(zip(places, axis.categories, strict=True)))
    positive = [v for v in finite if v > 0]
    if axis.log and positive:
        return _logarithmic(axis, positive, any(v == 0 for v in finite))
    return _linear(axis, finite or [0.0, 1.0])


def _linear(axis: Axis, values: list[float]) -> Scale:
    low, high = min(values), max(values)
    room = ROOM * (high - low) or abs(high) * ROOM or 0.5
    start = low - room if axis.low is None else axis.low
    end = high + room if axis.high is None else axis.high
    if axis.low is None and low >= 0 > start:
        start = 0.0
    if end <= start:
        end = start + 1.0
    step = round_step((end - start) / 5)
    step = max(1.0, step) if axis.whole else step
    first, last = math.ceil(start / step - 1e-9), math.floor(end / step + 1e-9)
    ticks = tuple(((i * step - start) / (end - start), tick_text(i * step, step)) for i in range(first, last + 1))
    return Scale(start, end, False, ticks)


def _logarithmic(axis: Axis, values: list[float], zeros: bool) -> Scale:
    low = math.log10(min(values) if axis.low is None else axis.low)
    high = math.log10(max(values) if axis.high is None else axis.high)
    room = max(0.03 * (high - low), 0.04)
    low, high = (low - room if axis.low is None else low), (high + room if axis.high is None else high)
    bare = Scale(low, high, True, (), ZERO_ROOM / 2 if zeros else None)
    ticks = [(bare.place(value) or 0.0, text) for value, text in log_ticks(low, high)]
    return Scale(low, high, True, tuple([(ZERO_ROOM / 2, "0"), *ticks] if zeros else ticks), bare.zero)


def round_step(least: float) -> float:
    """The next of 1, 2, 5, 10 … times a power of ten.

    >>> [round_step(x) for x in (0.13, 1.0, 34.0)]
    [0.2, 1.0, 50.0]
    """
    power = 10.0 ** math.floor(math.log10(least))
    return next(float(f"{m * power:.12g}") for m in (1, 2, 5, 10) if m * power >= least * (1 - 1e-9))


def log_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Values and texts between two logarithms: decades, thinned; 1-2-5 where there are less than two decades.

    >>> [text for _, text in log_ticks(-4.0, -1.0)], [text for _, text in log_ticks(0.0, 1.0)]
    (['0.0001', '0.001', '0.01', '0.1'], ['1', '2', '5', '10'])
    """
    decades = range(math.floor(low), math.ceil(high) + 1)
    if high - low < 2:
        values = [float(f"{m}e{d}") for d in decades for m in (1, 2, 5)]
        values = [v for v in values if low - 1e-9 <= math.log10(v) <= high + 1e-9]
        if len(values) > 1:
            return [(v, _log_text(v)) for v in values]
        low, high = min(low, math.log10(values[0]) if values else low), high
        step = round_step((10**high - 10**low) / 4)
        return [
            (i * step, tick_text(i * step, step))
            for i in range(math.ceil(10**low / step), math.floor(10**high / step) + 1)
            if i
        ]
    skip = math.ceil(len(decades) / 7)
    inside = [d for d in decades if low - 1e-9 <= d <= high + 1e-9 and d % skip == 0]
    return [(10.0**d, _log_text(10.0**d)) for d in inside]


def _log_text(value: float) -> str:
    exponent = math.floor(math.log10(value) + 1e-9)
    if -4 <= exponent <= 4:
        return f"{value:,.{max(0, -exponent)}f}"
    lead = round(value / 10.0**exponent)
    power = f"10{str(exponent).translate(SUPERSCRIPT)}"
    return power if lead == 1 else f"{lead}·{power}"


def tick_text(value: float, step: float) -> str:
    """A tick with the digits its step needs.

    >>> tick_text(0.30000000000000004, 0.1), tick_text(20000.0, 5000.0), tick_text(-2e-7, 1e-7)
    ('0.3', '20,000', '−2e-07')
    """
    if abs(value) < step / 2:
        return "0"
    exponent = math.floor(math.log10(step) + 1e-9)
    if exponent < -5 or abs(value) >= 1e7:
        text = f"{abs(value):.{max(0, math.floor(math.log10(abs(value))) - exponent)}e}"
    else:
        text = f"{abs(value):,.{max(0, -exponent)}f}"
    return f"{MINUS}{text}" if value < 0 else text
