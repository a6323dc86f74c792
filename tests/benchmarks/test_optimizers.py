import math
import time

import pytest
import torch

from benchmarks import optimizers
from benchmarks.optimizers import PEERS, QUICK, Walk, layout_of, measure
from trainwell.ingredients.optimizers import OPTIMIZERS


def test_the_network_has_the_parameters_the_figures_are_for() -> None:
    assert layout_of((64, 256, 256, 10)).size == 85_002


def test_only_known_rules_are_named() -> None:
    assert set(QUICK) <= set(OPTIMIZERS) and set(PEERS) <= set(OPTIMIZERS)


def test_a_step_moves_the_weights_and_leaves_the_gradient_for_the_next() -> None:
    walk = Walk("adamw", 3, layout_of((4, 5, 2)))
    before, gradient = walk.θ.clone(), walk.gradient.clone()
    assert walk.step(OPTIMIZERS["adamw"].update) > 0
    assert not torch.equal(walk.θ, before) and torch.equal(walk.gradient, gradient)


def test_every_way_is_measured_and_the_better_of_ours_is_held_against_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow_compiled(optimizer: object) -> object:
        return lambda θ, g, s, c, layout: time.sleep(0.01)

    monkeypatch.setattr(optimizers, "SIZES", (4, 5, 2))
    monkeypatch.setattr(optimizers, "as_compiled", slow_compiled)
    rows, bars = measure([2], ["adamw", "lamb"], seconds=0)
    assert [row["optimizer"] for row in rows] == ["adamw", "lamb"]
    for row in rows:
        assert row["written_ms"] < row["compiled_ms"] and row["compile_s"] > 0 and row["rounds"] == 9
        assert row["ratio"] == row["written_ms"] / row["fused_adamw_ms"]
        assert math.isfinite(row["ratio"])
    assert "torch_peer_ms" in rows[0] and "torch_peer_ms" not in rows[1]
    assert [(bar.target, bar.value) for bar in bars] == [(1.3, rows[0]["ratio"]), (2.0, rows[1]["ratio"])]
    assert bars[1].name == "lamb, 2 members: a step ÷ torch's fused AdamW"
