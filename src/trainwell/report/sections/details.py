"""The test in detail: where classes are confused, how sure the networks are; or predicted against true numbers."""

from collections.abc import Sequence
from math import isfinite, nan
from typing import Any

from trainwell.report.blocks import Block, Figure, Gallery, Head, Prose, Section, Table, row
from trainwell.report.figures import WIDTH, Curve, Dots, heat_table, line_chart, scatter
from trainwell.report.records import Records
from trainwell.report.scales import Axis
from trainwell.report.words import code, counted, is_number, listed, number, percent

MOST_CLASSES = 12  # of a confusion matrix that can be read
MISTAKES = 8
THIRD = 290.0  # width of three drawings in a row


def details(records: Records) -> Section | None:
    """What a single figure hides."""
    evidence = records.evidence("test")
    blocks = [block for part in (_classes, _numbers) for block in part(records, evidence)]
    if not blocks:
        if not evidence.get("metrics"):
            return None
        blocks = [Prose("There is nothing more to show of this test than its metrics.", "muted")]
    return Section("test", "The test in detail", tuple(blocks))


def _classes(records: Records, e: Any) -> list[Block]:
    confusion, labels = e.get("confusion") or [], [str(label) for label in e.get("labels") or ()]
    figures, blocks = [], []
    if confusion and len(labels) == len(confusion):
        if len(labels) <= MOST_CLASSES:
            figures.append(_confusion(confusion, labels))
        blocks.append(_by_class(confusion, labels))
        blocks += _mistakes(confusion, labels)
    figures += [f for f in (_roc(e), _reliability(e, labels)) if f is not None]
    return [Gallery(tuple(figures)), *blocks] if figures else blocks


def _confusion(confusion: Sequence[Sequence[int]], labels: list[str]) -> Figure:
    shares = [[n / (sum(line) or 1) for n in line] for line in confusion]
    texts = [[number(n) for n in line] for line in confusion]
    few = len(labels) <= 4
    drawing = heat_table(
        labels,
        labels,
        shares,
        texts,
        label="Confusion matrix",
        down="true",
        over="predicted",
        width=THIRD if few else WIDTH,
    )
    return Figure(
        drawing,
        "**Confusion.** Rows of the test part by true class (down) and predicted class (across). "
        "The shade is the share of the true class.",
        "third" if few else "half",
    )


def _by_class(confusion: Sequence[Sequence[int]], labels: list[str]) -> Table:
    rows = []
    for i, label in enumerate(labels):
        true, predicted, hit = sum(confusion[i]), sum(line[i] for line in confusion), confusion[i][i]
        rows.append(
            row(
                label,
                number(true),
                percent(hit / true if true else nan),
                percent(hit / predicted if predicted else nan),
            )
        )
    titles = (
        Head("Class"),
        Head("Rows", True),
        Head("Found", True, "recall"),
        Head("Right when named", True, "precision"),
    )
    return Table(titles, tuple(rows), title="By class")


def _mistakes(confusion: Sequence[Sequence[int]], labels: list[str]) -> list[Block]:
    pairs = [(n, t, p) for t, line in enumerate(confusion) for p, n in enumerate(line) if t != p and n]
    if len(labels) < 3 or not pairs:
        return []
    pairs.sort(reverse=True)
    told = [f"{code(labels[t])} taken for {code(labels[p])} ({number(n)})" for n, t, p in pairs[:MISTAKES]]
    return [Prose(f"The most frequent mistakes: {listed(told)}.")]


def _roc(e: Any) -> Figure | None:
    points = [(x, y) for x, y in e.get("roc") or () if is_number(x) and is_number(y)]
    if len(points) < 2:
        return None
    x, y = zip(*points, strict=True)
    area = (e.get("metrics") or {}).get("roc_auc")
    chance = Curve([0, 1], [0, 1], "chance", "quiet", dashed=True)
    axis = ("false alarms", "found")
    drawing = line_chart(
        [chance, Curve(x, y, "the networks")],
        Axis(axis[0], low=0, high=1),
        Axis(axis[1], low=0, high=1),
        label="ROC curve",
        width=THIRD,
        height=THIRD * 0.86,
    )
    told = (
        f" Area {number(area)}: the chance that a row of the second class gets the higher probability of the two."
        if is_number(area)
        else ""
    )
    return Figure(drawing, f"**ROC.** What is found of the second class at each rate of false alarms.{told}", "third")


