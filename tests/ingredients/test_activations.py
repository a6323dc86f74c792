"""Non-linearities against torch and the formulas of their papers, at the points that the documents name."""

from collections.abc import Callable
from math import erf, exp, log1p, sqrt, tanh

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from trainwell.base import Registry
from trainwell.ingredients.activations import ACTIVATIONS, Activation
from trainwell.testing.activations import LAWS, hypers, signals, standard

α, λ = 1.6732632423543772, 1.0507009873554805  # Klambauer 2017


def σ(x: float) -> float:
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))


FORMULAS: dict[str, Callable[[float], float]] = {
    "identity": lambda x: x,
    "relu": lambda x: max(0.0, x),
    "leaky_relu": lambda x: max(0.01 * x, x),
    "prelu": lambda x: max(0.25 * x, x),
    "elu": lambda x: x if x > 0 else exp(x) - 1,
    "selu": lambda x: λ * (x if x > 0 else α * (exp(x) - 1)),
    "celu": lambda x: x if x > 0 else exp(x) - 1,
    "silu": lambda x: x * σ(x),
    "swish": lambda x: x * σ(x),
    "gelu": lambda x: x * (1 + erf(x / sqrt(2))) / 2,
    "gelu_tanh": lambda x: x * (1 + tanh(sqrt(2 / 3.141592653589793) * (x + 0.044715 * x**3))) / 2,
    "mish": lambda x: x * tanh(log1p(exp(x))),
    "softplus": lambda x: log1p(exp(x)),
    "softsign": lambda x: x / (1 + abs(x)),
    "hard_sigmoid": lambda x: min(max(0.0, x + 3), 6.0) / 6,
    "hard_tanh": lambda x: min(max(-1.0, x), 1.0),
    "hard_swish": lambda x: x * min(max(0.0, x + 3), 6.0) / 6,
    "relu6": lambda x: min(max(0.0, x), 6.0),
    "maxout": lambda x: x,  # both pieces equal
    "tanh": tanh,
    "sigmoid": σ,
}
TORCHS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "prelu": torch.nn.PReLU(dtype=torch.float64),
    "elu": F.elu,
    "selu": F.selu,
    "celu": F.celu,
    "silu": F.silu,
    "swish": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda z: F.gelu(z, approximate="tanh"),
    "mish": F.mish,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "hard_sigmoid": F.hardsigmoid,
    "hard_tanh": F.hardtanh,
    "hard_swish": F.hardswish,
    "relu6": F.relu6,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}
ROWS = {
    "identity": "A10", "relu": "A3", "leaky_relu": "A4", "prelu": "A4", "elu": "A5", "celu": "A5", "selu": "A6",
    "silu": "A7", "swish": "A7", "maxout": "A9", "tanh": "A2", "sigmoid": "A1",
}  # fmt: skip
EVERY = [pytest.param(name, marks=pytest.mark.covers(ROWS.get(name, "A8"))) for name in ACTIVATIONS]


def twice(points: Tensor) -> Tensor:
    """(1, 2N, 1), each point twice: pieces of a unit of maxout."""
    return points.repeat_interleave(2).view(1, -1, 1)


def slope(name: str, x: float) -> float:
    point = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    return float(torch.autograd.grad(ACTIVATIONS[name].function(point, standard(name)), point)[0])


@pytest.mark.parametrize("law", list(LAWS))
@pytest.mark.parametrize("name", EVERY)
def test_an_activation_keeps_the_law(name: str, law: str) -> None:
    LAWS[law](name)


@pytest.mark.parametrize("name", EVERY)
def test_values_are_those_of_the_formula(name: str) -> None:
    points = torch.linspace(-9, 9, 181, dtype=torch.float64)
    expected = torch.tensor([FORMULAS[name](x) for x in points.tolist()], dtype=torch.float64)
    ours = ACTIVATIONS[name].function(twice(points), standard(name)).flatten()
    ours = ours if name == "maxout" else ours[::2]
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.covers(ROWS.get(n, "A8"))) for n in TORCHS])
def test_values_and_gradients_are_torchs(name: str) -> None:
    ours = torch.cat([signals(), torch.zeros(5, 6, 1, dtype=torch.float64)], dim=2).requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    value, expected = ACTIVATIONS[name].function(ours, standard(name)), TORCHS[name](theirs)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-14)
    gradients = torch.autograd.grad(value.sum(), ours)[0], torch.autograd.grad(expected.sum(), theirs)[0]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        pytest.param("leaky_relu", lambda z, slope: F.leaky_relu(z, slope), marks=pytest.mark.covers("A4")),
        pytest.param("elu", lambda z, alpha: F.elu(z, alpha), marks=pytest.mark.covers("A5")),
        pytest.param("celu", lambda z, alpha: F.celu(z, alpha), marks=pytest.mark.covers("A5")),
        pytest.param("swish", lambda z, beta: z * torch.sigmoid(beta * z), marks=pytest.mark.covers("A7")),
        pytest.param("softplus", lambda z, beta: F.softplus(z, beta, 500.0), marks=pytest.mark.covers("A8")),
    ],
)
def test_each_member_has_the_activation_of_its_own_hyperparameter(
    name: str, reference: Callable[[Tensor, float], Tensor]
) -> None:
    z = torch.cat([signals(), 30 * signals(2)], dim=2)
    for step in (0.2, 3.0):
        h = hypers(name, step=step)
        ours = ACTIVATIONS[name].function(z, h)
        (column,) = h.values()
        for k, value in enumerate(column.flatten().tolist()):
            torch.testing.assert_close(ours[k], reference(z[k], value), rtol=1e-12, atol=1e-14)


