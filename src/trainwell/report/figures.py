"""Drawings as pure functions from figures to SVG text: line chart, scatter, bars, heat table.

They take plain sequences, leave out what is not finite, and escape every label. The box is small, so that its text
stays readable when it is scaled to a phone's width.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainwell.report.canvas import LETTER, NAME_LETTER, Canvas, Key, Swatch, canvas, ground, line, point, svg, text
from trainwell.report.scales import Axis
from trainwell.report.words import number, shortened

WIDTH, HEIGHT = 420.0, 260.0
MOST_POINTS = 400  # of a curve: more than the box has pixels to tell apart
Numbers = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Curve:
    """A line; without `text` it has no entry in the legend. `faint` ones are the company of a bold one."""

    x: Numbers
    y: Numbers
    text: str = ""
    colour: str = "c0"
    dashed: bool = False
    faint: bool = False


@dataclass(frozen=True)
class Dots:
    """A group of points; `hints` are shown when pointed at, `shape` also tells the groups apart without colour."""

    x: Numbers
    y: Numbers
    text: str = ""
    colour: str = "c0"
    shape: Swatch = "dot"
    hints: tuple[str, ...] = ()
    size: float = 3.4
    sizes: tuple[float, ...] = ()


@dataclass(frozen=True)
class Band:
    """A span of the x axis (or with `level` a line at one height) to be seen behind the data."""

    low: float = 0.0
    high: float = 0.0
    text: str = ""
    level: float | None = None


def line_chart(
    curves: Sequence[Curve],
    x: Axis,
    y: Axis,
    *,
    label: str,
    dots: Sequence[Dots] = (),
    bands: Sequence[Band] = (),
    width: float = WIDTH,
    height: float = HEIGHT,
) -> str:
    """Curves over an axis, with points set on them and spans or levels behind them."""
    curves = [_thinned(curve) for curve in curves]
    keys = [Key(c.text, c.colour, "dashed" if c.dashed else "line") for c in curves if c.text]
    keys += [Key(d.text, d.colour, d.shape) for d in dots if d.text]
    xs = [v for part in (*curves, *dots) for v in part.x] + [
        v for b in bands if b.level is None for v in (b.low, b.high)
    ]
    ys = [v for part in (*curves, *dots) for v in part.y] + [b.level for b in bands if b.level is not None]
    c = canvas(width, height, x, y, xs, ys, keys)
    faint, bold = [_path(c, k) for k in curves if k.faint], [_path(c, k) for k in curves if not k.faint]
    behind = [_band(c, band) for band in bands]
    return svg(width, height, label, *behind, ground(c, x, y, keys), *faint, *bold, *(_points(c, d) for d in dots))


def scatter(
    dots: Sequence[Dots],
    x: Axis,
    y: Axis,
    *,
    label: str,
    curves: Sequence[Curve] = (),
    width: float = WIDTH,
    height: float = HEIGHT,
) -> str:
    """Points by group; those without a finite height stand on the upper edge."""
    keys = [Key(d.text, d.colour, d.shape) for d in dots if d.text] + [Key(c.text, c.colour) for c in curves if c.text]
    xs = [v for part in (*dots, *curves) for v in part.x]
    ys = [v for part in (*dots, *curves) for v in part.y]
    c = canvas(width, height, x, y, xs, ys, keys)
    lines = [_path(c, curve) for curve in curves]
    return svg(width, height, label, ground(c, x, y, keys), *lines, *(_points(c, d, edge=True) for d in dots))


def bars(
    names: Sequence[str],
    values: Numbers,
    *,
    label: str,
    colours: Sequence[str] = (),
    texts: Sequence[str] = (),
    low: float = 0.0,
    high: float | None = None,
    width: float = WIDTH,
) -> str:
    """Level bars from `low`, each with its name before and its figure behind it."""
    finite = [v for v in values if math.isfinite(v)]
    end = max([*finite, low]) if high is None else high
    texts = texts or [number(v) for v in values]
    left = 14 + NAME_LETTER * min(24, max((len(n) for n in names), default=1))
    right = 12 + NAME_LETTER * max((len(t) for t in texts), default=1)
    step, parts = 26.0, []
    for i, (name, value, figure) in enumerate(zip(names, values, texts, strict=True)):
        y = 6 + i * step
        share = (value - low) / (end - low) if math.isfinite(value) and end > low else 0.0
        long = max(1.0, min(1, max(0, share)) * (width - left - right))
        colour = colours[i] if colours else "c0"
        parts.append(text(left - 8, y + 13.5, shortened(name, 24), "name end", full=name))
        parts.append(f'<rect x="{left:.1f}" y="{y:.1f}" width="{long:.1f}" height="18" rx="2" class="fill {colour}"/>')
        parts.append(text(left + long + 6, y + 13.5, figure, "value"))
    return svg(width, 10 + step * len(names), label, *parts)


def heat_table(
    rows: Sequence[str],
    columns: Sequence[str],
    shares: Sequence[Numbers],
    texts: Sequence[Sequence[str]],
    *,
    label: str,
    down: str = "",
    over: str = "",
    width: float = WIDTH,
) -> str:
    """Cells whose shade is a share in [0, 1] (none where it is not finite), with a text in each."""
    left = 16 + NAME_LETTER * min(16, max((len(r) for r in rows), default=1))
    wide = (width - left - 4) / max(1, len(columns))
    high = min(42.0, max(20.0, wide * 0.62))
    top = 40.0 if over or down else 22.0
    parts = [text(left + (width - left) / 2, 13, over, "title mid"), text(2, top - 8, down, "title")]
    for j, name in enumerate(columns):
        parts.append(
            text(left + (j + 0.5) * wide, top - 8, shortened(name, max(2, int(wide / LETTER))), "tick mid", full=name)
        )
    for i, name in enumerate(rows):
        y = top + i * high
        parts.append(text(left - 8, y + high / 2 + 4, shortened(name, 16), "name end", full=name))
        for j in range(len(columns)):
            parts.append(_heat(left + j * wide, y, wide, high, shares[i][j], texts[i][j]))
    return svg(width, top + high * len(rows) + 4, label, *parts)


def _heat(x: float, y: float, wide: float, high: float, share: float, content: str) -> str:
    strength = min(1.0, max(0.0, share)) if math.isfinite(share) else 0.0
    box = f'<rect x="{x + 1:.1f}" y="{y + 1:.1f}" width="{wide - 2:.1f}" height="{high - 2:.1f}" rx="2"'
    shade = f'{box} class="cell"/>{box} class="fill c0" fill-opacity="{0.9 * strength:.3f}"/>'
    return shade + text(x + wide / 2, y + high / 2 + 4, content, "value mid" + (" on" if strength > 0.55 else ""))


def _thinned(curve: Curve) -> Curve:
    count = min(len(curve.x), len(curve.y))
    if count <= MOST_POINTS:
        return curve
    kept = sorted({round(i * (count - 1) / (MOST_POINTS - 1)) for i in range(MOST_POINTS)})
    x, y = [curve.x[i] for i in kept], [curve.y[i] for i in kept]
    return Curve(x, y, curve.text, curve.colour, curve.dashed, curve.faint)


def _path(c: Canvas, curve: Curve) -> str:
    """The line, broken where a value has no place."""
    steps, pen = [], "M"
    for x, y in zip(curve.x, curve.y, strict=False):
        at = c.at(x, y)
        if at is not None:
            steps.append(f"{pen}{at[0]:.1f} {at[1]:.1f}")
        pen = "M" if at is None else "L"
    style = f"curve {curve.colour}{' dashed' if curve.dashed else ''}{' faint' if curve.faint else ''}"
    return f'<path d="{"".join(steps)}" class="{style}"/>' if steps else ""


def _points(c: Canvas, dots: Dots, *, edge: bool = False) -> str:
    parts = []
    for i, (x, y) in enumerate(zip(dots.x, dots.y, strict=False)):
        at = c.at(x, y)
        across = c.x.place(x)
        hint = dots.hints[i] if i < len(dots.hints) else ""
        size = dots.sizes[i] if i < len(dots.sizes) else dots.size
        if at is not None:
            parts.append(point(*at, dots.shape, dots.colour, hint, size))
        elif edge and across is not None and not math.isfinite(y):
            parts.append(point(c.across(across), c.top, "cross", dots.colour, hint, size))
    return "".join(parts)


def _band(c: Canvas, band: Band) -> str:
    wide, high = c.inner
    if band.level is not None:
        place = c.y.place(band.level)
        if place is None or not 0 <= place <= 1:
            return ""
        at = c.up(place)
        above = at - 5 if at - 5 > c.top + 8 else at + 13
        return line(c.left, at, c.left + wide, at, "level") + text(c.left + wide, above, band.text, "note end")
    low, end = c.x.place(band.low), c.x.place(band.high)
    if low is None or end is None:
        return ""
    start, stop = c.across(max(0.0, low)), c.across(min(1.0, end))
    box = f'<rect x="{start:.1f}" y="{c.top:.1f}" width="{max(1, stop - start):.1f}" height="{high:.1f}" class="band"/>'
    return box + text((start + stop) / 2, c.top + 12, band.text, "note mid")
