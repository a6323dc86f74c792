"""What the journal remembers is on disk, and so is all that it speaks of."""

import json
import sys
from pathlib import Path

import pytest

from tests.base.disk import Disk
from tests.recipe.tables import moons
from trainwell.recipe import Request, run_recipe
from trainwell.recipe.journal import Journal

SMALL = {"training.epochs": "2", "ensemble.members": "2", "data.folds": "0", "network.width": "8"}


def test_what_is_noted_is_remembered_by_the_next_process(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.json")
    journal.note("stage.data", {"rows": (1, float("nan"))}, elapsed=2.5)
    asked: list[int] = []
    assert journal.remember("design", lambda: asked.append(1) or [3]) == [3]
    again = Journal(tmp_path / "journal.json")
    assert again.entries == {"stage.data": {"rows": [1, None]}, "elapsed": 2.5, "design": [3]}
    assert again.remember("design", lambda: asked.append(2) or [4]) == [3] and asked == [1]


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc which file is meant")
def test_whenever_the_power_fails_the_journal_speaks_of_nothing_that_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, folder = Disk(monkeypatch), tmp_path / "run"
    run_recipe(Request(moons(120), ("label",), settings=SMALL, budget=60.0, trials=0, out=folder))
    checkpoints, model = folder / "checkpoints", folder / "model"
    needed = {
        "request": [checkpoints / "data.parquet"],
        "stage.final": [model / "weights.safetensors", model / "blueprint.json", folder / "vitals.parquet"],
        "finished": [
            model / "preparation.json",
            *(folder / name for name in ("result.json", "plan.yaml", "trials.parquet")),
        ],
    }
    seen = set()
    for state in disk.states:
        noted = json.loads(state.get(checkpoints / "journal.json") or b'{"entries": {}}')["entries"]
        for entry in needed.keys() & noted.keys() - seen:
            seen.add(entry)
            assert all(state.get(path) for path in needed[entry]), entry
    assert seen == set(needed)
    assert disk.states[-1][model / "weights.safetensors"] == (model / "weights.safetensors").read_bytes()
