"""The rate at every step against torch.optim.lr_scheduler, the papers' formulas, and the table of N0."""

from collections.abc import Callable
from math import cos, exp, factorial, floor, log2, pi
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import lr_scheduler

from trainwell.base import Hyper, Registry
from trainwell.base.layout import Columns
from trainwell.ingredients import schedules
from trainwell.ingredients.schedules import SCHEDULES, Clock, Schedule, factors, reduce_on_plateau
from trainwell.testing import schedules as suite
from trainwell.testing.schedules import LAWS, column

TOTAL, PER_EPOCH = 200, 5


def rates(name: str, warmup: float = 0.0, total: int = TOTAL, per_epoch: int = PER_EPOCH, **h: float) -> list[float]:
    """The factor at every update of a run."""
    clock = Clock(torch.arange(total).unsqueeze(0), total, per_epoch)
    return factors([name], clock, {x: column([v]) for x, v in h.items()}, column([warmup]))[0].tolist()


def of_torch(build: Callable[[Any], Any], total: int = TOTAL) -> list[float]:
    """The factors on a rate of 1 that torch's scheduler gives at each update."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler, seen = build(optimizer), []
    for _ in range(total):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


def exactly(expected: list[float]) -> Any:
    return pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_keeps_the_laws(name: str, law: str) -> None:
    LAWS[law](name)


def relative(clock: Clock, h: Columns) -> Tensor:
    return clock.progress * h["k"] / h["k"].mean()


def half(clock: Clock, h: Columns) -> Tensor:
    return torch.full_like(clock.progress, 0.5)


def by_length(clock: Clock, h: Columns) -> Tensor:
    return torch.full_like(clock.progress, 1 / clock.steps.shape[1])


def above(clock: Clock, h: Columns) -> Tensor:
    return 1 + clock.progress


def greedy(clock: Clock, h: Columns) -> Tensor:
    return h["momentum"] * clock.progress


@pytest.mark.parametrize(
    ("fault", "law", "sentence"),
    [
        (relative, "alone-as-in-company", "has other factors than among others"),
        (relative, "others-do-not-matter", "the others' values reach a member"),
        (half, "hyperparameters-are-each-members-own", "k changes nothing"),
        (by_length, "all-steps-at-once", "drawn beforehand and in the run, factors differ"),
        (above, "between-zero-and-one", "leave 0 … 1"),
        (half, "documented", "is not a formula with its source"),
        (greedy, "own-hyperparameters-alone", "it reads the column 'momentum'"),
    ],
)
def test_a_faulty_schedule_breaks_a_law(
    fault: Callable[[Clock, Columns], Tensor], law: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = {"faulty": Schedule(fault, {"k": 0.5}, doc="Nothing."), "constant": SCHEDULES["constant"]}
    faulty = Registry("schedule", entries, hypers={"k": Hyper("k", above=0, most=1)})
    monkeypatch.setattr(suite, "SCHEDULES", faulty)
    monkeypatch.setattr(schedules, "SCHEDULES", faulty)
    with pytest.raises(AssertionError, match=sentence):
        LAWS[law]("faulty")


@pytest.mark.covers("S1")
def test_constant_stays() -> None:
    assert rates("constant") == [1.0] * TOTAL


@pytest.mark.covers("S2")
def test_step_decay_is_torchs_at_every_step() -> None:
    theirs = of_torch(lambda o: lr_scheduler.StepLR(o, step_size=3 * PER_EPOCH, gamma=0.3))
    assert rates("step", factor=0.3, every=3.0) == exactly(theirs)
    assert rates("step")[10 * PER_EPOCH - 1 : 10 * PER_EPOCH + 1] == [1.0, 0.5]  # standard: half after ten epochs


@pytest.mark.covers("S2")
def test_a_drop_comes_on_its_step_though_its_time_is_rounded() -> None:
    ours = rates("step", total=100, per_epoch=10, factor=0.9, every=0.1)  # 0.3/0.1 is 2.9999999999999996
    assert ours == exactly([0.9**t for t in range(100)])
    every = torch.tensor([[0.7]])  # float32: 0.69999999
    clock = Clock(torch.arange(100).unsqueeze(0), 100, 10)
    ours = factors(["step"], clock, {"every": every, "factor": torch.tensor([[0.5]])}, torch.zeros(1, 1))
    assert ours[0].tolist() == [0.5 ** (t // 7) for t in range(100)]


@pytest.mark.covers("S3")
def test_inverse_time_gives_the_table_of_the_lecture() -> None:
    rate = [0.2 * f for f in rates("inverse_time", decay=1.0)]
    assert [round(rate[epoch * PER_EPOCH], 3) for epoch in (1, 2, 3, 4)] == [0.1, 0.067, 0.05, 0.04]
    theirs = of_torch(lambda o: lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + 0.3 * t / PER_EPOCH)))
    assert rates("inverse_time", decay=0.3) == exactly(theirs)


@pytest.mark.covers("S3")
def test_compounding_is_the_recursion_that_the_lecture_prints() -> None:
    for k in (0.0, 1e-9, 0.001, 0.2, 1.0):
        rate, ours = 1.0, rates("compounding", decay=k)
        for t in range(TOTAL):
            if t % PER_EPOCH == 0:
                rate = rate / (1 + k * (t // PER_EPOCH))
            assert ours[t] == pytest.approx(rate, rel=1e-12), (k, t)


@pytest.mark.covers("S3")
def test_the_printed_recursion_with_k_1_is_another_law_than_the_table() -> None:
    ours = [0.2 * f for f in rates("compounding", decay=1.0)]
    epochs = range(5)
    assert [ours[n * PER_EPOCH] for n in epochs] == exactly([0.2 / factorial(n + 1) for n in epochs])
    assert ours[4 * PER_EPOCH] < 0.04 / 20


@pytest.mark.covers("S4")
def test_exponential_decay_is_torchs_at_every_step() -> None:
    theirs = of_torch(lambda o: lr_scheduler.ExponentialLR(o, gamma=exp(-0.2 / PER_EPOCH)))
    assert rates("exponential", decay=0.2) == exactly(theirs)


@pytest.mark.covers("S5")
@pytest.mark.parametrize("name", ["triangular", "triangular2", "exp_range"])
def test_cyclical_rates_are_torchs_at_every_step(name: Any) -> None:
    up, gamma = 3 * PER_EPOCH, 0.99
    theirs = of_torch(
        lambda o: lr_scheduler.CyclicLR(
            o, base_lr=0.2, max_lr=1.0, step_size_up=up, mode=name, gamma=gamma, cycle_momentum=False
        )
    )
    assert rates(name, base=0.2, half_cycle=3.0, gamma=gamma) == exactly(theirs)


@pytest.mark.covers("S5")
def test_the_windows_follow_smiths_cycles() -> None:
    size = 3 * PER_EPOCH  # Smith's stepsize, in updates
    windows = {
        "triangular": lambda x: max(0.0, 1 - x),
        "welch": lambda x: 1 - x**2,
        "hann": lambda x: 0.5 * (1 + cos(pi * x)),
    }
    for name, window in windows.items():
        expected = []
        for t in range(TOTAL):
            cycle = floor(1 + t / (2 * size))
            x = abs(t / size - 2 * cycle + 1)
            expected.append(0.1 + 0.9 * window(x))
        assert rates(name, base=0.1, half_cycle=3.0) == exactly(expected), name


@pytest.mark.covers("S5")
@pytest.mark.parametrize("name", ["triangular", "welch", "hann"])
def test_a_cycle_goes_from_base_to_max_in_step_size_epochs_and_back(name: str) -> None:
    ours = rates(name, base=0.25, half_cycle=4.0)
    up = 4 * PER_EPOCH
    assert ours[0] == ours[2 * up] == 0.25 and ours[up] == ours[3 * up] == 1.0
    assert ours[: up + 1] == sorted(ours[: up + 1])
    assert ours[: up + 1] == exactly(ours[up : 2 * up + 1][::-1])


@pytest.mark.covers("S6")
def test_cosine_is_torchs_at_every_step() -> None:
    for floor_ in (0.0, 0.1):
        theirs = of_torch(lambda o, low=floor_: lr_scheduler.CosineAnnealingLR(o, T_max=TOTAL, eta_min=low))
        assert rates("cosine", floor=floor_) == exactly(theirs)


@pytest.mark.covers("S6")
@pytest.mark.parametrize("growth", [1, 2, 3])
def test_warm_restarts_are_torchs_at_every_step(growth: int) -> None:
    theirs = of_torch(
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=4 * PER_EPOCH, T_mult=growth, eta_min=0.05)
    )
    assert rates("restarts", period=4.0, growth=growth, floor=0.05) == exactly(theirs)


@pytest.mark.covers("S6")
@pytest.mark.parametrize("growth", [1.0, 1.1, 1.5, 2.7])
@pytest.mark.parametrize("period", [0.4, 1.0, 3.7])
def test_warm_restarts_of_any_length_follow_the_papers_loop(period: float, growth: float) -> None:
    ours = rates("restarts", period=period, growth=growth)
    start, length = 0.0, period
    for t in range(TOTAL):
        while t / PER_EPOCH >= start + length - 1e-12:
            start, length = start + length, length * growth
        expected = 0.5 * (1 + cos(pi * (t / PER_EPOCH - start) / length))
        assert ours[t] == pytest.approx(expected, abs=1e-9), t


@pytest.mark.covers("S6")
def test_one_cycle_has_torchs_shape_and_values() -> None:
    total = 101
    theirs = of_torch(lambda o: lr_scheduler.OneCycleLR(o, max_lr=1.0, total_steps=total + 1), total)
    # torch puts the peak on update 0.3·total − 1 and the end on the last one; ours are shares of the run
    peak, end = 0.3 * (total + 1) - 1, total
    for t, rate in enumerate(theirs):
        s = 0.3 * t / peak if t <= peak else 0.3 + 0.7 * (t - peak) / (end - peak)
        ours = SCHEDULES["one-cycle"].function(Clock(torch.tensor(s * 1e6), 1_000_000), {})
        assert ours.item() == pytest.approx(rate, abs=1e-7), t


@pytest.mark.covers("S6")
def test_one_cycle_rises_from_a_25th_for_three_tenths_and_falls_to_four_millionths() -> None:
    ours = rates("one-cycle", total=1000)
    assert ours[0] == pytest.approx(1 / 25, rel=1e-14)
    assert max(ours) == pytest.approx(1.0, rel=1e-14) and ours.index(max(ours)) == 300
    assert all(a < b for a, b in zip(ours[:300], ours[1:301], strict=True))
    assert all(a > b for a, b in zip(ours[300:], ours[301:], strict=False))
    end = SCHEDULES["one-cycle"].function(Clock(1000, 1000), {})
    assert end.item() == pytest.approx(4e-6, rel=1e-9)


@pytest.mark.covers("S6")
def test_linear_and_polynomial_are_torchs_at_every_step() -> None:
    theirs = of_torch(lambda o: lr_scheduler.LinearLR(o, start_factor=1.0, end_factor=0.0, total_iters=TOTAL))
    assert rates("linear") == exactly(theirs)
    for power in (0.9, 1.0, 2.0):
        theirs = of_torch(lambda o, p=power: lr_scheduler.PolynomialLR(o, total_iters=TOTAL, power=p))
        assert rates("polynomial", power=power) == exactly(theirs)


@pytest.mark.covers("S6")
def test_warm_up_stable_decay_is_torchs_three_schedules_in_sequence() -> None:
    rise, fall = 20, 50

    def sequence(o: Any) -> Any:
        return lr_scheduler.SequentialLR(
            o,
            [
                lr_scheduler.LinearLR(o, start_factor=1 / rise, total_iters=rise - 1),
                lr_scheduler.ConstantLR(o, factor=1.0),
                lr_scheduler.LinearLR(o, start_factor=1.0, end_factor=0.0, total_iters=fall),
            ],
            milestones=[rise, TOTAL - fall],
        )

    assert rates("wsd", warmup=rise / TOTAL, decay_share=fall / TOTAL) == exactly(of_torch(sequence))


@pytest.mark.covers("S6")
def test_coslog4_is_the_papers_formula_with_cycles_twice_as_long_each() -> None:
    ours = rates("coslog4", total=3000)
    assert ours == exactly([0.5 * (1 - cos(2 * pi * log2(1 + 15 * t / 3000))) for t in range(3000)])
    ends = [t for t in range(1, 2999) if ours[t] < ours[t - 1] and ours[t] <= ours[t + 1]]
    assert ends == [200, 600, 1400]  # (2ⁱ − 1)/15 of the run


@pytest.mark.covers("S6")
def test_reduce_on_plateau_is_torchs_at_every_evaluation_in_each_member() -> None:
    settings = [(0.1, 10, 1e-4), (0.5, 0, 1e-4), (0.3, 3, 0.01), (0.9, 1, 0.0)]
    draw = torch.Generator().manual_seed(0)
    losses = torch.rand(300, len(settings), generator=draw, dtype=torch.float64) + torch.linspace(2, -1, 300)[:, None]
    losses[40] = float("nan")
    h = {
        "plateau_factor": column([s[0] for s in settings]),
        "plateau_patience": column([s[1] for s in settings]),
        "plateau_threshold": column([s[2] for s in settings]),
    }
    state = {x: column([v] * len(settings)) for x, v in SCHEDULES["plateau"].state.items()}
    optimizers = [torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0) for _ in settings]
    theirs = [
        lr_scheduler.ReduceLROnPlateau(o, factor=f, patience=p, threshold=least, eps=0.0)
        for o, (f, p, least) in zip(optimizers, settings, strict=True)
    ]
    for row in losses:
        state = reduce_on_plateau(row.unsqueeze(1), state, h)
        for scheduler, loss in zip(theirs, row.tolist(), strict=True):
            scheduler.step(loss)
        expected = column([o.param_groups[0]["lr"] for o in optimizers])
        ours = factors(["plateau"] * len(settings), Clock(7, TOTAL), {**h, **state}, torch.zeros_like(expected))
        assert torch.allclose(ours, expected, rtol=1e-12, atol=0)
    assert (state["reduced"] < 0.5).all()  # all of them were reduced


def test_a_loss_of_another_member_or_nan_does_not_reduce_my_rate() -> None:
    h = {"plateau_factor": column([0.5, 0.5]), "plateau_patience": column([1, 1])}
    h["plateau_threshold"] = column([1e-4, 1e-4])
    state = {x: column([v] * 2) for x, v in SCHEDULES["plateau"].state.items()}
    for t in range(6):
        state = reduce_on_plateau(column([float("nan"), 1.0 - 0.1 * t]), state, h)
    assert state["reduced"].flatten().tolist() == [0.125, 1.0]


@pytest.mark.covers("S6")
@pytest.mark.parametrize("name", SCHEDULES)
def test_warm_up_is_torchs_linear_rise_times_the_schedule(name: str) -> None:
    rise = 20
    ramp = of_torch(lambda o: lr_scheduler.LinearLR(o, start_factor=1 / rise, total_iters=rise - 1))
    expected = [a * b for a, b in zip(ramp, rates(name), strict=True)]
    assert rates(name, warmup=rise / TOTAL) == pytest.approx(expected, rel=1e-9)


def test_a_clock_tells_the_share_of_the_run_and_the_epoch() -> None:
    clock = Clock(30, 120, 20)
    assert clock.progress.item() == 0.25 and clock.epoch.item() == 1.5
    assert Clock(torch.arange(4), 8).progress.tolist() == [[0.0, 0.125, 0.25, 0.375]]