@pytest.mark.covers("A4")
def test_prelu_is_torchs_with_one_trained_slope_for_each_unit_of_each_member() -> None:
    z, g = signals(), torch.Generator().manual_seed(1)
    slopes = torch.rand(5, 6, 1, generator=g, dtype=torch.float64).requires_grad_()
    ours = ACTIVATIONS["prelu"].function(z, {"slope": slopes})
    own = torch.autograd.grad(ours.square().sum(), slopes)[0]
    for k in range(len(z)):
        weight = slopes[k, :, 0].detach().clone().requires_grad_()
        theirs = F.prelu(z[k].T, weight).T
        torch.testing.assert_close(ours[k], theirs, rtol=1e-13, atol=0)
        expected = torch.autograd.grad(theirs.square().sum(), weight)[0]
        torch.testing.assert_close(own[k, :, 0], expected, rtol=1e-12, atol=1e-13)
    assert ACTIVATIONS["prelu"].learned == ("slope",) and ACTIVATIONS["prelu"].standard == {"slope": 0.25}
    assert [name for name in ACTIVATIONS if ACTIVATIONS[name].learned] == ["prelu"]


@pytest.mark.covers("A9")
@pytest.mark.parametrize("pieces", [2, 3, 6])
def test_maxout_takes_the_largest_of_consecutive_rows_and_gives_the_gradient_to_it_alone(pieces: int) -> None:
    z = signals().requires_grad_()
    value = ACTIVATIONS["maxout"].function(z, {"pieces": torch.tensor(pieces)})
    gradient = torch.autograd.grad(value.sum(), z)[0]
    assert value.shape == (5, 6 // pieces, 32)
    for i in range(6 // pieces):
        rows = slice(i * pieces, (i + 1) * pieces)
        largest = z[:, rows].detach().max(dim=1)
        assert value[:, i].equal(largest.values)
        assert gradient[:, rows].argmax(dim=1).equal(largest.indices) and (gradient[:, rows].sum(dim=1) == 1).all()


@pytest.mark.covers("A9")
def test_maxout_of_a_map_and_zero_is_relu_and_of_a_map_and_its_negative_is_its_size() -> None:
    z = signals()[:, :1]
    for other, expected in ((torch.zeros_like(z), torch.relu(z)), (-z, z.abs())):
        both = torch.cat([z, other], dim=1)
        assert ACTIVATIONS["maxout"].function(both, {"pieces": torch.full((5, 1, 1), 2.0)}).equal(expected)


@pytest.mark.covers("A9", "I12")
def test_two_pieces_keep_the_second_moment_of_normal_signals() -> None:
    z = torch.randn(1, 2, 400_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert ACTIVATIONS["maxout"].function(z, standard("maxout")).square().mean().item() == pytest.approx(1, abs=0.01)
    assert ACTIVATIONS["maxout"].family == "lecun"


@pytest.mark.covers("A6")
def test_selu_keeps_mean_0_and_variance_1_of_normal_signals() -> None:
    step = 1 / 1000
    z = torch.arange(-12, 12, step, dtype=torch.float64)
    density = torch.exp(-z.square() / 2) * step / sqrt(2 * 3.141592653589793)
    value = ACTIVATIONS["selu"].function(z, {})
    assert (value * density).sum().item() == pytest.approx(0, abs=1e-6)
    assert (value.square() * density).sum().item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "x", "value"),
    [
        pytest.param("sigmoid", 0.0, 0.25, marks=pytest.mark.covers("A1")),
        pytest.param("sigmoid", 10.0, 4.5395807735951673e-05, marks=pytest.mark.covers("A1")),
        pytest.param("sigmoid", -10.0, 4.5395807735951673e-05, marks=pytest.mark.covers("A1")),
        pytest.param("tanh", 0.0, 1.0, marks=pytest.mark.covers("A2")),
        pytest.param("relu", 0.0, 0.0, marks=pytest.mark.covers("A3")),
        pytest.param("leaky_relu", -2.0, 0.01, marks=pytest.mark.covers("A4")),
        pytest.param("prelu", -2.0, 0.25, marks=pytest.mark.covers("A4")),
        pytest.param("elu", -1.0, exp(-1), marks=pytest.mark.covers("A5")),
        pytest.param("selu", 3.0, λ, marks=pytest.mark.covers("A6")),
        pytest.param("selu", -1.0, λ * α * exp(-1), marks=pytest.mark.covers("A6")),
        pytest.param("gelu", 0.0, 0.5, marks=pytest.mark.covers("A8")),
        pytest.param("mish", 0.0, 0.6, marks=pytest.mark.covers("A8")),
        pytest.param("softplus", 0.0, 0.5, marks=pytest.mark.covers("A8")),
        pytest.param("softsign", 1.0, 0.25, marks=pytest.mark.covers("A8")),
        pytest.param("hard_tanh", 1.0, 0.0, marks=pytest.mark.covers("A8")),
        pytest.param("hard_swish", 1.5, 1.0, marks=pytest.mark.covers("A8")),
    ],
)
def test_the_slope_at_a_documented_point(name: str, x: float, value: float) -> None:
    assert slope(name, x) == pytest.approx(value, rel=1e-9)
    point = torch.tensor(x, dtype=torch.float64)
    assert float(ACTIVATIONS[name].derivative(point, standard(name))) == pytest.approx(value, rel=1e-9)


@pytest.mark.covers("A1", "A2")
def test_n3s_other_forms_of_tanh_and_its_slope_are_the_same() -> None:
    for x in (-5.0, -0.3, 0.0, 1.0, 4.0):
        z = torch.tensor(x, dtype=torch.float64)
        assert float(ACTIVATIONS["tanh"].function(z, {})) == pytest.approx((exp(x) - exp(-x)) / (exp(x) + exp(-x)))
        assert float(ACTIVATIONS["tanh"].derivative(z, {})) == pytest.approx(4 / (exp(x) + exp(-x)) ** 2, rel=1e-9)


@pytest.mark.covers("A7")
def test_the_slope_of_silu_is_phi_plus_sigma_times_one_minus_phi() -> None:
    for x in (-6.0, -1.2784645, 0.0, 0.7, 8.0):
        φ = FORMULAS["silu"](x)
        assert slope("silu", x) == pytest.approx(φ + σ(x) * (1 - φ), rel=1e-10, abs=1e-14)


@pytest.mark.covers("A8")
def test_softplus_is_exact_where_torch_already_calls_it_linear() -> None:
    z = torch.tensor([21.0, 30.0, 50.0], dtype=torch.float64)
    ours = ACTIVATIONS["softplus"].function(z, standard("softplus"))
    assert ours.tolist() == [x + log1p(exp(-x)) for x in z.tolist()]


@pytest.mark.covers("I4")
def test_gains_are_those_of_the_documents() -> None:
    gains = {name: ACTIVATIONS[name].gain for name in ("sigmoid", "tanh", "relu", "silu", "identity")}
    assert gains == {"sigmoid": 4, "tanh": 1, "relu": sqrt(2), "silu": sqrt(2), "identity": 1}
    for name in ("leaky_relu", "prelu"):
        expected = torch.nn.init.calculate_gain("leaky_relu", ACTIVATIONS[name].standard["slope"])
        assert ACTIVATIONS[name].gain == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "selu", "silu", "gelu", "mish", "tanh", "sigmoid"])
