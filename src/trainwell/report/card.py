"""The model card: what the network is, what it was trained on, how good it is, and how to use it. Markdown."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainwell.report.records import Records, read_records
from trainwell.report.sections.checks import split_told
from trainwell.report.verdict import headline, how_good, standing, what_was_trained
from trainwell.report.words import capital, counted, listed, metric_name, model_title, number, score

MOST_COLUMNS = 60
TAGS = {"regression": "tabular-regression"}


def model_card(run_dir: Path) -> str:
    """The card of a run, as Markdown with the usual front matter; it stands beside the weights as `README.md`.

    Raises:
        RunError: there is no such directory, or no readable result in it.
    """
    records = read_records(Path(run_dir))
    s = standing(records)
    parts = [
        _front(records),
        f"# Predicts {listed([_code(t) for t in records.targets])}",
        markdown(headline(records, s)[0]),
        "## The model\n\n" + (markdown(what_was_trained(records)) or "There is no trained network in this run."),
        "## Data\n\n" + _data(records),
        "## Figures\n\n"
        + (
            " ".join(markdown(t) for t in how_good(records, s)) + "\n\n" + _table(records)
            if s
            else "None were measured."
        ),
        "## What it is for, and what not\n\n" + _caveats(records),
        "## How to load it\n\n" + _loading(records),
    ]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _front(records: Records) -> str:
    if records.of_module:
        return "---\nlibrary_name: trainwell\ntags:\n- trainwell\n- pytorch\n---"
    kind = TAGS.get(records.task, "tabular-classification")
    return f"---\nlibrary_name: trainwell\npipeline_tag: {kind}\ntags:\n- trainwell\n- {kind}\n---"


def markdown(sentence: str) -> str:
    """A sentence whose `names` stay code and whose other text has no meaning in Markdown or HTML.

    >>> markdown("`a|b` is <b> and *so* on")
    '`a¦b` is \\\\<b\\\\> and \\\\*so\\\\* on'
    """
    parts = sentence.split("`")
    return "".join(_code(p) if i % 2 else re.sub(r"([\\*_<>\[\]|#])", r"\\\1", p) for i, p in enumerate(parts))


def _code(name: object) -> str:
    """A name as code: one line, without backticks, and without the bar that would end a table's cell."""
    return f"`{' '.join(str(name).replace('`', 'ʹ').replace('|', '¦').split()) or ' '}`"


def _data(records: Records) -> str:
    e = records.evidence("data")
    if not e:
        return "The record of the data is missing."
    columns = [c for c in e.get("columns") or () if c.get("used", True)]
    lines = [f"{counted(e.get('rows') or 0, 'row')}: {split_told(e)}."]
    lines += [f"Each input is {_code(e.get('inputs'))}."] if e.get("module") else []
    if columns:
        lines += ["", "| input | kind | missing |", "|---|---|---|"]
        lines += [
            f"| {_code(c.get('name', '?'))} | {markdown(str(c.get('kind', '')))} | {number(c.get('missing') or 0)} |"
            for c in columns[:MOST_COLUMNS]
        ]
    if len(columns) > MOST_COLUMNS:
        lines.append(f"\n{len(columns) - MOST_COLUMNS} more inputs are listed in `preparation.json`.")
    lines += ["", *(f"- {markdown(str(note))}" for note in e.get("notes") or ())]
    return "\n".join(lines)


def _table(records: Records) -> str:
    models: dict[str, Mapping[str, Any]] = {
        "this model": records.result.get("test") or records.result.get("validation") or {}
    }
    if records.result.get("test") or records.evidence("baselines").get("judged_on") == "validation":
        models |= {model_title(name): v for name, v in (records.result.get("baselines") or {}).items()}
    metrics = list(models["this model"])
    marks = {True: " ↑", False: " ↓", None: ""}
    titles = [capital(metric_name(m)) + marks[records.higher_is_better(m)] for m in metrics]
    lines = [f"| | {' | '.join(markdown(t) for t in titles)} |", "|---" * (len(metrics) + 1) + "|"]
    for name, values in models.items():
        lines.append(f"| {markdown(name)} | {' | '.join(score(m, values.get(m)) for m in metrics)} |")
    return "\n".join(lines)


def _caveats(records: Records) -> str:
    grave = [f for f in records.findings or () if f.severity != "info"]
    points = [
        "For rows that come from where the training rows came from. On others the figures above do not hold.",
        "It shows what goes together in the data, not what causes what.",
        "Nothing was done to make it fair among groups of people: check that before it decides about any.",
    ]
    if not records.result.get("test"):
        points.insert(0, "It was never judged on rows that nothing was chosen by; its figures are optimistic.")
    if records.interrupted:
        points.insert(0, "Its training was stopped early.")
    points += [f"Found while it was trained: {markdown(f.message)}" for f in grave]
    return "\n".join(f"- {point}" for point in points)


def _loading(records: Records) -> str:
    name = re.sub(r"[^\w.\-]", "?", records.name)
    if records.of_module:
        about = records.evidence("data").get("module") or {}
        return (
            f'```python\nimport trainwell\n\nrun = trainwell.load("{name}", module=make_model)   # the run directory\n'
            "run.predict(X)                   # an array or tensor, in the form in which the module takes it\n"
            f"run.member(0)                    # one network: a plain {about.get('class', 'torch.nn.Module')}\n```\n\n"
            f"`make_model` builds the module ({_code(about.get('class', '?'))}); its code is not kept here. "
            "`weights.safetensors` holds its tensors by their names, with the networks along the first axis. No file "
            "here is a pickle; loading them runs no code but the factory's."
        )
    return (
        f'```python\nimport trainwell\n\nrun = trainwell.load("{name}")   # the run directory, one above this folder\n'
        "run.predict(table)               # a file's path, a pandas or polars frame, or arrays\n"
        "run.member(0)                    # one network as a plain torch.nn.Module\n```\n\n"
        f"On the command line: `trainwell predict {name} NEW.csv --out predictions.csv`. No file here is a pickle: "
        "`weights.safetensors` holds the weights, the JSON files the structure and the preparation of the inputs; "
        "loading them runs no code."
    )
