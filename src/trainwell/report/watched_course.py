"""The course of a watched training: training and validation loss, metrics, and the learning rate."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from trainwell.diagnosis.case import Curve as Series, running_mean
from trainwell.report.blocks import Figure, Gallery, Prose, Section
from trainwell.report.figures import MOST_POINTS, Band, Curve, Dots, line_chart
from trainwell.report.scales import Axis
from trainwell.report.watched_program import Watched
from trainwell.report.words import code, counted, metric_name, number

SPREAD = 8.0  # times from the lowest to the highest loss, from which a logarithmic axis shows more
SMOOTHED = 100  # losses, from which their running mean is drawn too
WINDOWS = 40  # as long as this share of them
MOST_METRICS = 5


def course(watched: Watched) -> Section | None:
    """Curves over the updates; None before the first."""
    if not watched.updates:
        return None
    if watched.updates == 1:
        return Section("course", "Course", (Prose("One update was seen, which makes no curve.", "muted"),))
    names = _metrics(watched)
    figures = (_losses(watched), *_rate(watched), *(_metric(watched, name) for name in names[:MOST_METRICS]))
    more = len(names) - MOST_METRICS
    left = (Prose(f"{counted(more, 'more metric')} not drawn.", "muted"),) if more > 0 else ()
    return Section("course", "Course", (Gallery(figures), *left))


def _losses(watched: Watched) -> Figure:
    steps, losses = watched.record.series("loss", member=0)
    held = watched.record.series("validation_loss", member=0)
    known = np.isfinite(losses)
    smooth = _smoothed(steps[known], losses[known])
    lines = [Curve(*_outline(steps, losses), "" if smooth else "training", "c1", faint=smooth is not None)]
    lines += [Curve(*smooth[0], f"training, mean of {smooth[1]}", "c1")] if smooth else []
    seen = int(np.isfinite(held[1]).sum())
    lines += [Curve(*held, "validation", "c0")] if seen > 1 else []
    dots = [Dots(*held, "validation", "c0")] if seen == 1 else []
    end = _end(steps, losses)
    marks = _marks(watched, *(smooth[0] if smooth else (steps, losses)), end)
    drawing = line_chart(
        lines,
        Axis("update", low=0.0, high=end),
        _upright(np.concatenate([losses, held[1]])),
        label="Training and validation loss by update",
        dots=[*dots, *marks],
        bands=_bands(watched, steps, losses, end),
    )
    return Figure(drawing, _caption(watched, losses, int(end)))


def _end(steps: np.ndarray, losses: np.ndarray) -> float:
    """Where the drawing ends: soon after the last loss that is finite, if nothing but NaN follows."""
    known, last = np.flatnonzero(np.isfinite(losses)), float(steps[-1])
    if not len(known):
        return last
    return min(last, np.ceil(1.25 * float(steps[known[-1]])) + 2)


def _caption(watched: Watched, losses: np.ndarray, end: int) -> str:
    rates = np.unique(watched.record.series("learning_rate", member=0)[1])
    parts = ["Loss of the batches."]
    if len(rates) == 1:
        parts.append(f"The learning rate is {number(float(rates[0]))} throughout.")
    lost = int((~np.isfinite(losses)).sum())
    if lost:
        parts.append(f"{number(lost)} of {counted(len(losses), 'loss', 'losses')} are not finite, and have no place.")
    if end < watched.record.series("loss", member=0)[0][-1]:
        parts.append(f"Nothing finite follows the last one drawn, up to update {number(watched.updates)}.")
    if any(finding.step and finding.step <= end for finding in watched.grave):
        parts.append("Rings: the updates at which findings were first there.")
    return " ".join(parts)


def _outline(steps: np.ndarray, values: np.ndarray) -> Series:
    """The lowest and highest of each stretch, so that a long curve keeps its spikes."""
    if len(values) <= MOST_POINTS:
        return steps, values
    kept: list[int] = []
    for part in np.array_split(np.arange(len(values)), MOST_POINTS // 2 - 1):
        v = values[part]
        kept += (
            [int(part[0])]
            if not np.isfinite(v).any()
            else sorted({int(part[np.nanargmin(v)]), int(part[np.nanargmax(v)])})
        )
    return steps[kept], values[kept]


def _smoothed(steps: np.ndarray, losses: np.ndarray) -> tuple[Series, int] | None:
    """The running mean, each at the last step of its window, and the window; None for a short curve."""
    if len(losses) < SMOOTHED:
        return None
    window = max(2, len(losses) // WINDOWS)
    return (steps[window - 1 :], running_mean(losses, window)), window


def _upright(values: np.ndarray) -> Axis:
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    log = low > 0 and high / low > SPREAD
    return Axis("loss", log=log, low=low if log else None, high=high if log else None)


def _bands(watched: Watched, steps: np.ndarray, losses: np.ndarray, end: float) -> list[Band]:
    bands, finite = [], losses[np.isfinite(losses)]
    chance = watched.chance
    if chance and len(finite) and float(finite.min()) / 1.5 <= chance <= 1.5 * float(finite.max()):
        bands.append(Band(level=chance, text="chance"))
    if len(finite) < len(losses):
        bands.append(Band(float(steps[~np.isfinite(losses)][0]), end, "not finite"))
    return bands


def _marks(watched: Watched, steps: np.ndarray, values: np.ndarray, end: float) -> list[Dots]:
    """A ring where a finding was first there, on the curve, as far as that is finite there."""
    found = [(f.step, f.kind) for f in watched.grave if f.step and f.step <= end]
    known = np.isfinite(values)
    if not found or not known.any():
        return []
    steps, values = steps[known], values[known]
    places = [int(np.abs(steps - step).argmin()) for step, _ in found]
    hints = tuple(f"{kind}, from update {step} on" for step, kind in found)
    return [Dots([step for step, _ in found], [float(values[i]) for i in places], "", "bad", "ring", hints)]


def _rate(watched: Watched) -> Iterator[Figure]:
    steps, rates = watched.record.series("learning_rate", member=0)
    if len(np.unique(rates)) > 1:
        y = Axis("learning rate", low=None if (rates > 0).all() and rates.max() > 20 * rates.min() else 0.0)
        axis = Axis("learning rate", log=y.low is None, low=y.low)
        drawing = line_chart([Curve(steps, rates, colour="c2")], Axis("update", low=0.0), axis, label="Learning rate")
        yield Figure(
            drawing, "Learning rate, the largest of all groups of parameters, at the updates that were looked at."
        )


def _metrics(watched: Watched) -> list[str]:
    """Signals of validation metrics; the one called `validation_metric` repeats the first, where that has a name."""
    signals = watched.frame.filter(pl.col("signal").str.starts_with("validation_"))["signal"].unique(
        maintain_order=True
    )
    names = [name for name in signals if name != "validation_loss"]
    return [name for name in names if name != "validation_metric" or len(names) == 1]


def _metric(watched: Watched, signal: str) -> Figure:
    name = metric_name(signal.removeprefix("validation_"))
    steps, values = watched.record.series(signal, member=0)
    dots = [Dots(steps, values, colour="c0")] if len(steps) < 3 else []
    drawing = line_chart(
        [Curve(steps, values, colour="c0")], Axis("update", low=0.0), Axis(name), label=f"Validation {name}", dots=dots
    )
    return Figure(drawing, f"Validation {code(name)}.")
