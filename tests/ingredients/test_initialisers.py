"""First weights against torch.nn.init draw for draw, and against the moments, bounds and experiments of the papers."""

from collections.abc import Callable
from math import erf, pi, sqrt
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainwell.base import InputError, PlanError
from trainwell.ingredients.activations import ACTIVATIONS
from trainwell.ingredients.initialisers import (
    INITIALISERS,
    Initialiser,
    InitialiserSettings,
    gain_for,
    initialiser_for,
    second_moments,
)
from trainwell.ingredients.initialisers_data import (
    equalise_rates,
    normalise_units,
    positively_homogeneous,
    rates,
    scale_to_unit_variance,
)
from trainwell.ingredients.propagation import propagate, signal_variances
from trainwell.testing.initialisers import GAINS, LAWS, DensePopulation, begin, draw

OUT, IN = 300, 200


def drawn(
    name: str, *, gain: float = 1.0, seed: int = 0, shape: tuple[int, ...] = (OUT, IN), **settings: Any
) -> Tensor:
    weight = torch.full(shape, float("nan"), dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    INITIALISERS[name].fill(weight, gain=gain, generator=generator, settings=InitialiserSettings(**settings))
    return weight


@pytest.mark.parametrize("name", list(INITIALISERS))
@pytest.mark.parametrize("law", LAWS.values(), ids=list(LAWS))
def test_the_law_holds(law: Callable[[str], None], name: str) -> None:
    law(name)


def test_the_suite_finds_schemes_that_break_its_laws(monkeypatch: pytest.MonkeyPatch) -> None:
    def own_will(weight: Tensor, gain: float, settings: InitialiserSettings, generator: torch.Generator) -> None:
        weight.normal_()

    def mixing(network: Any, rows: Tensor, h: Any, activation: str) -> None:
        for weight in network.weights.values():
            weight /= weight.std()

    monkeypatch.setitem(
        INITIALISERS._entries, "wild", Initialiser(own_will, fan="in", standard={"std": 1.0}, doc="wild")
    )
    monkeypatch.setitem(INITIALISERS._entries, "mixing", Initialiser(INITIALISERS["orthogonal"].draw, prepare=mixing))
    for law, name, words in (
        ("alone-as-in-company", "wild", "starts from other weights"),
        ("alone-as-in-company", "mixing", "differs by"),
        ("others-do-not-matter", "mixing", "depend on the others"),
        ("unchosen-rows-keep-their-bits", "mixing", "did not choose it was changed"),
        ("the-gain-scales", "wild", "does not scale"),
        ("only-fans-are-overridden", "wild", "does not scale by fan_in"),
        ("it-is-documented", "wild", "'wild' lacks formula or source"),
    ):
        with pytest.raises(AssertionError, match=f"{name}: .*{words}"):
            LAWS[law](name)


def test_the_suite_finds_a_hyperparameter_that_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = Initialiser(INITIALISERS["zeros"].draw, standard={"std": 1.0})
    monkeypatch.setitem(INITIALISERS._entries, "deaf", deaf)
    with pytest.raises(AssertionError, match="deaf: std changes nothing"):
        LAWS["every-hyperparameter-counts"]("deaf")


TORCH: dict[str, Callable[[Tensor, torch.Generator], object]] = {
    "glorot_uniform": lambda w, g: nn.init.xavier_uniform_(w, generator=g),
    "glorot_normal": lambda w, g: nn.init.xavier_normal_(w, generator=g),
    "he_uniform": lambda w, g: nn.init.kaiming_uniform_(w, nonlinearity="relu", generator=g),
    "he_normal": lambda w, g: nn.init.kaiming_normal_(w, nonlinearity="relu", generator=g),
    "lecun_uniform": lambda w, g: nn.init.kaiming_uniform_(w, nonlinearity="linear", generator=g),
    "lecun_normal": lambda w, g: nn.init.kaiming_normal_(w, nonlinearity="linear", generator=g),
    "fan_in_uniform": lambda w, g: nn.init.kaiming_uniform_(w, a=sqrt(5), generator=g),
    "normal": lambda w, g: nn.init.normal_(w, 0, 0.01, generator=g),
    "uniform": lambda w, g: nn.init.uniform_(w, -0.05, 0.05, generator=g),
    "zeros": lambda w, g: nn.init.zeros_(w),
    "constant": lambda w, g: nn.init.constant_(w, 0.1),
    "orthogonal": lambda w, g: nn.init.orthogonal_(w, generator=g),
    "identity": lambda w, g: nn.init.eye_(w),
    "lsuv": lambda w, g: nn.init.orthogonal_(w, generator=g),
    "krahenbuhl": lambda w, g: nn.init.kaiming_normal_(w, nonlinearity="linear", generator=g),
}


@pytest.mark.covers("I1", "I2", "I3", "I5", "I6", "I7")
@pytest.mark.parametrize("shape", [(OUT, IN), (IN, OUT)], ids=["high", "wide"])
@pytest.mark.parametrize("name", list(TORCH))
def test_draws_are_those_of_torch_from_the_same_stream(name: str, shape: tuple[int, int]) -> None:
    expected = torch.empty(shape, dtype=torch.float64)
    TORCH[name](expected, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn(name, shape=shape), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.covers("I3", "I4", "I5")
@pytest.mark.parametrize("form", ["uniform", "normal"])
def test_gains_and_fans_are_those_of_torch(form: str) -> None:
    def of(call: Callable[..., Any], **given: Any) -> Tensor:
        return call(torch.empty(OUT, IN, dtype=torch.float64), generator=torch.Generator().manual_seed(0), **given)

    kaiming, xavier = getattr(nn.init, f"kaiming_{form}_"), getattr(nn.init, f"xavier_{form}_")
    pairs = [
        (drawn(f"he_{form}", fan="out"), of(kaiming, mode="fan_out", nonlinearity="relu")),
        (drawn(f"he_{form}", fan="in"), of(kaiming, mode="fan_in", nonlinearity="relu")),
        (drawn(f"lecun_{form}", fan="out"), of(kaiming, mode="fan_out", nonlinearity="linear")),
        (drawn(f"lecun_{form}", fan="avg"), of(xavier)),
        (drawn(f"glorot_{form}", gain=4.0), of(xavier, gain=4.0)),
    ]
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)


def test_a_fan_is_refused_where_none_scales_the_variance() -> None:
    with pytest.raises(
        PlanError, match="'out' says nothing here: leave initialiser.fan at auto, or .* glorot_uniform,"
    ):
        drawn("normal", fan="out")


STD = {
    "glorot_uniform": sqrt(2 / (IN + OUT)), "glorot_normal": sqrt(2 / (IN + OUT)), "he_uniform": sqrt(2 / IN),
    "he_normal": sqrt(2 / IN), "lecun_uniform": sqrt(1 / IN), "lecun_normal": sqrt(1 / IN), "normal": 0.01,
    "fan_in_uniform": 1 / sqrt(3 * IN), "uniform": 0.05 / sqrt(3), "centred": sqrt(1 / IN), "krahenbuhl": sqrt(1 / IN),
    "orthogonal": sqrt(1 / OUT), "lsuv": sqrt(1 / OUT),
}  # fmt: skip
BOUNDS = {
    "glorot_uniform": sqrt(6 / (IN + OUT)),
    "he_uniform": sqrt(6 / IN),
    "lecun_uniform": sqrt(3 / IN),
    "fan_in_uniform": 1 / sqrt(IN),
    "uniform": 0.05,
}


@pytest.mark.covers("I2", "I3", "I5", "I6")
@pytest.mark.parametrize("name", list(STD))
def test_mean_and_standard_deviation_are_the_papers(name: str) -> None:
    weight = drawn(name)
    n = weight.numel()
    # standard errors: of the mean std/√n, of the standard deviation at most std/√(2n); five of each
    assert abs(float(weight.mean())) < 5 * STD[name] / sqrt(n)
    assert float(weight.std()) == pytest.approx(STD[name], rel=5 / sqrt(2 * n))


@pytest.mark.covers("I3", "I5", "I6")
@pytest.mark.parametrize("name", list(BOUNDS))
def test_uniform_draws_fill_their_bounds_and_keep_them(name: str) -> None:
    weight, bound = drawn(name), BOUNDS[name]
    assert 0.999 * bound < float(weight.abs().max()) <= bound
    assert float((weight / bound).pow(4).mean()) == pytest.approx(1 / 5, rel=0.03)  # flat, not merely bounded


@pytest.mark.covers("I2", "I3", "I5", "I6")
@pytest.mark.parametrize("name", list(STD))
def test_the_distribution_has_the_papers_form(name: str) -> None:
    # Kolmogorov–Smirnov: D·√n is above 1.95 once in a thousand streams; the wrong form of equal variance has D ≈ 0.057
    x = drawn(name).flatten().sort().values
    if name in BOUNDS:
        F = (x / BOUNDS[name] + 1) / 2
    else:
        F = torch.tensor([(1 + erf(v / STD[name] / sqrt(2))) / 2 for v in x.tolist()], dtype=torch.float64)
    n = len(x)
    steps = torch.arange(n + 1, dtype=torch.float64) / n
    D = max(float((steps[1:] - F).max()), float((F - steps[:-1]).max()))
    assert D * sqrt(n) < 1.95
    wrong = (1 + torch.erf(x / STD[name] / sqrt(2))) / 2 if name in BOUNDS else (x / STD[name] / sqrt(3) + 1) / 2
    assert float((steps[1:] - wrong.clamp(0, 1)).abs().max()) * sqrt(n) > 10


@pytest.mark.covers("I2")
def test_hyperparameters_of_a_draw_are_its_scale() -> None:
    assert float(drawn("normal", hypers={"std": 0.3}).std()) == pytest.approx(0.3, rel=0.02)
    assert float(drawn("uniform", hypers={"bound": 0.2}).abs().max()) == pytest.approx(0.2, rel=1e-3)
    assert (drawn("constant", gain=2.0, hypers={"value": -0.7}) == -1.4).all()


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
    assert {name: initialiser_for(name) for name in table} == table
    assert all(initialiser_for(name) in INITIALISERS for name in ACTIVATIONS)


@pytest.mark.covers("I4")
def test_glorot_with_the_gain_of_the_activation_is_the_table_of_the_documents() -> None:
    for activation, factor in (("sigmoid", 4.0), ("tanh", 1.0), ("relu", sqrt(2)), ("silu", sqrt(2))):
        assert gain_for(activation) == pytest.approx(factor)
        bound = float(drawn("glorot_uniform", gain=gain_for(activation)).abs().max())
        assert bound == pytest.approx(factor * sqrt(6 / (IN + OUT)), rel=1e-3)
        std = float(drawn("glorot_normal", gain=gain_for(activation)).std())
        assert std == pytest.approx(factor * sqrt(2 / (IN + OUT)), rel=0.02)


@pytest.mark.covers("I7")
@pytest.mark.parametrize("shape", [(30, 20), (20, 30), (25, 25), (4, 20, 30)], ids=str)
def test_an_orthogonal_matrix_has_singular_values_equal_to_the_gain(shape: tuple[int, ...]) -> None:
    W = drawn("orthogonal", gain=1.7, shape=shape)
    torch.testing.assert_close(torch.linalg.svdvals(W), torch.full_like(torch.linalg.svdvals(W), 1.7))
    gram = W.mT @ W if shape[-2] >= shape[-1] else W @ W.mT
    torch.testing.assert_close(gram, (1.7**2 * torch.eye(gram.shape[-1], dtype=torch.float64)).expand_as(gram))


@pytest.mark.covers("I7")
def test_orthogonal_layers_keep_lengths_at_any_depth() -> None:
    forward, backward = signal_variances("orthogonal", "identity", depth=100, width=64)
    torch.testing.assert_close(backward, torch.ones(100, dtype=torch.float64))
    signals, _ = propagate("orthogonal", "identity", 100, 64, 1.0, 16, 0)
    torch.testing.assert_close(signals[-1].norm(dim=0), signals[0].norm(dim=0))


@pytest.mark.covers("I11")
def test_centred_rows_have_sum_zero_and_length_of_the_gain() -> None:
    W = drawn("centred", gain=1.3)
    torch.testing.assert_close(W.sum(1), torch.zeros(OUT, dtype=torch.float64))
    torch.testing.assert_close(W.norm(dim=1), torch.full((OUT,), 1.3, dtype=torch.float64))
    with pytest.raises(InputError, match="need 2 inputs a unit or more, but there is 1: choose another initialiser"):
        drawn("centred", shape=(3, 1))


AUTHORS = {"gelu": 0.425, "relu": 0.5, "elu": 0.645, "tanh": 0.394}  # E φ(z)², github.com/hendrycks/init


@pytest.mark.covers("I10")
def test_second_moments_are_those_of_the_authors_and_of_closed_forms() -> None:
    for name, value in AUTHORS.items():
        assert second_moments(name)[0] == pytest.approx(value, abs=5e-4)
    assert second_moments("relu") == pytest.approx((0.5, 0.5), abs=1e-12)
    assert second_moments("identity") == pytest.approx((1, 1), abs=1e-12)
    assert second_moments("leaky_relu") == pytest.approx((0.50005, 0.50005), abs=1e-12)
    # E x²Φ(x)² = 1/4 + arcsin(1/2)/(2π) + 1/(2π√3): from E Φ(x)² and integration by parts, twice
    assert second_moments("gelu")[0] == pytest.approx(1 / 3 + 1 / (2 * pi * sqrt(3)), abs=1e-9)
    assert second_moments("elu")[1] == pytest.approx(0.5 + 7.38905609893065 * (1 + erf(-2 / sqrt(2))) / 2, abs=1e-4)
    z = torch.randn(400_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for name in (name for name in ACTIVATIONS if name != "maxout"):
        φ = ACTIVATIONS[name]
        h = {key: torch.tensor(value, dtype=torch.float64) for key, value in φ.standard.items()}
        for moment, f in zip(second_moments(name), (φ.function, φ.derivative), strict=True):
            sample = f(z, h).square()
            assert moment == pytest.approx(float(sample.mean()), abs=5 * float(sample.std()) / sqrt(len(z)) + 1e-9), (
                name
            )


@pytest.mark.covers("I10")
@pytest.mark.parametrize("dropout", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("activation", list(AUTHORS))
def test_rows_adjusted_for_dropout_are_those_of_the_authors_code(activation: str, dropout: float) -> None:
    c_forward, c_backward = second_moments(activation)
    p = 1 - dropout  # the authors' p is the share that stays
    for first, last, total in (
        (True, False, 1 + c_backward * p),
        (False, False, c_forward / p + c_backward * p),
        (False, True, 1 + c_forward / p),
    ):
        W = drawn("dropout_adjusted", gain=1.5, activation=activation, dropout=dropout, first=first, last=last)
        normal = torch.empty(OUT, IN, dtype=torch.float64).normal_(generator=torch.Generator().manual_seed(0))
        theirs = nn.functional.normalize(normal, dim=1) / sqrt(total)  # tf.nn.l2_normalize(…, 0)/tf.sqrt(…)
        torch.testing.assert_close(W, 1.5 * theirs, rtol=1e-12, atol=0)


@pytest.mark.covers("I10")
def test_with_the_forward_share_alone_dropout_leaves_the_variance_at_one() -> None:
    g, q = torch.Generator().manual_seed(3), 0.5
    z = torch.randn(400, 300, generator=g, dtype=torch.float64)
    for layer in range(4):
        forward, backward = second_moments("relu")
        gain = sqrt((forward / q + q * backward) / (forward / q))  # takes the backward share out
        kept = torch.rand(z.shape, generator=g) < q
        h = torch.where(kept, torch.relu(z) / q, 0.0)
        z = drawn("dropout_adjusted", gain=gain, seed=layer, shape=(400, 400), activation="relu", dropout=1 - q) @ h
    assert 0.7 < float(z.var()) < 1.4  # with He, it would have grown 2⁴-fold


def test_adjusting_for_dropout_needs_a_function_of_one_argument() -> None:
    with pytest.raises(PlanError, match="one argument, but maxout has several: choose another initialiser"):
        drawn("dropout_adjusted", activation="maxout")


@pytest.mark.covers("I8")
def test_after_lsuv_every_layer_has_the_variance_asked_for_in_every_member() -> None:
    population = begin("lsuv", range(6))
    before = draw("lsuv", range(6))
    for name, z in population.signals(population.layers).items():
        goal = torch.tensor([GAINS[k % 3] for k in range(6)], dtype=torch.float64).square()
        assert ((z.var((1, 2), correction=0) / goal - 1).abs() <= 0.1).all()
        ratio = population.weights[name] / before.weights[name]  # one factor a layer: still orthogonal
        torch.testing.assert_close(ratio, ratio[:, :1, :1].expand_as(ratio))
        assert torch.equal(population.biases[name], before.biases[name])


@pytest.mark.covers("I8")
def test_lsuv_leaves_a_layer_within_the_tolerance_and_one_without_variance() -> None:
    population = draw("lsuv", range(2), [1.0, 1.0])
    h = {"gain": torch.ones(2, 1).double(), "tolerance": torch.tensor([[0.5], [1e-9]]).double()}
    scale_to_unit_variance(population, torch.tensor([True, True]), h, "relu")
    for z in population.signals(population.layers).values():
        torch.testing.assert_close(z[1].var(correction=0), torch.tensor(1.0).double())
    population.weights["hidden.0"] *= 1.1  # variances 1.21: within 0.5, not within 1e-9
    before = population.row(0).clone()
    scale_to_unit_variance(population, torch.tensor([True, True]), h, "relu")
    z = population.signals(["hidden.0"])["hidden.0"]
    assert torch.equal(population.row(0), before)
    assert float(z[1].var(correction=0)) == pytest.approx(1)
    population.weights["hidden.1"][1] = 0.0
    scale_to_unit_variance(population, torch.tensor([True, True]), h, "relu")
    assert (population.weights["hidden.1"][1] == 0).all() and population.row(1).isfinite().all()


def columns(k: int, *, between: float, gain: float = 1.0) -> dict[str, Tensor]:
    return {"gain": torch.full((k, 1), gain).double(), "between": torch.full((k, 1), between).double()}


@pytest.mark.covers("I9")
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_every_unit_has_mean_0_and_variance_1_on_the_batch(activation: str) -> None:
    population = draw("krahenbuhl", range(4))
    population.activation = activation
    normalise_units(population, torch.ones(4, dtype=torch.bool), columns(4, between=0.0, gain=1.5), activation)
    for z in population.signals(population.layers).values():
        torch.testing.assert_close(z.mean(2), torch.zeros_like(z[:, :, 0]), rtol=0, atol=1e-12)
        torch.testing.assert_close(z.std(2, correction=0), torch.full_like(z[:, :, 0], 1.5))


def spread(population: DensePopulation) -> Tensor:
    c = rates(population)
    return c.max(dim=1).values / c.min(dim=1).values


@pytest.mark.covers("I9")
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "identity"])
def test_equalised_rates_are_equal_and_the_outputs_stay(activation: str) -> None:
    population = DensePopulation(range(4), activation=activation, widths=(6, 30, 4, 20, 3))
    for k in range(4):
        for name in population.layers:
            generator = torch.Generator().manual_seed(k)
            INITIALISERS["krahenbuhl"].fill(population.weights[name][k], gain=1.0, generator=generator)
    everyone = torch.ones(4, dtype=torch.bool)
    normalise_units(population, everyone, columns(4, between=0.0), activation)
    outputs, before = population.signals(["output"])["output"], spread(population)
    assert (before > 1.5).all()
    equalise_rates(population, torch.tensor([True, True, True, False]))
    after = spread(population)
    assert (after[:3] < 1.02).all() and after[3] == before[3]
    torch.testing.assert_close(population.signals(["output"])["output"], outputs)
    hidden = population.signals(["hidden.1"])["hidden.1"].std(2, correction=0)
    torch.testing.assert_close(hidden, hidden[:, :1].expand_as(hidden))  # still alike within the layer
    assert ((hidden[:3, 0] - 1).abs() > 1e-3).all()


@pytest.mark.covers("I9")
def test_rates_are_those_of_the_authors_code() -> None:
    population = draw("krahenbuhl", range(2))
    slopes = population.slopes()
    for k in range(2):
        for l, name in enumerate(population.layers):
            ratio = (slopes[name][k] ** 2).mean() / (population.weights[name][k] ** 2).mean()
            assert float(rates(population)[k, l]) == pytest.approx(sqrt(float(ratio)))


@pytest.mark.covers("I9")
def test_rates_are_left_alone_where_they_have_no_meaning() -> None:
    population = draw("krahenbuhl", range(3))
    population.activation = "tanh"
    normalise_units(population, torch.ones(3, dtype=torch.bool), columns(3, between=1.0), "tanh")
    z = population.signals(["hidden.1"])["hidden.1"]
    torch.testing.assert_close(z.std(2, correction=0), torch.ones_like(z[:, :, 0]))
    population.weights["output"][1] = 0.0  # no gradient passes: rates of 0 and of 0/0
    population.x[2] = 0.0  # the first layer's weights have no gradient, all others have
    before = [population.row(k).clone() for k in (1, 2)]
    equalise_rates(population, torch.ones(3, dtype=torch.bool))
    assert torch.equal(population.row(1), before[0]) and torch.equal(population.row(2), before[1])


def test_a_unit_that_is_the_same_for_every_sample_is_not_blown_up() -> None:
    population = draw("krahenbuhl", range(2))
    population.x[1] = 1.0  # one row of data, many times
    normalise_units(population, torch.ones(2, dtype=torch.bool), columns(2, between=1.0), "relu")
    assert population.row(1).isfinite().all()
    z = population.signals(["hidden.0"])["hidden.0"]
    torch.testing.assert_close(z[1], torch.zeros_like(z[1]), rtol=0, atol=1e-12)


def test_the_kin_of_relu_are_positively_homogeneous() -> None:
    found = {name for name in ACTIVATIONS if positively_homogeneous(name)}
    assert found == {"identity", "relu", "leaky_relu", "prelu", "maxout"}


@pytest.mark.covers("I13", "I3")
def test_with_tanh_glorot_keeps_what_the_standard_of_old_loses() -> None:
    forward, backward = signal_variances("glorot_uniform", "tanh")
    assert forward[-1] > 0.02 * forward[0] and (forward <= 1.1 * forward[0]).all()  # tanh itself shrinks a little
    assert backward[0] > 0.02 and (backward <= 1.1).all()
    forward, backward = signal_variances("fan_in_uniform", "tanh")  # a third of the variance: (1/3)¹⁹ = 8.6e-10
    assert forward[-1] < 1e-9 * forward[0] and backward[0] < 1e-8


@pytest.mark.covers("I13", "I5")
def test_with_relu_he_holds_and_glorot_halves_in_every_layer() -> None:
    forward, backward = signal_variances("he_normal", "relu")
    assert ((forward > 1) & (forward < 4)).all() and ((backward > 0.5) & (backward < 2)).all()
    halved, slopes = signal_variances("glorot_normal", "relu")  # the same draws, each √½ as large
    torch.testing.assert_close(halved, forward / 2 ** torch.arange(1, 21))
    torch.testing.assert_close(slopes, backward / 2 ** torch.arange(19, -1, -1))
    again, _ = signal_variances("glorot_normal", "relu", gain=gain_for("relu"))
    torch.testing.assert_close(again, forward)


@pytest.mark.covers("I13", "I6")
def test_with_selu_and_lecun_signals_normalise_themselves() -> None:
    forward, _ = signal_variances("lecun_normal", "selu")
    assert ((forward > 0.85) & (forward < 1.15)).all()
    signals, _ = propagate("lecun_normal", "selu", 20, 256, 1.0, 256, 0)
    h = ACTIVATIONS["selu"].function(signals[-1], {})
    assert abs(float(h.mean())) < 0.1 and 0.85 < float(h.var()) < 1.15
    loud, _ = signal_variances("lecun_normal", "selu", gain=1.2)
    assert float(loud[-1]) < 10 < 1.2**40  # a wrong start settles, where a linear network grew a thousandfold


@pytest.mark.covers("I13", "I4")
def test_with_sigmoid_the_gain_of_4_makes_up_for_the_slope_of_a_quarter() -> None:
    _, plain = signal_variances("glorot_uniform", "sigmoid", depth=6)
    _, fourfold = signal_variances("glorot_uniform", "sigmoid", depth=6, gain=gain_for("sigmoid"))
    assert plain[0] < 2 * (1 / 16) ** 5  # σ′ ≤ ¼: each layer takes at least 15 of 16 parts
    assert fourfold[0] > 1000 * plain[0]


@pytest.mark.covers("I13", "I2")
def test_with_small_random_weights_signals_do_fade() -> None:
    for activation in ("tanh", "relu"):
        forward, backward = signal_variances("normal", activation)
        assert forward[-1] < 1e-25 and backward[0] < 1e-25
    forward, backward = signal_variances("zeros", "tanh", depth=3)
    assert (forward == 0).all() and (backward[:-1] == 0).all()


@pytest.mark.covers("I13")
def test_means_of_signals_are_near_zero_with_tanh_and_not_with_sigmoid() -> None:
    for activation, mean in (("tanh", 0.0), ("sigmoid", 0.5)):
        signals, _ = propagate("glorot_uniform", activation, 5, 256, 1.0, 256, 0)
        for z in signals:
            assert float(ACTIVATIONS[activation].function(z, {}).mean()) == pytest.approx(mean, abs=0.05)


@pytest.mark.covers("I13", "I11")
def test_centred_weights_keep_signals_of_relu_at_the_gain_of_its_deviation() -> None:
    forward, _ = signal_variances("centred", "relu", gain=sqrt(2 * pi / (pi - 1)))
    assert ((forward > 2.5) & (forward < 3.5)).all()
    faded, backward = signal_variances("centred", "relu", gain=sqrt(2))
    assert faded[-1] < 1e-2 * faded[0] and ((backward > 0.8) & (backward < 1.2)).all()


def test_maxout_takes_all_its_pieces_and_lecun_keeps_its_variance() -> None:
    forward, backward = signal_variances("lecun_normal", "maxout", depth=10, width=64)
    assert ((forward > 0.5) & (forward < 2)).all() and ((backward > 0.5) & (backward < 2)).all()
