"""Dropout that does not heed evaluation mode is seen in the first judgement; nothing of the look stays behind."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import _get_current_function_mode_stack

import trainwell


class Net(nn.Module):
    """A dense network that drops units in one of several ways."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.first, self.last, self.drop = how, nn.Linear(6, 32), nn.Linear(32, 3), nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.first(x))
        if self.how == "attention":
            h = F.scaled_dot_product_attention(h[:, None], h[:, None], h[:, None], dropout_p=0.3)[:, 0]
        ways: dict[str, Any] = {
            "always": lambda: F.dropout(h, 0.5),
            "as it should": lambda: F.dropout(h, 0.5, self.training),
            "a layer": lambda: self.drop(h),
            "a rate of 0": lambda: F.dropout(h, 0.0),
            "nearly all": lambda: F.dropout(F.dropout(h, 0.9, self.training), 0.9, self.training),
        }
        return self.last(ways.get(self.how, lambda: h)())


def update(model: nn.Module, optimizer: Any, x: torch.Tensor, y: torch.Tensor, w: Any) -> None:
    """One step, told to the watch."""
    optimizer.zero_grad()
    out = model(x)
    loss = F.cross_entropy(out, y)
    loss.backward()
    optimizer.step()
    w.step(loss, inputs=x, targets=y, outputs=out)


def watched(how: str) -> Any:
    torch.manual_seed(0)
    model, x = Net(how), torch.randn(256, 6)
    y = x[:, :3].argmax(1)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    with trainwell.watch(model, optimizer) as w:
        for _ in range(4):
            for batch in torch.randperm(192).split(16):
                update(model.train(), optimizer, x[batch], y[batch], w)
            with torch.no_grad():
                w.validate(loss=F.cross_entropy(model.eval()(x[192:]), y[192:]))
    assert _get_current_function_mode_stack() == [] and not model._forward_hooks and not model._forward_pre_hooks
    return w


@pytest.mark.covers("R2")
@pytest.mark.parametrize(
    ("how", "told"),
    [("always", True), ("attention", True), ("as it should", False), ("a layer", False), ("a rate of 0", False)],
)
def test_units_that_are_dropped_in_evaluation_mode_are_told(how: str, told: bool) -> None:
    found = [finding for finding in watched(how).findings if finding.kind == "wrong-mode"]
    assert bool(found) == told and all("evaluation mode" in finding.message for finding in found)


def test_an_error_in_the_pass_leaves_no_mode_behind() -> None:
    model = Net("always")
    with trainwell.watch(model):
        with pytest.raises(RuntimeError), torch.no_grad():
            model.eval()(torch.randn(4, 7))
        assert _get_current_function_mode_stack() == []


class ByHand(nn.Module):
    """All weights in one list, functions between them."""

    def __init__(self, std: float) -> None:
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(std * torch.randn(*shape)) for shape in ((8, 64), (64, 4))])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x @ self.weights[0]) @ self.weights[1]


@pytest.mark.covers("D3")
@pytest.mark.parametrize(("std", "told"), [(6.0, True), (0.2, False)])
def test_functions_of_a_module_that_holds_its_weights_itself_are_looked_at(std: float, told: bool) -> None:
    torch.manual_seed(0)
    model, x = ByHand(std), torch.randn(256, 8)
    y = x[:, :4].argmax(1)
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    with trainwell.watch(model, optimizer) as w:
        for _ in range(60):
            update(model, optimizer, x, y, w)
    assert w.record.layers("saturated-fraction", member=0) == ["tanh 1"]
    assert ("saturated-units" in [finding.kind for finding in w.findings]) == told


def test_a_function_that_drops_nearly_all_is_too_much() -> None:
    w = watched("nearly all")
    assert "too-much-regularisation" in {f.kind for f in w.findings if f.severity != "info"}
    assert w._observer.program().dropout == 0.9
