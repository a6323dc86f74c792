"""Gradients, clipping, first weights and rows of the matrix, against plain torch and finite differences."""

from collections.abc import Callable
from math import log, sqrt

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from trainwell import ingredients as registered
from trainwell.base import InputError, Seeds, stream_seed
from trainwell.data.batches import Samples
from trainwell.engine import Mix, Population
from trainwell.ingredients import ACTIVATIONS, INITIALISERS, InitialiserSettings
from trainwell.networks import Blueprint
from trainwell.plan import Plan
from trainwell.testing.members import Case

Loss = Callable[[Tensor, Tensor, dict[str, float], Tensor | None], Tensor]  # z (B, C), y, hypers, weights (C,)


def focal(z: Tensor, y: Tensor, h: dict[str, float], w: Tensor | None) -> Tensor:
    """Lin 2017 on the smoothed target, class by class."""
    ε, p = h["label_smoothing"], torch.softmax(z, 1)
    t = (1 - ε) * F.one_hot(y, z.shape[1]).to(z) + ε / z.shape[1]
    return -(t * (1 if w is None else w) * (1 - p) ** h["focusing"] * p.log()).sum(1).mean()


def binary_focal(z: Tensor, y: Tensor, h: dict[str, float], w: Tensor | None) -> Tensor:
    """Lin 2017 on the smoothed target, label by label."""
    ε, p = h["label_smoothing"], torch.sigmoid(z)
    t, γ = (1 - ε) * y.T + ε / 2, h["focusing"]
    positive = t * (1 if w is None else w) * (1 - p) ** γ * p.log()
    return -(positive + (1 - t) * p**γ * (1 - p).log()).mean()


LOSSES: dict[str, Loss] = {
    "cross_entropy": lambda z, y, h, w: F.cross_entropy(
        z, y, weight=w, label_smoothing=h["label_smoothing"], reduction="none"
    ).mean(),
    "binary_cross_entropy": lambda z, y, h, w: F.binary_cross_entropy_with_logits(
        z, (1 - h["label_smoothing"]) * y.T + h["label_smoothing"] / 2, pos_weight=w
    ),
    "focal": focal,
    "binary_focal": binary_focal,
    "mse": lambda z, y, h, w: F.mse_loss(z, y.T),
    "mae": lambda z, y, h, w: F.l1_loss(z, y.T),
    "rmse": lambda z, y, h, w: F.mse_loss(z, y.T).sqrt(),
    "huber": lambda z, y, h, w: F.huber_loss(z, y.T, delta=h["delta"]),
    "quantile": lambda z, y, h, w: torch.where(
        y.T > z, h["quantile"] * (y.T - z), (1 - h["quantile"]) * (z - y.T)
    ).mean(),
}
GRADIENT_CASES = [
    *(Case(f"loss {name}", {"loss.name": name}) for name in registered.LOSSES),
    *(Case(f"activation {name}", {"network.activation": name}) for name in ACTIVATIONS),
    Case("batch norm", {"network.norm": "batch", "network.residual": True, "network.depth": 3}, own_batches=True),
    *(Case(f"norm {name}", {"network.norm": name}, cardinalities=(4, 9)) for name in registered.NORMS),
    Case("norm behind", {"network.norm": "batch", "network.norm_place": "after", "network.activation": "maxout"}),
    Case("residual from the input on", {"network.residual": True, "network.width": 6}),
]


def name_in_module(name: str) -> str:
    """Written out again, not taken from the code under test."""
    parts = name.split(".")
    if parts[0] == "embedding":
        return f"embeddings.{parts[1]}.weight"
    if parts[-1] in ACTIVATIONS.hypers:
        return f"learned.{parts[1]}.{parts[2]}"
    return f"norms.{parts[1]}.{parts[3]}" if "norm" in parts else name


