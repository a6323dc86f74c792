"""Data that do not fit into memory: the same rows and numbers as from memory, the same run again, and clear words."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from tests.recipe.tables import moons, waves
from trainwell.base import DataError, InputError, RunError
from trainwell.data import read_table, target_array
from trainwell.engine import Ensemble
from trainwell.recipe import Request, Run, resume_run, run_recipe
from trainwell.recipe.agreement import prepare_setting
from trainwell.recipe.clock import Clock
from trainwell.recipe.cut import Cut
from trainwell.recipe.journal import Journal
from trainwell.recipe.request import silent
from trainwell.recipe.setup import Setting
from trainwell.recipe.streamed_rows import StreamedArrays, StreamedRows
from trainwell.recipe.table_material import TableMaterial
from trainwell.recipe.table_rows import HeldRows
from trainwell.recipe.workshop import Workshop

SMALL = {"training.epochs": "6", "ensemble.members": "2", "network.width": "32", "training.batch_size": "64"}
ROWS = 6000


@pytest.fixture(autouse=True)
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINWELL_MEMORY", "400KiB")


def written(folder: Path, frame: pl.DataFrame, name: str = "moons.csv") -> Path:
    path = folder / name
    if name.endswith(".csv"):
        frame.write_csv(path)
    elif name.endswith(".parquet"):
        frame.write_parquet(path, row_group_size=500)
    else:
        frame.write_ipc(path, record_batch_size=500)
    return path


def setting_of(data: Any, targets: tuple[str, ...] = ("label",), **more: Any) -> Setting:
    settings = {**SMALL, **more.pop("settings", {})}
    return prepare_setting(Request(data, targets, settings=settings, **{"budget": 3600.0, **more}))


def streamed(setting: Setting) -> StreamedRows:
    assert isinstance(setting.material, TableMaterial) and isinstance(setting.material.rows, StreamedRows)
    return setting.material.rows


def workshop_of(folder: Path, setting: Setting) -> Workshop:
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    return setting.workshop(folder, Clock(60.0), Journal(folder / "checkpoints" / "journal.json"), silent, ())


def arrays_of(folder: Path, setting: Setting) -> tuple[TableMaterial, StreamedArrays]:
    """The material of a workshop in this folder, with its rows written."""
    workshop_of(folder, setting)
    assert isinstance(setting.material, TableMaterial)
    encoded = setting.material.encoded(setting.plan)
    assert isinstance(encoded, StreamedArrays)
    return setting.material, encoded


def fit(folder: Path, data: Any, targets: tuple[str, ...] = ("label",), **more: Any) -> Run:
    settings = {**SMALL, **more.pop("settings", {})}
    request = Request(data, targets, settings=settings, out=folder, trials=0, **{"budget": 600.0, **more})
    return run_recipe(request)


def message(action: Any) -> str:
    with pytest.raises(InputError) as raised:
        action()
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("name", ["moons.csv", "moons.parquet", "moons.feather"])
def test_streamed_rows_are_the_numbers_that_encoding_the_table_gives(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, moons(ROWS), name)
    (material, arrays), whole = arrays_of(tmp_path, setting_of(path)), read_table(path)
    assert material.table.rows < ROWS / 2
    encoded = arrays.preparation.encode(whole, with_target=True)
    s, y = arrays.samples, encoded.y
    assert s.y is not None and y is not None and s.count == ROWS

    def rows(x: np.ndarray, categories: np.ndarray, y: np.ndarray) -> np.ndarray:
        table = np.concatenate([x, categories.astype(np.float32), y.reshape(-1, 1).astype(np.float32)], axis=1)
        return table[np.lexsort(table.T)]

    assert np.array_equal(rows(s.x.numpy(), s.categories.numpy(), s.y.numpy()), rows(encoded.x, encoded.categories, y))
    train = arrays.parts.train
    assert len(train) == pytest.approx(0.64 * ROWS, rel=0.02)
    parts = np.sort(np.concatenate([train, arrays.parts.validation, arrays.parts.test]))
    assert len(np.unique(parts)) == len(parts) and parts[-1] < ROWS


def test_the_sample_is_split_as_the_rows_are(tmp_path: Path) -> None:
    """What scales are fitted on, and what the baselines learn from, is not what the networks are judged by."""
    frame = moons(ROWS).with_columns(x=pl.int_range(ROWS) / 7)  # tells rows apart
    setting = setting_of(written(tmp_path, frame), settings={"data.encoding": "plain"})
    material, arrays = arrays_of(tmp_path, setting)
    seen = arrays.preparation.encode(material.table, with_target=False).x[:, 0]
    whole, split = arrays.samples.x[:, 0].numpy(), material.split
    bounds = np.cumsum([0, *arrays.arrays.parts])
    for part, (start, stop) in zip(
        (split.train, split.validation, split.test), zip(bounds[:-1], bounds[1:], strict=True), strict=True
    ):
        assert len(part) and set(seen[part].tolist()) <= set(whole[start:stop].tolist())


def test_truth_is_in_the_targets_own_units(tmp_path: Path) -> None:
    frame = waves(ROWS)
    _, arrays = arrays_of(tmp_path, setting_of(written(tmp_path, frame, "waves.parquet"), ("height",)))
    truth = arrays.truth(np.arange(ROWS))
    assert np.sort(truth[:, 0]) == pytest.approx(np.sort(frame["height"].to_numpy()), rel=1e-6)
    labels = moons(ROWS)
    _, arrays = arrays_of(tmp_path / "b", setting_of(written(tmp_path, labels)))
    truth = arrays.truth(np.arange(ROWS))
    assert truth.shape == (ROWS,) and truth.mean() == pytest.approx((labels["label"] == "up").mean())
    assert arrays.samples.count == ROWS


def test_facts_of_the_whole_are_counted_over_the_whole(tmp_path: Path) -> None:
    row = pl.int_range(ROWS)
    frame = moons(ROWS).with_columns(label=pl.when(row >= ROWS - 40).then(None).otherwise(pl.col("label")))
    setting = setting_of(written(tmp_path, frame))
    kept = frame.drop_nulls("label")
    assert (setting.material.facts.rows, setting.material.facts.dropped) == (kept.height, 40)
    counts = dict(zip(setting.material.facts.classes, setting.material.facts.class_counts, strict=True))
    assert counts == dict(kept["label"].value_counts().iter_rows())
    assert any("streamed from disk" in note and "400.0 KiB of memory" in note for note in setting.material.facts.notes)


def test_late_rows_are_taken_as_they_would_be_from_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A class that comes late, and a word among numbers: as when all rows are seen at once."""
    row = pl.int_range(ROWS)
    frame = moons(ROWS).with_columns(
        x=pl.when(row == ROWS - 77).then(pl.lit("unknown")).otherwise(pl.col("x").cast(pl.String)),
        label=pl.when(row.is_in([ROWS - 5, ROWS - 3, ROWS - 2])).then(pl.lit("sideways")).otherwise(pl.col("label")),
    )
    path = written(tmp_path, frame)
    material, arrays = arrays_of(tmp_path, setting_of(path))
    y, train = arrays.truth(np.arange(ROWS)), arrays.parts.train
    assert (y[train] == 1).sum() >= 2, "rows of a rare class train"
    monkeypatch.setenv("TRAINWELL_MEMORY", "1GiB")
    whole = setting_of(path).material
    assert isinstance(whole, TableMaterial) and isinstance(whole.rows, HeldRows)
    a, b = material.facts, whole.facts
    assert (a.task, a.classes, a.class_counts, a.rows) == (b.task, b.classes, b.class_counts, b.rows)
    assert [(c.name, c.kind, c.missing_tokens) for c in a.features] == [
        (c.name, c.kind, c.missing_tokens) for c in b.features
    ]
    assert np.bincount(y).tolist() == np.bincount(target_array(whole.table, b)).tolist()


