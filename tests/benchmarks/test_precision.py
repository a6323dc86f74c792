from pathlib import Path
from typing import Any

import pytest

from benchmarks import precision
from benchmarks.precision import LOST, LOST_MOST, bars, row_of
from benchmarks.sets import bundled


def test_the_same_training_is_made_in_both_precisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    real = precision.trainwell.fit

    def fit(*arguments: Any, **options: Any) -> Any:
        asked.append(options)
        return real(*arguments, **options)

    monkeypatch.setattr(precision.trainwell, "fit", fit)
    monkeypatch.setattr(precision, "SETTINGS", {**precision.SETTINGS, "training.epochs": 2, "network.width": 16})
    row = row_of(next(iter(bundled(tmp_path))), tmp_path, 1)
    assert [options["settings"]["training.precision"] for options in asked] == ["float32", "bfloat16"]
    assert asked[0]["seed"] == asked[1]["seed"]
    assert row["gained"] == row["bfloat16"] - row["float32"] and row["speed"] > 0


def test_the_bars_are_on_the_mean_and_on_the_worst_set() -> None:
    mean, worst = bars([{"gained": 0.001}, {"gained": -LOST_MOST - 0.001}])
    assert not worst.met and not mean.met and mean.target == -LOST
    assert all(bar.met for bar in bars([{"gained": 0.001}, {"gained": -0.001}]))
