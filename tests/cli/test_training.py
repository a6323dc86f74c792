"""`fit`, `check`, `resume`, `report` on a small table: what is asked for, what is printed, what is written."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.recipe.tables import moons
from trainwell.base import BudgetError, InputError, PlanError
from trainwell.cli.main import main
from trainwell.cli.options import Options
from trainwell.cli.training import request_of, settings_of
from trainwell.recipe import load_run

ROOT = Path(__file__).parents[2]
FAST = ["--trials", "0", "--set", "training.epochs=2", "--set", "ensemble.members=1", "--set", "data.folds=0"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "moons.csv"
    moons(120).write_csv(path)
    return path


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "first"
    assert main(["fit", str(data), "--target", "label", *FAST, "--quiet", "--out", str(out)]) == 0
    return out


def test_fit_ends_with_the_path_of_its_report(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main(["fit", str(data), "--target", "label", *FAST, "--out", str(out)]) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[-1] == str(out / "report.html")
    assert "<html" in (out / "report.html").read_text(encoding="utf-8")
    assert all(name in shown.out for name in ("trainwell", "linear model", "gradient boosting", "accuracy"))
    assert "10/10" in shown.err
    assert (out / "model" / "README.md").read_text(encoding="utf-8").startswith("---\nlibrary_name: trainwell")


def test_json_is_the_only_thing_on_standard_output(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(["fit", str(data), "--target", "label", *FAST, "--json", "--out", str(out)]) == 0
    shown = capsys.readouterr()
    result = json.loads(shown.out)
    assert {key: result.pop(key) for key in ("run", "report")} == {"run": str(out), "report": str(out / "report.html")}
    assert result == json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert "linear model" in shown.err


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_quiet_prints_nothing_on_standard_error(
    more: list[str], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", str(data), "--target", "label", *FAST, *more, "--quiet", "--out", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().err == ""


def test_check_stops_before_the_search_and_shows_its_checks(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(["check", str(data), "--target", "label", "--out", str(out), "--json"]) == 0
    shown = capsys.readouterr()
    stages = [stage["name"] for stage in json.loads(shown.out)["stages"]]
    assert stages == ["data", "initial-loss", "gradient-check", "overfit-batch", "rate-range"]
    assert "Gradient check" in shown.err and "passed" in shown.err
    assert not (out / "model" / "weights.safetensors").exists()


def test_report_is_written_anew(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = run / "report.html"
    before = page.read_bytes()
    page.unlink()
    assert main(["report", str(run)]) == 0
    assert capsys.readouterr().out == f"{page}\n"
    assert page.read_bytes() == before


def test_resuming_a_finished_run_shows_its_outcome_again(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = (run / "model" / "weights.safetensors").read_bytes()
    assert main(["resume", str(run)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(run / "report.html")
    assert (run / "model" / "weights.safetensors").read_bytes() == weights


@pytest.mark.parametrize("command", ["resume", "report"])
def test_a_folder_without_a_run_is_refused(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, str(tmp_path / "nothing")]) == 2
    assert "There is no run directory" in capsys.readouterr().err
    assert main([command, str(tmp_path)]) == 2
    assert "result.json" in capsys.readouterr().err


def test_ctrl_c_ends_with_the_best_network_so_far(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "trainwell",
        "fit",
        str(data),
        "--target",
        "label",
        "--budget",
        "90s",
        "--out",
        str(out),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    journal, deadline = out / "checkpoints" / "journal.json", time.monotonic() + 60
    while not (journal.exists() and "stage.rate-range" in journal.read_text(encoding="utf-8")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    shown, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
    assert "interrupted: the best so far" in shown and "Traceback" not in told
    run = load_run(out)
    assert run.result["interrupted"] and len(run.predict(data)) == 120


def test_options_become_the_request_of_the_same_name(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("network: {depth: 5}\n", encoding="utf-8")
    given = Options(
        target=("a", "b"),
        task="multilabel",
        plan=plan,
        settings=("learning_rate=0.1", "width = 8"),
        budget="5m",
        trials=3,
        seed=7,
        test_size=0.3,
        out=tmp_path / "run",
        device="cpu",
    )
    request = request_of("data.csv", given, started=1.5, only_check=True)
    assert (request.data, request.targets, request.task) == ("data.csv", ("a", "b"), "multilabel")
    assert request.plan is not None and request.plan.network.depth == 5
    assert request.settings == {"learning_rate": "0.1", "width": "8"}
    assert (request.budget, request.trials, request.seed, request.started) == (300.0, 3, 7, 1.5)
    assert (request.test, request.test_size, request.out, request.device) == (None, 0.3, tmp_path / "run", "cpu")
    assert request.only_check


def test_what_is_left_open_is_left_to_the_recipe() -> None:
    request = request_of("data.csv", Options(target=("y",)), started=0.0)
    assert (request.plan, request.budget, request.trials, request.seed, request.out) == (None,) * 5
    assert request.test_size == 0.2 and not request.only_check


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"budget": "soon"}, BudgetError, "'soon' is not a duration"),
        ({"settings": ("depth",)}, PlanError, "--set 'depth' must be key=value"),
        ({"settings": ("=3",)}, PlanError, "--set '=3' must be key=value"),
        ({"plan": Path("nowhere.yaml")}, PlanError, "cannot read 'nowhere.yaml'"),
        ({"test": "b.csv", "test_size": 0.5}, InputError, "--test and --test-size exclude each other"),
    ],
)
def test_options_that_cannot_be_read_are_named(options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        request_of("a.csv", Options(target=("y",), **options), started=0.0)


def test_of_a_setting_given_twice_the_last_counts() -> None:
    assert settings_of(["depth=1", "depth=2", "name=a=b"]) == {"depth": "2", "name": "a=b"}
