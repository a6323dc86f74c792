import copy
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.report.synthetic import complete_run, healthy, overfitting, result, stopped_after, trials, write_run
from trainwell.base import RunError
from trainwell.plan import Plan, paths
from trainwell.report import write_report
from trainwell.report.page import prose, render, tell
from trainwell.report.records import Records, read_records

EVIL = '<script>alert("x")</script>'
GONE = "gone"
VOID = {"meta", "br", "hr", "input", "link", "img", "!doctype"}
TITLES = [
    "Against the baselines",
    "Learning curves",
    "Findings",
    "Checks on the way",
    "Trials of the search",
    "Inside the layers",
    "The test in detail",
    "The data",
    "The plan",
    "Time and machine",
]


class Page(HTMLParser):
    """Elements, attributes and text of a page; `faults` names tags that do not close."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.faults: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def page_of(folder: Path) -> tuple[str, Page]:
    html = write_report(folder).read_text(encoding="utf-8")
    return html, Page(html)


def headings(html: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", html)


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_complete_run_fills_every_section_in_order(tmp_path: Path, task: str) -> None:
    html, page = page_of(complete_run(tmp_path / "demo", task))
    assert headings(html) == TITLES
    assert page.faults == [] and page.open == []
    assert "damaged" not in page.text and "Not in this report" not in page.text


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_the_page_asks_for_nothing_from_outside_and_runs_nothing(tmp_path: Path, task: str) -> None:
    html, page = page_of(complete_run(tmp_path / "demo", task))
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    addresses = [v for k, v in page.attributes if k in ("href", "src", "xlink:href", "action", "data", "poster")]
    assert all(value and value.startswith("#") for value in addresses)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    style = html[html.index("<style>") : html.index("</style>")]
    assert not re.search(r"url\(|@import|@font-face", style)
    assert "://" not in html
    assert "default-src 'none'" in html


def test_every_anchor_of_the_contents_leads_somewhere(tmp_path: Path) -> None:
    _, page = page_of(complete_run(tmp_path / "demo"))
    targets = {value for name, value in page.attributes if name == "id"}
    assert {str(value)[1:] for name, value in page.attributes if name == "href"} <= targets


def test_names_of_strangers_are_inert_wherever_they_stand(tmp_path: Path) -> None:
    content: dict[str, Any] = result() | {"targets": [EVIL], "source": EVIL}
    evidence = {stage["name"]: stage["evidence"] for stage in content["stages"]}
    evidence["data"] |= {"targets": [EVIL], "notes": [EVIL], "why_task": EVIL, "classes": {EVIL: 3, "b": 1}}
    evidence["data"]["columns"][0] |= {"name": EVIL, "why": EVIL, "note": EVIL, "kind": EVIL}
    evidence["data"]["columns"][1] |= {"top": [[EVIL, 3]]}
    evidence["test"] |= {"labels": [EVIL, "b"]}
    content["baselines"] |= {EVIL: {"accuracy": 0.5}}
    content["environment"] |= {EVIL: EVIL}
    folder = write_run(tmp_path / "demo", content, findings=[overfitting()], vitals=healthy(), table=trials())
    html, page = page_of(folder)
    assert "script" not in page.tags and page.faults == []
    assert "<script" not in html and page.text.count("alert") > 10


def test_a_regression_with_a_strange_target_is_inert_too(tmp_path: Path) -> None:
    _, page = page_of(complete_run(tmp_path / "demo", "regression", targets=[EVIL]))
    assert "script" not in page.tags and EVIL in page.text


@pytest.mark.parametrize("last", ["data", "baselines", "rate-range", "search", "final"])
def test_a_run_that_was_stopped_is_told_as_far_as_it_came(tmp_path: Path, last: str) -> None:
    html, page = page_of(write_run(tmp_path / "demo", stopped_after(result(), last), findings=None))
    assert "stopped" in page.text and f"trainwell resume {tmp_path / 'demo'}" in page.text
    assert "damaged" not in page.text and page.faults == []
    assert "Checks on the way" in headings(html)


def test_parts_that_are_not_there_are_named_at_the_end(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "demo", result(), findings=None)
    (folder / "plan.yaml").unlink()
    html, page = page_of(folder)
    assert headings(html)[-1] == "Not in this report"
    for file in ("plan.yaml", "findings.jsonl", "vitals.parquet", "trials.parquet"):
        assert f"{file} is not there" in page.text
    assert "this run has nothing to show of: learning curves" in page.text.lower()
    assert "which does not mean that all is well" in page.text


def test_files_that_cannot_be_read_are_left_out_and_named(tmp_path: Path) -> None:
    folder = complete_run(tmp_path / "demo")
    for file in ("plan.yaml", "findings.jsonl", "vitals.parquet", "trials.parquet"):
        (folder / file).write_bytes(b"\x00junk: [")
    _, page = page_of(folder)
    assert page.text.count("could not be read") == 4 and page.faults == []


def test_empty_trials_and_vitals_are_no_fault(tmp_path: Path) -> None:
    folder = complete_run(tmp_path / "demo")
    pl.DataFrame().write_parquet(folder / "trials.parquet")
    healthy().frame().clear().write_parquet(folder / "vitals.parquet")
    content = json.loads((folder / "result.json").read_text())
    content["stages"][6]["evidence"] = {"trials": 0, "why": "the budget leaves no time for a search"}
    (folder / "result.json").write_text(json.dumps(content))
    _, page = page_of(folder)
    assert "There are no trials to show: the budget leaves no time for a search." in page.text
    assert "damaged" not in page.text


def test_trials_without_a_loss_are_told_apart_from_diverged_ones(tmp_path: Path) -> None:
    losses = [0.3, None, *[0.4] * 6, float("inf")]
    table = trials().with_columns(pl.Series("validation_loss", losses))
    html, page = page_of(write_run(tmp_path / "demo", result(), table=table))
    section = html[html.index('id="trials"') : html.index('id="test"')]
    keys = re.findall(r"</svg>([^<]+)</span>", section)
    assert keys == ["finished", "culled", "diverged", "no result"]
    assert section.count("<tr") == 8, "a head and the seven with a loss"


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where every value of a nested record stands, a few levels deep."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, child in items if len(path) < 5 else ():
        yield from places(child, (*path, key))


@pytest.mark.parametrize("task", ["binary", "regression"])
@pytest.mark.parametrize("put", [GONE, None, "junk", 0, [], {}], ids=repr)
def test_no_damage_of_the_result_keeps_the_page_from_being_made(task: str, put: Any) -> None:
    whole = result(task)
    for number, path in enumerate(places(whole)):
        if number % 3:  # every third place, to be quick
            continue
        content = copy.deepcopy(whole)
        parent: Any = content
        for key in path[:-1]:
            parent = parent[key]
        if put is GONE:
            del parent[path[-1]]
        else:
            parent[path[-1]] = put
        assert "</html>" in render(Records("demo", content)), path


def test_a_damaged_part_is_said_to_be_that_and_the_others_are_told() -> None:
    def broken(records: Records) -> None:
        raise KeyError("rates")

    sections, left_out = tell(Records("demo", result()), {"Rates": broken})
    assert [(s.title, s.mark) for s in sections] == [("Rates", "damaged")]
    assert left_out == []


def test_a_folder_without_a_result_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="There is no run directory .*trainwell fit"):
        write_report(tmp_path / "nowhere")
    with pytest.raises(RunError, match="no result.json"):
        write_report(tmp_path)
    (tmp_path / "result.json").write_text("[]")
    with pytest.raises(RunError, match="damaged"):
        write_report(tmp_path)


def test_the_same_run_gives_the_same_page(tmp_path: Path) -> None:
    folder = complete_run(tmp_path / "demo")
    first, _ = page_of(folder)
    assert page_of(folder)[0] == first
    assert not list(folder.glob("*.partial"))


def test_a_finding_is_shown_with_evidence_and_remedies(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "demo", result(), findings=[overfitting()], vitals=healthy())
    _, page = page_of(folder)
    for words in (
        "warning overfitting layer hidden.0, step 40, network 1",
        "learned the training rows by heart",
        "measured 1.9",
        "Units cannot rely on one another: regularisation.dropout → 0.3",
        "Tried: it helped (0.8 → 0.9)",
        "trainwell explain overfitting",
    ):
        assert words in page.text


def test_no_finding_is_told_with_what_was_looked_for(tmp_path: Path) -> None:
    _, page = page_of(complete_run(tmp_path / "demo"))
    assert "All is well: no rule found anything." in page.text
    assert "The rules looked for" in page.text and "overfitting" in page.text
    assert "60 evaluations of 3 networks" in page.text
    assert "Passed on the way: loss before training, gradient check" in page.text


def test_the_best_of_each_metric_is_marked_by_its_own_direction(tmp_path: Path) -> None:
    content = result()
    content["test"]["log_loss"] = 0.99
    content["baselines"]["linear"]["log_loss"] = 0.11
    html, _ = page_of(write_run(tmp_path / "demo", content))
    table = html[html.index('id="scores"') : html.index("</table>", html.index('id="scores"'))]
    best = re.findall(r'<td class="n best">([\d.]+)</td>', table)
    assert best == ["0.9200", "0.8700", "0.8200", "0.9600", "0.1100"]
    assert "Log loss <small>↓</small>" in table and "Accuracy <small>↑</small>" in table


def test_the_best_epoch_of_every_network_is_marked(tmp_path: Path) -> None:
    html, _ = page_of(complete_run(tmp_path / "demo"))
    curves = html[html.index('id="curves"') : html.index('id="findings"')]
    first = curves[curves.index("<svg") : curves.index("</svg>")]
    assert first.count("<title>network") == 3
    assert curves.count("best at epoch 20") == 3


def test_the_plan_is_told_with_who_chose_and_why(tmp_path: Path) -> None:
    _, page = page_of(complete_run(tmp_path / "demo"))
    assert "1 by you, 1 from the data, 1 by the search and 1 by a remedy" in page.text
    assert "optimizer.learning_rate 0.004 search best validation of the search" in page.text


def test_values_of_the_plan_without_effect_are_folded_away(tmp_path: Path) -> None:
    run = complete_run(tmp_path / "demo")
    plan = Plan.from_yaml(run / "plan.yaml").edited({"optimizer.name": "momentum"}, by="user", why="--set")
    plan = plan.edited({"optimizer.momentum": 0.9}, by="default", why="standard of momentum")
    plan.to_yaml(run / "plan.yaml")
    html, _ = page_of(run)
    told = html[html.index('id="plan"') : html.index('id="environment"')]
    shown, folded = told.split("<details>")
    assert folded.count("</details>") == 1
    named = [re.findall(r"<code>([a-z_]+(?:\.[a-z0-9_]+)?)</code>", part) for part in (shown, folded)]
    visible, hidden = (set(names) & set(paths()) for names in named)
    assert visible | hidden == set(paths()) and not visible & hidden
    assert {"optimizer.name", "optimizer.momentum", "network.depth", "training.batch_size", "seed"} <= visible
    assert {"optimizer.beta2", "optimizer.rho", "regularisation.clip_norm", "regularisation.l1"} <= hidden
    assert {"data.columns", "loss.class_weights", "schedule.half_cycle", "initialiser.std"} <= hidden
    assert [path for path in visible if plan.get(path) is None] == []


def test_prose_marks_names_and_escapes_everything() -> None:
    assert prose("`a<b` and **c<d**") == "<code>a&lt;b</code> and <strong>c&lt;d</strong>"
    assert prose("a ` alone, ** too") == "a ` alone, ** too"


def test_reading_keeps_findings_that_were_not_recorded_apart_from_none(tmp_path: Path) -> None:
    assert read_records(write_run(tmp_path / "a", result(), findings=None)).findings is None
    assert read_records(write_run(tmp_path / "b", result(), findings=())).findings == ()
