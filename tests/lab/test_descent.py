"""Points that go downhill: each by its own rule, and none by another's."""

import pytest
import torch

from trainwell.ingredients import OPTIMIZERS
from trainwell.lab.descent import descend

START = torch.tensor([[1.0, -10.0], [2.0, 3.0], [1.0, -10.0]], dtype=torch.float64)


def slopes(w: torch.Tensor, step: int) -> torch.Tensor:
    return w * torch.tensor([20.0, 1.0])


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if OPTIMIZERS[name].elementwise])
def test_a_row_goes_its_way_whoever_goes_beside_it(name: str) -> None:
    alone = descend([name], slopes, START[:1], 20, learning_rate=[0.01])
    among = descend([name, "sgd", name], slopes, START, 20, learning_rate=[0.01, 0.03, 0.02])
    assert torch.equal(alone[:, 0], among[:, 0])
    assert not torch.equal(among[:, 0], among[:, 2])  # a rate of its own
    assert torch.equal(alone[0], START[:1])


def test_the_way_is_that_of_torch() -> None:
    w = START[0].clone().requires_grad_()
    other = torch.optim.Adam([w], lr=0.5)
    for _ in range(30):
        w.grad = slopes(w.detach(), 0)
        other.step()
    ours = descend(["adam"], slopes, START[:1], 30, learning_rate=[0.5])
    assert torch.allclose(ours[-1, 0], w.detach(), rtol=1e-12, atol=0)
