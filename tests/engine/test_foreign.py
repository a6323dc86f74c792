"""Populations of a user's module in training: against a plain loop, and under the laws of the conformance suite."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.networks.modules import MODULES
from trainwell.base import Seeds
from trainwell.data.batches import Feed, Samples
from trainwell.engine import Course, train
from trainwell.engine.evaluate import judge, outputs
from trainwell.networks.foreign import ModuleBlueprint
from trainwell.plan import Plan
from trainwell.testing.members import BATCH, LAWS, ROWS, TRAIN, Case

BLUEPRINTS: dict[tuple[str, str], ModuleBlueprint] = {}


def blueprint(name: str, way: str = "auto", **options: Any) -> ModuleBlueprint:
    """Made once: trying the ways takes longer than a step."""
    key = (name, f"{way} {options}")
    if key not in BLUEPRINTS:
        make, example, _ = MODULES[name]
        BLUEPRINTS[key] = ModuleBlueprint(make, example, way=way, **options)
    return BLUEPRINTS[key]


@dataclass(frozen=True)
class ModuleCase:
    """A population of a user's module, in the manner of the suite's cases."""

    name: str
    way: str = "auto"
    options: dict[str, Any] = field(default_factory=dict)
    dense: Case = field(default_factory=lambda: Case("module"))

    def __str__(self) -> str:
        return f"{self.name} by {self.way}"

    def plan(self, member: int, world: int = 0) -> Plan:
        return self.dense.plan(member, world)

    def samples(self, dtype: torch.dtype) -> Samples:
        """Rows like the module's example, and classes that follow from them."""
        example, draw = MODULES[self.name][1], torch.Generator().manual_seed(7)
        if example.is_floating_point():
            x = torch.randn(ROWS, *example.shape[1:], generator=draw, dtype=torch.float64).to(dtype)
        else:
            x = torch.randint(0, 11, (ROWS, *example.shape[1:]), generator=draw)
        scores = x.flatten(1).double() @ torch.randn(x[0].numel(), 3, generator=draw, dtype=torch.float64)
        return Samples(x, torch.zeros(ROWS, 0), (scores - scores.mean(0)).argmax(1), samples_first=True)

    def course(
        self, who: Sequence[int], plans: Sequence[Plan] | None = None, *, dtype: torch.dtype = torch.float64
    ) -> Course:
        plans = [self.plan(k) for k in who] if plans is None else plans
        own = self.dense.own_batches
        seeds = [Seeds.of(0, k, shared_data=not own) for k in who]
        rows = [torch.randperm(ROWS, generator=torch.Generator().manual_seed(g)) for g in (who if own else [0])]
        feed = Feed(
            self.samples(dtype),
            torch.stack([r[:TRAIN] for r in rows]),
            torch.stack([r[TRAIN:] for r in rows]),
            [s.order for s in (seeds if own else seeds[:1])],
            BATCH,
        )
        groups = range(len(who)) if own else [0] * len(who)
        return Course(blueprint(self.name, self.way, **self.options), plans, seeds, feed, groups, dtype=dtype)


OWN = Case(
    "own batches", own_batches=True, regularisers=("dropout", "input_noise", "mixup", "ema_decay", "l2", "max_norm")
)
CASES = [
    ModuleCase("mlp"),
    ModuleCase("mlp", "vmap", dense=OWN),
    ModuleCase("mlp with dropout", "batched", {"own_rates": False}, OWN),
    ModuleCase("cnn", dense=OWN),
    ModuleCase("residual with dropout"),
    ModuleCase("embedding", "loop"),
]


SLOW = ModuleCase("encoder with dropout"), ("alone-as-in-company", "a-nan-stays-in-its-row")  # 64 members in turn


@pytest.mark.parametrize(
    ("case", "law"),
    [(case, law) for case in CASES for law in LAWS] + [(SLOW[0], law) for law in LAWS if law not in SLOW[1]],
    ids=str,
)
def test_a_users_module_keeps_the_laws_of_members(case: ModuleCase, law: str) -> None:
    LAWS[law](cast(Case, case))


