"""Errors are one line on standard error; the exit code says whose fault it is."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from trainwell.base import DataError
from trainwell.cli import app as commands
from trainwell.cli.main import main

ROOT = Path(__file__).parents[2]


def stumble(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let the command `list` raise."""

    def fall(family: str | None) -> None:
        raise error

    monkeypatch.setattr("trainwell.cli.catalog.list_family", fall)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ft", "a.csv"], 'Unknown command "ft". Did you mean "fit"?'),
        (["fit", "a.csv"], "--target is missing. See 'trainwell fit --help'."),
        (["fit", "--target", "y"], "DATA is missing."),
        (["fit", "a.csv", "--target"], "--target needs a value."),
        (["fit", "a.csv", "--target", "y", "--taget", "z"], "Unknown option: --taget. Did you mean --target?"),
        (["fit", "a.csv", "b.csv", "--target", "y"], "Unexpected argument 'b.csv'."),
        (["fit", "a.csv", "--target", "y", "--task", "binry"], 'Did you mean "binary"?'),
        (["fit", "a.csv", "--target", "y", "--seed", "one"], 'unable to convert "one" into int'),
        (["fit", "a.csv", "--target", "y", "--no-json"], "Unknown option: --no-json"),
        (["predict", "runs/a"], "DATA is missing. See 'trainwell predict --help'."),
        (["--loud"], 'Unknown command "--loud"'),
    ],
)
def test_wrong_options_end_with_2_and_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("trainwell: error: ") and shown.err.count("\n") == 1
    assert message in shown.err


def test_wrong_input_ends_with_2_and_its_message_on_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stumble(monkeypatch, DataError("'a.csv' is\nempty."))
    assert main(["list"]) == 2
    assert capsys.readouterr().err == "trainwell: error: 'a.csv' is empty.\n"


def test_a_fault_of_ours_ends_with_1_one_line_and_the_traceback_in_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TRAINWELL_DEBUG", raising=False)
    stumble(monkeypatch, KeyError("rate"))
    assert main(["list"]) == 1
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and "KeyError: 'rate'" in line and "report it" in line
    found = re.search(r"with the file '(.+)'", line)
    assert found
    log = Path(found[1])
    assert "Traceback" in log.read_text(encoding="utf-8") and "in fall" in log.read_text(encoding="utf-8")
    log.unlink()


def test_debugging_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TRAINWELL_DEBUG", "1")
    stumble(monkeypatch, KeyError("rate"))
    assert main(["list"]) == 1
    line = capsys.readouterr().err
    assert "Traceback" in line
    Path(line.rsplit("'", 2)[1]).unlink()


def test_stopping_at_once_ends_with_1_and_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stumble(monkeypatch, KeyboardInterrupt())
    assert main(["list"]) == 1
    assert capsys.readouterr().err.startswith("trainwell: error: stopped at once; 'trainwell resume RUN'")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--version"], ["fit", "--help"]], ids=" ".join)
def test_help_and_version_end_with_0(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    shown = capsys.readouterr()
    assert shown.out and not shown.err


def run_shell(command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    python = f"{sys.executable} -m trainwell"
    return subprocess.run(
        ["bash", "-c", command.replace("trainwell", python)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
    )


def test_a_reader_that_goes_away_is_no_error() -> None:
    done = run_shell("set -o pipefail; trainwell explain | head -n 1")
    assert done.stdout.count("\n") == 1
    assert done.returncode == 0 and not done.stderr


def test_the_module_is_a_command_and_its_exit_code_arrives() -> None:
    done = run_shell("trainwell ft")
    assert done.returncode == 2 and done.stderr.startswith("trainwell: error: ")


def test_every_command_hands_over_to_its_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies import late: a name that is wrong there would be seen by nobody but the user."""
    called: list[str] = []

    def note(name: str) -> Callable[..., None]:
        return lambda *args, **options: called.append(name)

    workers = {
        "training": ["fit_table", "check_table", "go_on", "report_again"],
        "prediction": ["predict_table"],
        "catalog": ["explain_kind", "list_family"],
    }
    for module, names in workers.items():
        for name in names:
            monkeypatch.setattr(f"trainwell.cli.{module}.{name}", note(name))
    for arguments in (
        ["fit", "a.csv", "--target", "y"],
        ["check", "a.csv", "--target", "y"],
        ["resume", "runs/a"],
        ["report", "runs/a"],
        ["predict", "runs/a", "a.csv"],
        ["explain"],
        ["list"],
    ):
        assert main(arguments) == 0
    assert called == [name for names in workers.values() for name in names]
    assert commands.app.name == ("trainwell",)
