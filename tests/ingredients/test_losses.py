"""Losses against torch.nn.functional, closed forms and extreme outputs."""

from collections.abc import Callable
from math import exp, log

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from trainwell.ingredients import ACTIVATIONS, LOSSES, loss_for

K, C, B = 4, 5, 7
SMOOTHING = torch.tensor([[0.0], [0.1], [0.35], [0.9]], dtype=torch.float64)


def draws(seed: int = 0) -> tuple[Tensor, torch.Generator]:
    g = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(K, C, B, dtype=torch.float64, generator=g), g


@pytest.mark.covers("L6", "R8")
@pytest.mark.parametrize("shared", [True, False], ids=["shared targets", "own targets"])
def test_cross_entropy_is_torchs_with_each_members_label_smoothing(shared: bool) -> None:
    z, g = draws()
    y = torch.randint(C, (1 if shared else K, B), generator=g)
    ours = LOSSES["cross_entropy"].function(z, y, SMOOTHING)
    for k, ε in enumerate(SMOOTHING.flatten().tolist()):
        theirs = F.cross_entropy(z[k].T, y[0 if shared else k], reduction="none", label_smoothing=ε)
        torch.testing.assert_close(ours[k], theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.covers("L5", "R8")
@pytest.mark.parametrize("shared", [True, False], ids=["shared targets", "own targets"])
def test_binary_cross_entropy_is_torchs_with_smoothed_targets_averaged_over_labels(shared: bool) -> None:
    z, g = draws()
    y = torch.randint(2, (1 if shared else K, C, B), generator=g).double()
    ours = LOSSES["binary_cross_entropy"].function(z, y, SMOOTHING)
    for k, ε in enumerate(SMOOTHING.flatten().tolist()):
        t = (1 - ε) * y[0 if shared else k] + ε / 2
        theirs = F.binary_cross_entropy_with_logits(z[k], t, reduction="none").mean(0)
        torch.testing.assert_close(ours[k], theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.covers("L1", "L2", "L4")
@pytest.mark.parametrize(
    ("name", "reference"),
    [("mse", F.mse_loss), ("mae", F.l1_loss), ("huber", F.huber_loss)],
    ids=["mse", "mae", "huber"],
)
@pytest.mark.parametrize("shared", [True, False], ids=["shared targets", "own targets"])
def test_regression_losses_are_torchs_averaged_over_targets(
    name: str, reference: Callable[..., Tensor], shared: bool
) -> None:
    z, g = draws()
    y = torch.randn(1 if shared else K, C, B, dtype=torch.float64, generator=g)
    theirs = reference(z, y.expand_as(z).clone(), reduction="none").mean(dim=1)
    torch.testing.assert_close(LOSSES[name].function(z, y, SMOOTHING), theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.covers("L4")
def test_huber_is_a_parabola_within_one_and_a_line_beyond() -> None:
    z = torch.tensor([[[0.0, 0.5, -1.0, 3.0, -5.0]]])
    ours = LOSSES["huber"].function(z, torch.zeros(1, 1, 5), torch.zeros(1, 1))
    assert ours.flatten().tolist() == [0, 0.125, 0.5, 2.5, 4.5]


@pytest.mark.covers("L5")
def test_the_slope_of_binary_cross_entropy_is_output_minus_target() -> None:
    z, g = draws()
    z = z[:, :1].requires_grad_()
    y = torch.randint(2, (1, 1, B), generator=g).double()
    loss = LOSSES["binary_cross_entropy"].function(z, y, torch.zeros(K, 1, dtype=torch.float64))
    slope = torch.autograd.grad(loss.sum(), z)[0]
    torch.testing.assert_close(slope, torch.sigmoid(z.detach()) - y, rtol=1e-12, atol=1e-14)


@pytest.mark.covers("L6")
def test_the_slope_of_cross_entropy_is_output_minus_one_hot_target() -> None:
    z, g = draws()
    z.requires_grad_()
    y = torch.randint(C, (1, B), generator=g)
    loss = LOSSES["cross_entropy"].function(z, y, torch.zeros(K, 1, dtype=torch.float64))
    one_hot = F.one_hot(y[0], C).T.expand(K, -1, -1)
    slope = torch.autograd.grad(loss.sum(), z)[0]
    torch.testing.assert_close(slope, torch.softmax(z.detach(), 1) - one_hot, rtol=1e-10, atol=1e-14)


@pytest.mark.covers("A10", "L6")
def test_cross_entropy_is_exact_for_extreme_outputs() -> None:
    z = torch.tensor([[[1e4, 1e4], [-1e4, -1e4]]], requires_grad=True)
    loss = LOSSES["cross_entropy"].function(z, torch.tensor([[0, 1]]), torch.zeros(1, 1))
    assert loss.flatten().tolist() == [0, 2e4]
    assert torch.autograd.grad(loss.sum(), z)[0].flatten().tolist() == [0, 1, 0, -1]


@pytest.mark.covers("A10", "L5")
def test_binary_cross_entropy_is_exact_for_extreme_outputs() -> None:
    z = torch.tensor([[[1e4, 1e4, -1e4, -1e4]]], requires_grad=True)
    loss = LOSSES["binary_cross_entropy"].function(z, torch.tensor([[[1.0, 0.0, 1.0, 0.0]]]), torch.zeros(1, 1))
    assert loss.flatten().tolist() == [0, 1e4, 1e4, 0]
    assert torch.autograd.grad(loss.sum(), z)[0].flatten().tolist() == [0, 1, -1, 0]


@pytest.mark.covers("B2")
def test_without_knowledge_the_loss_is_that_of_chance() -> None:
    zeros, none = torch.zeros(1, C, B, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    y = torch.arange(B).remainder(C).unsqueeze(0)
    assert LOSSES["cross_entropy"].function(zeros, y, none).mean().item() == pytest.approx(log(C))
    labels = torch.ones(1, C, B, dtype=torch.float64)
    assert LOSSES["binary_cross_entropy"].function(zeros, labels, none).mean().item() == pytest.approx(log(2))


@pytest.mark.covers("V7")
def test_cross_entropy_of_one_sample_is_minus_the_logarithm_of_its_share() -> None:
    z = torch.tensor([[[2.0], [1.0], [0.1]]], dtype=torch.float64)
    share = exp(2.0) / (exp(2.0) + exp(1.0) + exp(0.1))
    loss = LOSSES["cross_entropy"].function(z, torch.tensor([[0]]), torch.zeros(1, 1, dtype=torch.float64))
    assert loss.item() == pytest.approx(-log(share), rel=1e-12)


@pytest.mark.covers("A10", "A11")
def test_task_output_and_loss_match() -> None:
    expected = {"binary": "sigmoid", "multilabel": "sigmoid", "multiclass": "softmax", "regression": "identity"}
    for task, output in expected.items():
        loss = LOSSES[loss_for(task)]
        assert loss.output == output and task in loss.tasks
    assert all(loss.output == "softmax" or loss.output in ACTIVATIONS for loss in LOSSES.values())