@pytest.mark.parametrize("way", ["batched", "vmap", "loop"])
@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_training_is_that_of_a_plain_loop_around_the_module(name: str, way: str) -> None:
    case = ModuleCase(name, way)
    plain = {"schedule.name": "constant", "schedule.warmup": 0.0, "label_smoothing": 0.0, "loss.balance": 0.0}
    plans = [case.plan(k).edited({**plain, "regularisation.clip_norm": None}, by="user", why="test") for k in range(3)]
    course = case.course(range(3), plans)
    modules = [course.population.member(k).train() for k in range(3)]
    optimizers = []
    for k, module in enumerate(modules):
        o = plans[k].optimizer
        β1, β2, ε = (plans[k].effective(f"optimizer.{name}") for name in ("momentum", "beta2", "epsilon"))
        optimizers.append(torch.optim.AdamW(module.parameters(), o.learning_rate, (β1, β2), ε, o.weight_decay))
    for moment in train(course, until=9):
        batch = course.feed.batch(moment.step - 1)
        assert batch.y is not None
        for k, (module, optimizer) in enumerate(zip(modules, optimizers, strict=True)):
            optimizer.zero_grad()
            loss = F.cross_entropy(module(batch.x[0]), batch.y[0])
            loss.backward()
            optimizer.step()
            assert moment.loss[k].item() == pytest.approx(loss.item(), rel=1e-8)
    for k, module in enumerate(modules):
        found = course.population.member(k).state_dict()
        for key, value in module.state_dict().items():
            if "num_batches" not in key:
                torch.testing.assert_close(found[key], value.detach(), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", ["mlp", "residual", "residual images", "embedding", "recurrent"])
def test_members_learn_and_are_judged_as_their_modules(name: str) -> None:
    course = ModuleCase(name).course(range(2))
    losses = torch.stack([moment.loss for moment in train(course)])
    assert [outcome.kind for outcome in course.outcomes] == ["finished"] * 2
    assert (losses[-9:].mean(0) < losses[:9].mean(0)).all()
    fresh = ModuleCase(name).course(range(2))
    p, feed = fresh.population, fresh.feed
    p.load(course.best.theta, course.best.statistics)
    z = outputs(p, feed.samples, feed.validation, None)
    loss, metric = judge(p, feed.samples, feed.validation, None)
    held = feed.samples.take(feed.validation[0])
    assert held.y is not None
    for k in range(2):
        plain = p.member(k)(held.x[0])
        torch.testing.assert_close(z[k].T, plain.detach(), rtol=1e-8, atol=1e-9)
        assert loss[k].item() == pytest.approx(F.cross_entropy(plain, held.y[0]).item(), rel=1e-8)
        assert metric[k].item() == pytest.approx((plain.argmax(1) == held.y[0]).double().mean().item())
    torch.testing.assert_close(loss, course.best.loss)


def test_every_parameter_is_trained_also_where_a_step_does_not_use_it() -> None:
    course = ModuleCase("branching").course(range(2))
    start = course.population.theta.clone()
    for _ in train(course, until=6):
        pass
    assert not torch.equal(course.population.theta, start)


@pytest.mark.parametrize(
    ("make", "target", "loss"),
    [
        (lambda: nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 1), nn.Flatten(0)), "numbers", "mse"),
        (lambda: nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 2)), "labels", "binary_cross_entropy"),
    ],
)
def test_numbers_and_labels_are_targets_too(make: Callable[[], nn.Module], target: str, loss: str) -> None:
    x = torch.randn(40, 6, dtype=torch.float64)  # as an example for a module of float32 too
    y = x[:, :1] if target == "numbers" else (x[:, :2] > 0).double()
    rows = torch.arange(40)[None]
    feed = Feed(Samples(x, torch.zeros(40, 0), y, samples_first=True), rows, rows, [1], 8)
    plan = Plan().edited({"loss.name": loss, "training.epochs": 2}, by="user", why="test")
    course = Course(
        ModuleBlueprint(make, x), [plan] * 2, [Seeds.of(0, k) for k in range(2)], feed, [0, 0], dtype=x.dtype
    )
    batch = feed.batch(0)
    assert batch.y is not None
    losses = course.population.objective(batch)
    for k in range(2):
        z = course.population.member(k)(batch.x[0])
        z = z.unsqueeze(1) if z.dim() == 1 else z
        function = F.mse_loss if target == "numbers" else F.binary_cross_entropy_with_logits
        smoothed = plan.effective("loss.label_smoothing") or 0.0
        wanted = batch.y[0].T if target == "numbers" else (1 - smoothed) * batch.y[0].T + smoothed / 2
        assert losses[k].item() == pytest.approx(function(z, wanted).item(), rel=1e-9)


def test_an_onlooker_sees_the_layers_of_a_module() -> None:
    course = ModuleCase("cnn").course(range(2))
    moment = next(iter(train(course, wants_layers=lambda step: True)))
    assert moment.layers is not None
    shapes = {layer.name: (tuple(layer.weight.shape), layer.activation_name) for layer in moment.layers}
    assert shapes == {
        "0.0": ((2, 4, 18), "identity"),
        "1": ((2, 6, 18), "identity"),
        "6": ((2, 3, 6), "identity"),
    }
    for layer in moment.layers:
        assert layer.gradient is not None and layer.gradient.shape == layer.weight.shape
        assert layer.activation is not None and layer.activation.shape[0::2] == (2, layer.weight.shape[1])


def test_samples_of_a_module_keep_their_shape_and_their_type() -> None:
    words = torch.arange(24).view(6, 2, 2)
    samples = Samples(words, torch.zeros(6, 0), torch.arange(6), samples_first=True)
    own = samples.take(torch.tensor([[0, 1, 2], [5, 4, 3]]))
    assert own.x.shape == (2, 3, 2, 2) and own.x.dtype == torch.int64 and own.x[1, 0].equal(words[5])
    assert own.y is not None and own.y.tolist() == [[0, 1, 2], [5, 4, 3]]
    members = own.of_members(torch.tensor([1, 0, 1]))
    assert members.samples_first and members.x[0].equal(own.x[1]) and members.x.shape == (3, 3, 2, 2)
    assert samples.take(torch.tensor([4])).x.shape == (1, 1, 2, 2)
