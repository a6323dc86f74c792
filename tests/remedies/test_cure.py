"""`cure` heals small faulty trainings, leaves healthy ones alone, keeps to its budget, and refuses wrong input."""

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.remedies.trainings import Listener, adam, blobs, cross_entropy, curve, dense, given, sgd, waves
from trainwell.base import InputError
from trainwell.remedies import Cure, cure
from trainwell.remedies.course import predicted

mse = nn.MSELoss()


def healed(data: Any, arguments: dict[str, Any], **more: Any) -> Cure:
    train, test = data
    result = cure(data=train, test=test, seed=1, **arguments, **more)
    assert result.cost <= more.get("budget", 20.0) + 1e-9
    assert all(r.verified is not None and r.verified["helped"] for r in result.changes)
    return result


def accuracy(model: nn.Module, rows: tuple[Tensor, Tensor]) -> float:
    return float((predicted(model, rows[0]).argmax(1) == rows[1]).float().mean())


@pytest.mark.covers("D15")
@pytest.mark.parametrize(
    ("arguments", "scale", "path"),
    [
        (given(dense(2, 32, 3), optimizer=adam(1e-6)), 1.0, "optimizer.learning_rate"),
        (given(dense(2, 32, 3), optimizer=sgd(300.0)), 1.0, "optimizer.learning_rate"),
        (
            given(dense(2, 32, 3, prepare=lambda m: [nn.init.zeros_(p) for p in m.parameters()])),
            1.0,
            "module.initialiser",
        ),
        (given(dense(2, 32, 2)), 1.0, "module.outputs"),
        (given(dense(2, 32, 3), optimizer=adam(weight_decay=10.0)), 1.0, "optimizer.weight_decay"),
    ],
    ids=["tiny rate", "huge rate", "zeros", "too few outputs", "decay"],
)
def test_a_fault_is_cured(arguments: dict[str, Any], scale: float, path: str) -> None:
    data = blobs(scale)
    result = healed(data, arguments)
    assert path in {p for remedy in result.changes for p in remedy.change or {}}
    assert result.metric.before < 0.75 and result.metric.after > 0.93
    assert accuracy(result.model, data[1]) == pytest.approx(result.metric.after)


def test_a_loss_of_quantities_on_classes_and_one_output_become_those_of_classes() -> None:
    data = tuple((x, 2 * y % 3) for x, y in blobs())  # no order of the rings fits the order of the numbers
    result = healed(data, given(dense(2, 32, 1), lambda z, y: mse(z[:, 0], y.float())))
    assert result.settings.before["loss.name"] == "mse"
    assert result.settings.after["loss.name"] == "cross_entropy" and result.settings.after["module.outputs"] == 3
    assert result.metric.after > 0.93 and "loss.name" in str(result.settings)
    assert "loss-output-mismatch" in {finding.kind for finding in result.findings}


def test_two_faults_at_once_are_cured() -> None:
    data = blobs(scale=200.0)
    result = healed(data, given(dense(2, 32, 3, end=nn.ReLU()), optimizer=sgd(1e-3)))
    assert result.metric.after > 0.93 > result.metric.before + 0.2


def test_targets_that_broadcast_are_brought_to_the_shape_of_the_outputs() -> None:
    (x, y), (xt, yt) = curve()
    result = healed(((x, y[:, 0]), (xt, yt[:, 0])), given(dense(6, 32, 1), mse, epochs=20, batch=32))
    assert result.metric.before < 0.3 and result.metric.after > 0.75
    assert {f.kind for f in result.findings} >= {"target-shape-mismatch"}


def test_a_recurrent_network_with_a_wrong_rate_is_cured() -> None:
    result = healed(waves(), given(Listener, optimizer=adam(1e-6)))
    assert result.metric.before < 0.75 and result.metric.after > 0.85


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_healthy_training_is_left_as_it_is(seed: int) -> None:
    train, test = blobs(rows=600)
    result = cure(data=train, test=test, seed=seed, **given(dense(2, 32, 3), epochs=25))
    assert result.changes == [] and str(result.settings) == "nothing changed"
    assert result.settings.before == result.settings.after and result.metric.before == result.metric.after > 0.93


