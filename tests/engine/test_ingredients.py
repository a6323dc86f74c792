"""Ingredients at work in the engine, each member with its own: against plain torch, or worked out by hand."""

from collections import Counter
from math import sqrt
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from trainwell.base import InputError, Seeds
from trainwell.base.streams import stream_seed
from trainwell.data.batches import Feed, Samples
from trainwell.engine import Course, Population, judge, train
from trainwell.engine.probe import PopulationProbe
from trainwell.networks import Blueprint
from trainwell.plan import Plan
from trainwell.testing.members import Case

STANDARD = {
    "loss.name": "mse",
    "optimizer.name": "sgd",
    "optimizer.learning_rate": 0.05,
    "optimizer.weight_decay": 0.0,
    "schedule.name": "constant",
    "regularisation.dropout": 0.0,
    "network.width": 6,
    "network.activation": "tanh",
    "training.batch_size": 8,
    "training.epochs": 5,
    "training.patience": 1000,
}
ROWS, INPUTS = 40, 4


def course(members: list[dict[str, Any]], y: Tensor | None = None, *, outputs: int = 2, **more: Any) -> Course:
    """Members that differ by these plan values, on the same batches; 4 steps an epoch, 20 in all."""
    plans = [Plan().edited({**STANDARD, **more.pop("edits", {}), **own}, by="user", why="test") for own in members]
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, INPUTS, generator=draw, dtype=torch.float64)
    y = x @ torch.randn(INPUTS, outputs, generator=draw, dtype=torch.float64) if y is None else y
    samples = Samples(x, torch.zeros(ROWS, 0, dtype=torch.int64), y)
    feed = Feed(samples, torch.arange(32)[None], torch.arange(32, ROWS)[None], [0], plans[0].training.batch_size)
    seeds = [Seeds(0, 0, 0)] * len(plans)
    return Course(
        Blueprint.of(plans[0], INPUTS, outputs), plans, seeds, feed, [0] * len(plans), dtype=torch.float64, **more
    )


def finish(given: Course, until: int | None = None) -> Course:
    for _ in train(given, until=until):
        pass
    return given


@pytest.mark.covers("R8")
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_averages_of_weights_are_torchs_and_are_what_is_judged_and_kept(norm: str) -> None:
    edits = {"network.norm": norm}
    own: list[dict[str, Any]] = [{}, {"regularisation.ema_decay": 0.8}, {"regularisation.swa_start": 0.5}]
    given = course([{**edits, **one} for one in own])
    module = given.population.member(0).train()
    ema = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(0.8), use_buffers=True)
    swa = AveragedModel(module, use_buffers=True)
    optimizer = torch.optim.SGD(module.parameters(), 0.05)
    for moment in train(given):
        batch = given.feed.batch(moment.step - 1)
        assert batch.y is not None
        optimizer.zero_grad()
        F.mse_loss(module(batch.x[0].T), batch.y[0].T).backward()
        optimizer.step()
        ema.update_parameters(module)
        if moment.step > 10:
            swa.update_parameters(module)
        if moment.step in (1, 9, 11, 19):
            expected = [module, ema.module, swa.module if moment.step > 10 else module]
            for k, theirs in enumerate(expected):
                ours = given.population.member(k)
                for (name, a), b in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
                    if "num_batches" not in name:
                        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14, msg=f"{moment.step} {k} {name}")
            loss, _ = judge(given.population, given.feed.samples, given.feed.validation, None)
            held = given.feed.samples.take(given.feed.validation[0])
            assert held.y is not None
            for k, theirs in enumerate(expected):
                mode = theirs.training
                by_hand = F.mse_loss(theirs.eval()(held.x[0].T), held.y[0].T)
                theirs.train(mode)
                assert float(loss[k]) == pytest.approx(by_hand.item(), rel=1e-10)


def test_a_member_without_an_average_lives_as_alone() -> None:
    alone, beside = course([{}]), course([{}, {"regularisation.ema_decay": 0.9}])
    assert finish(alone).best.theta[0].equal(finish(beside).best.theta[0])


@pytest.mark.covers("O9")
def test_schedule_free_is_judged_by_its_average_and_not_by_where_gradients_are_taken() -> None:
    given = course([{"optimizer.name": "schedule_free", "optimizer.learning_rate": 0.1}])
    finish(given, until=15)
    p = given.population
    assert p.shown()[0].equal(p.state["x"]) and not p.state["x"].equal(p.theta)
    named = p.layout.views(p.state["x"])["output.bias"][0].flatten()
    assert p.member(0).output.bias.equal(named)


