"""Inside the layers of a watched training: vitals over the updates, and over the depth at some of them."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from trainwell.engine.record import Record
from trainwell.report.blocks import Block, Figure, Gallery, Prose, Section
from trainwell.report.canvas import Key, swatches
from trainwell.report.figures import Curve, Dots, line_chart
from trainwell.report.records import Records
from trainwell.report.scales import Axis
from trainwell.report.sections.layers import RAMP, layers
from trainwell.report.watched_program import Watched
from trainwell.report.words import counted, number

MOST_LAYERS = 12  # lines that the eye can follow in one drawing
MOST_DOTS = 40  # layers, beyond which dots hide the line
FEWEST = 3  # layers that make a course over the depth
NARROW = 44  # letters of all names together that an axis has room for

DEPTHS = {
    "activation-std": ("Spread of the activations", "It should neither shrink nor grow with the depth."),
    "gradient-norm": (
        "Gradient norm",
        "Falling by orders of magnitude towards the input: it vanishes. Growing: it explodes.",
    ),
}
"""Signals that are read over the depth, and how."""


def inside(watched: Watched) -> Section | None:
    """A line a layer over the updates, a line an update over the layers; None where no layer was looked at."""
    if not watched.looks:
        return None
    chosen = _chosen(watched)
    frame = watched.frame.filter(pl.col("layer").is_in(chosen))
    told = layers(Records(name="", result={}, vitals=Record.from_frame(frame)))
    blocks: list[Block] = [] if told is None else list(told.blocks)
    if len(chosen) < len(watched.layers):
        all_of_them = counted(len(watched.layers), "layer")
        lead = f"Drawn are {len(chosen)} of {all_of_them}: evenly over the depth, and those with findings."
        blocks.insert(0, Prose(lead, "muted"))
    blocks += _over_depth(watched)
    return Section("layers", "Inside the layers", tuple(blocks))


def _chosen(watched: Watched) -> list[str]:
    """All layers, or some of many: the first, the last, some between, and those that findings name."""
    names = watched.layers
    if len(names) <= MOST_LAYERS:
        return names
    named = [f.layer for f in watched.grave if f.layer in names][: MOST_LAYERS // 3]
    places = np.linspace(0, len(names) - 1, MOST_LAYERS - len(set(named))).round().astype(int)
    kept = {names[i] for i in places} | set(named)
    return [name for name in names if name in kept]


def _over_depth(watched: Watched) -> Iterator[Block]:
    signals = {s: t for s in DEPTHS if len(t := _table(watched, s)) >= FEWEST}
    steps = _some({step for table in signals.values() for values in table.values() for step in values})
    if not steps:
        return
    ramp = [round(i * (RAMP - 1) / max(1, len(steps) - 1)) for i in range(len(steps))]
    figures = []
    for signal, table in signals.items():
        rows = [[values.get(step, np.nan) for values in table.values()] for step in steps]
        curves = [Curve(range(len(row)), row, colour=f"r{c}") for c, row in zip(ramp, rows, strict=True)]
        figures.append(_figure(*DEPTHS[signal], list(table), curves))
    keys = [Key(f"update {number(step)}", f"r{c}") for c, step in zip(ramp, steps, strict=True)]
    yield Gallery(tuple(figures), "Over the depth, at some updates", swatches(keys))


def _table(watched: Watched, signal: str) -> dict[str, dict[int, float]]:
    """By layer, from input to output: the finite values by update."""
    measured = set(watched.record.layers(signal, member=0))
    table = {}
    for name in watched.layers:
        if name in measured:
            steps, values = watched.record.series(signal, member=0, layer=name)
            table[name] = {s: v for s, v in zip(steps.tolist(), values.tolist(), strict=True) if np.isfinite(v)}
    return table


def _some(steps: set[int]) -> list[int]:
    """A few of them, from the first to the last, at even ratios of their places."""
    ordered = sorted(steps)
    places = np.geomspace(1, len(ordered), min(RAMP, len(ordered))).round().astype(int) - 1 if ordered else []
    return [ordered[i] for i in sorted(set(map(int, places)))]


def _figure(title: str, reading: str, names: list[str], curves: list[Curve]) -> Figure:
    last = curves[-1]
    hints = tuple(f"{name}: {number(float(v))}" for name, v in zip(names, last.y, strict=True))
    dots = [Dots(last.x, last.y, colour=last.colour, hints=hints, size=2.4)] if len(names) <= MOST_DOTS else []
    short = sum(map(len, names)) <= NARROW and len(names) <= MOST_LAYERS
    across = (
        Axis("layer", categories=tuple(names)) if short else Axis("layers, from input to output", low=0, whole=True)
    )
    positive = any(v > 0 for curve in curves for v in curve.y)
    drawing = line_chart(curves, across, Axis(log=positive), label=f"{title} by layer", dots=dots)
    return Figure(drawing, f"**{title}.** {reading}")
