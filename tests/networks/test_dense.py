"""The population's forward against one network written by hand with torch.nn.functional."""

from collections.abc import Mapping

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.networks.blueprints import BLUEPRINTS, DTYPE, B, D, K, inputs, matrices
from trainwell.ingredients import ACTIVATIONS
from trainwell.networks import Blueprint, Noise


def by_hand(
    b: Blueprint, w: Mapping[str, Tensor], s: Mapping[str, Tensor], x: Tensor, c: Tensor, training: bool
) -> Tensor:
    """One network: x (B, D), c (B, E) → (B, C); running statistics in `s` are updated when training."""
    h = torch.cat([x, *(F.embedding(c[:, i], w[f"embedding.{i}.weight"]) for i in range(len(b.cardinalities)))], 1)
    for i in range(b.depth):
        name = f"hidden.{i}"
        z = F.linear(h, w[f"{name}.weight"], w[f"{name}.bias"].flatten())
        γ, β = (w[f"{name}.norm.{part}"].flatten() if b.norm != "none" else None for part in ("weight", "bias"))
        if b.norm == "batch":
            mean, var = s[f"{name}.norm.mean"].view(-1), s[f"{name}.norm.var"].view(-1)
            z = F.batch_norm(z, mean, var, γ, β, training=training)
        elif b.norm == "layer":
            z = F.layer_norm(z, (b.width,), γ, β)
        a = ACTIVATIONS[b.activation].function(z, {})
        h = h + a if b.residual and h.shape[1] == a.shape[1] else a
    return F.linear(h, w["output.weight"], w["output.bias"].flatten())


@pytest.mark.covers("R3", "R4", "R7", "P3")
@pytest.mark.parametrize("training", [False, True], ids=["judging", "training"])
@pytest.mark.parametrize("shared", [True, False], ids=["one batch", "own batches"])
def test_every_member_computes_what_a_network_written_by_hand_does(shared: bool, training: bool) -> None:
    for b in BLUEPRINTS:
        weights, statistics = matrices(b)
        old = {name: view.clone() for name, view in statistics.items()}
        x, c = inputs(b, 1 if shared else K)
        z = b.forward(weights, statistics, x, c, hypers={}, training=training)
        for k in range(K):
            g = 0 if shared else k
            w, s = ({name: view[k].clone() for name, view in part.items()} for part in (weights, old))
            theirs = by_hand(b, w, s, x[g].T, c[g].T, training)
            torch.testing.assert_close(z[k].T, theirs, rtol=1e-9, atol=1e-9, msg=lambda m, b=b: f"{b}\n{m}")
            for name, running in s.items():
                torch.testing.assert_close(statistics[name][k], running, rtol=1e-9, atol=1e-12)


@pytest.mark.covers("R3")
def test_batch_norm_with_the_batchs_own_scale_and_shift_gives_back_its_input() -> None:
    b = Blueprint(1, 1, depth=1, width=1, activation="identity", norm="batch")
    weights, statistics = (dict(part) for part in matrices(b))
    x, c = inputs(b, 1)
    z = weights["hidden.0.weight"] * x + weights["hidden.0.bias"]  # (K, 1, B)
    weights["hidden.0.norm.weight"] = z.var(2, correction=0, keepdim=True).add(1e-5).sqrt()
    weights["hidden.0.norm.bias"] = z.mean(2, keepdim=True)
    out = b.forward(weights, statistics, x, c, hypers={}, training=True)
    torch.testing.assert_close(out, weights["output.weight"] * z + weights["output.bias"])


def uniform_noise(rate: list[float], seed: int = 0) -> Noise:
    g = torch.Generator().manual_seed(seed)
    column = torch.tensor(rate, dtype=DTYPE).view(-1, 1)
    return Noise(lambda name, units, samples: torch.rand(1, units, samples, generator=g), column)


@pytest.mark.covers("R2")
def test_dropout_silences_its_share_and_preserves_the_expectation() -> None:
    b = Blueprint(1, 1, depth=1, width=400, activation="identity")
    weights = {name: torch.ones_like(view) for name, view in matrices(b)[0].items()}
    weights["output.bias"] = torch.zeros(K, 1, 1, dtype=DTYPE)
    weights["hidden.0.bias"] = torch.zeros(K, 400, 1, dtype=DTYPE)
    x, c = torch.ones(1, 1, 50, dtype=DTYPE), torch.zeros(1, 0, 50, dtype=torch.int64)
    rates = [0.0, 0.25, 0.5]
    z = b.forward(
        weights, {}, x, c, hypers={}, training=True, noise=uniform_noise(rates)
    )  # 400 units of 1, kept ones ÷ (1 − p)
    for k, p in enumerate(rates):
        kept = z[k] * (1 - p) / 400
        # 20,000 draws: standard error of a share at most 0.0036
        assert float(kept.mean()) == pytest.approx(1 - p, abs=0.015)
        assert float(z[k].mean()) == pytest.approx(400, rel=0.03)
    assert (z[0] == 400).all()


@pytest.mark.covers("R2")
def test_when_judging_there_is_no_dropout_and_no_scaling() -> None:
    b = Blueprint(D, 2, depth=2, width=6)
    (weights, statistics), (x, c) = matrices(b), inputs(b, 1)
    without = b.forward(weights, statistics, x, c, hypers={}, training=True)
    assert b.forward(weights, statistics, x, c, hypers={}, training=False).equal(without)
    assert not b.forward(weights, statistics, x, c, hypers={}, training=True, noise=uniform_noise([0.5] * K)).equal(
        without
    )


def test_a_tap_is_shown_every_layer_from_input_to_output_and_changes_nothing() -> None:
    b = Blueprint(D, 2, depth=3, width=D, residual=True, norm="layer")
    (weights, statistics), (x, c) = matrices(b), inputs(b, 1)
    seen: dict[str, tuple[int, ...]] = {}
    tapped = b.forward(
        weights, statistics, x, c, hypers={}, training=True, tap=lambda name, signal: seen.update({name: signal.shape})
    )
    assert tapped.equal(b.forward(weights, statistics, x, c, hypers={}, training=True))
    assert list(seen) == list(b.layers) == ["hidden.0", "hidden.1", "hidden.2", "output"]
    assert set(seen.values()) == {(K, D, B), (K, 2, B)} and seen["output"] == (K, 2, B)


def test_a_blueprint_survives_its_plain_values() -> None:
    for b in BLUEPRINTS:
        values = b.as_dict()
        again = Blueprint(**{**values, "cardinalities": tuple(values["cardinalities"])})
        assert again == b and isinstance(values["cardinalities"], list)


def test_the_parameters_are_those_of_the_layers() -> None:
    b = Blueprint(784, 10, depth=2, width=100, norm="batch")
    assert sum(slot.shape[0] * slot.shape[1] for slot in b.layout.slots) == (
        784 * 100 + 100 + 200 + 100 * 100 + 100 + 200 + 100 * 10 + 10
    )
    assert b.statistics.size >= 400 and Blueprint(3, 1).statistics.size == 0


def test_embeddings_grow_with_their_categories_up_to_fifty() -> None:
    sizes = Blueprint(1, 1, (1, 2, 10, 100, 100_000)).embedding_sizes
    assert list(sizes) == sorted(sizes) and sizes[0] >= 2 and sizes[3] == 21 and sizes[4] == 50
    assert Blueprint(4, 1, (10,)).fan_ins[0] == 4 + Blueprint(4, 1, (10,)).embedding_sizes[0]
