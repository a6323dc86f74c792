"""The scatter of gradients, and the noise scale made of it, against a regression whose covariance is known."""

import math

import pytest
import torch
from torch import Tensor, nn

import trainwell
from trainwell.engine.moment import MOST_NUMBERS, Moment, some_numbers
from trainwell.engine.record import Record
from trainwell.vitals import noise_scale, observe
from trainwell.vitals.scatter import COMMON, SCATTER, Scatter, apart, sampled

INPUTS, DEVIATION = 20, 0.5


def regression(batch: int, steps: int, every: int) -> tuple[trainwell.Watch, float]:
    """Normal inputs, a linear target with noise, ½ squared error; weights that hardly move, their ‖δ‖² beside."""
    torch.manual_seed(0)
    model, truth = nn.Linear(INPUTS, 1, bias=False), torch.ones(INPUTS)
    optimizer = torch.optim.SGD(model.parameters(), 1e-6)
    with trainwell.watch(model, optimizer, every=every) as w:
        for _ in range(steps):
            x = torch.randn(batch, INPUTS)
            y = x @ truth + DEVIATION * torch.randn(batch)
            loss = (model(x)[:, 0] - y).square().mean() / 2
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            w.step(loss, inputs=x, targets=y)
    return w, float((model.weight[0].detach() - truth).square().sum())


def known(distance: float) -> float:
    """tr Σ/‖G‖² of g = (x·δ − ε) x: E‖g‖² = (D + 2)‖δ‖² + D σ² for normal x, and G = δ."""
    return ((INPUTS + 1) * distance + INPUTS * DEVIATION**2) / distance


@pytest.mark.parametrize("batch", [8, 64])
def test_the_noise_scale_of_a_linear_regression_is_that_of_its_covariance(batch: int) -> None:
    w, distance = regression(batch, 400, every=2)
    assert known(distance) / 2 < noise_scale(w.record, batch) < known(distance) * 2


def test_it_is_noted_for_the_step_after_each_look_but_the_first_four_and_the_last_one_at_the_end() -> None:
    w, _ = regression(8, 27, every=5)
    looks = w.record.series("gradient-norm", member=0, layer="linear")[0].tolist()
    assert looks == [1, 6, 11, 16, 21, 26]
    for signal in (SCATTER, COMMON):
        assert w.record.series(signal, member=0)[0].tolist() == [22, 27]


def test_of_two_gradients_half_the_squared_distance_and_the_product_are_taken() -> None:
    old, new = torch.tensor([[3.0, 0.0], [1.0, 2.0]]), torch.tensor([[0.0, 4.0], [1.0, 2.0]])
    scatter, common = apart(old, new)
    assert scatter.tolist() == [12.5, 0.0] and common.tolist() == [0.0, 5.0]


def test_the_numbers_of_a_gradient_are_evenly_spaced_copies_of_no_more_than_so_many() -> None:
    small, large = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(100, 100))
    small.grad, large.grad = torch.arange(3.0), torch.arange(10_000.0).reshape(100, 100)
    numbers = sampled([small, large, nn.Parameter(torch.zeros(2))])
    assert numbers is not None and len(numbers) <= MOST_NUMBERS
    steps = numbers[3:].diff().unique()
    assert numbers[:3].tolist() == [0.0, 1.0, 2.0] and len(steps) == 1
    small.grad.zero_()
    assert numbers[1] == 1.0
    rows = some_numbers(torch.arange(6000.0).reshape(2, 3000))
    assert rows.shape[0] == 2 and rows.shape[1] <= MOST_NUMBERS and rows[1, 0] == 3000.0


def test_without_gradients_or_with_others_than_before_nothing_is_compared() -> None:
    bare, scatter = nn.Parameter(torch.zeros(3)), Scatter()
    scatter.look([bare])
    assert not scatter.waits and sampled([bare]) is None
    bare.grad = torch.ones(3)
    scatter.look([bare])
    assert scatter.waits
    bare.grad = None
    scatter.compare(2)
    assert not scatter.waits and scatter.taken() == []


def test_the_noise_scale_is_unknown_from_few_pairs_and_infinite_without_a_common_part() -> None:
    record = Record()
    for step in range(1, 9):
        assert math.isnan(noise_scale(record, 4)) or step > 4
        record.add(step, "", SCATTER, [0], [3.0])
        record.add(step, "", COMMON, [0], [0.5 if step > 4 else 100.0])
    assert noise_scale(record, 4) == 4 * 3.0 / 0.5, "of the later half"
    record.add(9, "", SCATTER, [0], [3.0])
    record.add(9, "", COMMON, [0], [-100.0])
    assert noise_scale(record, 4) == math.inf


def test_of_the_engine_each_member_has_its_own() -> None:
    pair: tuple[Tensor, Tensor] = torch.tensor([[1.0, 0.0], [2.0, 0.0]]), torch.tensor([[1.0, 2.0], [2.0, 0.0]])
    k = torch.ones(2)
    record = Record()
    observe(Moment(5, 0.5, torch.tensor([3, 7]), k, k, k > 0, gradients=pair), record)
    assert [record.series(SCATTER, member=m)[1].tolist() for m in (3, 7)] == [[2.0], [0.0]]
    assert [record.series(COMMON, member=m)[1].tolist() for m in (3, 7)] == [[1.0], [4.0]]
