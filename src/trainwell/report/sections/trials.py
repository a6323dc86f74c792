"""The trials of the search: the best ones as a table, and each hyperparameter against the validation loss."""

import math
from collections.abc import Sequence
from typing import Any

import polars as pl

from trainwell.report.blocks import Block, Cell, Figure, Gallery, Head, Prose, Section, Table, row
from trainwell.report.canvas import Key, Swatch, swatches
from trainwell.report.figures import Dots, scatter
from trainwell.report.records import Records
from trainwell.report.scales import Axis
from trainwell.report.words import code, counted, is_number, listed, number, shortened

SHOWN = 20
LOOKS: dict[str, tuple[str, Swatch]] = {  # by outcome: colour and shape
    "finished": ("c0", "dot"),
    "stopped-early": ("c2", "dot"),
    "culled": ("quiet", "ring"),
    "out-of-time": ("c4", "ring"),
    "interrupted": ("c4", "ring"),
    "diverged": ("bad", "cross"),
    "no result": ("quiet", "cross"),
}
SPREAD = 20.0  # from the smallest to the largest positive value, from which an axis is logarithmic
MOST_KINDS = 6  # names that an axis has room for
FEW_VALUES = 5  # distinct numbers that stand side by side like names


def trials(records: Records) -> Section | None:
    """The search; a sentence where there was none."""
    frame, search = records.trials, records.evidence("search")
    if "validation_loss" not in frame.columns or not frame.height:
        if not search and records.stage("final") is None:
            return None
        why = str(search.get("why") or "the table of trials is empty")
        return Section("trials", "Trials of the search", (Prose(f"There are no trials to show: {why}.", "muted"),))
    frame = _told_apart(frame)
    finite = frame.filter(pl.col("validation_loss").is_finite())
    order = [c for c in ("rung", "validation_loss") if c in finite.columns]
    best = finite.sort(order, descending=[c == "rung" for c in order]).head(SHOWN)
    varied = [p for p in frame.columns if "." in p and frame[p].n_unique() > 1]
    figures = tuple(_against(frame, path) for path in varied)
    blocks: list[Block] = [Prose(_lead(records, frame, varied))]
    if figures:
        blocks.append(Gallery(figures, legend=_legend(frame)))
    blocks.append(_table(best, varied, len(frame)))
    return Section("trials", "Trials of the search", tuple(blocks), str(frame.height))


def _told_apart(frame: pl.DataFrame) -> pl.DataFrame:
    """Trials without a finite loss that have not diverged were never evaluated: their outcome is that."""
    loss = pl.col("validation_loss").cast(pl.Float64)
    outcome = pl.col("outcome") if "outcome" in frame.columns else pl.lit("finished")
    unseen = ~loss.is_finite().fill_null(False) & (outcome != "diverged")
    return frame.with_columns(loss, pl.when(unseen).then(pl.lit("no result")).otherwise(outcome).alias("outcome"))


def _lead(records: Records, frame: pl.DataFrame, varied: list[str]) -> str:
    text = f"{counted(frame.height, 'plan')} {'was' if frame.height == 1 else 'were'} drawn at random"
    rungs = records.evidence("search").get("rungs") or []
    if len(rungs) > 1:
        steps = [f"{r['members']} for {number(float(r['epochs']), 2)} epochs" for r in rungs]
        text += f" and thinned out by successive halving: {listed(steps, last='then')}"
    fixed = "" if varied else " They do not differ in any hyperparameter."
    height = "Height is the validation loss: low is good, and what was dropped early had less time to get there."
    return f"{text}. {height}{fixed}"