@pytest.mark.covers("S6")
def test_the_rate_falls_when_validation_stands_still_as_torchs_does_for_each_member_alone() -> None:
    own = [{"plateau_factor": f, "plateau_patience": p, "plateau_threshold": 0.05} for f, p in ((0.5, 0), (0.1, 2))]
    edits = {"schedule.name": "plateau", "training.epochs": 14, "learning_rate": 0.3}
    given = course([{**edits, **one} for one in own])
    parameter = nn.Parameter(torch.zeros(1))
    theirs = []
    for one in own:
        sgd = torch.optim.SGD([parameter], 0.3)
        options = {"factor": one["plateau_factor"], "patience": one["plateau_patience"], "threshold": 0.05}
        theirs.append((sgd, torch.optim.lr_scheduler.ReduceLROnPlateau(sgd, **options)))
    seen = Counter()
    for moment in train(given):
        expected = [sgd.param_groups[0]["lr"] for sgd, _ in theirs]
        assert moment.learning_rate.tolist() == pytest.approx(expected, rel=1e-6)
        seen.update(expected)
        if moment.evaluation is not None:
            for (_, scheduler), loss in zip(theirs, moment.evaluation.loss.tolist(), strict=True):
                scheduler.step(loss)
    assert len(seen) > 3, "the rates should have fallen"


@pytest.mark.covers("R6")
def test_mixup_trains_each_member_on_its_own_mixture_of_the_same_pairs() -> None:
    given = course([{}, {"regularisation.mixup": 0.4}, {"regularisation.mixup": 2.0}])
    p, batch = given.population, given.feed.batch(0)
    assert batch.y is not None
    noise = p._noise.at(0, batch.x, INPUTS)
    assert noise is not None and noise.mixup is not None
    order, share = noise.mixup
    assert sorted(order[0].tolist()) == list(range(8)) and order[1].equal(order[0])
    assert share[0] == 1 and share[1] != share[2]
    losses = p.backward(batch)
    for k in range(3):
        λ, module = float(share[k]), p.member(k).train()
        mixed = λ * batch.x[0] + (1 - λ) * batch.x[0][:, order[k]]
        z = module(mixed.T)
        loss = λ * F.mse_loss(z, batch.y[0].T) + (1 - λ) * F.mse_loss(z, batch.y[0][:, order[k]].T)
        loss.backward()
        assert float(losses[k]) == pytest.approx(loss.item(), rel=1e-12)
        slope = module.hidden[0].get_parameter("weight").grad
        torch.testing.assert_close(p.layout.views(p.gradient)["hidden.0.weight"][k], slope, rtol=1e-10, atol=1e-12)


@pytest.mark.covers("R6")
def test_noise_on_the_inputs_has_each_members_own_strength_and_is_off_when_judging() -> None:
    given = course([{}, {"regularisation.input_noise": 0.1}, {"regularisation.input_noise": 0.4}])
    p, batch = given.population, given.feed.batch(0)
    p.load(p.theta[:1].expand_as(p.theta).clone(), p.statistics)
    normal = torch.Generator().manual_seed(stream_seed(0, "inputs", 0))
    noise = torch.randn(INPUTS, 8, generator=normal, dtype=torch.float32).double()
    losses = p.backward(batch)
    assert batch.y is not None
    for k, σ in enumerate((0.0, 0.1, 0.4)):
        by_hand = F.mse_loss(p.member(0)((batch.x[0] + σ * noise).T), batch.y[0].T)
        assert float(losses[k]) == pytest.approx(by_hand.item(), rel=1e-10)
    judged, _ = judge(p, given.feed.samples, given.feed.validation, None)
    assert judged[1:].equal(judged[:1].expand(2))


@pytest.mark.covers("R1")
def test_weights_never_pass_their_members_own_largest_norm() -> None:
    given = course([{"learning_rate": 0.3, "regularisation.max_norm": c} for c in (None, 0.3, 0.7)])
    norms = torch.zeros(3)
    for _ in train(given, until=19):
        norms = given.population.weights["hidden.0.weight"].detach().norm(dim=2).amax(dim=1)
        assert norms[1] <= 0.3 + 1e-12 and norms[2] <= 0.7 + 1e-12
    assert norms[0] > 0.7


