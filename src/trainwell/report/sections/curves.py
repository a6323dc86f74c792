"""Learning curves of the final networks, judged."""

import numpy as np

from trainwell.report.blocks import Figure, Gallery, Prose, Section, Tone
from trainwell.report.figures import Band, Curve, Dots, line_chart
from trainwell.report.fit import Course, Fit, courses, judge_fit, said_of, steps_per_epoch
from trainwell.report.records import Records
from trainwell.report.scales import Axis
from trainwell.report.words import metric_name, number

TONES: dict[str, Tone] = {"fit": "good", "overfit": "plain", "underfit": "warn", "unknown": "muted"}
MOST = 24  # networks drawn one by one
SPREAD = 8.0  # times from the lowest to the highest loss, from which a logarithmic axis shows more


def curves(records: Records) -> Section | None:
    """Training and validation loss of all networks together, their metric, their rate, and each network by itself."""
    found = courses(records)
    if not found:
        return None
    fit: Fit = judge_fit(records, found)
    across = Axis("epoch" if steps_per_epoch(records) else "update", low=0.0)
    together = [_losses(records, found, across), *_metric(records, found, across)]
    blocks = [Prose(fit.sentence, TONES[fit.kind]), Gallery(tuple(together))]
    if 1 < len(found) <= MOST:
        blocks.append(Gallery(tuple(_single(c, found, across) for c in found), "Each network by itself"))
    return Section("curves", "Learning curves", tuple(blocks), {"unknown": ""}.get(fit.kind, fit.kind))


def _upright(found: list[Course], label: str = "") -> Axis:
    """One loss axis for all; its top leaves out what only the first evaluation reaches."""
    values = np.concatenate([np.concatenate([c.train, c.validation]) for c in found])
    positive = values[np.isfinite(values) & (values > 0)]
    low, high = float(positive.min()), float(positive.max())
    return Axis(label, log=high / low > SPREAD, low=low if high / low > SPREAD else None, high=high)


def _losses(records: Records, found: list[Course], across: Axis) -> Figure:
    many, lines = len(found) > 1, []
    for c in found if many else ():
        lines += [Curve(c.at, c.train, colour="c1", faint=many), Curve(c.at, c.validation, colour="c0", faint=many)]
    median = _median_course(found)
    lines += [
        Curve(median.at, median.train, "training, median" if many else "training", "c1", dashed=True),
        Curve(median.at, median.validation, "validation, median" if many else "validation", "c0"),
    ]
    best = Dots(
        [c.at[c.best] for c in found], [c.validation[c.best] for c in found], "best epoch", "ink", "ring", _hints(found)
    )
    chance = records.evidence("initial-loss").get("chance")
    y = _upright(found, "loss")
    top = y.high or 0.0
    bands = [Band(level=float(chance), text="chance")] if chance and chance <= 1.5 * top else []
    drawing = line_chart(lines, across, y, label="Training and validation loss by epoch", dots=[best], bands=bands)
    return Figure(drawing, f"Loss: {said_of(found)}. Rings mark the epochs whose weights are used.")


def _hints(found: list[Course]) -> tuple[str, ...]:
    return tuple(
        f"network {c.member}: {number(float(c.validation[c.best]))} at {number(float(c.at[c.best]), 3)}" for c in found
    )


def _median_course(found: list[Course]) -> Course:
    """The median over networks still in training, on the evaluations of the longest one."""
    longest = max(found, key=lambda c: len(c.at))
    train, validation, metric = (_stacked(found, longest, name) for name in ("train", "validation", "metric"))
    return Course(-1, longest.at, train, validation, metric, 0)


def _stacked(found: list[Course], longest: Course, name: str) -> np.ndarray:
    """Median by evaluation while at least half of the networks are in training; beyond, few would stand for all."""
    table = np.full((len(found), len(longest.at)), np.nan)
    for i, c in enumerate(found):
        table[i, : len(c.at)] = getattr(c, name)
    enough = np.isfinite(table).sum(axis=0) * 2 >= len(found)
    result = np.full(len(longest.at), np.nan)
    result[enough] = np.nanmedian(table[:, enough], axis=0)
    return result


def _metric(records: Records, found: list[Course], across: Axis) -> list[Figure]:
    if not any(np.isfinite(c.metric).any() for c in found):
        return []
    name = metric_name({"regression": "r2", "multilabel": "accuracy"}.get(records.task, "accuracy"))
    many, median = len(found) > 1, _median_course(found)
    lines = [Curve(c.at, c.metric, colour="c0", faint=many) for c in found]
    lines.append(Curve(median.at, median.metric, f"validation {name}" + (", median" if many else ""), "c0"))
    values = np.concatenate([c.metric for c in found])
    values = values[np.isfinite(values)]
    worst = float(np.quantile(values, 0.02))  # the first evaluations may be far below all others
    best = Dots([c.at[c.best] for c in found], [c.metric[c.best] for c in found], "", "ink", "ring", size=2.8)
    drawing = line_chart(
        lines, across, Axis(name, low=worst, high=None), label=f"Validation {name} by epoch", dots=[best]
    )
    return [Figure(drawing, f"Validation {name}, higher is better.")]


def _single(c: Course, found: list[Course], across: Axis) -> Figure:
    lines = [Curve(c.at, c.train, colour="c1", dashed=True), Curve(c.at, c.validation, colour="c0")]
    best = Dots([c.at[c.best]], [c.validation[c.best]], "", "ink", "ring", _hints([c]))
    longest = max(float(each.at[-1]) for each in found)
    x, y = Axis(low=0.0, high=longest), _upright(found)
    drawing = line_chart(lines, x, y, label=f"Loss of network {c.member}", dots=[best], width=220, height=140)
    return Figure(drawing, f"Network {c.member}, best at {across.label} {number(float(c.at[c.best]), 3)}", "small")
