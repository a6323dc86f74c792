import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from benchmarks.quality import bars, main, relation
from benchmarks.sets import bundled, sets_in
from trainwell.base import DataError

# In place of `trainwell fit`: counts its calls, checks what it is given, and answers with a metric.
STUB = """
import json, pathlib, sys
calls = pathlib.Path(sys.argv[1]); answer = json.loads(sys.argv[2]); arguments = sys.argv[3:]
with calls.open("a") as file: file.write(json.dumps(arguments) + "\\n")
if answer is None: sys.exit("DataError: no such column")
print(json.dumps({"test": answer}))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sets, one of classes and one of numbers."""
    rng = np.random.default_rng(0)
    for name, task, published in (("adult", "binary classification", {"mlp_a": 97.0}), ("yacht", "regression", {})):
        x = rng.normal(size=120)
        y = np.where(x > 0, "yes", "no") if "class" in task else 2 * x + 5
        frame = pl.DataFrame({"x": x, "z": rng.normal(size=120), "y": y})
        place = tmp_path / "sets" / name
        place.mkdir(parents=True)
        frame[:90].write_parquet(place / "train.parquet")
        frame[90:].write_csv(place / "test.csv")
        meta = {"name": name, "task": task, "target": "y", "published": published}
        (place / "meta.json").write_text(json.dumps(meta))
    return tmp_path


def measured(folder: Path, answer: Any, *more: str) -> dict[str, Any]:
    stub = folder / "stub.py"
    stub.write_text(STUB)
    fit = (sys.executable, str(stub), str(folder / "calls.jsonl"), json.dumps(answer))
    options = ["--data", str(folder / "sets"), "--out", str(folder / "results.jsonl"), "--budget", "10s"]
    return main([*options, *more], fit)


def calls(folder: Path) -> list[list[str]]:
    return [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]


def test_every_set_is_measured_beside_its_rivals(folder: Path) -> None:
    outcome = measured(folder, {"accuracy": 1.0, "rmse": 0.001})
    adult, yacht = outcome["rows"]
    assert (adult["set"], adult["metric"], adult["ours"], adult["published_mlp"]) == ("adult", "accuracy", 1.0, 0.97)
    assert (yacht["metric"], yacht["ours"], yacht["against_mlp"]) == ("rmse", 0.001, "win")
    assert yacht["mlp"] == min(yacht["mlps"].values()) and len(yacht["mlps"]) == 2
    assert adult["guess"] < adult["linear"]
    names = [bar["name"] for bar in outcome["bars"]]
    assert names == [
        "share of sets where ours beats scikit-learn's MLP",
        "accuracy on adult",
        "longest time over its budget",
    ]


def test_the_command_is_called_as_a_person_would(folder: Path) -> None:
    measured(folder, {"accuracy": 1.0, "rmse": 1.0}, "--seed", "3")
    first, second = calls(folder)
    assert first[0].endswith("train.parquet") and first[first.index("--test") + 1].endswith("test.csv")
    assert first[first.index("--target") + 1] == "y" and first[first.index("--budget") + 1] == "10s"
    assert first[first.index("--seed") + 1] == "3" and {"--json", "--quiet"} <= set(first)
    assert "--task" not in first and second[second.index("--task") + 1] == "regression"


def test_what_stands_in_the_results_file_is_not_measured_again(folder: Path) -> None:
    first = measured(folder, {"accuracy": 0.9, "rmse": 1.0}, "--only", "adult")
    assert [row["set"] for row in first["rows"]] == ["adult"]
    with (folder / "results.jsonl").open("a") as file:
        file.write('{"set": "yacht", "bud')  # a kill in the middle of a line
    again = measured(folder, {"accuracy": 0.1, "rmse": 1.0})
    assert [row["ours"] for row in again["rows"]] == [0.9, 1.0]
    assert len(calls(folder)) == 2


@pytest.mark.parametrize("change", [("--budget", "20s"), ("--seed", "1"), ("--fresh",)], ids=lambda c: c[0])
def test_another_budget_or_seed_or_fresh_measures_again(folder: Path, change: tuple[str, ...]) -> None:
    measured(folder, {"accuracy": 0.9}, "--only", "adult")
    again = measured(folder, {"accuracy": 0.8}, "--only", "adult", *change)
    assert again["rows"][0]["ours"] == 0.8
    kept = measured(folder, {"accuracy": 0.7}, "--only", "adult", *[c for c in change if c != "--fresh"])
    assert kept["rows"][0]["ours"] == 0.8


def test_a_training_that_fails_is_a_loss_with_its_reason_and_is_tried_again(folder: Path) -> None:
    (row,) = measured(folder, None, "--only", "adult")["rows"]
    assert (row["ours"], row["against_mlp"]) == (None, "loss")
    assert "no such column" in row["error"]
    assert measured(folder, {"accuracy": 0.9}, "--only", "adult")["rows"][0]["ours"] == 0.9


def test_ties_are_no_wins_and_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = measured(folder, {"accuracy": 0.0}, "--only", "adult")["rows"]
    outcome = measured(folder, {"accuracy": row["mlp"]}, "--only", "adult", "--fresh")
    assert outcome["rows"][0]["against_mlp"] == "tie" and outcome["bars"][0]["value"] == 0.0
    assert "Ties with scikit-learn's network: adult." in capsys.readouterr().err


def test_bars_are_held_to_the_figures_that_were_asked_for() -> None:
    rows = [{"set": str(i), "against_mlp": "win", "ours": 1.0, "seconds": 60.0} for i in range(4)]
    rows.append({"set": "adult", "against_mlp": "tie", "ours": 0.8529, "seconds": 67.0})
    share, adult, time = bars(rows, "60s")
    assert (share.value, share.met) == (0.8, True)
    assert (adult.value, adult.met) == (0.8529, False)
    assert not time.met and time.value == pytest.approx(67 / 60)


def test_lower_errors_and_higher_accuracies_win() -> None:
    assert relation(1.0, 2.0, False) == relation(2.0, 1.0, True) == "win"
    assert relation(2.0, 1.0, False) == relation(1.0, 2.0, True) == "loss"
    assert relation(1.0, None, True) == "win"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "nowhere"], "There is no data set in 'nowhere'"),
        (["--budget", "abc"], "Budget 'abc' is not a duration"),
        (["--only", "irs"], "no set is named irs; known: iris, wine, breast_cancer, diabetes"),
    ],
)
def test_wrong_options_end_with_one_line(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(options)
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_sets_are_read_with_their_task_target_and_files(folder: Path) -> None:
    adult, yacht = sets_in(folder / "sets")
    assert (adult.name, adult.task, adult.higher_is_better) == ("adult", "classes", True)
    assert (yacht.target, yacht.metric, yacht.published) == ("y", "rmse", {})
    with pytest.raises(DataError, match="no data set"):
        sets_in(folder)


def test_bundled_sets_are_split_without_a_row_in_both_parts(tmp_path: Path) -> None:
    sizes = {}
    for data in bundled(tmp_path):
        train, test = pl.read_parquet(data.train), pl.read_parquet(data.test)
        sizes[data.name] = (train.height, test.height, data.metric)
    assert sizes["iris"] == (120, 30, "accuracy") and sizes["diabetes"] == (353, 89, "rmse")
    assert list(sizes) == ["iris", "wine", "breast_cancer", "diabetes"]
