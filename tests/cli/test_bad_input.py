"""Every wrong input ends with exit code 2 and one line that says what is wrong, and nothing is written."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from trainwell.cli.main import main

GOOD = "a,b,y\n" + "".join(f"{i},{i % 7},{'yes' if i % 2 else 'no'}\n" for i in range(40))


def rows(line: Callable[[int], str], count: int = 40, head: str = "a,b,y") -> str:
    return f"{head}\n" + "".join(f"{line(i)}\n" for i in range(count))


DATA = {
    "empty": ("", "is empty"),
    "header": ("a,b,y\n", "has a header but no rows"),
    "one row": ("a,b,y\n1,2,yes\n", "has one row"),
    "no target values": (rows(lambda i: f"{i},{i},"), "'y' .* is missing in all 40 rows"),
    "constant target": (rows(lambda i: f"{i},{i},yes"), "'y' is constant"),
    "one in a class": (rows(lambda i: f"{i},{i},{'odd' if i == 3 else 'usual'}"), "Each class needs 2 rows or more"),
    "identifiers as target": (rows(lambda i: f"{i},{i},name{i}"), "40 classes"),
    "columns of one name": (rows(lambda i: f"{i},{i},yes", head="a,a,y"), "'a' names columns 1 and 2"),
    "ragged": (GOOD + "1,2,3,4,5,6\n", "line 42: 6 fields where the header has 3"),
    "nothing to use": (rows(lambda i: f",,{'yes' if i % 2 else 'no'}"), "No usable feature is left"),
    "junk": ("\x00\x01\x02\x7f" * 300, "is not text: it holds binary bytes"),
}
OPTIONS = {
    "unknown target": (["--target", "z"], "No column 'z'"),
    "nearly a target": (["--target", "Y"], "Did you mean 'y'"),
    "budget in words": (["--target", "y", "--budget", "abc"], "'abc' is not a duration"),
    "negative budget": (["--target", "y", "--budget", "-5s"], "at least 1 second"),
    "no budget": (["--target", "y", "--budget", "0s"], "at least 1 second"),
    "negative trials": (["--target", "y", "--trials", "-1"], "0 .* or more"),
    "negative seed": (["--target", "y", "--seed", "-1"], "seed = -1"),
    "unknown setting": (["--target", "y", "--set", "learning_rat=1"], "Did you mean 'learning_rate'"),
    "wrong setting": (["--target", "y", "--set", "depth=deep"], "network.depth"),
    "task that does not fit": (["--target", "y", "--task", "regression"], "needs a number"),
    "no such test": (["--target", "y", "--test", "nowhere.csv"], "No such file: 'nowhere.csv'"),
    "test size": (["--target", "y", "--test-size", "2"], "from 0 to below 1"),
    "no such plan": (["--target", "y", "--plan", "nowhere.yaml"], "cannot read 'nowhere.yaml'"),
    "unknown device": (["--target", "y", "--device", "gpu7"], "'gpu7' is not available"),
}


def refused(arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(folder.rglob("*"))
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1 and shown.err.startswith("trainwell: error: ")
    assert re.search(message, shown.err), shown.err
    assert sorted(folder.rglob("*")) == before


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("case", DATA)
def test_wrong_data_are_refused(case: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, message = DATA[case]
    Path("data.csv").write_text(text, encoding="utf-8")
    refused(["fit", "data.csv", "--target", "y"], message, folder, capsys)


@pytest.mark.parametrize("case", OPTIONS)
def test_wrong_options_are_refused(case: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options, message = OPTIONS[case]
    Path("data.csv").write_text(GOOD, encoding="utf-8")
    refused(["fit", "data.csv", *options], message, folder, capsys)


def test_a_file_that_is_not_there_is_answered_with_the_nearest(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("houses.csv").write_text(GOOD, encoding="utf-8")
    refused(
        ["fit", "house.csv", "--target", "y"], "No such file: 'house.csv'. Did you mean 'houses.csv'", folder, capsys
    )


def test_a_plan_with_an_unknown_key_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("data.csv").write_text(GOOD, encoding="utf-8")
    Path("plan.yaml").write_text("optimizer:\n  learning_rat: 0.1\n", encoding="utf-8")
    message = r"unknown key 'optimizer.learning_rat'\. Did you mean 'optimizer.learning_rate'"
    refused(["fit", "data.csv", "--target", "y", "--plan", "plan.yaml"], message, folder, capsys)


def test_an_output_folder_in_use_is_left_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("data.csv").write_text(GOOD, encoding="utf-8")
    Path("run").mkdir()
    Path("run", "precious.txt").write_text("mine", encoding="utf-8")
    refused(["fit", "data.csv", "--target", "y", "--out", "run"], "'run' is in use", folder, capsys)


def test_the_wrong_separator_is_no_obstacle(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("data.csv").write_text(GOOD.replace(",", ";"), encoding="utf-8")
    refused(["fit", "data.csv", "--target", "z"], "Columns: 'a', 'b', 'y'", folder, capsys)