@pytest.mark.covers("B4", "H3")
@pytest.mark.parametrize("case", GRADIENT_CASES, ids=str)
@pytest.mark.parametrize("step", [0, 2], ids=["full batch", "last short batch"])
def test_gradients_are_plain_autograds_through_the_member_alone(case: Case, step: int) -> None:
    course = case.course(range(3))
    p, batch = course.population, course.feed.batch(step).of_members(course.groups)
    modules = [p.member(k).train() for k in range(3)]
    losses = p.backward(batch)
    gradients = p.layout.views(p.gradient)
    assert batch.y is not None and batch.x.shape[2] == (16 if step == 0 else 8)
    for k, module in enumerate(modules):
        g = min(k, batch.x.shape[0] - 1)
        z = module(batch.x[g].T, batch.categories[g].T)
        h = {name: float(column[k]) for name, column in p.columns.items()}
        weights = None if p.class_weights is None else p.class_weights[k]
        loss = LOSSES[p.plans[k].loss.name](z, batch.y[g], h, weights)
        loss.backward()
        assert losses[k].item() == pytest.approx(loss.item(), rel=1e-10)
        theirs = dict(module.named_parameters())
        assert {name_in_module(name) for name in gradients} == set(theirs)
        for name, ours in gradients.items():
            slope = theirs[name_in_module(name)].grad
            assert slope is not None
            torch.testing.assert_close(ours[k].reshape(slope.shape), slope, rtol=1e-8, atol=1e-10)


@pytest.mark.covers("B4", "R2")
@pytest.mark.parametrize(
    "case",
    [
        Case("dropout", regularisers=("dropout", "input_noise", "mixup"), own_batches=True),
        Case("everything", {"network.norm": "batch", "network.residual": True}, (4, 9), True, ("dropout",)),
    ],
    ids=str,
)
def test_gradients_are_the_centred_differences_of_the_loss(case: Case) -> None:
    course = case.course(range(4))
    p, batch = course.population, course.feed.batch(0).of_members(course.groups)
    p.backward(batch)
    gradient, ε = p.gradient.clone(), 1e-6

    def loss() -> Tensor:
        return p.objective(batch)

    for column in torch.randperm(p.layout.size, generator=torch.Generator().manual_seed(0))[:60].tolist():
        p.theta[:, column] += ε
        above = loss()
        p.theta[:, column] -= 2 * ε
        below = loss()
        p.theta[:, column] += ε
        torch.testing.assert_close((above - below).detach() / (2 * ε), gradient[:, column], rtol=1e-5, atol=1e-8)


def population(edits: list[dict], blueprint: Blueprint | None = None, dtype: torch.dtype = torch.float64) -> Population:
    standard = {"loss.name": "mse", "optimizer.name": "sgd", "schedule.name": "constant"}
    standard |= {"network.width": 4, "optimizer.weight_decay": 0.0}
    plans = [Plan().edited({**standard, **own}, by="user", why="test") for own in edits]
    seeds = [Seeds.of(0, k) for k in range(len(edits))]
    part = plans[0].network
    blueprint = blueprint or Blueprint(3, 2, depth=2, width=4, activation=part.activation)
    return Population(blueprint, plans, seeds, dtype=dtype)


def step_with(p: Population, gradient: Tensor, rate: float = 1.0) -> Tensor:
    """How θ changes when G is this."""
    before = p.theta.clone()
    p.gradient.copy_(gradient)
    p.update(torch.full((len(p), 1), rate, dtype=p.theta.dtype))
    return p.theta - before


