"""The learning-rate range test: what it suggests trains better than what it advises against."""

from pathlib import Path

import numpy as np
import pytest

from tests.recipe.tables import moons
from trainwell.recipe import Request, Run, run_recipe

SETTINGS = {"training.epochs": "12", "ensemble.members": "1", "data.folds": "0", "network.width": "32"}


def fit(folder: Path, **more: str) -> Run:
    request = Request(moons(300), ("label",), settings=SETTINGS | more, budget=60.0, trials=0, out=folder)
    return run_recipe(request)


def loss_after(folder: Path, rate: float, **more: str) -> float:
    """Validation loss of a network trained at this rate."""
    chosen = {"optimizer.learning_rate": str(rate), "schedule.name": "constant"} | more
    _, losses = fit(folder, **chosen).record.series("validation_loss", member=0)
    return float(losses[-1]) if len(losses) and np.isfinite(losses[-1]) else float("inf")


@pytest.mark.covers("S7")
def test_all_rates_are_run_at_once_and_those_suggested_are_better_than_those_outside(tmp_path: Path) -> None:
    stage = next(s for s in fit(tmp_path / "first").result["stages"] if s["name"] == "rate-range")
    e = stage["evidence"]
    rates, losses = e["rates"], e["losses"]
    assert stage["passed"] and len(rates) == len(losses) >= 16 and rates == sorted(rates)
    assert e["low"] < e["suggested"] < e["high"]
    reached = dict(zip(rates, losses, strict=True))
    assert reached[e["low"]] < e["loss_at_start"] and reached[e["high"]] < e["loss_at_start"]
    assert reached[rates[0]] > reached[e["high"]] and min(losses, key=lambda x: np.inf if x is None else x) < 0.5
    low, suggested, high = (
        loss_after(tmp_path / name, rate)
        for name, rate in (("low", e["low"] / 30), ("suggested", e["suggested"]), ("high", e["high"] * 30))
    )
    assert suggested < low and suggested < high
    between = {"schedule.name": "triangular", "schedule.base": str(e["low"] / e["suggested"])}  # base_lr and max_lr
    assert loss_after(tmp_path / "cycles", e["suggested"], **between) < low