@pytest.mark.parametrize(
    ("change", "more", "expected"),
    [
        (
            {"label": pl.when(pl.int_range(ROWS) == ROWS - 2).then(pl.lit("odd")).otherwise("label")},
            {},
            "'odd' has one",
        ),
        ({}, {"targets": ("lable",)}, "No column 'lable' in 'moons.csv'. Did you mean 'label'"),
        ({}, {"settings": {"data.folds": "5"}}, "data.folds = 5 needs all rows in memory, and these are streamed"),
        ({"label": pl.lit(None, pl.String)}, {}, "No row looked at"),
        ({"label": pl.lit("same")}, {}, "is constant"),
        ({}, {"settings": {"data.columns": "{colour: number}"}}, "'colour' cannot be read as number"),
    ],
)
def test_what_nothing_can_be_learned_from_is_refused_in_a_line(
    tmp_path: Path, change: dict[str, Any], more: dict[str, Any], expected: str
) -> None:
    path = written(tmp_path, moons(ROWS).with_columns(**change))
    assert expected in message(lambda: setting_of(path, **more))


def test_a_late_word_in_a_numeric_target_is_refused(tmp_path: Path) -> None:
    row = pl.int_range(ROWS)
    frame = waves(ROWS).with_columns(
        height=pl.when(row == ROWS - 9).then(pl.lit("tall")).otherwise(pl.col("height").cast(pl.String))
    )
    path = written(tmp_path, frame)
    said = message(lambda: setting_of(path, ("height",), task="regression"))
    assert "holds 'tall'" in said and re.search(r" \(Rows are counted in a sample of [\d,]+ rows\.\)$", said)


