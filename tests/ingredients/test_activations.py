"""Non-linearities against the formulas of their papers, at the points that the documents name."""

from collections.abc import Callable
from math import erf, exp, log1p, sqrt, tanh

import pytest
import torch
from torch import Tensor

from trainwell.engine import predictions
from trainwell.ingredients import ACTIVATIONS

α, λ = 1.6732632423543772, 1.0507009873554805  # Klambauer 2017


def σ(x: float) -> float:
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))


FORMULAS: dict[str, Callable[[float], float]] = {
    "identity": lambda x: x,
    "relu": lambda x: max(0.0, x),
    "leaky_relu": lambda x: max(0.01 * x, x),
    "elu": lambda x: x if x > 0 else exp(x) - 1,
    "selu": lambda x: λ * (x if x > 0 else α * (exp(x) - 1)),
    "silu": lambda x: x * σ(x),
    "gelu": lambda x: x * (1 + erf(x / sqrt(2))) / 2,
    "mish": lambda x: x * tanh(log1p(exp(x))),
    "tanh": tanh,
    "sigmoid": σ,
}
ROWS = {
    "relu": "A3", "leaky_relu": "A4", "elu": "A5", "selu": "A6", "silu": "A7", "gelu": "A8", "mish": "A8",
    "tanh": "A2", "sigmoid": "A1",
}  # fmt: skip
EVERY = [pytest.param(name, marks=[pytest.mark.covers(ROWS[name])] if name in ROWS else []) for name in ACTIVATIONS]


def slope(name: str, x: float) -> float:
    point = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    return float(torch.autograd.grad(ACTIVATIONS[name].function(point), point)[0])


@pytest.mark.parametrize("name", EVERY)
def test_values_are_those_of_the_formula(name: str) -> None:
    points = torch.linspace(-9, 9, 181, dtype=torch.float64)
    expected = torch.tensor([FORMULAS[name](x) for x in points.tolist()], dtype=torch.float64)
    torch.testing.assert_close(ACTIVATIONS[name].function(points), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", EVERY)
def test_slopes_are_those_of_the_formula_by_centred_differences(name: str) -> None:
    h = 1e-5
    for x in (-4.3, -1.0, -0.2, 0.3, 1.0, 5.1):
        expected = (FORMULAS[name](x + h) - FORMULAS[name](x - h)) / (2 * h)
        assert slope(name, x) == pytest.approx(expected, rel=1e-6, abs=1e-9), x


@pytest.mark.parametrize(
    ("name", "x", "value"),
    [
        pytest.param("sigmoid", 0.0, 0.25, marks=pytest.mark.covers("A1")),
        pytest.param("sigmoid", 10.0, 4.5395807735951673e-05, marks=pytest.mark.covers("A1")),
        pytest.param("sigmoid", -10.0, 4.5395807735951673e-05, marks=pytest.mark.covers("A1")),
        pytest.param("tanh", 0.0, 1.0, marks=pytest.mark.covers("A2")),
        pytest.param("relu", 0.0, 0.0, marks=pytest.mark.covers("A3")),
        pytest.param("leaky_relu", -2.0, 0.01, marks=pytest.mark.covers("A4")),
        pytest.param("elu", -1.0, exp(-1), marks=pytest.mark.covers("A5")),
        pytest.param("selu", 3.0, λ, marks=pytest.mark.covers("A6")),
        pytest.param("selu", -1.0, λ * α * exp(-1), marks=pytest.mark.covers("A6")),
        pytest.param("gelu", 0.0, 0.5, marks=pytest.mark.covers("A8")),
        pytest.param("mish", 0.0, 0.6, marks=pytest.mark.covers("A8")),
    ],
)
def test_the_slope_at_a_documented_point(name: str, x: float, value: float) -> None:
    assert slope(name, x) == pytest.approx(value, rel=1e-9)


@pytest.mark.covers("A7")
def test_the_slope_of_silu_is_phi_plus_sigma_times_one_minus_phi() -> None:
    for x in (-6.0, -1.2784645, 0.0, 0.7, 8.0):
        φ = FORMULAS["silu"](x)
        assert slope("silu", x) == pytest.approx(φ + σ(x) * (1 - φ), rel=1e-10, abs=1e-14)


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_values_and_slopes_stay_finite_for_extreme_inputs(name: str) -> None:
    for dtype in (torch.float32, torch.float64):
        x = torch.tensor([-1e4, -100, -1e-30, 0, 1e-30, 100, 1e4], dtype=dtype, requires_grad=True)
        y = ACTIVATIONS[name].function(x)
        assert y.isfinite().all() and torch.autograd.grad(y.sum(), x)[0].isfinite().all()


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_bounds_are_reached_at_both_ends_and_never_passed(name: str) -> None:
    function, bounds = ACTIVATIONS[name].function, ACTIVATIONS[name].bounds
    ends = function(torch.tensor([-1e4, 1e4], dtype=torch.float64))
    if bounds is None:
        assert ends.abs().max() >= 1e4
    else:
        assert ends.tolist() == pytest.approx(bounds)
        assert (function(torch.linspace(-50, 50, 999)) >= bounds[0]).all()
        assert (function(torch.linspace(-50, 50, 999)) <= bounds[1]).all()


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_a_unit_is_called_silent_when_it_is_zero_for_all_negative_inputs(name: str) -> None:
    negative = ACTIVATIONS[name].function(-torch.logspace(-3, 1, 50))
    assert ACTIVATIONS[name].silent == bool((negative == 0).all())


@pytest.mark.covers("A10")
def test_softmax_and_its_logarithm_are_stable_for_extreme_outputs() -> None:
    z: Tensor = torch.tensor([[[1e4], [-1e4], [0.0]]])
    assert predictions(z, "softmax").flatten().tolist() == [1, 0, 0]
    assert predictions(z, "sigmoid").flatten().tolist() == [1, 0, 0.5]
    assert predictions(z, "identity").equal(z)
