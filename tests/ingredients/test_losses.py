"""Losses against torch.nn.functional, closed forms, the formulas of their papers, and extreme outputs."""

from collections.abc import Callable
from math import exp, log, sqrt

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor

from trainwell.base import InputError, PlanError, Registry
from trainwell.ingredients.losses import (
    LOSSES,
    Loss,
    balanced_positives,
    balanced_weights,
    loss_for,
    mean,
    one_hot,
    root_of_mean,
)
from trainwell.testing.losses import LAWS

K, C, B = 4, 5, 7
SMOOTHING = torch.tensor([[0.0], [0.1], [0.35], [0.9]], dtype=torch.float64)
OFF = {"label_smoothing": torch.zeros(K, 1, dtype=torch.float64)}
ROWS = {
    "cross_entropy": "L6", "focal": "L6", "binary_cross_entropy": "L5", "binary_focal": "L5", "mse": "L1", "mae": "L2",
    "quantile": "L2", "rmse": "L3", "huber": "L4",
}  # fmt: skip
EVERY = [pytest.param(name, marks=pytest.mark.covers(ROWS[name])) for name in LOSSES]
shared_or_own = pytest.mark.parametrize("shared", [True, False], ids=["shared targets", "own targets"])


def draws(seed: int = 0) -> tuple[Tensor, torch.Generator]:
    g = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(K, C, B, dtype=torch.float64, generator=g), g


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


def loss_of(name: str, z: Tensor, y: Tensor, weights: Tensor | None = None, **h: Tensor) -> Tensor:
    return LOSSES[name].function(z, y, h, weights)


def gradient(losses: Tensor, z: Tensor) -> Tensor:
    return torch.autograd.grad(losses.sum(), z)[0]


@pytest.mark.parametrize("law", list(LAWS))
@pytest.mark.parametrize("name", EVERY)
def test_a_loss_keeps_the_law(name: str, law: str) -> None:
    LAWS[law](name)