def test_what_the_vitals_read_is_as_it_was(name: str) -> None:
    bounds = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}.get(name)
    family = {"tanh": "glorot", "sigmoid": "glorot", "selu": "lecun"}.get(name, "he")
    φ = ACTIVATIONS[name]
    assert (φ.bounds, φ.family, φ.silent) == (bounds, family, name == "relu")


@pytest.mark.covers("A3")
def test_relu_tells_of_the_positive_bias_and_of_the_documents_slope_at_zero() -> None:
    assert "initialiser.bias" in ACTIVATIONS["relu"].doc and "⚠ N2 prints φ′(0) = 1" in ACTIVATIONS["relu"].doc


WRONG = {
    "alone-as-in-company": lambda z, h: torch.relu(z - z.mean(dim=0)),
    "others-do-not-matter": lambda z, h: torch.relu(z + z.sum(dim=0)),
    "a-nan-stays-in-its-row": lambda z, h: torch.relu(z.nan_to_num(0)),
    "hyperparameters-are-per-member": lambda z, h: F.leaky_relu(z, float(h["slope"].flatten()[0])),
    "the-derivative-is-autograds": lambda z, h: torch.where(z > 0, z, 0.3 * z),
    "extreme-signals-stay-finite": lambda z, h: torch.where(z > 0, z, h["slope"] * torch.expm1(z) / torch.exp(z)),
    "values-fill-the-range": lambda z, h: torch.relu(z),
    "silent-means-zero-below-zero": lambda z, h: torch.relu(z),
    "it-is-documented": lambda z, h: z,
}


@pytest.mark.parametrize("law", list(LAWS))
def test_a_law_finds_an_activation_that_breaks_it(law: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = Activation(
        WRONG[law],
        ACTIVATIONS["leaky_relu"].derivative,
        "he",
        ACTIVATIONS["leaky_relu"].range,
        1.0,
        standard={"slope": 0.01},
        doc="Leaky.",
    )
    table = Registry("activation", {"wrong": wrong}, hypers=ACTIVATIONS.hypers)
    monkeypatch.setattr("trainwell.testing.activations.ACTIVATIONS", table)
    with pytest.raises(AssertionError, match="^wrong: "):
        LAWS[law]("wrong")
