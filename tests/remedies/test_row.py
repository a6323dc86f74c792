"""A row of weights is stepped as the tensors would be that it holds."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim

from trainwell.remedies.row import ELEMENTWISE, Row

STEPS = 12
MAKERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "plain": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda p: optim.Adam(p, lr=0.01, amsgrad=True),
    "adamw": lambda p: optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "adamax": lambda p: optim.Adamax(p, lr=0.01),
    "nadam": lambda p: optim.NAdam(p, lr=0.01),
    "radam": lambda p: optim.RAdam(p, lr=0.01),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.01, momentum=0.9, centered=True),
    "adadelta": lambda p: optim.Adadelta(p),
    "rprop": lambda p: optim.Rprop(p, lr=0.01),
    "two groups": lambda p: optim.Adam([{"params": p[:2], "lr": 0.1, "weight_decay": 0.1}, {"params": p[2:]}], lr=0.01),
}


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()


def batches(count: int) -> list[Tensor]:
    draw = torch.Generator().manual_seed(1)
    return [torch.randn(8, 4, generator=draw, dtype=torch.float64) for _ in range(count)]


def stepped(module: nn.Module, optimizer: optim.Optimizer, row: Row | None, given: list[Tensor]) -> None:
    for x in given:
        optimizer.zero_grad() if row is None else row.clear()
        module(x).square().sum().backward()
        assert row is None or row.gathered()
        optimizer.step()


def close(a: nn.Module, b: nn.Module) -> bool:
    pairs = zip(a.parameters(), b.parameters(), strict=True)
    return all(torch.allclose(p, q, rtol=1e-12, atol=1e-14) for p, q in pairs)


@pytest.mark.parametrize("name", MAKERS)
def test_one_step_on_the_row_is_a_step_on_each_tensor(name: str) -> None:
    tensors, in_a_row = network(), network()
    theirs, ours = MAKERS[name](list(tensors.parameters())), MAKERS[name](list(in_a_row.parameters()))
    row = Row.of(ours)
    assert row is not None
    stepped(tensors, theirs, None, batches(STEPS))
    stepped(in_a_row, ours, row, batches(STEPS))
    assert close(tensors, in_a_row)
    assert not close(in_a_row, network())


@pytest.mark.parametrize("name", MAKERS)
def test_a_dissolved_row_goes_on_as_if_it_had_never_been_one(name: str) -> None:
    tensors, in_a_row = network(), network()
    theirs, ours = MAKERS[name](list(tensors.parameters())), MAKERS[name](list(in_a_row.parameters()))
    row = Row.of(ours)
    assert row is not None
    stepped(tensors, theirs, None, batches(STEPS))
    stepped(in_a_row, ours, row, batches(STEPS)[: STEPS // 2])
    row.dissolve()
    stepped(in_a_row, ours, None, batches(STEPS)[STEPS // 2 :])
    assert close(tensors, in_a_row)
    assert {p.untyped_storage().nbytes() for p in in_a_row.parameters()} == {
        p.untyped_storage().nbytes() for p in tensors.parameters()
    }


def test_every_optimizer_that_is_told_to_be_elementwise_is_tried() -> None:
    assert {type(make(list(network().parameters()))) for make in MAKERS.values()} == set(ELEMENTWISE)


class Whole(optim.SGD):
    """Of a user, who may look at whole tensors."""


@pytest.mark.parametrize("rule", [optim.Adagrad, optim.ASGD, optim.LBFGS, optim.Adafactor, Whole])
def test_what_may_look_at_whole_tensors_gets_them(rule: Any) -> None:
    assert Row.of(rule(list(network().parameters()), lr=0.1)) is None


def test_an_optimizer_that_has_stepped_keeps_its_tensors() -> None:
    module = network()
    optimizer = optim.Adam(module.parameters())
    stepped(module, optimizer, None, batches(1))
    assert Row.of(optimizer) is None


def test_a_parameter_without_a_gradient_is_told() -> None:
    module = network()
    row = Row.of(optim.SGD(module.parameters(), lr=0.1))
    assert row is not None
    row.clear()
    module[0](batches(1)[0]).sum().backward()
    assert not row.gathered()


def test_a_parameter_that_is_there_twice_is_left_where_it_is() -> None:
    module = network()
    with pytest.warns(UserWarning, match="duplicate"):
        assert Row.of(optim.SGD([module[0].weight, module[0].weight], lr=0.1)) is None  # pyright: ignore[reportArgumentType]


def test_a_forward_pass_that_gives_a_weight_other_memory_is_followed() -> None:
    class Short(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            self.weight.data = nn.functional.normalize(self.weight.data, dim=1)
            return super().forward(input)

    torch.manual_seed(0)
    tensors = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), Short(6, 3)).double()
    torch.manual_seed(0)
    in_a_row = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), Short(6, 3)).double()
    theirs, ours = MAKERS["adam"](list(tensors.parameters())), MAKERS["adam"](list(in_a_row.parameters()))
    row = Row.of(ours)
    assert row is not None
    stepped(tensors, theirs, None, batches(STEPS))
    stepped(in_a_row, ours, row, batches(STEPS))
    assert close(tensors, in_a_row)


def test_rows_of_one_matrix_are_stepped_apart() -> None:
    modules = [network(), network()]
    optimizers = [optim.SGD(m.parameters(), lr=rate) for m, rate in zip(modules, (0.1, 0.01), strict=True)]
    rows = [row for row in map(Row.of, optimizers) if row is not None]
    matrix, slopes = torch.empty(2, len(rows[0].values), dtype=torch.float64), torch.zeros(2, 51, dtype=torch.float64)
    for k, row in enumerate(rows):
        row.lie_in(matrix[k], slopes[k])
    for module, optimizer, row in zip(modules, optimizers, rows, strict=True):
        stepped(module, optimizer, row, batches(STEPS))
        alone = network()
        stepped(alone, optim.SGD(alone.parameters(), lr=optimizer.param_groups[0]["lr"]), None, batches(STEPS))
        assert close(module, alone)
    assert torch.equal(matrix[1], torch.cat([p.detach().flatten() for p in modules[1].parameters()]))