@pytest.mark.covers("R9")
def test_each_member_is_clipped_to_its_own_threshold_keeping_its_direction() -> None:
    thresholds = [0.5, 2.0, 1e9, None, 3.0]
    p = population([{"regularisation.clip_norm": c} for c in thresholds])
    g = torch.randn(p.theta.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    g = 3 * g / g.norm(dim=1, keepdim=True)
    p.load(torch.zeros_like(p.theta), p.statistics)
    change = -step_with(p, g)
    assert change.norm(dim=1).tolist() == pytest.approx([0.5, 2.0, 3.0, 3.0, 3.0], rel=1e-12)
    torch.testing.assert_close(F.cosine_similarity(change, g), torch.ones(5, dtype=torch.float64), rtol=1e-12, atol=0)
    assert change[2].equal(g[2]) and change[3].equal(g[3])


@pytest.mark.covers("R9")
def test_clipping_is_torchs() -> None:
    p = population([{"regularisation.clip_norm": 0.7}])
    p.load(torch.zeros_like(p.theta), p.statistics)
    g = torch.randn(p.theta.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    theirs = torch.nn.Parameter(torch.zeros_like(g))
    theirs.grad = g.clone()
    torch.nn.utils.clip_grad_norm_([theirs], 0.7)
    torch.testing.assert_close(-step_with(p, g), theirs.grad, rtol=1e-5, atol=0)  # torch adds 1e-6 to the norm


@pytest.mark.covers("R9")
def test_a_gradient_of_zero_is_not_clipped_to_nan() -> None:
    p = population([{"regularisation.clip_norm": 0.5}, {}])
    assert step_with(p, torch.zeros_like(p.theta)).abs().max() == 0


def test_a_member_without_a_threshold_is_untouched_by_others_that_have_one_whatever_its_gradient() -> None:
    alone = population([{}], dtype=torch.float32)
    together = population([{}, {"regularisation.clip_norm": 1.0}], dtype=torch.float32)
    g = torch.full_like(together.theta, 1e25)  # its square overflows, itself it does not
    assert step_with(together, g, 1e-26)[0].equal(step_with(alone, g[:1], 1e-26)[0])


@pytest.mark.covers("I12", "A11")
@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_hidden_weights_start_by_the_scheme_of_their_activation(activation: str) -> None:
    pieces = 2 if activation == "maxout" else 1
    blueprint = Blueprint(300, 2, depth=1, width=200, activation=activation, pieces=pieces)
    p = population([{"network.activation": activation}], blueprint)
    he, lecun, glorot = sqrt(2 / 300), sqrt(1 / 300), sqrt(2 / 500)
    bounded = dict.fromkeys(("identity", "tanh", "sigmoid", "softsign", "hard_sigmoid", "hard_tanh"), glorot)
    expected = {**bounded, "selu": lecun, "maxout": lecun}.get(activation, he)
    assert float(p.weights["hidden.0.weight"].detach().std()) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("name", list(INITIALISERS))
def test_a_scheme_that_is_named_starts_all_weights_with_its_gain(name: str) -> None:
    p = population([{"initialiser.name": name, "initialiser.gain": 2.0}], Blueprint(300, 150, depth=1, width=200))
    for layer, shape in (("hidden.0", (200, 300)), ("output", (150, 200))):
        generator = torch.Generator().manual_seed(stream_seed(p.seeds[0].init, f"{layer}.weight"))
        drawn = torch.empty(shape, dtype=torch.float64)
        activation = "identity" if layer == "output" else "relu"
        own = InitialiserSettings("auto", activation, 0.1, {}, layer == "hidden.0", layer == "output")
        INITIALISERS[name].fill(drawn, gain=2.0, generator=generator, settings=own)
        assert p.weights[f"{layer}.weight"][0].equal(drawn)


def test_biases_start_at_zero_and_norms_at_the_identity() -> None:
    p = population([{"network.norm": "batch"}], Blueprint(3, 2, (5,), depth=2, width=4, norm="batch"))
    assert all((view == 0).all() for name, view in p.weights.items() if name.endswith("bias"))
    assert all((view == 1).all() for name, view in p.weights.items() if name.endswith("norm.weight"))
    assert all((view == float("var" in name)).all() for name, view in p.running.items())
    assert p.weights["embedding.0.weight"].abs().max() > 0


@pytest.mark.covers("B2")
def test_the_first_loss_is_what_chance_predicts() -> None:
    g = torch.Generator().manual_seed(0)
    p = population([{"loss.name": "cross_entropy"}] * 20, Blueprint(30, 7, depth=2, width=64))
    y = torch.randint(7, (1, 500), generator=g)
    x = torch.randn(1, 30, 500, generator=g, dtype=torch.float64)
    losses = p.losses(p.forward(Samples(x, torch.zeros(1, 0, 500, dtype=torch.int64))), y, smooth=False).mean(dim=1)
    assert (losses / log(7) - 1).abs().max() < 0.03


def test_first_weights_depend_on_the_members_own_stream_alone() -> None:
    seeds = [Seeds(1, 0, 0), Seeds(2, 0, 0), Seeds(1, 5, 6)]
    plan = Plan().edited({"loss.name": "mse"}, by="user", why="test")
    p = Population(Blueprint(3, 2), [plan] * 3, seeds)
    assert p.theta[0].equal(p.theta[2]) and not p.theta[0].equal(p.theta[1])
    assert Population(Blueprint(3, 2), [plan], seeds[1:2]).theta[0].equal(p.theta[1])


def test_rates_follow_each_members_own_rate_schedule_and_warm_up() -> None:
    p = population(
        [
            {"optimizer.learning_rate": 0.1, "schedule.name": "cosine"},
            {"optimizer.learning_rate": 0.2, "schedule.warmup": 0.5},
            {"optimizer.learning_rate": 0.4},
        ]
    )
    p.step = 24
    cosine = 0.05 * (1 + torch.cos(torch.tensor(torch.pi * 0.24))).item()
    assert p.rates(100).flatten().tolist() == pytest.approx([cosine, 0.2 * 0.5, 0.4], rel=1e-6)


def test_keeping_rows_keeps_all_that_belongs_to_them_in_the_order_given() -> None:
    course = Case("all", {"network.norm": "batch"}, regularisers=("dropout",)).course(range(6))
    p = course.population
    for step in range(3):
        p.backward(course.feed.batch(step))
        p.update(p.rates(54))
    old = {
        name: t.clone()
        for name, t in course.tensors().items()
        if not name.startswith("best.") and name not in ("step", "portion")
    }
    plans, seeds = list(p.plans), list(p.seeds)
    rows = torch.tensor([4, 0, 3])
    p.keep(rows)
    for name, tensor in course.tensors().items():
        if name in old:
            assert tensor.equal(old[name][rows]), name
    assert p.members.tolist() == [4, 0, 3] and len(p) == 3
    assert p.plans == [plans[i] for i in (4, 0, 3)] and p.seeds == [seeds[i] for i in (4, 0, 3)]
    p.theta.zero_()
    assert all((view == 0).all() for view in p.weights.values()), "weights must be views into the new matrix"


def test_a_copied_row_brings_weights_statistics_and_state_but_keeps_its_own_hyperparameters() -> None:
    course = Case("all", {"network.norm": "batch"}).course(range(3))
    p = course.population
    p.backward(course.feed.batch(0))
    p.update(p.rates(54))
    rates = p.columns["learning_rate"].clone()
    p.copy_row(2, 0)
    for matrix in (p.theta, p.statistics, *p.state.values()):
        assert matrix[0].equal(matrix[2]) and not matrix[0].equal(matrix[1])
    assert p.columns["learning_rate"].equal(rates)


def test_a_mixed_row_is_the_weighted_mean_of_others_and_reads_no_row_beside_them() -> None:
    course = Case("mixed", {"network.norm": "batch"}).course(range(4))
    p = course.population
    p.backward(course.feed.batch(0))
    p.update(p.rates(54))
    p.theta[3] = float("nan")
    expected = [0.3 * matrix[0] + 0.7 * matrix[2] for matrix in (p.theta, p.statistics, *p.state.values())]
    p.mix_row({0: 0.3, 2: 0.7}, 1)
    for matrix, mean in zip((p.theta, p.statistics, *p.state.values()), expected, strict=True):
        torch.testing.assert_close(matrix[1], mean, rtol=1e-12, atol=1e-15)
    p.mix_row({1: 1.0}, 3)
    assert p.theta[3].equal(p.theta[1]), "a diverged row can be mended"


def test_shares_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(InputError, match=r"^The shares of a mix must add up to 1, but add up to 1\.5; divide each"):
        Mix(0, {1: 1.0, 2: 0.5})


@pytest.mark.parametrize(("column", "value"), [("dropout", 0.5), ("clip_norm", 1e-3), ("learning_rate", 0.3)])
def test_an_edited_hyperparameter_takes_effect_for_its_row_alone(column: str, value: float) -> None:
    edited, plain = (Case("plain").course(range(3)) for _ in range(2))
    edited.population.edit(torch.tensor([1]), column, value)
    for course in (edited, plain):
        course.population.backward(course.feed.batch(0))
        course.population.update(course.population.rates(54))
    same = (edited.population.theta == plain.population.theta).all(dim=1)
    changed = (edited.population.state["m"] == plain.population.state["m"]).all(dim=1) & same
    assert changed.tolist() == [True, False, True]


def test_a_member_gives_the_populations_outputs() -> None:
    course = Case("all", {"network.norm": "batch", "network.residual": True}, (4,), regularisers=("dropout",)).course(
        range(3)
    )
    p, batch = course.population, course.feed.batch(0)
    p.backward(batch)
    p.update(p.rates(54))
    z = p.forward(batch)
    for k in range(3):
        torch.testing.assert_close(p.member(k)(batch.x[0].T, batch.categories[0].T), z[k].T, rtol=1e-9, atol=1e-10)
        assert p.member(k).dropout.p == p.plans[k].regularisation.dropout


def test_members_that_differ_in_structure_are_refused_with_the_path_and_both_values() -> None:
    with pytest.raises(InputError) as caught:
        population([{"network.width": 4}, {"network.width": 5}])
    assert str(caught.value) == "Members of one population must agree in network.width, but have 4 and 5."
