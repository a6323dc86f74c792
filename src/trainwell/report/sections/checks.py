"""The stages, a line each: passed, failed or not run, with the figure that shows it."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from trainwell.report.blocks import Check, Checks, Figure, Section, State
from trainwell.report.figures import Band, Curve, Dots, line_chart
from trainwell.report.healing import healing_told
from trainwell.report.records import Records
from trainwell.report.scales import Axis
from trainwell.report.words import (
    STAGES,
    capital,
    counted,
    is_number,
    metric_name,
    model_title,
    number,
    score,
    stage_name,
)

Evidence = Mapping[str, Any]
Line = Callable[[Evidence], str]


def checks(records: Records) -> Section:
    """Every stage of the recipe in its order."""
    names = [*STAGES, *(s["name"] for s in records.stages if s["name"] not in STAGES)]
    lines = tuple(_check(records, name) for name in names)
    failed = sum(check.state == "failed" for check in lines)
    mark, tone = (f"{failed} failed", "bad") if failed else ("", "plain")
    return Section("checks", "Checks on the way", (Checks(lines),), mark, tone)


def _check(records: Records, name: str) -> Check:
    stage, evidence = records.stage(name), records.evidence(name)
    if stage is None:
        return Check(stage_name(name), "not run", _why_not(records))
    figure = FIGURES.get(name, _no_figure)(evidence)
    sentence = LINES.get(name, _plain)(evidence) if set(evidence) - {"why"} else ""
    why = str(evidence.get("why") or "")
    text = ". ".join(part.rstrip(".") for part in (sentence, why[:1].upper() + why[1:]) if part)
    return Check(stage_name(name), _state(stage), f"{text}." if text else "Nothing was recorded.", figure)


def _state(stage: Mapping[str, Any]) -> State:
    if stage.get("passed") is not None:
        return "passed" if stage["passed"] else "failed"
    return "skipped" if (stage.get("evidence") or {}).get("why") else "done"


def _why_not(records: Records) -> str:
    if records.interrupted:
        return "The run was stopped before this stage."
    if records.stage("final") is None and records.stage("search") is None:
        return "Not part of a check before training."
    return "This run has no record of it."


def _plain(e: Evidence) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {number(v)}" for name, v in e.items() if is_number(v))


def _no_figure(e: Evidence) -> Figure | None:
    return None


def _data(e: Evidence) -> str:
    if not e.get("rows"):
        return ""
    columns = e.get("columns") or []
    used = sum(bool(c.get("used", True)) for c in columns)
    told = f", {used} of {counted(len(columns), 'column')} used" if columns else ""
    return f"{counted(e['rows'], 'row')}{told}; {split_told(e)}"


def split_told(e: Evidence) -> str:
    """How many rows each part has, as a phrase."""
    train, validation, test = (e.get(part) for part in ("train", "validation", "test"))
    told = f"{number(train)} for training, {number(validation)} for validation, {number(test)} for the test"
    if e.get("folds") and is_number(train) and is_number(validation):
        both = (
            f"{number(train + validation)} for training and validation in {counted(e['folds'], 'fold', numerals=True)}"
        )
        told = f"{both}, {number(test)} for the test"
    return told


def _baselines(e: Evidence) -> str:
    metric, scores = e.get("metric", ""), e.get("scores") or {}
    told = [f"{model_title(name)} {score(metric, (v or {}).get(metric))}" for name, v in scores.items()]
    return f"{capital(metric_name(metric))}: {', '.join(told)}" if told else ""


def _initial(e: Evidence) -> str:
    loss, chance, ratio = number(e["loss"]), number(e["chance"]), number(e["ratio"], 3)
    text = f"The loss of untrained networks is {loss}, that of chance {chance} (ratio {ratio})"
    if is_number(e.get("loss_with_regularisation")):
        rises = "rises" if e["loss_with_regularisation"] > e["loss"] else "does not rise"
        text += f"; with regularisation it {rises}, to {number(e['loss_with_regularisation'])}"
    return text


def _gradient(e: Evidence) -> str:
    median = (
        f", in the median {number(e['median_relative_error'], 2)}" if is_number(e.get("median_relative_error")) else ""
    )
    return (
        f"Analytic and numerical gradient of {counted(e['coordinates'], 'weight')} differ by at most "
        f"{number(e['worst_relative_error'], 2)} relatively{median} (allowed {number(e['tolerance'], 2)})"
    )


def _overfit(e: Evidence) -> str:
    wanted = f" (by heart: {number(e['threshold'])} or less)" if is_number(e.get("threshold")) else ""
    return (
        f"{counted(e['samples'], 'row')}, {counted(e['steps'], 'step')} without regularisation: "
        f"loss {number(e['loss_first'])} → {number(e['loss_last'])}{wanted}, score {number(e['score'])}"
    )


def _rates(e: Evidence) -> str:
    return (
        f"{counted(len(e['rates']), 'rate')} tried at once: useful from {number(e['low'], 2)} "
        f"to {number(e['high'], 2)}, suggested {number(e['suggested'], 2)}"
    )


def _search(e: Evidence) -> str:
    if not e.get("trials"):
        return ""
    rungs = " → ".join(str(r["members"]) for r in e.get("rungs") or ())
    best = (e.get("best_validation") or {}).get("loss")
    text = counted(e["trials"], "plan") + f" tried{f', thinned out {rungs}' if rungs else ''}"
    return text + (f"; the best reached a validation loss of {number(best)}" if is_number(best) else "")


def _final(e: Evidence) -> str:
    epochs = [x for x in e.get("epochs") or () if is_number(x)]
    text = counted(int(e.get("members") or 0), "network")
    if epochs:
        low, high = number(min(epochs), 3), number(max(epochs), 3)
        text += f", {low if low == high else f'{low} to {high}'} epochs"
    if e.get("diverged"):
        text += f"; {e['diverged']} more diverged and {'is' if e['diverged'] == 1 else 'are'} not used"
    return text


def _test(e: Evidence) -> str:
    told = [f"{metric_name(n)} {score(n, v)}" for n, v in (e.get("metrics") or {}).items()]
    return capital(f"{', '.join(told)} on {counted(e['rows'], 'row')}") if told else ""


def _overfit_figure(e: Evidence) -> Figure | None:
    curve = [(x, y) for x, y in e.get("curve") or () if is_number(x) and is_number(y)]
    if not curve:
        return None
    if is_number(e.get("loss_first")) and curve[0][0] > 0:
        curve.insert(0, (0, e["loss_first"]))
    x, y = zip(*curve, strict=True)
    bands = (
        [Band(level=e["threshold"], text="by heart")] if is_number(e.get("threshold")) and e["threshold"] > 0 else []
    )
    log = min(y) > 0 and max(y) / min(y) > 8
    drawing = line_chart(
        [Curve(x, y)],
        Axis("step"),
        Axis("loss", log=log),
        label="Loss on the tiny batch",
        bands=bands,
        width=340,
        height=180,
    )
    return Figure(drawing)


def _rates_figure(e: Evidence) -> Figure | None:
    pairs = [
        (r, v) for r, v in zip(e.get("rates") or (), e.get("losses") or (), strict=False) if is_number(r) and r > 0
    ]
    finite = [(r, v) for r, v in pairs if is_number(v)]
    if len(finite) < 2:
        return None
    start = e["loss_at_start"] if is_number(e.get("loss_at_start")) else max(v for _, v in finite)
    top = 2.0 * max(start, min(v for _, v in finite))
    x, y = zip(*finite, strict=True)
    gone = [(r, math.inf) for r, v in pairs if not is_number(v)]
    lost = [Dots([r for r, _ in gone], [top] * len(gone), "diverged", "bad", "cross")] if gone else []
    bands = (
        [Band(low=e["low"], high=e["high"], text="useful")]
        if is_number(e.get("low")) and is_number(e.get("high"))
        else []
    )
    bands.append(Band(level=start, text="untrained"))
    suggested = (
        [Dots([e["suggested"]], [_near(finite, e["suggested"])], "suggested", "c1")]
        if is_number(e.get("suggested"))
        else []
    )
    drawing = line_chart(
        [Curve(x, y)],
        Axis("learning rate", log=True),
        Axis("loss after the short run", high=top, low=min(0.0, *y) if min(y) < 0 else 0.0),
        label="Loss by learning rate",
        dots=[Dots(x, y, size=2.4), *suggested, *lost],
        bands=bands,
        width=340,
        height=190,
    )
    return Figure(drawing)


def _near(points: list[tuple[float, float]], rate: float) -> float:
    """The loss on the drawn curve at a rate, between its neighbours on the logarithmic axis."""
    below = [p for p in points if p[0] <= rate] or points[:1]
    above = [p for p in points if p[0] >= rate] or points[-1:]
    (a, left), (b, right) = below[-1], above[0]
    share = math.log(rate / a) / math.log(b / a) if b > a else 0.0
    return left + share * (right - left)


LINES: dict[str, Line] = {
    "data": _data,
    "baselines": _baselines,
    "initial-loss": _initial,
    "gradient-check": _gradient,
    "overfit-batch": _overfit,
    "rate-range": _rates,
    "search": _search,
    "final": _final,
    "healing": healing_told,
    "test": _test,
}
FIGURES: dict[str, Callable[[Evidence], Figure | None]] = {
    "overfit-batch": _overfit_figure,
    "rate-range": _rates_figure,
}
