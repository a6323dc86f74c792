"""The face of `trainwell.watch`: what it takes, refuses, writes and tells. What is measured: tests/vitals."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

import trainwell
from tests.adapters.loops import data, judge, network, trained
from tests.test_docs import ROOT, blocks
from trainwell.base import InputError
from trainwell.diagnosis import read_findings

MODEL = nn.Linear(2, 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"model": torch.nn.functional.relu}, "watch takes a torch.nn.Module, but got function"),
        ({"model": None}, "watch takes a torch.nn.Module, but got NoneType"),
        ({"optimizer": 0.1}, "optimizer must be a torch optimizer or several, but is float"),
        ({"optimizer": [torch.optim.SGD(MODEL.parameters(), 0.1), "adam"]}, "optimizer must .* but is str"),
        ({"task": "regresion"}, "task must be one of binary, .*, but is 'regresion'. Did you mean 'regression'?"),
        ({"task": 3}, "task must be a word such as binary, .*, but is int"),
        ({"loss_fn": "mse"}, "loss_fn must be a function of outputs and targets, but is str"),
        ({"every": "often"}, "every must be 'auto' or a whole number of steps from 0, but is 'often'"),
        ({"every": -1}, "every must be 'auto' or a whole number of steps from 0, but is -1"),
        ({"every": 2.5}, "every must be 'auto' or a whole number of steps from 0, but is 2.5"),
        ({"every": True}, "every must be 'auto' or a whole number of steps from 0, but is True"),
    ],
)
def test_a_wrong_argument_is_refused_in_one_line(arguments: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"model": MODEL, **arguments}
    with pytest.raises(InputError, match=said) as caught:
        trainwell.watch(**given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("task", "known"),
    [("gan", ""), ("multitask", ""), ("Binary classification", "binary"), ("multi-class", "multiclass")],
)
def test_a_task_of_the_user_s_own_is_taken_and_noted_where_no_rule_knows_it(task: str, known: str) -> None:
    with trainwell.watch(MODEL, task=task) as w:
        program = w._observer.program()
    assert program.given_task == known
    assert [note.split(":")[0] for note in program.notes] == ([] if known else [f"No rule knows the task '{task}'"])


def test_a_file_in_the_place_of_the_folder_is_refused_before_the_training(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(InputError, match="out must be a folder, but '.*' is a file. Name another one.$"):
        trainwell.watch(MODEL, out=tmp_path / "run")


@pytest.mark.parametrize("value", [torch.zeros(2), "good", None, [0.5], object()])
def test_a_judgement_that_is_no_number_is_refused_in_one_line(value: Any) -> None:
    with trainwell.watch(MODEL) as w, pytest.raises(InputError, match="^validate: accuracy must be one number, but is"):
        w.validate(accuracy=value)


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.array(0.5), torch.tensor(0.5), torch.tensor([0.5]), True])
def test_a_judgement_may_be_any_one_number(value: Any) -> None:
    with trainwell.watch(MODEL) as w:
        w.validate(loss=value)
    assert w.record.series("validation_loss", member=0)[1].tolist() == [float(value)]


def test_a_judgement_with_a_gradient_is_taken_without_it() -> None:
    with trainwell.watch(MODEL) as w:
        w.validate(loss=MODEL(torch.ones(1, 2)).sum())
    assert np.isfinite(w.record.series("validation_loss", member=0)[1]).all()


def test_metrics_are_noted_by_their_names_and_the_first_as_the_metric() -> None:
    w = trained(20, judged=10)
    steps, losses = w.record.series("validation_loss", member=0)
    assert steps.tolist() == [10, 20] and np.isfinite(losses).all()
    accuracies = w.record.series("validation_accuracy", member=0)[1].tolist()
    assert accuracies == w.record.series("validation_metric", member=0)[1].tolist()
    assert all(0 <= value <= 1 for value in accuracies)


def test_at_a_judgement_the_training_loss_since_the_one_before_is_noted() -> None:
    w = trained(20, judged=10)
    losses = w.record.series("loss", member=0)[1]
    means = [losses[:10].mean(), losses[10:].mean()]
    assert w.record.series("train_loss", member=0)[1].tolist() == pytest.approx(means, rel=1e-6)


def test_a_folder_holds_findings_measurements_and_page(tmp_path: Path) -> None:
    out = tmp_path / "a" / "run"
    w = trained(40, rate=1e4, scale=100.0, out=out)
    assert sorted(path.name for path in out.iterdir()) == ["findings.jsonl", "report.html", "vitals.parquet"]
    found = read_findings(out / "findings.jsonl")
    assert found and [f.as_dict() for f in found] == [f.as_dict() for f in w.findings]
    vitals = pl.read_parquet(out / "vitals.parquet")
    assert vitals.equals(w.record.frame()) and vitals.columns == ["step", "member", "layer", "signal", "value"]
    assert "<h1>" in (out / "report.html").read_text(encoding="utf-8")


def test_of_a_healthy_training_the_folder_holds_no_finding_of_weight(tmp_path: Path) -> None:
    w = trained(60, out=str(tmp_path))
    lines = (tmp_path / "findings.jsonl").read_text(encoding="utf-8").splitlines()
    assert w.sound and all(json.loads(line)["severity"] == "info" for line in lines)


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trained(8)
    assert list(tmp_path.iterdir()) == []


def test_findings_are_there_within_the_loop_and_after_it() -> None:
    model, (x, y) = network(), data()
    x = x * 100
    optimizer = torch.optim.SGD(model.parameters(), lr=1e4)
    inside: list[str] = []
    with trainwell.watch(model, optimizer) as w:
        for _ in range(30):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            w.step(loss, inputs=x, targets=y)
            inside = inside or [finding.kind for finding in w.findings]
    after = {finding.kind for finding in w.findings}
    assert "non-finite" in after and not w.sound
    assert inside and set(inside) & after, "what was found while it ran is still true"


def test_findings_can_be_asked_for_again_and_stay_the_same() -> None:
    w = trained(30, rate=1e4, scale=100.0)
    assert [f.as_dict() for f in w.findings] == [f.as_dict() for f in w.findings]


def test_before_the_first_step_nothing_of_weight_is_found() -> None:
    with trainwell.watch(network()) as w:
        assert w.sound and all(finding.severity == "info" for finding in w.findings)
    assert w.sound


def test_an_error_of_the_loop_passes_through_and_what_was_seen_is_kept(tmp_path: Path) -> None:
    model = network()
    with pytest.raises(KeyError, match="mine"), trainwell.watch(model, out=tmp_path) as w:
        w.step(1.0)
        raise KeyError("mine")
    assert (tmp_path / "report.html").exists() and w.record.series("loss", member=0)[1].tolist() == [1.0]


def test_without_a_with_it_ends_by_close_and_closing_twice_does_no_harm() -> None:
    model = network()
    w = trainwell.watch(model)
    w.step(0.5)
    w.close()
    w.close()
    assert w.record.series("loss", member=0)[1].tolist() == [0.5]
    assert not [m for m in model.modules() if m._forward_hooks or m._forward_pre_hooks]


def test_watching_changes_no_weight_and_no_random_number() -> None:
    model, (x, y) = network(), data()
    twin = copy.deepcopy(model)

    def train(net: nn.Module, w: trainwell.Watch | None) -> torch.Tensor:
        torch.manual_seed(3)
        optimizer = torch.optim.Adam(net.parameters(), 1e-2)
        for _ in range(20):
            batch = torch.randint(0, len(x), (16,))
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(x[batch]), y[batch])
            loss.backward()
            optimizer.step()
            if w is not None:
                w.step(loss, inputs=x[batch], targets=y[batch])
                judge(w, net, x, y)
        return torch.rand(3)

    with trainwell.watch(model, every=1) as w:
        watched = train(model, w)
    alone = train(twin, None)
    assert torch.equal(watched, alone)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))


def test_several_optimizers_and_one_that_is_not_given_are_followed() -> None:
    model, (x, y) = network(), data()
    first, last = model[0], model[-1]
    optimizers = [torch.optim.SGD(first.parameters(), 0.1), torch.optim.Adam(last.parameters(), 1e-3)]
    for given in (optimizers, tuple(optimizers), None):
        with trainwell.watch(model, given, every=1) as w:
            for _ in range(4):
                nn.functional.cross_entropy(model(x), y).backward()
                for optimizer in optimizers:
                    optimizer.step()
                    optimizer.zero_grad()
                w.step(1.0)
        assert {"0", "4"} <= set(w.record.layers("update-ratio", member=0))


def test_a_look_at_every_step_or_at_none_as_asked_for() -> None:
    assert trained(12, every=1).record.series("update-ratio", member=0, layer="0")[0].tolist() == list(range(1, 13))
    never = trained(12, every=0).record
    assert len(never.series("loss", member=0)[0]) == 12
    assert len(never.series("update-ratio", member=0, layer="0")[0]) <= 1


def test_the_task_that_the_user_names_is_the_one_that_is_judged() -> None:
    program = trained(8, task="regression").case().program
    assert program is not None and program.task == "regression"


def test_the_examples_of_its_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loop, gate, cure = blocks((ROOT / "docs" / "watch.md").read_text(encoding="utf-8"), "python")
    names: dict[str, Any] = {}
    exec(compile(loop, "watch.md", "exec"), names)
    exec(compile(cure, "watch.md", "exec"), names)
    assert names["cure"].metric.after >= names["cure"].metric.before
    assert names["w"].sound and (tmp_path / "runs" / "watched" / "report.html").exists()
    with pytest.raises(SystemExit) as ended:
        exec(compile(gate, "watch.md", "exec"), names)
    assert ended.value.code == 0


def test_the_gate_of_its_page_ends_by_the_gravest_severity() -> None:
    _, gate, _ = blocks((ROOT / "docs" / "watch.md").read_text(encoding="utf-8"), "python")
    model = nn.Sequential(network(), nn.Softmax(1))
    x, y = data()
    names = {
        "trainwell": trainwell,
        "model": model,
        "loss_fn": nn.CrossEntropyLoss(),
        "X": x,
        "y": y,
        "optimizer": None,
    }
    with pytest.raises(SystemExit) as ended:
        exec(compile(gate, "watch.md", "exec"), names)
    assert ended.value.code == 2, "softmax twice is critical"
