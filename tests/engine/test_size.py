"""What a training takes is estimated before it begins, and no more members are trained at once than fit."""

import pytest

from trainwell.base import InputError, Seeds
from trainwell.engine import Population
from trainwell.engine.size import (
    SHARE,
    batch_that_fits,
    check_fits,
    member_bytes,
    members_that_fit,
    pass_bytes,
    portion_that_fits,
)
from trainwell.networks import Blueprint
from trainwell.plan import Plan


def setting(**values: object) -> tuple[Blueprint, Plan]:
    plan = Plan().edited({"network.width": 64, "loss.name": "mse", **values}, by="user", why="test")
    return Blueprint.of(plan, inputs=10, outputs=1), plan


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"optimizer.name": "sgd"},
        {"regularisation.ema_decay": 0.9, "network.norm": "batch"},
        {"training.precision": "bfloat16"},
    ],
    ids=str,
)
def test_what_stays_of_a_member_is_what_its_tensors_take(values: dict[str, object]) -> None:
    blueprint, plan = setting(**values)
    p = Population(blueprint, [plan] * 2, [Seeds.of(0, k) for k in range(2)])
    kept = [p.theta, p.statistics, *p.state.values(), p.theta, p.statistics]  # with the best ones
    exact = 2 * sum(t.nbytes for t in kept) + p.gradient.nbytes
    exact += p.theta.nbytes // 2 if plan.training.precision == "bfloat16" else 0
    assert 2 * member_bytes(blueprint, plan) == pytest.approx(exact, rel=0.02)


def test_passes_take_more_with_larger_batches_and_less_in_halves() -> None:
    blueprint, plan = setting()
    double = plan.edited({"training.batch_size": 512}, by="user", why="test")
    halves = plan.edited({"training.precision": "bfloat16"}, by="user", why="test")
    slopes = 4 * blueprint.layout.size
    once, twice, half = (pass_bytes(blueprint, p) - slopes for p in (plan, double, halves))
    assert twice == 2 * once == 4 * half


def test_as_many_members_as_fit() -> None:
    blueprint, plan = setting()
    each, passing = member_bytes(blueprint, plan), pass_bytes(blueprint, plan)
    room = int((5 * each + passing) / SHARE) + 8
    assert members_that_fit(blueprint, plan, wanted=64, free=room) == 5
    assert members_that_fit(blueprint, plan, wanted=3, free=room) == 3
    assert portion_that_fits(blueprint, plan, members=5, free=room) == 1
    assert portion_that_fits(blueprint, plan, members=5, free=room + int(2 * passing / SHARE) + 8) == 3
    assert portion_that_fits(blueprint, plan, members=5, free=1 << 40) == 5


def test_not_even_one_is_refused_in_one_line() -> None:
    blueprint, plan = setting(**{"network.width": 20_000})
    message = r"^One network of this size takes about \d+\.\d GiB in training, and 1\.0 GiB are free; choose a smaller "
    with pytest.raises(InputError, match=message):
        check_fits(blueprint, plan, free=1 << 30)
    assert members_that_fit(blueprint, plan, wanted=4, free=1 << 30) == 0


def test_the_estimate_needs_no_memory_itself() -> None:
    blueprint, plan = setting(**{"network.width": 200_000})
    assert member_bytes(blueprint, plan) > 1 << 40


def test_a_population_computes_in_portions_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    blueprint, plan = setting()
    members = [plan] * 6, [Seeds.of(0, k) for k in range(6)]
    assert Population(blueprint, *members).passes.portions.size == 6
    room = int((6 * member_bytes(blueprint, plan) + 2 * pass_bytes(blueprint, plan)) / SHARE) + 8
    monkeypatch.setenv("TRAINWELL_MEMORY", str(room))
    assert Population(blueprint, *members).passes.portions.size == 2


def test_a_batch_is_halved_until_one_network_fits() -> None:
    blueprint, plan = setting(**{"training.batch_size": 256})
    each = member_bytes(blueprint, plan)
    quarter = plan.edited({"training.batch_size": 64}, by="user", why="test")
    free = int((each + pass_bytes(blueprint, quarter)) / SHARE) + 8
    assert batch_that_fits(blueprint, plan, free=free) == 64
    assert batch_that_fits(blueprint, plan, free=1 << 40) == 256
