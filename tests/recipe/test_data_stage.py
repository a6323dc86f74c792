"""What the rules on data find is among the findings of a run, of a table and of a user's module."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from torch import nn

import trainwell
from tests.recipe.tables import moons
from trainwell.diagnosis import Finding, read_findings
from trainwell.recipe import Request, run_recipe


def checked(tmp_path: Path, data: pl.DataFrame, **more: Any) -> list[Finding]:
    """Findings of `trainwell check` on a table with the target "label"."""
    request = Request(data=data, targets=("label",), out=tmp_path / "run", only_check=True, budget=20.0, **more)
    return run_recipe(request).findings


def kinds(findings: list[Finding], severity: str) -> set[str]:
    return {finding.kind for finding in findings if finding.severity == severity}


def measured(rows: int = 600, seed: int = 0) -> pl.DataFrame:
    """Four numbers, of which two tell two classes in part."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, 4))
    label = np.where(x[:, 0] + x[:, 1] + random.normal(size=rows) > 0, "up", "down")
    return pl.DataFrame({**{f"n{i}": x[:, i] for i in range(4)}, "label": label})


def test_a_healthy_table_gets_no_warning(tmp_path: Path) -> None:
    assert kinds(checked(tmp_path, moons()), "warning") == set()


@pytest.mark.covers("P4")
def test_an_input_that_gives_the_target_away_is_told_by_its_name(tmp_path: Path) -> None:
    random, table = np.random.default_rng(0), measured()
    paid = (table["label"] == "up").cast(pl.Float64).to_numpy() + random.normal(0, 0.02, table.height)
    found = checked(tmp_path, table.with_columns(pl.Series("paid_back", paid), pl.lit(3).alias("year")))
    leak = next(finding for finding in found if finding.kind == "train-test-leak")
    assert leak.severity == "warning" and leak.evidence["inputs"] == "paid_back"
    constant = next(finding for finding in found if finding.kind == "constant-input")
    assert constant.severity == "info" and constant.evidence["names"] == "year"


def test_rows_that_stand_twice_are_found_on_both_sides_of_the_split(tmp_path: Path) -> None:
    table = measured(300)
    found = checked(tmp_path, pl.concat([table, table]))
    assert {"duplicate-rows", "train-test-leak"} <= kinds(found, "warning")
    assert read_findings(tmp_path / "run" / "findings.jsonl") == found


def test_a_test_file_that_was_scaled_by_itself_has_drifted(tmp_path: Path) -> None:
    later = measured(300, seed=1).with_columns(pl.col("n2") + 4)
    drift = [f for f in checked(tmp_path, measured(), test=later) if f.kind == "data-drift"]
    assert [finding.severity for finding in drift] == ["warning"] and "n2" in str(drift[0].evidence["worst"])
    assert [f for f in checked(tmp_path / "b", measured(), test=measured(300, seed=1)) if f.kind == "data-drift"] == []


def test_the_findings_are_remembered_by_the_journal(tmp_path: Path) -> None:
    found = checked(tmp_path, pl.concat([measured(300), measured(300)]))
    journal = json.loads((tmp_path / "run" / "checkpoints" / "journal.json").read_text())
    told = [Finding.from_dict(values) for values in journal["entries"]["stage.data"]["carry"]["findings"]]
    assert told and told == [finding for finding in found if finding in told]


def test_images_of_a_users_module_are_looked_at_too(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(160, 1, 6, 6)).astype(np.float32)
    y = random.integers(0, 2, 160)
    x, y = np.concatenate([x, x]), np.concatenate([y, y])
    settings = {"training.epochs": "2", "ensemble.members": "1", "search.trials": "1"}
    make = lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, 2))  # noqa: E731
    run = trainwell.fit(make, (x, y), budget=10, out=tmp_path / "run", settings=settings)
    assert {"duplicate-rows", "train-test-leak"} <= {f.kind for f in run.findings}
