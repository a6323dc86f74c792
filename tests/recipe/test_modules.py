"""A user's own module through the whole recipe."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from torch import nn
from torch.utils.data import TensorDataset

import trainwell
from tests.recipe.own_modules import (
    Recurrent,
    Words,
    cnn,
    digits,
    perceptron,
    prices,
    sequences,
    tokens,
)
from tests.recipe.tables import STAGES
from trainwell import Plan, Run
from trainwell.base import DataError, InputError, PlanError, RunError
from trainwell.cli.main import main
from trainwell.engine import ModuleEnsemble
from trainwell.recipe import Request
from trainwell.recipe.agreement import prepare_setting
from trainwell.recipe.module_material import ModuleMaterial
from trainwell.recipe.setup import Setting

QUICK = {"search.trials": 6, "training.epochs": 8, "ensemble.members": 2}
ROOT = Path(__file__).parents[2]


def fit(make: Any, data: Any, out: Path, **more: Any) -> Run:
    settings = {**QUICK, **more.pop("settings", {})}
    return trainwell.fit(make, data, budget=60, out=out / "run", quiet=True, settings=settings, **more)


def prepared(make: Any, data: Any, **more: Any) -> Setting:
    return prepare_setting(Request(data, make=make, **more))


def evidence(run: Run, stage: str) -> dict[str, Any]:
    return next(s["evidence"] for s in run.result["stages"] if s["name"] == stage)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(cnn, digits(), tmp_path_factory.mktemp("digits"))


@pytest.mark.covers("B1", "B2", "B3", "B4", "B5", "B9", "B10")
def test_a_network_of_convolutions_goes_through_every_stage(run: Run) -> None:
    stages = run.result["stages"]
    assert [stage["name"] for stage in stages] == STAGES
    assert all(stage["passed"] is not False for stage in stages) and stages[3]["passed"]
    assert run.result["kind"] == "module" and run.result["task"] == "multiclass"
    assert run.result["test"]["accuracy"] > 0.9 and run.result["members"] == 2
    assert set(run.result["baselines"]) == {"constant"}  # images are no table
    module = evidence(run, "data")["module"]
    assert module["way"] == "batched" and module["class"] == "Sequential" and module["dropout"] == "plan"
    assert run.findings == [] or {f.severity for f in run.findings} == {"info"}


def test_what_is_searched_is_what_a_module_permits(run: Run) -> None:
    searched = {path for path in run.trials.columns if "." in path}
    assert searched == {
        "training.batch_size",
        "optimizer.learning_rate",
        "optimizer.weight_decay",
        "regularisation.dropout",
        "loss.label_smoothing",
        "optimizer.beta2",
    }
    assert run.trials["regularisation.dropout"][0] == 0.2  # the first trial is the module as it was given
    assert run.plan.training.drop_last and run.plan.origin("training.drop_last").why.startswith("batch norm")


def test_the_run_directory_is_that_of_the_contract_without_code(run: Run) -> None:
    names = {path.relative_to(run.path).as_posix() for path in run.path.rglob("*") if path.is_file()}
    assert {"plan.yaml", "result.json", "findings.jsonl", "vitals.parquet", "trials.parquet", "log.txt"} <= names
    assert {"report.html", "model/weights.safetensors", "model/blueprint.json", "model/preparation.json"} <= names
    assert "checkpoints/data.safetensors" not in names
    for path in run.path.rglob("*"):
        assert path.is_dir() or not path.read_bytes().startswith((b"\x80\x02", b"\x80\x04", b"\x80\x05", b"PK")), path
    layers = set(pl.read_parquet(run.path / "vitals.parquet")["layer"])
    assert {"", "0", "6"} <= layers


def test_predictions_are_the_mean_of_plain_modules_and_read_back(run: Run) -> None:
    x, y = digits()
    with torch.no_grad():
        inputs = torch.tensor(x, dtype=torch.float32)
        members = [torch.softmax(run.member(i)(inputs), 1) for i in range(run.result["members"])]
    np.testing.assert_allclose(run.predict_proba(x), torch.stack(members).mean(0), atol=1e-6)
    assert type(run.member(0)) is nn.Sequential and not run.member(0).training
    assert (run.predict(x) == y).mean() > 0.9 and run.predict(x).dtype == np.int64
    again = trainwell.load(run.path, module=cnn)
    np.testing.assert_array_equal(again.predict_proba(torch.tensor(x)), run.predict_proba(x))
    assert again.plan == run.plan and again.result == run.result


def test_a_run_is_read_back_with_its_factory_only(run: Run) -> None:
    with pytest.raises(RunError, match=r"is of a module of your own, whose code is not kept .*trainwell\.load\('"):
        trainwell.load(run.path)
    with pytest.raises(RunError, match="^The module does not fit the run's networks: "):
        trainwell.load(run.path, module=perceptron)
    for x, message in (
        (np.zeros((2, 64)), r"X must be \(N, 1, 8, 8\) as in training, but is \(2, 64\)"),
        (np.zeros((2, 1, 8, 8), int), "X must be float32 as in training, but is int64"),
        (np.full((2, 1, 8, 8), np.nan), "2 rows hold NaN or infinity"),
    ):
        with pytest.raises(DataError, match=message):
            run.predict(x)


@pytest.mark.parametrize(("command", "verb"), [(("predict", "iris"), "load"), (("resume",), "load")])
def test_on_the_command_line_such_a_run_says_in_one_line_what_to_do(
    run: Run, command: tuple[str, ...], verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command[0], str(run.path), *command[1:]]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"in Python, trainwell.{verb}('{run.path}', module=make_model)" in said
    assert main(["report", str(run.path)]) == 0  # needs no code


def test_the_page_tells_of_the_module_and_how_to_go_on_in_python(run: Run) -> None:
    page = re.sub(r"<[^>]+>", " ", run.report_path.read_text(encoding="utf-8"))
    page = " ".join(page.replace("&#34;", '"').replace("&#39;", "'").split())
    assert (
        "Two networks of your Sequential" in page and "all networks at once, by a rule for each kind of layer" in page
    )
    assert "every layer has a rule for all members at once" in page
    assert "(1, 8, 8) float32" in page and "MaxPool2d" in page
    assert "module=make_model).predict(X)" in page
    assert "network.width" not in page and "--set" not in page and "trainwell predict" not in page
    card = (run.path / "model" / "README.md").read_text(encoding="utf-8")
    assert "module=make_model" in card and "tabular" not in card


def test_the_same_seed_gives_the_same_networks_and_the_global_streams_stay(tmp_path: Path) -> None:
    state = torch.get_rng_state()
    (x, y), more = tokens(), {"trials": 0, "settings": {"training.epochs": 1}}
    a, b, c = (fit(Words, (x, y), tmp_path / str(i), seed=i // 2, **more) for i in range(3))
    assert torch.get_rng_state().equal(state)
    np.testing.assert_array_equal(a.predict_proba(x), b.predict_proba(x))
    assert not np.array_equal(a.predict_proba(x), c.predict_proba(x))


def test_a_recurrent_module_with_one_output_for_two_classes(tmp_path: Path) -> None:
    x, y = sequences()
    run = fit(Recurrent, TensorDataset(x[:160], y[:160]), tmp_path, test=(x[160:], y[160:]), trials=0)
    data = evidence(run, "data")
    assert data["module"]["way"] == "loop" and "no rule for Recurrent" in data["module"]["why"]
    assert data["task"] == "binary" and data["test"] == 40 and data["train"] == 128
    assert run.plan.loss.name == "binary_cross_entropy" and run.result["test"]["accuracy"] > 0.8
    assert run.predict_proba(x).shape == (200, 2) and set(run.predict(x)) <= {0, 1}


def test_words_with_dropouts_of_their_own_rates(tmp_path: Path) -> None:
    x, y = tokens()
    run = fit(Words, (x, y), tmp_path, settings={"training.epochs": 20})
    assert evidence(run, "data")["module"]["dropout"] == "own"
    assert "regularisation.dropout" not in run.trials.columns
    member = run.member(0)
    assert isinstance(member, Words) and (member.first.p, member.second.p) == (0.1, 0.3)
    assert run.result["test"]["accuracy"] > 0.8 and set(run.predict(x)) <= {"low", "middle", "top"}
    with pytest.raises(DataError, match="X must be int32 as in training, but is float32"):
        run.predict(x.float())


def test_a_target_far_from_unit_scale_is_learned_and_the_modules_give_its_units(tmp_path: Path) -> None:
    x, y = prices()
    run = fit(perceptron, (x, y), tmp_path, settings={"training.epochs": 60})
    assert evidence(run, "data")["module"]["scaled_into"] == "2"
    assert run.result["test"]["r2"] > 0.9 and run.result["test"]["rmse"] < 200
    assert set(run.result["baselines"]) == {"constant", "linear", "gradient-boosting"}
    inputs = torch.tensor(x, dtype=torch.float32)
    members = torch.stack([run.member(i)(inputs)[:, 0].detach() for i in range(run.result["members"])])
    np.testing.assert_allclose(run.predict(x), members.double().mean(0), rtol=1e-6)
    assert 4_000 < run.predict(x).mean() < 6_000
    with pytest.raises(RunError, match="A regression has no probabilities"):
        run.predict_proba(x)


def test_a_module_built_in_float64_is_cross_validated(tmp_path: Path) -> None:
    x, y = prices()
    small = {"training.epochs": 5, "data.folds": 3, "ensemble.members": 3}
    run = fit(lambda: perceptron().double(), (x, y), tmp_path, trials=0, settings=small)
    assert run.result["members"] == 3 and evidence(run, "data")["folds"] == 3
    assert next(run.member(0).parameters()).dtype == torch.float32  # as it was trained
    assert run.predict(x).shape == (250,)


def test_targets_stay_as_they_are_where_the_module_scales_its_outputs_itself() -> None:
    class Priced(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = perceptron()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 5_000 + 800 * self.inner(x)

    ours = prepared(Priced, prices()).material
    assert isinstance(ours, ModuleMaterial) and ours.scale is None
    y = ours.samples(Plan()).y
    assert y is not None
    np.testing.assert_allclose(y[:, 0], prices()[1], rtol=1e-6)


@pytest.mark.covers("A10", "A11")
def test_probabilities_where_the_loss_wants_raw_outputs_are_a_finding(tmp_path: Path) -> None:
    x, y = digits(200)
    make = lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Softmax(1))
    run = fit(make, (255 * x, y), tmp_path, trials=0, settings={"training.epochs": 2})
    kinds = [finding.kind for finding in run.findings]
    assert "double-softmax" in kinds and "unscaled-inputs" in kinds
    double = run.findings[kinds.index("double-softmax")]
    assert double.evidence["output"] == "softmax" and "leave it out of the network" in double.message


def test_remedies_name_nothing_that_a_module_has_no_use_for(tmp_path: Path) -> None:
    x, y = digits(200)
    more = {"trials": 0, "settings": {"training.epochs": 2, "optimizer.learning_rate": 1e5, "optimizer.name": "sgd"}}
    run = fit(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), (255 * x, y), tmp_path, **more)
    changes = [remedy.change for finding in run.findings for remedy in finding.remedies]
    assert run.findings and not any(path.startswith("network.") for change in changes for path in change or {})
    words = [remedy.why for finding in run.findings for remedy in finding.remedies]
    assert any(why.startswith("batch norm: each layer") for why in words)


def test_outputs_for_classes_that_no_row_has_are_a_finding() -> None:
    setting = prepared(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 12)), digits(200))
    (found,) = setting.material.preflight(setting.plan)
    assert found.kind == "loss-output-mismatch" and "no rows of classes 10, 11" in found.message
    healthy = prepared(cnn, digits(200))
    assert healthy.material.preflight(healthy.plan) == []


def test_a_plan_of_an_earlier_run_is_taken_back(run: Run) -> None:
    setting = prepared(cnn, digits(200), plan=Plan.from_yaml(run.path / "plan.yaml"))
    assert setting.plan.optimizer == run.plan.optimizer and "optimizer.learning_rate" in setting.fixed


class Raising(nn.Module):
    def __init__(self) -> None:
        raise FileNotFoundError("no weights.pt")


X, Y = torch.zeros(40, 3) + torch.arange(40)[:, None], torch.arange(40) % 2
LINEAR: Callable[[], nn.Module] = lambda: nn.Linear(3, 2)
NORMED: Callable[[], nn.Module] = lambda: nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2))
WRONG: dict[str, tuple[Any, Any, dict[str, Any], type[InputError], str]] = {
    "an instance": (nn.Linear(3, 2), (X, Y), {}, InputError, r"is a module: pass 'lambda: Linear\(…\)', since"),
    "a factory that raises": (Raising, (X, Y), {}, InputError, r"^make fails: FileNotFoundError: no weights\.pt\.$"),
    "a factory that needs more": (nn.Linear, (X, Y), {}, InputError, "make fails: TypeError: .*2 required positional"),
    "no module": (lambda: 3, (X, Y), {}, InputError, "must build a torch.nn.Module, but gives int"),
    "X and y apart": (LINEAR, X, {"plan": Y}, PlanError, r"go together, as \(X, y\)"),
    "outputs": (lambda: nn.Linear(3, 5), (X, X[:, :2]), {}, DataError, "y has 2 numbers a row, but the module gives 5"),
    "lengths": (LINEAR, (X, Y[:9]), {}, DataError, "X has 40 rows, but y has 9"),
    "inputs": (lambda: nn.Linear(4, 2), (X, Y), {}, InputError, r"on the example \(6, 3\): .*X is \(N, 3\) of float32"),
    "a word too many": (
        lambda: nn.Sequential(nn.Embedding(9, 2), nn.Flatten(), nn.Linear(6, 2)),
        (torch.arange(120).reshape(40, 3) // 12, Y),
        {},
        DataError,
        r"fails on some rows of X \(whole numbers from 0 to 9\): index out of range",
    ),
    "width": (LINEAR, (X, Y), {"settings": {"network.width": 9}}, PlanError, "network.width = 9 has no use: structure"),
    "initialiser": (LINEAR, (X, Y), {"settings": {"initialiser.gain": 2}}, PlanError, "first weights are your"),
    "encoding": (LINEAR, (X, Y), {"settings": {"data.bins": 9}}, PlanError, "data.bins = 9 has no use: inputs are"),
    "dropout": (LINEAR, (X, Y), {"settings": {"dropout": 0.5}}, PlanError, "dropout = 0.5 has no use: .* no nn.Drop"),
    "loss": (LINEAR, (X, Y), {"settings": {"loss.name": "mse"}}, PlanError, "The loss mse is for regression"),
    "a batch of one": (NORMED, (X, Y), {"settings": {"batch_size": 1}}, InputError, "needs batches of at least 2"),
    "a last batch of one": (
        NORMED,
        (X, Y),
        {"settings": {"batch_size": 5, "drop_last": False}},
        InputError,
        "26 rows in batches of 5 leave one; set training.drop_last",
    ),
    "noise on words": (
        lambda: nn.Sequential(nn.Embedding(40, 2), nn.Flatten(), nn.Linear(6, 2)),
        (X.long(), Y),
        {"settings": {"input_noise": 0.1}},
        PlanError,
        "input_noise = 0.1 has no use: X holds int64",
    ),
    "test of another form": (LINEAR, (X, Y), {"test": (X[:, :2], Y)}, DataError, r"test: X must be \(N, 3\)"),
    "test with more classes": (LINEAR, (X, Y), {"test": (X, Y + 1)}, DataError, "The test's y has the class '2'"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "data", "more", "error", "message"), WRONG.values(), ids=list(WRONG))
def test_wrong_input_is_one_line_and_nothing_is_written(
    make: Any, data: Any, more: dict[str, Any], error: type[InputError], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message) as caught:
        trainwell.fit(make, data, out=tmp_path / "run", quiet=True, **more)
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()


LONG = {"training.epochs": 30, "ensemble.members": 2, "training.batch_size": 16, "training.patience": 30}
SCRIPT = f"""
import sys, trainwell
from tests.recipe.own_modules import cnn, digits
trainwell.fit(cnn, digits(200), budget=600, trials=0, out=sys.argv[1], quiet=True, settings={LONG})
"""


def start(out: Path) -> subprocess.Popen[bytes]:
    """In a process of its own, on one thread as the tests are."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    more = {"TRAINWELL_SAVE_EVERY": "0.1", "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(out)], env={**os.environ, **more})


