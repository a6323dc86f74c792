"""`trainwell lab`: what there is, one experiment, all of them, and which test shows which row."""

import json
from pathlib import Path

import pytest

from trainwell.cli.main import main
from trainwell.lab import EXPERIMENTS, ROWS
from trainwell.lab.coverage import by_row


def test_experiments_are_listed_with_a_line_and_their_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(EXPERIMENTS)
    assert lines[0].endswith("40,000 updates in 1,000 epochs. (V7, H2, H4)")


def test_experiments_are_listed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["experiments"]
    assert [entry["name"] for entry in told] == list(EXPERIMENTS)
    assert set(told[0]) == {"name", "doc", "rows"}


@pytest.mark.covers("V7")
def test_an_experiment_prints_its_numbers_its_sentence_and_last_the_path_of_its_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lab", "parameters", "--out", str(tmp_path / "lab")]) == 0
    shown = capsys.readouterr().out
    assert "266,610" in shown and "784-300" in shown and "parameters are weights of the first layer" in shown
    assert "⚠ The “2M parameters”" in shown
    assert shown.splitlines()[-1] == str(tmp_path / "lab" / "parameters.html")
    assert "266,610" in (tmp_path / "lab" / "parameters.html").read_text(encoding="utf-8")


def test_pages_go_to_the_folder_lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["lab", "momentum"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(Path("lab") / "momentum.html")
    assert (tmp_path / "lab" / "momentum.html").is_file()


@pytest.mark.covers("V7")
def test_an_experiment_is_told_as_one_json_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "inverse-time", "--out", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["name"], told["rows"], told["heads"][0]) == ("inverse-time", ["V7", "S3"], "epoch 1")
    assert told["numbers"]["η = η0/(1 + k·t)"] == pytest.approx([0.1, 0.2 / 3, 0.05, 0.04])
    assert told["printed"]["η = η0/(1 + k·t)"] == ["0.1", "0.067", "0.05", "0.04"]
    assert told["misprints"] and Path(told["page"]).is_file()


def test_all_experiments_run_in_one_go(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "all", "--out", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["experiments"]
    assert [entry["name"] for entry in told] == list(EXPERIMENTS)
    assert sorted(page.stem for page in tmp_path.iterdir()) == sorted(EXPERIMENTS)


def test_an_unknown_experiment_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "ravin"]) == 2
    assert "Unknown experiment 'ravin'. Did you mean 'ravine'?" in capsys.readouterr().err
    assert main(["lab", "coverages"]) == 2
    assert "Did you mean 'coverage'?" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["lab", "momentum", "--out", str(tmp_path / "file")]) == 2
    assert "can't be written in" in capsys.readouterr().err


def test_coverage_is_a_table_of_every_row(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = by_row({"tests/a.py::test_1": ["O1", "X9"], "tests/b.py::test_2": ["O1", "V7"]}, ["tests/c.py"])
    monkeypatch.setattr("trainwell.cli.lab.find_coverage", lambda: found)
    assert main(["lab", "coverage"]) == 0
    shown = capsys.readouterr().out
    lines = {line.split()[0]: line.split() for line in shown.splitlines() if line.strip()}
    assert set(ROWS) <= set(lines)
    assert lines["O1"] == ["O1", "SGD", "2", "a.py", "and", "1", "more"]
    assert lines["O3"] == ["O3", "Nesterov", "–"]
    assert f"2 of {len(ROWS)} rows have a test; without one: H1, H2," in shown
    assert "There is no row X9, named by tests/a.py::test_1." in shown
    assert "Not collected, for an error in them: tests/c.py." in shown


def test_coverage_is_told_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("trainwell.cli.lab.find_coverage", lambda: by_row({"tests/a.py::test_1": ["O1"]}))
    assert main(["lab", "coverage", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {"id": "O1", "text": "SGD", "family": "optimizers", "tests": ["tests/a.py::test_1"]} in told["rows"]
    assert len(told["uncovered"]) == len(ROWS) - 1


def test_coverage_without_the_tests_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("trainwell.lab.coverage.TESTS", tmp_path)
    assert main(["lab", "coverage"]) == 2
    assert "coverage needs the repository" in capsys.readouterr().err