def test_parts_too_large_for_memory_and_a_size_that_is_none_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moons(ROWS).write_parquet(tmp_path / "a.parquet", row_group_size=ROWS)
    assert "is written in parts of 6,000 rows" in message(lambda: setting_of(tmp_path / "a.parquet"))
    monkeypatch.setenv("TRAINWELL_MEMORY", "a lot")
    assert message(lambda: setting_of(tmp_path / "a.parquet")).startswith("TRAINWELL_MEMORY is 'a lot', which is no")


@pytest.mark.parametrize("memory", ["400KiB", "1GiB"])
def test_only_the_rows_that_the_budget_affords_are_used(
    tmp_path: Path, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINWELL_MEMORY", memory)
    monkeypatch.setattr("trainwell.recipe.intake.CELLS_A_SECOND", 4_000)
    setting = setting_of(written(tmp_path, moons(ROWS), "moons.parquet"), budget=4.0)  # 4,000 rows of 4 columns
    facts = setting.material.facts
    assert isinstance(setting.material, TableMaterial)
    assert isinstance(setting.material.rows, HeldRows) == (memory == "1GiB")
    assert facts.rows == pytest.approx(4_000, rel=0.02)
    assert any(note.endswith("of 6,000 rows were left out: more do not fit into the budget.") for note in facts.notes)


def test_a_large_test_file_is_judged_by_a_part_of_it(tmp_path: Path) -> None:
    setting = setting_of(written(tmp_path, moons(ROWS)), test=written(tmp_path, moons(ROWS, seed=1), "t.parquet"))
    material, arrays = arrays_of(tmp_path, setting)
    assert material.test is not None and 500 < material.test.rows < ROWS / 2
    assert len(arrays.parts.test) == 0


def test_networks_and_baselines_are_judged_by_the_same_rows(tmp_path: Path) -> None:
    """Those of the sample's test part, of which none trains."""
    setting = setting_of(written(tmp_path, moons(ROWS).with_columns(x=pl.int_range(ROWS) / 7)))
    material, arrays = arrays_of(tmp_path, setting)
    assert material.apart is not None and material.apart.rows == len(material.split.test) > 100
    given, samples = material.plain(setting.plan), material.test_samples(setting.plan)
    assert given.x_test is not None and len(given.x_test) == samples.count == len(material.apart.frame)
    trained = arrays.samples.only(torch.from_numpy(np.concatenate([arrays.parts.train, arrays.parts.validation])))
    both = torch.cat([trained.x, samples.x])
    assert len(both.unique(dim=0)) == len(both)


def test_a_streamed_run_ends_well_twice_alike_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = written(tmp_path, moons(ROWS), "moons.parquet")
    run, again = (fit(tmp_path / name, path) for name in "ab")
    assert run.result["test"]["accuracy"] > 0.9 and run.result["test"] == again.result["test"]
    assert isinstance(run.ensemble, Ensemble) and isinstance(again.ensemble, Ensemble)
    assert torch.equal(run.ensemble.theta, again.ensemble.theta)
    assert [p.name for p in (run.path / "checkpoints").iterdir()] == ["journal.json"]
    data = run.result["stages"][0]["evidence"]
    assert data["rows"] == ROWS and data["train"] == pytest.approx(0.64 * ROWS, rel=0.02)
    assert "The rows are streamed from disk" in (run.path / "log.txt").read_text(encoding="utf-8")
    assert len(run.predict(moons(50, seed=3))) == 50


KILLED = {
    "training.epochs": "8",
    "ensemble.members": "2",
    "network.width": "32",
    "training.batch_size": "32",
    "regularisation.dropout": "0.2",
    "training.patience": "60",
}
SCRIPT = f"""
import sys
from pathlib import Path
from trainwell.engine import Ensemble
from trainwell.recipe import Request, run_recipe
run_recipe(Request(sys.argv[1], ("label",), budget=600.0, trials=0, out=Path(sys.argv[2]), settings={KILLED}))
"""


def test_a_killed_run_resumes_bit_identically_even_from_damaged_arrays(tmp_path: Path) -> None:
    path, killed = written(tmp_path, moons(ROWS // 2), "moons.parquet"), tmp_path / "killed"
    whole = fit(tmp_path / "whole", path, settings=KILLED)
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(path), str(killed)],
        env={**os.environ, "TRAINWELL_SAVE_EVERY": "0.1", "OMP_NUM_THREADS": "1"},
    )
    while not (killed / "checkpoints" / "final.safetensors").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "model" / "weights.safetensors").exists()
    with (killed / "checkpoints" / "arrays" / "x.npy").open("r+b") as file:
        file.seek(2000)
        file.write(b"damage")
    resumed = resume_run(killed)
    assert isinstance(resumed.ensemble, Ensemble) and isinstance(whole.ensemble, Ensemble)
    assert torch.equal(resumed.ensemble.theta, whole.ensemble.theta)
    assert resumed.result["test"] == whole.result["test"]