@pytest.mark.covers("L6")
def test_classes_are_weighed_by_their_rarity_and_by_name_for_each_member_alone() -> None:
    y = torch.tensor(([0] * 6 + [1, 2]) * 5)
    edits = {"loss.name": "cross_entropy"}
    balance, by_name = {"loss.balance": 1.0}, {"loss.class_weights": {"b": 3.0}}
    own: list[dict[str, Any]] = [{}, balance, by_name, {**balance, **by_name}]
    given = course([{**edits, **one} for one in own], y, outputs=3, classes=("a", "b", "c"))
    counts = torch.bincount(y[:32], minlength=3).double()
    balanced = 32 / (3 * counts)  # scikit-learn's compute_class_weight("balanced")
    named = torch.tensor([1.0, 3.0, 1.0], dtype=torch.float64)
    expected = torch.stack([torch.ones(3, dtype=torch.float64), balanced, named, balanced * named])
    assert given.population.class_weights is not None
    torch.testing.assert_close(given.population.class_weights, expected)
    batch = given.feed.batch(0)
    assert batch.y is not None
    z = given.population.forward(batch)
    ours = given.population.losses(z, batch.y, smooth=True)
    for k in range(4):
        theirs = F.cross_entropy(z[k].T, batch.y[0], weight=expected[k], reduction="none")
        torch.testing.assert_close(ours[k], theirs)
    torch.testing.assert_close(
        given.population.losses(z, batch.y, smooth=False)[3], F.cross_entropy(z[3].T, batch.y[0], reduction="none")
    )


@pytest.mark.covers("L5")
def test_positives_of_a_rare_label_are_weighed_up() -> None:
    y = torch.tensor([[0.0], [0.0], [0.0], [1.0]] * 10, dtype=torch.float64)
    own = [{"loss.balance": 0.5}, {"loss.class_weights": {"yes": 6.0, "no": 2.0}}]
    given = course([{"loss.name": "binary_cross_entropy", **one} for one in own], y, outputs=1, classes=("no", "yes"))
    assert given.population.class_weights is not None
    torch.testing.assert_close(given.population.class_weights, torch.tensor([[sqrt(3)], [3.0]], dtype=torch.float64))


@pytest.mark.covers("A4")
def test_the_slopes_of_prelu_start_as_each_member_says_and_are_trained() -> None:
    given = course([{"network.activation": "prelu", "network.slope": s} for s in (0.25, 0.1)])
    first = given.population.weights["hidden.0.slope"].detach().clone()
    assert first.flatten(1).tolist() == [[0.25] * 6, [0.1] * 6]
    module = given.population.member(0).train()
    optimizer = torch.optim.SGD(module.parameters(), 0.05)
    for moment in train(given):
        batch = given.feed.batch(moment.step - 1)
        assert batch.y is not None
        optimizer.zero_grad()
        F.mse_loss(module(batch.x[0].T), batch.y[0].T).backward()
        optimizer.step()
        if moment.step == 19:
            ours = dict(given.population.member(0).named_parameters())
            for name, theirs in module.named_parameters():
                torch.testing.assert_close(ours[name], theirs, rtol=1e-10, atol=1e-12)
            assert not given.population.weights["hidden.0.slope"].equal(first)


@pytest.mark.covers("I11")
@pytest.mark.parametrize("form", ["weight", "centred"])
def test_weight_norm_is_trained_and_worked_into_the_weights_of_a_member_that_leaves(form: str) -> None:
    given = course([{"network.weight_norm": form, "network.norm": "batch"}, {"network.weight_norm": form}][:1] * 2)
    p = given.population
    v, length = p.weights["hidden.0.weight"].detach(), p.weights["hidden.0.length"].detach()
    torch.testing.assert_close(length, v.norm(dim=2, keepdim=True))
    finish(given, until=12)
    z = p.forward(given.feed.batch(0), shown=p.shown())
    member = p.member(1)
    torch.testing.assert_close(member(given.feed.batch(0).x[0].T), z[1].T)
    weight = member.hidden[0].get_parameter("weight")
    torch.testing.assert_close(weight.norm(dim=1, keepdim=True), p.weights["hidden.0.length"][1].detach().abs())
    if form == "centred":
        assert weight.mean(dim=1).abs().max() < 1e-12
    else:
        theirs = nn.utils.parametrizations.weight_norm(nn.Linear(INPUTS, 6).double())
        parts = dict(theirs.named_parameters())
        parts["parametrizations.weight.original0"].data = p.weights["hidden.0.length"][1].detach()
        parts["parametrizations.weight.original1"].data = p.weights["hidden.0.weight"][1].detach()
        torch.testing.assert_close(theirs.weight, weight)