def test_a_killed_run_of_a_module_resumes_bit_identically(tmp_path: Path) -> None:
    out = tmp_path / "whole"
    whole = trainwell.fit(cnn, digits(200), budget=600, trials=0, out=out, quiet=True, settings=LONG)
    killed = tmp_path / "killed"
    process = start(killed)
    while not (killed / "checkpoints" / "final.safetensors").exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and not (killed / "model").exists()
    with pytest.raises(RunError, match=r"in Python, trainwell\.resume\('.*killed', module=make_model\)"):
        trainwell.resume(killed, quiet=True)
    smaller = lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(RunError, match="does not fit the run .*: its parameter '1.weight' differs"):
        trainwell.resume(killed, module=smaller, quiet=True)
    resumed = trainwell.resume(killed, module=cnn, quiet=True)
    assert isinstance(resumed.ensemble, ModuleEnsemble) and isinstance(whole.ensemble, ModuleEnsemble)
    for name, tensor in whole.ensemble.tensors.items():
        assert resumed.ensemble.tensors[name].equal(tensor), name
    assert_frame_equal(resumed.record.frame(), whole.record.frame(), check_row_order=False)
    assert_frame_equal(resumed.trials, whole.trials)
    assert resumed.result["test"] == whole.result["test"]
    assert json.loads((killed / "checkpoints" / "journal.json").read_text())["entries"]["finished"]


def test_a_run_of_a_table_takes_no_module(tmp_path: Path) -> None:
    x, y = prices()
    settings = {"training.epochs": 2, "network.width": 8, "data.folds": 0}
    trainwell.fit(x[:60], y[:60], budget=20, trials=0, out=tmp_path / "run", quiet=True, settings=settings)
    with pytest.raises(RunError, match="is of a table, and trains no module of yours: leave 'module' out"):
        trainwell.load(tmp_path / "run", module=perceptron)
    assert trainwell.resume(tmp_path / "run", quiet=True).result["kind"] == "dense"
