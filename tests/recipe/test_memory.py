"""A run that would not fit into memory is made smaller, and says so; one that can't be is refused before it begins."""

import re
from pathlib import Path

import pytest

import trainwell
from trainwell.base import InputError
from trainwell.data import Preparation
from trainwell.engine.size import SHARE, member_bytes, pass_bytes
from trainwell.networks import Blueprint

SETTINGS = {"network.width": 512, "network.depth": 2, "training.epochs": 2, "ensemble.members": 4}


def fit(out: Path, **more: object) -> trainwell.Run:
    return trainwell.fit(
        "wine", "target", out=out, budget=60, trials=0, quiet=True, settings={**SETTINGS, **more}, seed=1
    )


def test_networks_that_do_not_fit_are_fewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plenty = fit(tmp_path / "plenty")
    assert "memory" not in plenty.plan.origin("ensemble.members").why
    plan = plenty.plan
    assert isinstance(plenty.preparation, Preparation)
    inputs = plenty.preparation.inputs
    blueprint = Blueprint.of(plan, inputs.dense, 3, inputs.cardinalities)
    room = (2 * member_bytes(blueprint, plan) + pass_bytes(blueprint, plan)) / SHARE
    monkeypatch.setenv("TRAINWELL_MEMORY", str(int(room) + 1000))
    poor = fit(tmp_path / "poor")
    assert poor.result["members"] <= 2 < SETTINGS["ensemble.members"]
    assert "more do not fit into memory" in poor.plan.origin("ensemble.members").why


def test_a_network_that_does_not_fit_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINWELL_MEMORY", "8MB")
    message = r"^One network of this size takes about \d+\.\d MiB in training, and 7\.6 MiB are free; choose a smaller"
    with pytest.raises(InputError, match=message) as caught:
        fit(tmp_path / "run")
    assert not re.search("\n", str(caught.value)) and not (tmp_path / "run").exists()
