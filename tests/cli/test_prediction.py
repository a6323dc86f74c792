"""`predict`: the same predictions as from Python, as text or in a file."""

import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.recipe.tables import moons
from trainwell.cli.main import main
from trainwell.recipe import Request, Run, run_recipe


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    settings = {"training.epochs": "2", "ensemble.members": "1", "data.folds": "0"}
    out = tmp_path_factory.mktemp("runs") / "run"
    return run_recipe(Request(moons(120), ("label",), out=out, budget=60.0, trials=0, settings=settings))


@pytest.fixture
def new(tmp_path: Path) -> Path:
    path = tmp_path / "new.csv"
    moons(30, seed=5).drop("label").write_csv(path)
    return path


def test_labels_are_written_as_csv_to_standard_output(run: Run, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(run.path), str(new)]) == 0
    shown = pl.read_csv(io.StringIO(capsys.readouterr().out))
    assert shown["label"].to_list() == run.predict(new).tolist()


def test_probabilities_have_a_column_a_class(run: Run, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(run.path), str(new), "--proba"]) == 0
    shown = pl.read_csv(io.StringIO(capsys.readouterr().out))
    assert shown.columns == ["down", "up"]
    np.testing.assert_allclose(shown.to_numpy(), run.predict_proba(new))


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".npz"])
def test_a_file_is_written_in_the_form_of_its_ending(
    ending: str, run: Run, new: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / f"predicted{ending}"
    assert main(["predict", str(run.path), str(new), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    if ending == ".npz":
        with np.load(out, allow_pickle=False) as archive:
            found = archive["label"].tolist()
    else:
        found = (pl.read_csv if ending == ".csv" else pl.read_parquet)(out)["label"].to_list()
    assert found == run.predict(new).tolist()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("predicted.xlsx", "unknown ending '.xlsx'. Known: .csv .parquet .npz"),
        ("predicted", "unknown ending ''"),
        ("no/such/predicted.csv", "there is no folder"),
    ],
)
def test_an_output_that_cannot_be_written_is_named(
    name: str, message: str, run: Run, new: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(run.path), str(new), "--out", str(tmp_path / name)]) == 2
    assert message in capsys.readouterr().err


def test_data_that_do_not_fit_the_run_are_refused(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "less.csv"
    moons(20).drop("x").write_csv(path)
    assert main(["predict", str(run.path), str(path)]) == 2
    assert "lacks the column 'x'" in capsys.readouterr().err
    moons(20).with_columns(x=pl.lit("far")).write_csv(path)
    assert main(["predict", str(run.path), str(path)]) == 2
    assert "'x'" in capsys.readouterr().err


def test_a_damaged_run_is_refused(run: Run, new: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "result.json").write_text("{", encoding="utf-8")
    assert main(["predict", str(copy), str(new)]) == 2
    assert "is damaged" in capsys.readouterr().err