def _reliability(e: Any, labels: list[str]) -> Figure | None:
    points = [(p, o, n) for p, o, n in e.get("reliability") or () if is_number(p) and is_number(o)]
    if not points:
        return None
    predicted, observed, rows = zip(*points, strict=True)
    total = sum(rows)
    off = sum(n * abs(p - o) for p, o, n in points) / total if total else nan
    perfect = Curve([0, 1], [0, 1], "perfect", "quiet", dashed=True)
    hints = tuple(f"predicted {percent(p)}, observed {percent(o)}, {counted(n, 'row')}" for p, o, n in points)
    sizes = tuple(2.0 + 4.0 * (n / max(rows)) ** 0.5 for n in rows)
    what = f"probability of {labels[1]}" if len(labels) == 2 else "probability of the predicted class"
    drawing = line_chart(
        [perfect, Curve(predicted, observed, faint=True)],
        Axis(what, low=0, high=1),
        Axis("observed share", low=0, high=1),
        label="Reliability diagram",
        dots=[Dots(predicted, observed, "the networks", "c0", hints=hints, sizes=sizes)],
        width=THIRD,
        height=THIRD * 0.86,
    )
    said = f" On average the probabilities are {number(100 * off, 2)} points off" if isfinite(off) else ""
    sure = sum(n * (p - o) for p, o, n in points) / total if total and len(labels) != 2 else 0.0
    lean = ", too sure" if sure > 0.02 else ", not sure enough" if sure < -0.02 else ""
    return Figure(
        drawing,
        "**Reliability.** Of the rows given a probability, how many were so; on the diagonal it can be taken "
        f"at its word.{said}{lean}. Large dots: many rows.",
        "third",
    )


def _numbers(records: Records, e: Any) -> list[Block]:
    points = [(t, p) for t, p in e.get("scatter") or () if is_number(t) and is_number(p)]
    if not points:
        return []
    true, predicted = zip(*points, strict=True)
    low, high = min(*true, *predicted), max(*true, *predicted)
    room = 0.03 * (high - low) or 0.5
    both = {"low": low - room, "high": high + room}
    diagonal = Curve([low - room, high + room], [low - room, high + room], "perfect", "quiet")
    dots = Dots(true, predicted, "", "c0", size=2.4)
    name = records.targets[0]
    first = scatter(
        [dots],
        Axis(f"true {name}", **both),
        Axis(f"predicted {name}", **both),
        label="Predicted against true",
        curves=[diagonal],
        height=340,
    )
    error = [p - t for t, p in points]
    across = 0.04 * (max(predicted) - min(predicted)) or 0.5
    sides = {"low": min(predicted) - across, "high": max(predicted) + across}
    zero = Curve([sides["low"], sides["high"]], [0.0, 0.0], "no error", "quiet")
    second = scatter(
        [Dots(predicted, error, "", "c0", size=2.4)],
        Axis(f"predicted {name}", **sides),
        Axis("predicted − true"),
        label="Errors",
        curves=[zero],
        height=340,
    )
    spread = (
        [s for s in e.get("residual_std") or () if is_number(s)]
        if isinstance(e.get("residual_std"), list)
        else [e.get("residual_std")]
    )
    told = f" Their standard deviation is {number(spread[0])}." if spread and is_number(spread[0]) else ""
    shown = (
        f" {number(len(points))} of {counted(e['rows'], 'row')} are drawn." if e.get("rows", 0) > len(points) else ""
    )
    figures = (
        Figure(first, f"**Predicted against true.** On the line a prediction is exact.{shown}"),
        Figure(second, f"**Errors.** A bend or a funnel here is something the networks missed.{told}"),
    )
    only = (
        [Prose(f"Drawn for the first of {len(records.targets)} targets, {code(name)}.", "muted")]
        if len(records.targets) > 1
        else []
    )
    return [Gallery(figures), *only]
