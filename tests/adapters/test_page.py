"""The page of a watched training: what stands on it, for whatever was seen, and that it asks for nothing."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.adapters.loops import trained
from tests.report.test_page import EVIL, Page
from trainwell import watch
from trainwell.adapters.page import write_page
from trainwell.base import InputError
from trainwell.diagnosis import KINDS, RULES, Finding, Remedy, explain_text
from trainwell.engine.record import Record
from trainwell.report.watched import headline, render
from trainwell.report.watched_program import Watched
from trainwell.vitals.program import Program

RATE = Finding(
    "learning-rate-too-large",
    "warning",
    "The learning rate 3 is too large.",
    layer="2",
    member=0,
    step=4,
    evidence={"figure": "largest loss over the first", "measured": 41.5, "threshold": 3.0, "healthy": "0.5 … 1.9"},
    remedies=(
        Remedy("smaller-rate-10", "smaller steps do not jump over the valley", {"optimizer.learning_rate": 0.3}),
    ),
)
DEAD = Finding(
    "dead-units", "critical", "Most units of 2 are dead.", step=8, evidence={"caused_by": "learning-rate-too-large"}
)
REST = Finding("plateau", "info", "It rests.", step=9)


def course(losses: list[float], layers: int = 3, looks: tuple[int, ...] = (1, 2, 4)) -> Record:
    """A record by hand: these losses, and vitals of the layers at some updates."""
    record = Record()
    for step, loss in enumerate(losses, start=1):
        record.add(step, "", "loss", [0], [loss])
    for step in looks:
        record.add(step, "", "learning_rate", [0], [0.1 / step])
        for i in range(layers):
            for signal in ("gradient-norm", "update-ratio", "activation-std", "dead-fraction"):
                record.add(step, f"block.{i}", signal, [0], [0.9**i])
    return record


def page(record: Record, *findings: Finding, program: Program | None = None) -> tuple[str, Page]:
    html = render(Watched(record, findings, program or Program()))
    return html, Page(html)


def headings(html: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", html)


@pytest.mark.covers("I13")
def test_a_healthy_training_is_said_to_be_well_with_what_was_checked(tmp_path: Path) -> None:
    w = trained(40)
    shown = Page(w.report(tmp_path / "report.html").read_text(encoding="utf-8"))
    assert f"All is well: {len(RULES)} rules found no fault in 40 updates." in shown.text
    looks = len(w.record.series("gradient-norm", member=0, layer="0")[0])
    assert f"gradients, updates and activations of 3 layers in {looks} of them; 4 validations" in shown.text
    assert all(kind in shown.text for kind in RULES)
    assert "Nothing needs to be done." in shown.text and shown.faults == [] and shown.open == []


def test_the_page_has_every_section_in_a_readers_order(tmp_path: Path) -> None:
    html = trained(40).report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert headings(html) == ["Findings", "Course", "Inside the layers", "What is known of the program"]
    for name in ("Gradient norm", "Update to weight ratio", "Dead units", "Spread of the activations"):
        assert f"<strong>{name}.</strong>" in html
    assert ">usual<" in html and ">validation<" in html and "Over the depth" in html
    assert "The learning rate is 0.01 throughout." in html and "Validation <code>accuracy</code>" in html


def test_what_is_known_of_the_program_stands_in_its_table(tmp_path: Path) -> None:
    shown = Page(trained(40).report(tmp_path / "report.html").read_text(encoding="utf-8"))
    for pair in (
        "Task multiclass",
        "Loss cross-entropy of raw outputs",
        "Last function before the loss none: raw outputs",
        "Outputs as the loss takes them (32, 3)",
        "Batch 32 samples",
        "Optimizer sgd",
        "Learning rate 0.01",
        "Updates in evaluation mode 0 of 40",
        "Judgements in training mode 0 of 4",
    ):
        assert pair in shown.text


def test_the_page_asks_for_nothing_from_outside_and_runs_nothing(tmp_path: Path) -> None:
    html = trained(40, rate=1e4, scale=100.0).report(tmp_path / "report.html").read_text(encoding="utf-8")
    shown = Page(html)
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & set(shown.tags)
    addresses = [v for k, v in shown.attributes if k in ("href", "src", "xlink:href", "action", "data", "poster")]
    assert addresses and all(value and value.startswith("#") for value in addresses)
    assert not [name for name, _ in shown.attributes if name.startswith("on")]
    assert "://" not in html and "default-src 'none'" in html
    assert not re.search(r"url\(|@import", html[html.index("<style>") : html.index("</style>")])


def test_every_anchor_of_the_contents_leads_somewhere() -> None:
    _, shown = page(course([1.0, 0.9, 0.8]), RATE)
    targets = {value for name, value in shown.attributes if name == "id"}
    assert {str(value)[1:] for name, value in shown.attributes if name == "href"} <= targets


@pytest.mark.parametrize(
    ("findings", "said", "tone"),
    [
        ((RATE, DEAD), "`learning-rate-too-large` ruins this training; `dead-units` probably follows from it.", "bad"),
        ((RATE,), "`learning-rate-too-large` costs this training quality.", "warn"),
        ((RATE, replace(RATE, kind="overfitting")), "`learning-rate-too-large` and `overfitting` cost this", "warn"),
        ((RATE, replace(RATE, kind="non-finite", severity="critical")), "`non-finite` and `learning-rate", "bad"),
        ((REST,), f"All is well: {len(RULES)} rules found no fault in 20 updates.", "good"),
    ],
)  # fmt: skip
def test_the_headline_names_the_gravest_and_causes_before_symptoms(
    findings: tuple[Finding, ...], said: str, tone: str
) -> None:
    words, colour = headline(Watched(course([1.0] * 20), findings, Program()))
    assert words.startswith(said) and colour == tone


def test_many_faults_are_counted_in_the_headline_and_told_below() -> None:
    kinds = list(RULES)[:6]
    found = [replace(RATE, kind=kind) for kind in kinds]
    words, _ = headline(Watched(course([1.0] * 20), tuple(found), Program()))
    assert "and 3 more faults cost this training quality" in words
    _, shown = page(course([1.0] * 20), *found)
    assert all(f"What {kind} means" in shown.text for kind in kinds)


def test_a_finding_stands_with_its_evidence_its_remedies_and_what_it_means() -> None:
    html, shown = page(course([1.0] * 20), RATE, DEAD, REST)
    for text in (
        "warning learning-rate-too-large layer 2, step 4",
        "measured 41.5",
        "threshold 3",
        "healthy 0.5 … 1.9",
        "Smaller steps do not jump over the valley: optimizer.learning_rate → 0.3 .",
        "caused by learning-rate-too-large",
    ):
        assert text in shown.text
    assert "network 0" not in shown.text
    assert html.index("<b>learning-rate-too-large</b>") < html.index("<b>dead-units</b>") < html.index("<b>plateau</b>")
    assert "What to do next Against learning-rate-too-large : Smaller steps" in shown.text


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_word_of_the_page_of_explain_is_in_the_folded_part(kind: str) -> None:
    _, shown = page(course([1.0] * 20), replace(RATE, kind=kind))
    told = explain_text(kind).replace("## ", "").replace("- ", " ").replace("**", "").replace("`", " ")
    words = " ".join(told.split("\n", 1)[1].split())
    assert words.replace(" ", "") in shown.text.replace("- ", " ").replace(" ", "")


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_a_very_short_training_is_not_said_to_be_well(tmp_path: Path, steps: int) -> None:
    html = trained(steps, judged=0).report(tmp_path / "report.html").read_text(encoding="utf-8")
    shown = Page(html)
    assert "All is well" not in html and shown.faults == []
    said = "Nothing was seen" if steps == 0 else f"Nothing wrong so far, in {steps} update"
    assert said in shown.text
    assert ("Call w.step(loss)" in shown.text) == (steps == 0)


def test_what_could_not_be_looked_at_is_said() -> None:
    program = Program(notes=("The module is compiled in place.",))
    html, shown = page(course([1.0] * 20, looks=()), program=program)
    assert "All is well, as far as could be seen" in shown.text
    for text in (
        "no validation was reported",
        "no targets were given",
        "no optimizer was seen",
        "layers were not looked at",
    ):
        assert text in shown.text
    assert shown.text.count("The module is compiled in place.") == 2  # at the top, and in the table
    assert "Inside the layers" not in headings(html)


def test_a_loss_that_is_never_finite_still_makes_a_page() -> None:
    html, shown = page(course([float("nan")] * 30), RATE)
    assert "30 of 30 losses are not finite" in shown.text and shown.faults == []
    assert not re.search(r"[ML,\" ](nan|inf)", "".join(re.findall(r'd="[^"]*"', html)))


def test_after_the_loss_became_nan_the_drawing_ends() -> None:
    html, shown = page(course([2.0, 1.0, 1e30, float("inf")] + [float("nan")] * 996))
    assert "997 of 1,000 losses are not finite" in shown.text
    assert "Nothing finite follows the last one drawn, up to update 1,000." in shown.text
    assert ">not finite<" in html and ">1,000</text>" not in html


def test_of_hundreds_of_layers_some_are_drawn_and_those_with_findings() -> None:
    finding = replace(RATE, layer="block.137")
    html, shown = page(course([1.0] * 20, layers=300), finding)
    assert re.search(r"Drawn are 1\d of 300 layers", shown.text)
    keys = re.findall(r"</svg>(block\.\d+)</span>", html)
    assert keys[0] == "block.0" and keys[-1] == "block.299" and "block.137" in keys and len(keys) <= 12
    assert len(html) < 300_000


def test_a_long_training_keeps_its_spike_in_a_small_page() -> None:
    losses = [1.0 + 0.01 * (i % 7) for i in range(20_000)]
    losses[12_345] = 5000.0
    html, _ = page(course(losses))
    tops = [
        min(float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", d))
        for d in re.findall(r'<path d="([^"]*)" class="curve c1 faint', html)
    ]
    ordinary = re.findall(r"M[\d.]+ ([\d.]+)", re.findall(r'<path d="([^"]*)" class="curve c1 faint', html)[0])
    assert tops[0] < float(ordinary[0]) - 50  # pixels: up is smaller
    assert len(html) < 120_000


def test_negative_losses_and_losses_of_zero_have_a_linear_axis() -> None:
    html, shown = page(course([-5.0, 0.0, 3.0, -8.0] * 10))
    assert shown.faults == [] and ">−5<" in html


def test_a_rate_that_changes_is_drawn() -> None:
    html, _ = page(course([1.0] * 20))
    assert 'aria-label="Learning rate"' in html and "throughout" not in html


def test_names_of_strangers_are_inert(tmp_path: Path) -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add_module(EVIL.replace(".", ""), nn.Linear(6, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return next(iter(self.children()))(x)

    model = Odd()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with watch(model, optimizer) as w:
        for _ in range(4):
            model(torch.randn(8, 6)).mean().backward()
            optimizer.step()
            w.step(1.0)
        w.validate(**{EVIL: 0.5})
    html = w.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script" not in html and Page(html).faults == []
    evil = replace(RATE, kind=EVIL, message=EVIL, layer=EVIL, evidence={EVIL: EVIL})
    assert "<script" not in page(course([1.0] * 20), evil)[0]


def test_a_page_is_written_into_a_folder_that_it_makes(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "report.html"
    assert write_page(path, Record(), [], Program()) == path and path.exists()
    assert sorted(p.name for p in path.parent.iterdir()) == ["report.html"]


def test_a_page_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"that is a folder. Name a file in it, as report.html.$"):
        write_page(tmp_path, Record(), [], Program())
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"can't be written to '.*': .*. Name another file.$"):
        write_page(tmp_path / "file" / "report.html", Record(), [], Program())


def test_the_page_of_a_training_is_that_of_its_findings(tmp_path: Path) -> None:
    w = trained(40, rate=1e4, scale=100.0, out=tmp_path)
    shown = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    lines = (tmp_path / "findings.jsonl").read_text(encoding="utf-8").splitlines()
    assert lines and [f.kind for f in w.findings] == [json.loads(line)["kind"] for line in lines]
    assert all(finding.kind in shown.text for finding in w.findings)