def _against(frame: pl.DataFrame, path: str) -> Figure:
    values = frame[path].to_list()
    numeric = frame[path].dtype.is_numeric() and frame[path].n_unique() > min(FEW_VALUES, frame.height // 3)
    x, places = (_numeric_axis(values), values) if numeric else _named_axis(values)
    losses = [v if is_number(v) else math.inf for v in frame["validation_loss"].to_list()]
    outcomes = frame["outcome"].to_list()
    names = [o for o in LOOKS if o in outcomes] + sorted({o for o in outcomes if o not in LOOKS})
    groups = [_group(name, places, losses, outcomes, values) for name in reversed(names)]
    finite = [v for v in losses if math.isfinite(v)]
    drawing = scatter(groups, x, _loss_axis(finite), label=f"Validation loss by {path}", width=290, height=180)
    return Figure(drawing, code(path), "third")


def _legend(frame: pl.DataFrame) -> tuple[tuple[str, str], ...]:
    outcomes = set(frame["outcome"].to_list())
    looks = {
        name: LOOKS.get(name, ("quiet", "ring"))
        for name in (*LOOKS, *sorted(outcomes - set(LOOKS)))
        if name in outcomes
    }
    return swatches([Key(name.replace("-", " "), colour, shape) for name, (colour, shape) in looks.items()])


def _group(
    name: str, places: Sequence[Any], losses: Sequence[float], outcomes: Sequence[str], values: Sequence[Any]
) -> Dots:
    chosen = [i for i, outcome in enumerate(outcomes) if outcome == name and is_number(places[i])]
    colour, shape = LOOKS.get(name, ("quiet", "ring"))
    hints = tuple(f"trial {i}: {_told(values[i])}, loss {number(losses[i])}, {name}" for i in chosen)
    return Dots([places[i] for i in chosen], [losses[i] for i in chosen], "", colour, shape, hints)


def _loss_axis(finite: list[float]) -> Axis:
    """The losses; a few very bad ones do not press the others flat, they stand on the upper edge."""
    if not finite:
        return Axis(low=0.0, high=1.0)
    ordered = sorted(finite)
    low, middle = ordered[0], ordered[int(0.75 * (len(ordered) - 1))]
    high = min(ordered[-1], middle + 2.0 * (middle - low)) if middle > low else ordered[-1]
    room = 0.06 * (high - low) or 0.05 * abs(high) or 0.5
    return Axis(low=low - room, high=high + room)


def _numeric_axis(values: Sequence[Any]) -> Axis:
    known = [float(v) for v in values if is_number(v)]
    positive = [v for v in known if v > 0]
    log = bool(positive) and min(known) >= 0 and max(positive) / min(positive) > SPREAD
    room = 0.04 * (max(known) - min(known)) if known else 0.0
    whole = all(v == int(v) for v in known)
    return (
        Axis(log=True)
        if log
        else Axis(whole=whole, low=min(known, default=0.0) - room, high=max(known, default=1.0) + room)
    )


def _named_axis(values: Sequence[Any]) -> tuple[Axis, list[float]]:
    """Names side by side; the points of one name are spread a little so that none hides another."""
    numbers = all(is_number(v) for v in values)
    shown = list(dict.fromkeys(_told(v) for v in sorted(values, key=lambda v: v if numbers else _told(v))))[:MOST_KINDS]
    seen: dict[str, int] = {}
    places = []
    for value in values:
        name = _told(value)
        count = seen[name] = seen.get(name, -1) + 1
        spread = ((count * 0.618) % 1 - 0.5) * 0.5
        places.append(shown.index(name) + spread if name in shown else math.nan)
    return Axis(categories=tuple(shown)), places


def _told(value: Any) -> str:
    return (
        {True: "yes", False: "no", None: "none"}.get(value, "")
        if isinstance(value, bool | None)
        else str(value)
        if isinstance(value, str)
        else number(value, 3)
    )


def _table(best: pl.DataFrame, varied: list[str], tried: int) -> Table:
    known = [c for c in ("validation_metric", "epochs") if c in best.columns]
    titles = [Head("Trial", figures=True), Head("Validation loss", figures=True)]
    titles += [Head(c.replace("validation_", "").capitalize(), figures=True) for c in known]
    titles += [
        Head("Outcome"),
        *(Head(p.rpartition(".")[2].replace("_", " "), figures=best[p].dtype.is_numeric()) for p in varied),
    ]
    rows = []
    for i, trial in enumerate(best.iter_rows(named=True)):
        cells = [str(trial.get("trial", i)), Cell(number(trial["validation_loss"], keep_zeros=True), best=i == 0)]
        cells += [number(trial[c], 4 if c != "epochs" else 3) for c in known]
        outcome = Cell(str(trial.get("outcome", "–")).replace("-", " "), muted=True)
        rows.append(row(*cells, outcome, *(shortened(_told(trial[p]), 24) for p in varied)))
    caption = (
        f"The best {len(rows)} of {tried}; those that were kept longest come first."
        if len(rows) < tried
        else "Those that were kept longest come first."
    )
    return Table(tuple(titles), tuple(rows), caption, frozenset({0}), title="The best trials")
