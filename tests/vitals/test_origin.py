"""The first operation that makes a NaN is told apart from those that hand it on."""

import pytest
import torch
from torch import Tensor, nn

from trainwell.vitals.origin import locate, of_backward


class Net(nn.Module):
    """Two layers with a function between them that may fail."""

    def __init__(self, between: nn.Module) -> None:
        super().__init__()
        self.first, self.between, self.norm, self.last = nn.Linear(3, 4), between, nn.BatchNorm1d(4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.norm(self.between(self.first(x))))


class Log(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.log(x.relu() * 0)


class Masked(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.masked_fill(x > 10, float("-inf")).masked_fill(x < 100, float("-inf")).softmax(1).nan_to_num(0.5) + x


def test_the_operation_and_its_module_are_named_with_what_went_in() -> None:
    origin, _ = locate(Net(Log()), (torch.randn(6, 3),), {})
    assert origin is not None and origin.place == "module" and origin.module == "between" and origin.operation == "log"
    assert origin.low == origin.high == 0.0
    assert origin.passed_on == ("norm", "last")
    assert str(origin).startswith("between made it by log, out of numbers from 0 to 0")


def test_nan_in_the_inputs_and_weights_is_not_blamed_on_a_module() -> None:
    x = torch.randn(6, 3)
    sick = x.clone()
    sick[0, 0] = float("nan")
    origin, _ = locate(Net(nn.ReLU()), (sick,), {})
    assert origin is not None and origin.place == "inputs"
    net = Net(nn.ReLU())
    with torch.no_grad():
        net.last.weight[0, 0] = float("inf")
    origin, _ = locate(net, (x,), {})
    assert origin is not None and (origin.place, origin.module) == ("weights", "last")


def test_a_pass_without_fault_has_no_origin_and_leaves_everything_as_it_was() -> None:
    net, x = Net(nn.Dropout(0.5)), torch.randn(6, 3)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.get_rng_state()
    origin, outputs = locate(net, (x,), {})
    assert origin is None and isinstance(outputs, Tensor)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert not net._forward_hooks and not net._forward_pre_hooks and net.training


def test_an_infinite_mask_is_no_fault() -> None:
    origin, _ = locate(Net(Masked()), (torch.randn(6, 3),), {})
    assert origin is None or origin.operation != "masked_fill"


@pytest.mark.parametrize("name", ["first", "last"])
def test_of_gradients_the_layer_nearest_to_the_output_is_named(name: str) -> None:
    net = Net(nn.ReLU())
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    for p in getattr(net, name).parameters():
        p.grad = torch.full_like(p, float("nan"))
    origin = of_backward(net)
    assert origin is not None and (origin.place, origin.module) == ("backward", name)
