"""Test metrics beside the baselines'."""

from collections.abc import Mapping
from typing import Any

from trainwell.report.blocks import Cell, Figure, Gallery, Head, Prose, Section, Table, row
from trainwell.report.figures import bars
from trainwell.report.records import Records
from trainwell.report.verdict import GUESS, standing
from trainwell.report.words import capital, is_number, metric_name, model_title, number, score, seconds

OURS = "trainwell"
FROM_ZERO = ("accuracy", "balanced_accuracy", "f1", "f1_micro", "roc_auc")


def scores(records: Records) -> Section | None:
    """A table of every metric, the best of each marked, and bars of the main one."""
    s = standing(records)
    if s is None:
        return None
    title = "Against the baselines" if s.part == "test" else "Against the baselines (validation rows)"
    judged = records.evidence("baselines").get("judged_on", "test")
    baselines = records.result.get("baselines") or {}
    ours = records.result.get(s.part) or {}
    if judged != s.part:
        baselines = {}
    blocks: list[Any] = [_table(records, s.part, ours, baselines)]
    if s.others:
        blocks.append(Gallery((_bars(records, ours, baselines), *_ensemble(records))))
    if not baselines:
        blocks.append(
            Prose(
                "No baseline was measured on the same rows, so there is nothing to hold these figures against.", "warn"
            )
        )
    return Section("scores", title, tuple(blocks))


def _table(records: Records, part: str, ours: Mapping[str, Any], baselines: Mapping[str, Mapping[str, Any]]) -> Table:
    metrics = list(ours)
    spent = records.evidence("baselines").get("seconds") or {}
    entries = [(f"{OURS} (this run)", ours), *((capital(model_title(n)), v) for n, v in baselines.items())]
    best = {m: _best(records, m, [v.get(m) for _, v in entries]) for m in metrics}
    times = [_training_seconds(records), *(spent.get(name) for name in baselines)]
    rows = []
    for (name, values), time in zip(entries, times, strict=True):
        cells = [
            Cell(score(m, values.get(m)), best=best[m] is not None and score(m, values.get(m)) == best[m])
            for m in metrics
        ]
        rows.append(row(name, *cells, Cell(seconds(time), muted=True)))
    titles = [Head(capital(metric_name(m)), figures=True, note=_direction(records, m)) for m in metrics]
    folds = part == "validation" and records.evidence("data").get("folds")
    rows_told = (
        "The networks are judged by cross-validation, the others on one part"
        if folds
        else "All are judged on the same rows"
    )
    note = f"Bold: best in its column. ↑ higher is better, ↓ lower is better. {rows_told}."
    return Table((Head("Model"), *titles, Head("Training", figures=True)), tuple(rows), note, frozenset({0}))


def _training_seconds(records: Records) -> Any:
    return (records.result.get("seconds") or {}).get("total")


def _direction(records: Records, metric: str) -> str:
    return {True: "↑", False: "↓", None: ""}[records.higher_is_better(metric)]


def _best(records: Records, metric: str, values: list[Any]) -> str | None:
    higher = records.higher_is_better(metric)
    known = [v for v in values if is_number(v)]
    return score(metric, (max if higher else min)(known)) if known and higher is not None else None


def _bars(records: Records, ours: Mapping[str, Any], baselines: Mapping[str, Mapping[str, Any]]) -> Figure:
    metric = records.metric
    shown = {OURS: ours.get(metric), **{model_title(n): v.get(metric) for n, v in baselines.items()}}
    known = {name: float(v) for name, v in shown.items() if is_number(v)}
    order = sorted(known, key=lambda name: known[name], reverse=records.higher_is_better(metric) is not False)
    colours = ["c0" if name == OURS else "quiet" if name == model_title(GUESS) else "other" for name in order]
    high = 1.0 if metric in FROM_ZERO else None
    texts = [score(metric, known[name]) for name in order]
    drawing = bars(
        order,
        [known[n] for n in order],
        label=f"{metric_name(metric)} of each model",
        colours=colours,
        texts=texts,
        high=high,
    )
    better = "longer" if records.higher_is_better(metric) else "shorter"
    return Figure(drawing, f"{capital(metric_name(metric))}, {better} is better.")


def _ensemble(records: Records) -> list[Figure]:
    """What averaging gained, on the validation rows."""
    final, metric = records.evidence("final"), records.metric
    together, single = (final.get("validation") or {}).get(metric), (final.get("single_member") or {}).get(metric)
    members = final.get("members") or 0
    if not (is_number(together) and is_number(single)) or members < 2:
        return []
    names = [f"average of {members}", "a single network"]
    high = 1.0 if metric in FROM_ZERO else None
    texts = [score(metric, v) for v in (together, single)]
    drawing = bars(
        names,
        [float(together), float(single)],
        label="What averaging gained",
        colours=["c0", "other"],
        texts=texts,
        high=high,
    )
    gain = (together - single) if records.higher_is_better(metric) else (single - together)
    said = f"Averaging gained {number(gain, 2)}" if gain > 0 else "Averaging gained nothing"
    return [
        Figure(
            drawing,
            f"{said}: {metric_name(metric)} on the validation rows, of the average and of its networks one by one.",
        )
    ]