def test_arrays_that_are_gone_are_written_anew_from_the_file_as_it_was(tmp_path: Path) -> None:
    path, run = written(tmp_path, moons(ROWS)), tmp_path / "run"
    first, again, third, fourth = (setting_of(path) for _ in range(4))
    x = arrays_of(run, first)[1].samples.x.clone()
    (run / "checkpoints" / "arrays" / "y.npy").unlink()
    assert arrays_of(run, again)[1].samples.x.equal(x)
    path.touch()
    (run / "checkpoints" / "arrays" / "y.npy").unlink()
    with pytest.raises(RunError, match=r"^The data 'moons\.csv' has changed since the run began; start it anew with"):
        arrays_of(run, third)
    path.unlink()
    with pytest.raises(RunError, match=r"^The data 'moons\.csv' is gone since the run began"):
        arrays_of(run, fourth)


def test_whole_arrays_need_the_file_no_more(tmp_path: Path) -> None:
    path = written(tmp_path, moons(ROWS))
    first, again = setting_of(path), setting_of(path)
    x = arrays_of(tmp_path / "run", first)[1].samples.x.clone()
    path.unlink()
    assert arrays_of(tmp_path / "run", again)[1].samples.x.equal(x)


def test_a_full_disk_is_said_before_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = setting_of(written(tmp_path, moons(ROWS)))
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("trainwell.recipe.streamed_rows.shutil.disk_usage", lambda path: usage)
    with pytest.raises(RunError, match=r"^The encoded rows take .* on disk, and '.*' has 1000 bytes; make room and"):
        arrays_of(tmp_path, setting)


def test_members_of_the_ensemble_share_the_rows_they_see_and_nothing_else(tmp_path: Path) -> None:
    ws = workshop_of(tmp_path, setting_of(written(tmp_path, moons(ROWS))))
    a, b = (ws.own_seeds(f"final {m}", fold=0) for m in range(2))
    assert a.order == b.order and a.init != b.init and a.noise != b.noise


def test_the_cut_is_remembered_in_plain_values(tmp_path: Path) -> None:
    cut = streamed(setting_of(written(tmp_path, moons(ROWS)))).cut
    assert Cut.from_dict(json.loads(json.dumps(cut.as_dict()))) == cut


def test_a_sample_is_never_refused_for_a_class_it_hardly_shows(tmp_path: Path) -> None:
    """Of a class with rows enough, the sample may hold one or none."""
    row = pl.int_range(ROWS)
    for rare in ([11, 5000, 5001], [17, 23, 4000]):
        frame = moons(ROWS).with_columns(label=pl.when(row.is_in(rare)).then(pl.lit("rare")).otherwise("label"))
        facts = setting_of(written(tmp_path, frame)).material.facts
        assert dict(zip(facts.classes, facts.class_counts, strict=True))["rare"] == 3


def test_a_damaged_line_late_in_the_file_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, moons(ROWS))
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[ROWS - 100] += ",more"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError, match=rf"line {ROWS - 99}: 5 fields where the header has 4"):
        setting_of(path)
