"""What is read of a user's module itself."""

import pytest
import torch
from torch import nn

from trainwell.vitals.program import lagging, stuck_parameters


def test_statistics_of_batch_norm_went_as_far_as_their_momentum_lets_them() -> None:
    net = nn.Sequential(
        nn.BatchNorm1d(3, momentum=0.1), nn.BatchNorm1d(3, momentum=0.01), nn.BatchNorm1d(3, momentum=None)
    )
    assert lagging(net) == ("", 1.0)  # before any batch
    for _ in range(20):
        net(5 + torch.randn(16, 3))
    name, share = lagging(net)
    assert name == "1" and share == pytest.approx(1 - 0.99**20)
    assert float(net.state_dict()["0.running_mean"].mean()) == pytest.approx(5 * (1 - 0.9**20), rel=0.1)
    assert lagging(nn.Sequential(nn.BatchNorm1d(3, track_running_stats=False))) == ("", 1.0)


def test_frozen_weights_are_told_apart_by_whether_they_look_as_first_drawn() -> None:
    net = nn.Sequential(nn.Linear(40, 40), nn.Linear(40, 40), nn.Linear(40, 2))
    net[:2].requires_grad_(False)
    nn.init.sparse_(net.get_parameter("1.weight"), 0.9, std=0.3)
    stuck = stuck_parameters(net, [torch.optim.SGD(net[2].parameters(), 0.1)], [], known=True)
    assert (stuck.frozen, stuck.still) == (("0.weight",), ("1.weight",))
