import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from trainwell.base import RunError
from trainwell.data import PreparationOptions, Table, fit_preparation, load_preparation, profile, save_preparation


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    frame = pl.DataFrame({"x": [1.0, 2.5, 3.5, 4.0] * 5, "y": ["a", "b"] * 10})
    table, facts = profile(Table(frame, "t"), ["y"])
    save_preparation(fit_preparation(table, facts, np.arange(20), PreparationOptions()), tmp_path)
    return tmp_path


def test_the_files_are_json_and_safetensors(saved: Path) -> None:
    assert sorted(path.name for path in saved.iterdir()) == ["preparation.json", "preparation.safetensors"]
    assert json.loads((saved / "preparation.json").read_text())["columns"][0]["name"] == "x"


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "preparation.json").unlink(),
        lambda folder: (folder / "preparation.safetensors").unlink(),
        lambda folder: (folder / "preparation.safetensors").write_bytes(b"short"),
        lambda folder: (folder / "preparation.json").write_text("{"),
        lambda folder: (folder / "preparation.json").write_text("[]"),
        lambda folder: (folder / "preparation.json").write_text('{"version": 1}'),
        lambda folder: (folder / "preparation.json").write_bytes(b"\xff\xfe\x00"),
    ],
)
def test_damaged_files_are_refused(saved: Path, damage) -> None:
    damage(saved)
    with pytest.raises(RunError, match="is damaged or not there .* Copy the run again."):
        load_preparation(saved)


def test_a_newer_version_is_refused(saved: Path) -> None:
    tree = json.loads((saved / "preparation.json").read_text())
    (saved / "preparation.json").write_text(json.dumps({**tree, "version": 99}))
    with pytest.raises(RunError, match="has the version 99; this trainwell reads 1. Update it."):
        load_preparation(saved)


def test_an_unknown_encoder_in_the_file_runs_nothing(saved: Path) -> None:
    tree = json.loads((saved / "preparation.json").read_text())
    tree["columns"][0]["encoder"] = "os.system"
    (saved / "preparation.json").write_text(json.dumps(tree))
    with pytest.raises(RunError, match="damaged"):
        load_preparation(saved)
