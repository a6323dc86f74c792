"""First weights against torch.nn.init draw for draw, and against the moments and bounds of the papers."""

from collections.abc import Callable
from math import sqrt

import pytest
import torch
from torch import Tensor, nn

from trainwell.ingredients import ACTIVATIONS, INITIALISERS, initialiser_for

OUT, IN = 300, 200


def drawn(name: str, *, gain: float = 1.0, seed: int = 0, shape: tuple[int, int] = (OUT, IN)) -> Tensor:
    weight = torch.full(shape, float("nan"), dtype=torch.float64)
    INITIALISERS[name].fill(weight, gain=gain, generator=torch.Generator().manual_seed(seed))
    return weight


TORCH: dict[str, Callable[[Tensor, torch.Generator], object]] = {
    "glorot_uniform": lambda w, g: nn.init.xavier_uniform_(w, generator=g),
    "glorot_normal": lambda w, g: nn.init.xavier_normal_(w, generator=g),
    "he_uniform": lambda w, g: nn.init.kaiming_uniform_(w, nonlinearity="relu", generator=g),
    "he_normal": lambda w, g: nn.init.kaiming_normal_(w, nonlinearity="relu", generator=g),
    "lecun_uniform": lambda w, g: nn.init.kaiming_uniform_(w, nonlinearity="linear", generator=g),
    "lecun_normal": lambda w, g: nn.init.kaiming_normal_(w, nonlinearity="linear", generator=g),
    "normal": lambda w, g: nn.init.normal_(w, 0, 0.01, generator=g),
    "zeros": lambda w, g: nn.init.zeros_(w),
    "constant": lambda w, g: nn.init.constant_(w, 0.1),
}


@pytest.mark.covers("I1", "I2", "I3", "I5", "I6")
@pytest.mark.parametrize("name", list(INITIALISERS))
def test_draws_are_those_of_torch_from_the_same_stream(name: str) -> None:
    expected = torch.empty(OUT, IN, dtype=torch.float64)
    TORCH[name](expected, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn(name), expected, rtol=1e-12, atol=0)


STD = {
    "glorot_uniform": sqrt(2 / (IN + OUT)), "glorot_normal": sqrt(2 / (IN + OUT)), "he_uniform": sqrt(2 / IN),
    "he_normal": sqrt(2 / IN), "lecun_uniform": sqrt(1 / IN), "lecun_normal": sqrt(1 / IN), "normal": 0.01,
}  # fmt: skip


@pytest.mark.covers("I2", "I3", "I5", "I6")
@pytest.mark.parametrize("name", list(STD))
def test_mean_and_standard_deviation_are_the_papers(name: str) -> None:
    weight = drawn(name)
    n = weight.numel()
    # standard errors: of the mean std/√n, of the standard deviation at most std/√(2n); five of each
    assert abs(float(weight.mean())) < 5 * STD[name] / sqrt(n)
    assert float(weight.std()) == pytest.approx(STD[name], rel=5 / sqrt(2 * n))


@pytest.mark.covers("I3", "I5", "I6")
@pytest.mark.parametrize(
    ("name", "bound"),
    [
        ("glorot_uniform", sqrt(6 / (IN + OUT))),
        ("he_uniform", sqrt(6 / IN)),
        ("lecun_uniform", sqrt(3 / IN)),
    ],
)
def test_uniform_draws_fill_their_bounds_and_keep_them(name: str, bound: float) -> None:
    weight = drawn(name)
    assert 0.999 * bound < float(weight.abs().max()) <= bound
    assert float((weight / bound).pow(4).mean()) == pytest.approx(1 / 5, rel=0.03)  # flat, not merely bounded


def test_a_gain_multiplies_every_draw() -> None:
    for name in INITIALISERS:
        torch.testing.assert_close(drawn(name, gain=0.3), 0.3 * drawn(name))


def test_the_seed_decides_the_draws_alone() -> None:
    for name in STD:
        assert drawn(name, seed=1).equal(drawn(name, seed=1)) and not drawn(name, seed=1).equal(drawn(name, seed=2))


@pytest.mark.covers("I12", "A11")
def test_the_default_follows_the_activation() -> None:
    he = dict.fromkeys(("relu", "leaky_relu", "elu", "silu", "gelu", "mish"), "he_normal")
    glorot = dict.fromkeys(("identity", "tanh", "sigmoid"), "glorot_uniform")
    table = {**he, **glorot, "selu": "lecun_normal"}
    assert {name: initialiser_for(name) for name in ACTIVATIONS} == table


@pytest.mark.covers("I13")
@pytest.mark.parametrize("activation", ["identity", "relu", "selu"])
def test_signals_neither_fade_nor_grow_over_ten_layers(activation: str) -> None:
    h = torch.randn(512, 64, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    power = float(h.square().mean())
    for layer in range(10):
        weight = drawn(initialiser_for(activation), seed=layer, shape=(512, 512))
        h = ACTIVATIONS[activation].function(weight @ h)
    assert 1 / 2 < float(h.square().mean()) / power < 2


@pytest.mark.covers("I13")
def test_with_small_random_weights_signals_do_fade() -> None:
    h = torch.ones(256, 8, dtype=torch.float64)
    for layer in range(10):
        h = torch.relu(drawn("normal", seed=layer, shape=(256, 256)) @ h)
    assert float(h.square().mean()) < 1e-10