def test_what_cannot_be_learned_is_not_said_to_be_helped() -> None:
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(300, 4, generator=draw), torch.randint(0, 3, (300,), generator=draw)
    result = cure(data=(x, y), seed=0, **given(dense(4, 16, 3), optimizer=sgd(0.05), epochs=5))
    assert result.changes == []


def test_random_numbers_of_the_user_go_on_as_if_nothing_had_been() -> None:
    def draws() -> tuple[float, float, float]:
        return float(torch.rand(())), float(np.random.rand()), random.random()

    for value in (torch.manual_seed, np.random.seed, random.seed):
        value(5)
    expected = draws()
    for value in (torch.manual_seed, np.random.seed, random.seed):
        value(5)
    train, _ = blobs()
    cure(data=train, budget=2.0, **given(dense(2, 4, 3), epochs=2))
    assert draws() == expected


def test_the_same_seed_gives_the_same_cure() -> None:
    train, test = blobs()
    one, other = (
        cure(data=train, test=test, seed=4, budget=12, **given(dense(2, 8, 3), optimizer=adam(1e-5), epochs=4))
        for _ in range(2)
    )
    assert one.settings == other.settings and one.metric == other.metric and one.cost == other.cost
    assert torch.equal(predicted(one.model, test[0]), predicted(other.model, test[0]))


@pytest.mark.parametrize("budget", [1.0, 3.0, 7.0])
def test_a_small_budget_is_kept_and_proves_less(budget: float) -> None:
    result = healed(blobs(), given(dense(2, 16, 3), optimizer=adam(1e-6), epochs=4), budget=budget)
    assert budget > 4 or result.changes == []


def shared() -> Any:
    module = nn.Linear(2, 3)
    return lambda: module


def hopeless(z: Tensor, y: Tensor) -> Tensor:
    raise TypeError("no loss")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"make_model": lambda: 3}, "make_model must give an nn.Module, but gives a int"),
        ({"make_model": nn.Linear(2, 3)}, "make_model is a module"),
        ({"make_model": shared()}, "make_model gives the same module twice"),
        ({"make_model": lambda: 1 / 0}, "make_model fails: ZeroDivisionError"),
        ({"make_model": nn.ReLU}, "without parameters"),
        ({"make_model": lambda: nn.Linear(7, 3)}, r"The module fails on rows \(4, 2\) of X"),
        ({"make_optimizer": lambda parameters: 1 / 0}, "make_optimizer fails on the module's parameters"),
        ({"make_optimizer": lambda parameters: None}, "make_optimizer must give a torch optimizer"),
        ({"epochs": 0}, "epochs must be a whole number of at least 1, but is 0"),
        ({"batch_size": 2.5}, "batch_size must be a whole number"),
        ({"budget": 0}, "budget must be at least 1 training"),
        ({"data": 3}, "data is a int"),
        ({"data": (torch.zeros(20, 2), torch.zeros(19))}, "X has 20 rows, but y has 19"),
        ({"data": (torch.zeros(3, 2), torch.zeros(3))}, "3 rows, but 8 are the fewest"),
        ({"data": (torch.zeros(20, 2), torch.full((20,), torch.nan))}, "y holds NaN"),
    ],
)
def test_wrong_input_is_told_in_one_line(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"data": blobs()[0], **given(dense(2, 8, 3), epochs=1), **change}
    with pytest.raises(InputError, match=message) as error:
        cure(**arguments)
    assert "\n" not in str(error.value)


def test_a_loss_that_nothing_repairs_is_wrong_input_and_one_that_is_repaired_is_a_sick_training() -> None:
    (x, y), _ = blobs()
    result = cure(data=(x, y.float()), **given(dense(2, 32, 3), cross_entropy, epochs=20))  # decimal classes
    assert result.changes and result.metric.after > 0.9 and not result.metric.before > 0.5
    sequence = torch.zeros(40, 3, dtype=torch.int64)
    with pytest.raises(
        InputError, match="loss_fn fails on the module's outputs, and no change repairs it: TypeError: no loss"
    ):
        cure(data=(torch.randn(40, 2), sequence), **given(dense(2, 4), hopeless, epochs=1))


def test_a_data_set_of_pairs_is_read() -> None:
    (x, y), _ = blobs()
    result = cure(data=torch.utils.data.TensorDataset(x, y), budget=1.0, **given(dense(2, 8, 3), epochs=2))
    assert result.metric.before == result.metric.after > 0
