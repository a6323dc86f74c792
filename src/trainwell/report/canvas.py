"""The ground of a drawing: measured margins, grid, ticks, titles and legend, as SVG text.

Colours are classes that the page's style sheet defines for light and dark: `c0` … `c7` tell things apart, `r0` … `r5`
are a ramp for what has an order. All text of strangers goes through `text`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from trainwell.report.scales import Axis, Scale, Tick, fit
from trainwell.report.words import shortened

LETTER = 6.1  # mean width of a letter at the 11 px of ticks and legends
NAME_LETTER = 6.9  # at the 12 px of names and values
LINE = 15.0
RIGHT, BOTTOM = 14.0, 22.0
Swatch = Literal["line", "dashed", "dot", "ring", "cross", "bar"]


@dataclass(frozen=True)
class Key:
    """An entry of the legend."""

    text: str
    colour: str
    swatch: Swatch = "line"


@dataclass(frozen=True)
class Canvas:
    """The plotting area of a figure and its two scales. Places are pixels of the drawing's own box."""

    width: float
    height: float
    left: float
    top: float
    bottom: float
    x: Scale
    y: Scale

    @property
    def inner(self) -> tuple[float, float]:
        """Width and height of the plotting area."""
        return self.width - self.left - RIGHT, self.height - self.top - self.bottom

    def at(self, x: float, y: float) -> tuple[float, float] | None:
        """Pixels of a point; beyond a bound it is drawn on the bound; None if it has no place."""
        across, up = self.x.place(x), self.y.place(y)
        if across is None or up is None:
            return None
        wide, high = self.inner
        return self.left + min(1, max(0, across)) * wide, self.top + (1 - min(1, max(0, up))) * high

    def across(self, place: float) -> float:
        """Pixel of a place on the x axis."""
        return self.left + place * self.inner[0]

    def up(self, place: float) -> float:
        """Pixel of a place on the y axis."""
        return self.top + (1 - place) * self.inner[1]


def canvas(
    width: float, height: float, x: Axis, y: Axis, xs: Sequence[float], ys: Sequence[float], keys: Sequence[Key]
) -> Canvas:
    """A canvas with room for its ticks, titles and legend."""
    x_scale, y_scale = fit(x, xs), fit(y, ys)
    widest = max((len(shortened(tick, 14)) for _, tick in y_scale.ticks), default=1)
    top = 8.0 + (LINE if y.label else 0.0) + LINE * len(legend_lines(keys, width))
    bottom = BOTTOM + (LINE if x.label else 0.0)
    return Canvas(width, height, max(22.0, 10 + LETTER * widest), top + 4, bottom, x_scale, y_scale)


def ground(c: Canvas, x: Axis, y: Axis, keys: Sequence[Key]) -> str:
    """Grid, ticks, axis titles and legend. The y title stands level above its axis, where it can be read."""
    (wide, high), parts = c.inner, []
    for place, tick in c.y.ticks:
        at = c.up(place)
        parts.append(line(c.left, at, c.left + wide, at, "grid"))
        parts.append(text(c.left - 6, at + 3.8, shortened(tick, 14), "tick end", full=tick))
    for place, tick in _thinned(c.x.ticks, wide):
        at = c.across(place)
        parts.append(line(at, c.top + high, at, c.top + high + 4, "axis"))
        room = int(wide / max(1, len(c.x.ticks)) / LETTER) if x.categories else 14
        parts.append(text(at, c.top + high + 16, shortened(tick, max(4, room)), "tick mid", full=tick))
    parts.append(line(c.left, c.top + high, c.left + wide, c.top + high, "axis"))
    if x.label:
        parts.append(text(c.left + wide / 2, c.height - 4, x.label, "title mid"))
    if y.label:
        parts.append(text(2, 12, y.label, "title"))
    return "".join(parts) + _legend(keys, c.width, 12 + (LINE if y.label else 0.0))


def _thinned(ticks: Sequence[Tick], wide: float) -> Sequence[Tick]:
    """As many ticks as have room for their text."""
    longest = max((len(tick) for _, tick in ticks), default=1)
    fits = max(2, int(wide / (LETTER * min(longest, 14) + 10)))
    named = not all(tick[:1].isdigit() or tick[:1] in "−." for _, tick in ticks)
    return ticks if named else ticks[:: -(-len(ticks) // fits)]


def legend_lines(keys: Sequence[Key], width: float) -> list[list[tuple[float, Key]]]:
    """The legend's entries with their places, broken into lines."""
    lines: list[list[tuple[float, Key]]] = []
    place = width
    for key in keys:
        takes = 32 + LETTER * len(shortened(key.text, 30))
        if place + takes > width:
            lines.append([])
            place = 0.0
        lines[-1].append((place, key))
        place += takes
    return lines


def swatches(keys: Sequence[Key]) -> tuple[tuple[str, str], ...]:
    """Drawing and text of each entry of a legend that several drawings share."""
    return tuple((svg(20, 12, key.text, _swatch(key, 1, 6)), key.text) for key in keys)


def _legend(keys: Sequence[Key], width: float, top: float) -> str:
    parts = []
    for i, entries in enumerate(legend_lines(keys, width)):
        y = top + i * LINE
        for place, key in entries:
            parts.append(_swatch(key, place + 2, y - 4))
            parts.append(text(place + 22, y, shortened(key.text, 30), "legend", full=key.text))
    return "".join(parts)


def _swatch(key: Key, x: float, y: float) -> str:
    if key.swatch in ("line", "dashed"):
        return line(x, y, x + 15, y, f"curve {key.colour}" + (" dashed" if key.swatch == "dashed" else ""))
    if key.swatch == "bar":
        return f'<rect x="{x + 3:g}" y="{y - 5:g}" width="10" height="10" rx="2" class="fill {key.colour}"/>'
    return point(x + 8, y, key.swatch, key.colour)


def point(x: float, y: float, shape: str, colour: str, hint: str = "", size: float = 3.4) -> str:
    """A dot, a ring or a cross; `hint` shows when pointed at."""
    inside = f"<title>{escape(hint)}</title>" if hint else ""
    if shape == "cross":
        a, b = (
            f"M{x - size:.1f} {y - size:.1f}l{2 * size:g} {2 * size:g}",
            f"m0 {-2 * size:g}l{-2 * size:g} {2 * size:g}",
        )
        return f'<path d="{a}{b}" class="cross {colour}">{inside}</path>'
    kind = "ring" if shape == "ring" else "fill"
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:g}" class="{kind} {colour}">{inside}</circle>'


def line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    """A straight line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{style}"/>'


def text(x: float, y: float, content: str, style: str, *, full: str = "") -> str:
    """Escaped text; `full` is told by a hint where it differs."""
    hint = f"<title>{escape(full)}</title>" if full and full != content else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}">{escape(content)}{hint}</text>'


def svg(width: float, height: float, label: str, *parts: str) -> str:
    """The drawing; `label` is what a screen reader says of it."""
    head = f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}" style="--w:{width:g}px">'
    return head + "".join(parts) + "</svg>"
