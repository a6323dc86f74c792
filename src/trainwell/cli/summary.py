"""A run on a terminal: the verdict, its metrics beside those of the baselines, its checks, its findings."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from trainwell.diagnosis import SEVERITIES, Finding
from trainwell.recipe import Run
from trainwell.report.healing import healing_told
from trainwell.report.page import verdict
from trainwell.report.records import read_records
from trainwell.report.words import counted, is_number, metric_name, model_title, number, score, seconds, stage_name

COLOURS = {"info": "blue", "warning": "yellow", "critical": "red"}
VERDICTS = {True: ("passed", "green"), False: ("failed", "red"), None: ("done", "dim")}


def summary(run: Run) -> RenderableType:
    """What to show of a run: how good it is, or, without networks to judge, what the checks found."""
    parts = [metrics_table(run.result)] if run.ensemble is not None else [stages_table(run.result)]
    headline = Text(plain(verdict(read_records(run.path)).headline), style="bold")
    findings = [*_findings(run.findings), *_healing(run.result)]
    return Group(Text(""), headline, *parts, *findings, Text(_how(run.result), style="dim"))


def metrics_table(result: Mapping[str, Any]) -> Table:
    """Our metrics beside those of each baseline, the best of the main metric first."""
    main, part = result["metric"], "test" if result["test"] else "validation"
    ours = result[part]
    worst = float("-inf") if main["higher_is_better"] else float("inf")
    rows = sorted(
        [("trainwell", ours), *((model_title(name), scores) for name, scores in result["baselines"].items())],
        key=lambda row: row[1].get(main["name"], worst),
        reverse=main["higher_is_better"],
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(part, no_wrap=True)
    for name in ours:
        table.add_column(metric_name(name), justify="right", style="bold" if name == main["name"] else "")
    for label, scores in rows:
        cells = [score(name, scores[name]) if name in scores else "" for name in ours]
        table.add_row(label, *cells, style="green" if label == "trainwell" else "")
    return table


def stages_table(result: Mapping[str, Any]) -> Table:
    """One line a stage: its verdict, and its single figures."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("check", "", "evidence"):
        table.add_column(name, no_wrap=name != "evidence")
    for stage in result["stages"]:
        word, colour = VERDICTS[stage["passed"]]
        single = {k.replace("_", " "): v for k, v in stage["evidence"].items() if is_number(v) or isinstance(v, str)}
        evidence = ", ".join(f"{k} {number(v)}" for k, v in single.items())
        table.add_row(stage_name(stage["name"]), Text(word, style=colour), evidence)
    return table


def plain(sentence: str) -> str:
    """A sentence of the report without its marks for names."""
    return sentence.replace("`", "'")


def _findings(findings: list[Finding]) -> list[Text]:
    """The gravest first; what is merely worth knowing stands in the report."""
    grave = sorted((f for f in findings if f.severity != "info"), key=lambda f: -SEVERITIES.index(f.severity))
    return [Text.assemble((f"{f.severity} {f.kind}", COLOURS[f.severity]), f": {f.message}\n") for f in grave]


def _healing(result: Mapping[str, Any]) -> list[Text]:
    """What was tried against them."""
    evidence = next((stage["evidence"] for stage in result["stages"] if stage["name"] == "healing"), {})
    told = healing_told(evidence)
    return [Text(f"{plain(told)}\n", style="green" if evidence.get("outcome") == "cured" else "")] if told else []


def _how(result: Mapping[str, Any]) -> str:
    made = [counted(result["trials"], "trial"), counted(result["members"], "network")] if result["members"] else []
    told = ", ".join([*made, seconds(result["seconds"]["total"])])
    return f"{told}; interrupted: the best so far" if result.get("interrupted") else told
