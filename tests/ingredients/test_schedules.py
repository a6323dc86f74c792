"""The rate at every step against torch.optim.lr_scheduler."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from trainwell.ingredients import SCHEDULES, schedule_factor
from trainwell.ingredients.schedules import one_cycle

TOTAL = 200


def factors(name: str, warmup: float = 0.0, total: int = TOTAL) -> list[float]:
    return [schedule_factor([name], [warmup], step, total)[0] for step in range(total)]


def of_torch(build: Callable[[Any], Any], total: int = TOTAL) -> list[float]:
    """The factors on a rate of 1 that torch's scheduler gives at each update."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler, rates = build(optimizer), []
    for _ in range(total):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.covers("S1")
def test_constant_stays() -> None:
    assert factors("constant") == [1.0] * TOTAL


@pytest.mark.covers("S6")
def test_cosine_is_torchs_at_every_step() -> None:
    theirs = of_torch(lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=TOTAL))
    assert factors("cosine") == pytest.approx(theirs, abs=1e-12)


@pytest.mark.covers("S6")
def test_one_cycle_has_torchs_shape_and_values() -> None:
    total = 101
    theirs = of_torch(lambda o: lr_scheduler.OneCycleLR(o, max_lr=1.0, total_steps=total + 1), total)
    # torch puts the peak on update 0.3·total − 1 and the end on the last one; ours are shares of the run
    peak, end = 0.3 * (total + 1) - 1, total
    for t, rate in enumerate(theirs):
        s = 0.3 * t / peak if t <= peak else 0.3 + 0.7 * (t - peak) / (end - peak)
        assert one_cycle(s) == pytest.approx(rate, abs=1e-9), t


@pytest.mark.covers("S6")
def test_one_cycle_rises_from_a_25th_for_three_tenths_and_falls_to_four_millionths() -> None:
    rates = factors("one-cycle", total=1000)
    assert rates[0] == pytest.approx(1 / 25)
    assert max(rates) == pytest.approx(1.0) and rates.index(max(rates)) == 300
    assert all(a < b for a, b in zip(rates[:300], rates[1:301], strict=True))
    assert all(a > b for a, b in zip(rates[300:], rates[301:], strict=False))
    assert one_cycle(1.0) == pytest.approx(4e-6)


@pytest.mark.covers("S6")
@pytest.mark.parametrize("name", list(SCHEDULES))
def test_warm_up_is_torchs_linear_rise_times_the_schedule(name: str) -> None:
    rise = 20
    ramp = of_torch(lambda o: lr_scheduler.LinearLR(o, start_factor=1 / rise, total_iters=rise - 1))
    expected = [a * b for a, b in zip(ramp, factors(name), strict=True)]
    assert factors(name, warmup=rise / TOTAL) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", list(SCHEDULES))
@pytest.mark.parametrize("warmup", [0.0, 0.003, 0.5, 0.999])
@pytest.mark.parametrize("total", [1, 2, 7, 500])
def test_factors_stay_between_zero_and_one_whatever_the_length(name: str, warmup: float, total: int) -> None:
    assert all(0 < factor <= 1 for factor in factors(name, warmup, total))


@pytest.mark.covers("S6")
def test_each_member_has_a_schedule_and_a_warm_up_of_its_own() -> None:
    names, warmups = list(SCHEDULES), [0.0, 0.1, 0.4]
    for step in (0, 5, 77, TOTAL - 1):
        together = schedule_factor(names, warmups, step, TOTAL)
        assert together == [schedule_factor([n], [w], step, TOTAL)[0] for n, w in zip(names, warmups, strict=True)]