@pytest.mark.covers("L6", "R8")
@pytest.mark.parametrize("weighted", [False, True], ids=["all alike", "class weights"])
@shared_or_own
def test_cross_entropy_is_torchs_with_each_members_smoothing_and_class_weights(shared: bool, weighted: bool) -> None:
    z, g = draws()
    z.requires_grad_()
    y = torch.randint(C, (1 if shared else K, B), generator=g)
    weights = 0.1 + 3 * torch.rand(K, C, generator=g, dtype=torch.float64) if weighted else None
    ours = loss_of("cross_entropy", z, y, weights, label_smoothing=SMOOTHING)
    slope = gradient(ours, z)
    for k, ε in enumerate(SMOOTHING.flatten().tolist()):
        own = z[k].T.detach().clone().requires_grad_()
        weight = None if weights is None else weights[k]
        theirs = F.cross_entropy(own, y[0 if shared else k], weight, reduction="none", label_smoothing=ε)
        torch.testing.assert_close(ours[k], theirs, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(slope[k], gradient(theirs, own).T, rtol=1e-12, atol=1e-12)


@pytest.mark.covers("L6", "R8")
@pytest.mark.parametrize("weighted", [False, True], ids=["all alike", "class weights"])
@shared_or_own
def test_cross_entropy_of_shares_is_torchs(shared: bool, weighted: bool) -> None:
    z, g = draws()
    y = torch.rand(1 if shared else K, C, B, generator=g, dtype=torch.float64).softmax(dim=1)
    weights = 0.1 + torch.rand(1, C, generator=g, dtype=torch.float64) if weighted else None
    ours = loss_of("cross_entropy", z, y, weights, label_smoothing=SMOOTHING)
    for k, ε in enumerate(SMOOTHING.flatten().tolist()):
        target, weight = y[0 if shared else k].T, None if weights is None else weights[0]
        theirs = F.cross_entropy(z[k].T, target, weight, reduction="none", label_smoothing=ε)
        torch.testing.assert_close(ours[k], theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.covers("L6", "P3")
@pytest.mark.parametrize("name", ["cross_entropy", "focal"])
def test_one_hot_targets_and_class_indices_are_the_same(name: str) -> None:
    z, g = draws()
    y = torch.randint(C, (K, B), generator=g)
    h = {"label_smoothing": SMOOTHING, "focusing": column(0, 0.5, 2, 5)}
    weights = torch.rand(K, C, generator=g, dtype=torch.float64)
    indices, shares = (LOSSES[name].function(z, t, h, weights) for t in (y, one_hot(y, C)))
    torch.testing.assert_close(indices, shares, rtol=1e-12, atol=1e-12)


@pytest.mark.covers("L6", "P3")
def test_one_hot_is_1_for_the_class_and_0_for_the_others() -> None:
    y = torch.tensor([[0, 2, 1], [1, 1, 0]])
    assert one_hot(y, 3).tolist() == [
        [[1, 0, 0], [0, 0, 1], [0, 1, 0]],
        [[0, 0, 1], [1, 1, 0], [0, 0, 0]],
    ]
    assert one_hot(y.int(), 4).shape == (2, 4, 3) and one_hot(torch.zeros(0, dtype=torch.int64), 2).shape == (2, 0)


@pytest.mark.covers("L6", "P3")
@pytest.mark.parametrize(("y", "wrong"), [([0, 3], 3), ([-1, 1], -1)])
def test_an_index_that_is_no_class_cannot_be_one_hot(y: list[int], wrong: int) -> None:
    with pytest.raises(InputError, match=f"^Class indices must be 0 to 2, not {wrong}; give more classes, or number"):
        one_hot(torch.tensor(y), 3)


@pytest.mark.covers("L5", "R8")
@pytest.mark.parametrize("weighted", [False, True], ids=["all alike", "weighted positives"])
@shared_or_own
def test_binary_cross_entropy_is_torchs_with_smoothed_targets_averaged_over_labels(
    shared: bool, weighted: bool
) -> None:
    z, g = draws()
    z.requires_grad_()
    y = torch.randint(2, (1 if shared else K, C, B), generator=g).double()
    weights = 0.1 + 3 * torch.rand(K, C, generator=g, dtype=torch.float64) if weighted else None
    ours = loss_of("binary_cross_entropy", z, y, weights, label_smoothing=SMOOTHING)
    slope = gradient(ours, z)
    for k, ε in enumerate(SMOOTHING.flatten().tolist()):
        t, own = (1 - ε) * y[0 if shared else k] + ε / 2, z[k].detach().clone().requires_grad_()
        weight = None if weights is None else weights[k].unsqueeze(1)
        theirs = F.binary_cross_entropy_with_logits(own, t, pos_weight=weight, reduction="none").mean(0)
        torch.testing.assert_close(ours[k], theirs, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(slope[k], gradient(theirs, own), rtol=1e-12, atol=1e-12)


@pytest.mark.covers("L5")
@pytest.mark.parametrize("name", ["binary_cross_entropy", "binary_focal"])
def test_labels_may_be_whole_numbers(name: str) -> None:
    z, g = draws()
    y, h = torch.randint(2, (1, C, B), generator=g), {"focusing": column(0, 1, 2, 3)}
    torch.testing.assert_close(LOSSES[name].function(z, y, h, None), LOSSES[name].function(z, y.double(), h, None))


@pytest.mark.covers("L1", "L2", "L4")
@pytest.mark.parametrize(
    ("name", "reference"),
    [("mse", F.mse_loss), ("mae", F.l1_loss), ("huber", F.huber_loss)],
    ids=["mse", "mae", "huber"],
)
@shared_or_own
def test_regression_losses_are_torchs_averaged_over_targets(
    name: str, reference: Callable[..., Tensor], shared: bool
) -> None:
    z, g = draws()
    y = torch.randn(1 if shared else K, C, B, dtype=torch.float64, generator=g)
    z[:, 1] = y[:, 1]  # some without error
    ours, theirs = z.clone().requires_grad_(), z.clone().requires_grad_()
    value = loss_of(name, ours, y, delta=torch.ones(K, 1, dtype=torch.float64))
    expected = reference(theirs, y.expand_as(z).clone(), reduction="none").mean(dim=1)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient(value, ours), gradient(expected, theirs), rtol=1e-12, atol=1e-12)


@pytest.mark.covers("L4")
def test_huber_has_each_members_own_delta() -> None:
    z, g = draws()
    y, δ = torch.randn(1, C, B, dtype=torch.float64, generator=g), (0.1, 1.0, 2.5, 40.0)
    ours = loss_of("huber", z, y, delta=column(*δ))
    for k in range(K):
        theirs = F.huber_loss(z[k], y[0], reduction="none", delta=δ[k]).mean(dim=0)
        torch.testing.assert_close(ours[k], theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.covers("L4")
def test_huber_is_a_parabola_within_delta_and_a_line_beyond() -> None:
    z = torch.tensor([[[0.0, 0.5, -1.0, 3.0, -5.0]]]).requires_grad_()
    ours = loss_of("huber", z, torch.zeros(1, 1, 5), delta=torch.ones(1, 1))
    assert ours.flatten().tolist() == [0, 0.125, 0.5, 2.5, 4.5]
    assert gradient(ours, z).flatten().tolist() == [0, 0.5, -1, 1, -1]


@pytest.mark.covers("L2")
def test_the_quantile_loss_is_that_of_its_definition() -> None:
    y = torch.tensor([[[1.0, -2.0, 0.5]]], dtype=torch.float64)
    z = torch.zeros(3, 1, 3, dtype=torch.float64).requires_grad_()
    loss = loss_of("quantile", z, y, quantile=column(0.1, 0.5, 0.8))
    expected = [[0.1, 0.9 * 2, 0.05], [0.5, 1.0, 0.25], [0.8, 0.2 * 2, 0.4]]
    torch.testing.assert_close(loss, torch.tensor(expected, dtype=torch.float64))
    slopes = [[-0.1, 0.9, -0.1], [-0.5, 0.5, -0.5], [-0.8, 0.2, -0.8]]
    torch.testing.assert_close(gradient(loss, z)[:, 0], torch.tensor(slopes, dtype=torch.float64))


@pytest.mark.covers("L2")
@pytest.mark.parametrize("τ", [0.1, 0.5, 0.9])
def test_the_constant_with_the_least_quantile_loss_is_the_quantile(τ: float) -> None:
    y = torch.randn(101, generator=torch.Generator().manual_seed(3), dtype=torch.float64).exp()
    candidates = y.sort().values  # the loss is straight between two of them
    z = candidates.view(-1, 1, 1).expand(-1, 1, 101)
    total = mean(loss_of("quantile", z, y.view(1, 1, -1), quantile=torch.full((101, 1), τ, dtype=torch.float64)))
    assert candidates[total.argmin()] == y.quantile(τ)


@pytest.mark.covers("L1", "L2")
def test_the_best_constant_is_the_mean_for_mse_and_the_median_for_mae() -> None:
    y = torch.tensor([0.0, 1.0, 2.0, 7.0, 90.0], dtype=torch.float64).view(1, 1, -1)
    z = torch.arange(0, 91, dtype=torch.float64).view(-1, 1, 1).expand(-1, 1, 5)
    assert [int(mean(loss_of(name, z, y)).argmin()) for name in ("mse", "mae")] == [20, 2]


@pytest.mark.covers("L3")
def test_rmse_is_the_root_of_mse_with_the_gradient_of_the_root() -> None:
    z, g = draws()
    z.requires_grad_()
    y = torch.randn(1, C, B, dtype=torch.float64, generator=g)
    total = LOSSES["rmse"].total(loss_of("rmse", z, y))
    e = (z - y).detach()
    expected = e.square().mean(dim=(1, 2)).sqrt()
    torch.testing.assert_close(total, expected, rtol=1e-13, atol=0)
    torch.testing.assert_close(gradient(total, z), e / (C * B) / expected.view(K, 1, 1), rtol=1e-12, atol=1e-15)


@pytest.mark.covers("L3")
def test_rmse_without_error_is_0_with_gradient_0_and_nan_stays_nan() -> None:
    z = torch.tensor([[[1.0, 2.0]], [[1.0, 5.0]], [[float("nan"), 2.0]]]).requires_grad_()
    total = root_of_mean(loss_of("rmse", z, torch.tensor([[[1.0, 2.0]]])))
    slope = gradient(total, z)
    assert total[0] == 0 and total[1].item() == pytest.approx(3 / sqrt(2)) and total[2].isnan()
    assert slope[0].tolist() == [[0, 0]] and slope[1, 0].tolist() == pytest.approx([0, 1 / sqrt(2)])


@pytest.mark.covers("L6")
@pytest.mark.parametrize("γ", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_focal_is_the_papers_formula(γ: float) -> None:
    z, g = draws()
    y, α = torch.randint(C, (1, B), generator=g), torch.rand(1, C, generator=g, dtype=torch.float64)
    ours = loss_of("focal", z, y, α, focusing=torch.full((K, 1), γ, dtype=torch.float64))
    for k in range(K):
        for b in range(B):
            c = int(y[0, b])
            p = exp(z[k, c, b]) / sum(exp(v) for v in z[k, :, b].tolist())
            assert ours[k, b].item() == pytest.approx(-float(α[0, c]) * (1 - p) ** γ * log(p), rel=1e-11)


@pytest.mark.covers("L5")
@pytest.mark.parametrize("γ", [0.0, 0.5, 2.0, 5.0])
def test_binary_focal_is_the_papers_formula(γ: float) -> None:
    z, g = draws()
    z, y, α = z[:, :1], torch.randint(2, (1, 1, B), generator=g).double(), 0.25
    weights = torch.full((1, 1), α / (1 - α), dtype=torch.float64)
    ours = (1 - α) * loss_of("binary_focal", z, y, weights, focusing=torch.full((K, 1), γ, dtype=torch.float64))
    for k in range(K):
        for b in range(B):
            p = 1 / (1 + exp(-z[k, 0, b]))
            p_t, α_t = (p, α) if y[0, 0, b] == 1 else (1 - p, 1 - α)
            assert ours[k, b].item() == pytest.approx(-α_t * (1 - p_t) ** γ * log(p_t), rel=1e-10)


@pytest.mark.covers("L5", "L6", "R8")
@pytest.mark.parametrize(("name", "plain"), [("focal", "cross_entropy"), ("binary_focal", "binary_cross_entropy")])
def test_focal_with_gamma_0_is_cross_entropy_with_its_gradient(name: str, plain: str) -> None:
    z, g = draws()
    z.requires_grad_()
    y = torch.randint(C, (1, B), generator=g)
    y = y if LOSSES[name].output == "softmax" else one_hot(y, C).double()
    weights = 0.1 + torch.rand(K, C, generator=g, dtype=torch.float64)
    h = {"label_smoothing": SMOOTHING, "focusing": torch.zeros(K, 1, dtype=torch.float64)}
    ours, theirs = (LOSSES[n].function(z, y, h, weights) for n in (name, plain))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient(ours, z), gradient(theirs, z), rtol=1e-12, atol=1e-12)


@pytest.mark.covers("L6", "A10")
@pytest.mark.parametrize("γ", [0.05, 0.5, 2.0])
@pytest.mark.parametrize("name", ["focal", "binary_focal"])
def test_focal_is_finite_with_its_gradient_for_extreme_outputs(name: str, γ: float) -> None:
    for dtype in (torch.float32, torch.float64):
        z = torch.tensor([[[1e4, -1e4, 40.0, -40.0], [-1e4, 1e4, -40.0, 40.0]]], dtype=dtype).requires_grad_()
        y = torch.tensor([[0, 0, 0, 0]])
        y = y if name == "focal" else one_hot(y, 2).to(dtype)
        loss = LOSSES[name].function(z, y, {"focusing": torch.full((1, 1), γ, dtype=dtype)}, None)
        slope = gradient(loss, z)
        wrong = 2e4 if name == "focal" else 1e4
        assert loss[0, :2].tolist() == [0, wrong] and slope.isfinite().all()
        assert slope[0, 0, [0, 1]].tolist() == pytest.approx([0, -1 if name == "focal" else -0.5])


@pytest.mark.covers("L5")
@pytest.mark.parametrize("labels", [1, C])
def test_the_slope_of_binary_cross_entropy_is_output_minus_target(labels: int) -> None:
    z, g = draws()
    z = z[:, :labels].clone().requires_grad_()
    y = torch.randint(2, (1, labels, B), generator=g).double()
    slope = gradient(loss_of("binary_cross_entropy", z, y, None, **OFF), z)
    torch.testing.assert_close(slope, (torch.sigmoid(z.detach()) - y) / labels, rtol=1e-12, atol=1e-14)


@pytest.mark.covers("L6")
def test_the_slope_of_cross_entropy_is_output_minus_one_hot_target() -> None:
    z, g = draws()
    z.requires_grad_()
    y = torch.randint(C, (1, B), generator=g)
    slope = gradient(loss_of("cross_entropy", z, y, None, **OFF), z)
    torch.testing.assert_close(slope, torch.softmax(z.detach(), 1) - one_hot(y, C), rtol=1e-10, atol=1e-14)


@pytest.mark.covers("A10", "L6")
def test_cross_entropy_is_exact_for_extreme_outputs() -> None:
    z = torch.tensor([[[1e4, 1e4], [-1e4, -1e4]]], requires_grad=True)
    loss = loss_of("cross_entropy", z, torch.tensor([[0, 1]]))
    assert loss.flatten().tolist() == [0, 2e4]
    assert gradient(loss, z).flatten().tolist() == [0, 1, 0, -1]


@pytest.mark.covers("A10", "L5")
def test_binary_cross_entropy_is_exact_for_extreme_outputs() -> None:
    z = torch.tensor([[[1e4, 1e4, -1e4, -1e4]]], requires_grad=True)
    loss = loss_of("binary_cross_entropy", z, torch.tensor([[[1.0, 0.0, 1.0, 0.0]]]))
    assert loss.flatten().tolist() == [0, 1e4, 1e4, 0]
    assert gradient(loss, z).flatten().tolist() == [0, 1, -1, 0]


@pytest.mark.covers("B2")
def test_without_knowledge_the_loss_is_that_of_chance() -> None:
    zeros = torch.zeros(1, C, B, dtype=torch.float64)
    y = torch.arange(B).remainder(C).unsqueeze(0)
    assert loss_of("cross_entropy", zeros, y).mean().item() == pytest.approx(log(C))
    assert loss_of("binary_cross_entropy", zeros, torch.ones_like(zeros)).mean().item() == pytest.approx(log(2))


@pytest.mark.covers("V7")
def test_cross_entropy_of_one_sample_is_minus_the_logarithm_of_its_share() -> None:
    z = torch.tensor([[[2.0], [1.0], [0.1]]], dtype=torch.float64)
    share = exp(2.0) / (exp(2.0) + exp(1.0) + exp(0.1))
    assert loss_of("cross_entropy", z, torch.tensor([[0]])).item() == pytest.approx(-log(share), rel=1e-12)


@pytest.mark.covers("L7")
@pytest.mark.parametrize(
    ("w", "b", "output", "squared", "crossed"),
    [(0.6, 0.9, 0.82, 0.1219, 0.8176), (2.0, 2.0, 0.98, 0.0173, 0.9820)],
    ids=["less wrong", "saturated"],
)
def test_a_saturated_neuron_learns_slowly_by_squared_error_and_fast_by_cross_entropy(
    w: float, b: float, output: float, squared: float, crossed: float
) -> None:
    weights = torch.tensor([w, b], dtype=torch.float64).requires_grad_()
    z, y = weights.sum().view(1, 1, 1), torch.zeros(1, 1, 1, dtype=torch.float64)  # input 1, target 0
    a = torch.sigmoid(z)
    assert round(a.item(), 2) == output
    by_square, by_cross = loss_of("mse", a, y).sum() / 2, loss_of("binary_cross_entropy", z, y).sum()
    slopes = [torch.autograd.grad(loss, weights, retain_graph=True)[0][0].item() for loss in (by_square, by_cross)]
    assert slopes == pytest.approx([squared, crossed], abs=5e-5)
    assert slopes[0] == pytest.approx(a.item() * a.item() * (1 - a.item())) and slopes[1] == pytest.approx(a.item())


@pytest.mark.covers("L6", "P3")
def test_balanced_weights_are_those_of_scikit_learn_at_power_1_and_1_at_power_0() -> None:
    counts = torch.tensor([[70.0, 25.0, 5.0]], dtype=torch.float64)
    w = balanced_weights(counts, column(0, 0.5, 1))
    assert w[0].tolist() == [1, 1, 1]
    labels = np.repeat([0, 1, 2], [70, 25, 5])
    expected = compute_class_weight("balanced", classes=np.unique(labels), y=labels)
    assert w[2].tolist() == pytest.approx(expected.tolist())
    assert (w[1] / w[1, 0]).tolist() == pytest.approx([sqrt(70 / n) for n in (70, 25, 5)])
    torch.testing.assert_close((w * counts).sum(1) / 100, torch.ones(3, dtype=torch.float64))


@pytest.mark.covers("L6", "P3")
def test_each_member_is_balanced_by_the_counts_of_its_own_rows_and_a_class_without_rows_is_finite() -> None:
    counts = torch.tensor([[70.0, 25.0, 5.0], [8.0, 2.0, 0.0]], dtype=torch.float64)
    w = balanced_weights(counts, column(1, 1))
    assert w[0].tolist() == pytest.approx([100 / (3 * n) for n in (70, 25, 5)])
    assert w[1].tolist() == pytest.approx([10 / 16, 10 / 4, 10 / 2])
    assert ((w * counts).sum(1) / counts.sum(1)).tolist() == pytest.approx([1, 1])


@pytest.mark.covers("L5", "P3")
def test_balanced_positives_weigh_as_much_as_the_negatives() -> None:
    positives, rows = torch.tensor([[10.0, 50.0, 0.0]], dtype=torch.float64), column(100)
    w = balanced_positives(positives, rows, column(0, 0.5, 1))
    expected = [[1, 1, 1], [3, 1, 10], [9, 1, 100]]
    torch.testing.assert_close(w, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.covers("A10", "A11")
def test_an_unknown_task_gets_the_nearest_one() -> None:
    with pytest.raises(PlanError, match=r"^Unknown task 'regresion'\. Did you mean 'regression'\? Known: binary, mult"):
        loss_for("regresion")


WRONG: dict[str, Callable[..., Tensor]] = {
    "alone-as-in-company": lambda z, y, h, w: (z - z.mean(dim=0)).square().mean(1),
    "others-do-not-matter": lambda z, y, h, w: z.sum(dim=0).square().mean(0) + z.mean(1),
    "a-nan-stays-in-its-row": lambda z, y, h, w: (z - y).nan_to_num(0).square().mean(1),
    "shared-targets-are-own-targets": lambda z, y, h, w: (z - y / len(y)).square().mean(1),
    "hyperparameters-are-per-member": lambda z, y, h, w: h["delta"][0] * (z - y).square().mean(1),
    "smoothing-left-out-is-smoothing-off": lambda z, y, h, w: z.mean(1) + len(h),
    "extreme-outputs-stay-finite": lambda z, y, h, w: (z.exp() - y.exp()).square().mean(1),
    "right-costs-nothing-and-wrong-something": lambda z, y, h, w: (z - y).mean(1),
    "gradients-are-those-of-differences": lambda z, y, h, w: (z.detach() * z - y).square().mean(1),
    "it-is-documented": lambda z, y, h, w: (z - y).square().mean(1),
}


@pytest.mark.parametrize("law", list(LAWS))
def test_a_law_finds_a_loss_that_breaks_it(law: str, monkeypatch: pytest.MonkeyPatch) -> None:
    standard = {"delta": 1.0, "label_smoothing": 0.0} if law.startswith("smoothing") else {"delta": 1.0}
    table = Registry(
        "loss", {"wrong": Loss(WRONG[law], "identity", ("regression",), standard, doc="?")}, hypers=LOSSES.hypers
    )
    monkeypatch.setattr("trainwell.testing.losses.LOSSES", table)
    with pytest.raises(AssertionError, match="^wrong: "):
        LAWS[law]("wrong")