@pytest.mark.covers("I8", "I9")
@pytest.mark.parametrize("scheme", ["lsuv", "krahenbuhl"])
def test_first_weights_that_look_at_data_do_so_for_their_members_alone(scheme: str) -> None:
    mixed = [{}, {"initialiser.name": scheme}, {"initialiser.name": scheme, "initialiser.gain": 0.5}]
    given, plain = course(mixed), course([{}])
    p = given.population
    assert p.theta[0].equal(plain.population.theta[0])
    probe = PopulationProbe(p, given.feed.samples.take(given.feed.train[:, :256]))
    for name, z in probe.signals(probe.layers).items():
        spread = z.flatten(1).var(dim=1, correction=0)
        assert spread[1] == pytest.approx(1, abs=0.1 if scheme == "lsuv" else 1e-9), name
        assert spread[2] == pytest.approx(0.25, rel=0.1), name


@pytest.mark.covers("A3")
def test_hidden_biases_may_start_a_little_above_zero() -> None:
    p = course([{"initialiser.bias": 0.1}, {}]).population
    for name in ("hidden.0.bias", "hidden.1.bias"):
        assert p.weights[name].detach().flatten(1).tolist() == [pytest.approx([0.1] * 6), [0.0] * 6]
    assert (p.weights["output.bias"] == 0).all()


@pytest.mark.covers("I4")
def test_first_weights_may_be_scaled_by_the_gain_of_the_activation() -> None:
    edits = {"network.activation": "sigmoid", "initialiser.name": "glorot_uniform"}
    p = course([edits, {**edits, "initialiser.activation_gain": True}]).population
    hidden, output = (p.weights[f"{name}.weight"].detach() for name in ("hidden.1", "output"))
    torch.testing.assert_close(hidden[1], 4 * hidden[0])
    assert output[1].equal(output[0]), "the output is linear: gain 1"


def test_a_fan_is_refused_where_a_scheme_has_none() -> None:
    with pytest.raises(InputError, match="Only schemes that scale their variance have a fan, so 'in' says nothing"):
        course([{"initialiser.name": "orthogonal", "initialiser.fan": "in"}])


def test_group_norm_is_refused_where_groups_do_not_divide_the_units() -> None:
    with pytest.raises(InputError, match="4 does not divide 6. Use 1, 2, 3, 6."):
        course([{"network.norm": "group", "network.groups": 4}])


@pytest.mark.covers("O10", "O7")
def test_members_with_epsilon_inside_and_outside_train_side_by_side() -> None:
    edits = {"optimizer.name": "adam", "optimizer.epsilon": 0.01}
    together = finish(course([{**edits, "optimizer.epsilon_place": place} for place in ("outside", "inside")]))
    assert not together.best.theta[0].equal(together.best.theta[1])
    for k, place in enumerate(("outside", "inside")):
        alone = finish(course([{**edits, "optimizer.epsilon_place": place}]))
        torch.testing.assert_close(alone.best.theta[0], together.best.theta[k], rtol=1e-9, atol=1e-12)


def test_a_population_can_be_begun_anew() -> None:
    given = course([{"optimizer.name": "adam"}])
    finish(given, until=3)
    given.population.restart()
    assert given.population.step == 0 and all((m == 0).all() for m in given.population.state.values())
    assert isinstance(given.population, Population) and Case("plain").plan(0).network.width == 16


def test_products_in_half_precision_change_little_and_leave_weights_and_slopes_in_full() -> None:
    edits = {"training.epochs": 20, "optimizer.name": "adam", "learning_rate": 0.01}
    whole, half = (finish(in_single_precision([{**edits, "training.precision": p}])) for p in ("float32", "bfloat16"))
    assert half.population.theta.dtype == half.population.gradient.dtype == torch.float32
    a, b = float(whole.best.loss[0]), float(half.best.loss[0])
    assert a != b and b == pytest.approx(a, rel=0.1)


def in_single_precision(members: list[dict[str, Any]]) -> Course:
    """The same course in float32."""
    given = course(members)
    whole = given.feed.samples
    assert whole.y is not None
    samples = Samples(whole.x.float(), whole.categories, whole.y.float())
    feed = Feed(samples, given.feed.train, given.feed.validation, given.feed.orders, given.feed.batch_size)
    return Course(given.blueprint, given.plans, given.seeds, feed, [0] * len(members))
