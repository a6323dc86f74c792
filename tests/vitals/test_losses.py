"""What a loss's graph tells: its kind, the function before it, the shape in which outputs and targets met."""

import warnings
from collections.abc import Callable
from math import log
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.vitals.losses import LossReading, read_loss

X, Y = torch.randn(8, 5), torch.randint(0, 3, (8,))
ONE, MANY = nn.Linear(5, 1), nn.Linear(5, 3)
T = torch.rand(8, 1)
SHARES = torch.rand(8, 3).softmax(1)

LOSSES: dict[str, tuple[Callable[[], Tensor], LossReading]] = {
    "cross-entropy": (
        lambda: F.cross_entropy(MANY(X), Y),
        LossReading("cross-entropy", "identity", (8, 3), (8, 3), classes=3),
    ),
    "Poisson": (
        lambda: F.poisson_nll_loss(ONE(X), T),
        LossReading("poisson-log", "identity", (8, 1), (8, 1)),
    ),
    "Poisson of rates as logarithms, squeezed": (
        lambda: F.poisson_nll_loss(F.softplus(ONE(X)).squeeze(-1), T[:, 0], full=True),
        LossReading("poisson-log", "softplus", (8, 1), (8,)),
    ),
    "Poisson of rates": (
        lambda: F.poisson_nll_loss(ONE(X).exp(), T, log_input=False),
        LossReading("poisson", "exp", (8, 1), (8, 1)),
    ),
    "Poisson by hand": (
        lambda: (F.softplus(r := ONE(X)) - T * F.softplus(r).log()).mean(),
        LossReading(),  # of two passes through the function, which may be two functions
    ),
    "a logarithm of something else": (
        lambda: (ONE(X) - T * F.softplus(ONE(X)).log()).mean(),
        LossReading(),
    ),
    "smoothed": (
        lambda: F.cross_entropy(MANY(X), Y, label_smoothing=0.1),
        LossReading("cross-entropy", "identity", (8, 3), (8, 3), classes=3),
    ),
    "soft targets": (
        lambda: F.cross_entropy(MANY(X), F.one_hot(Y, 3).float()),
        LossReading("cross-entropy", "identity", (8, 3), (8, 3), by_hand=True, classes=3),
    ),
    "summed": (
        lambda: F.cross_entropy(MANY(X), Y, reduction="sum"),
        LossReading("cross-entropy", "identity", (8, 3), (8, 3), 8, classes=3),
    ),
    "summed by hand": (
        lambda: F.cross_entropy(MANY(X), Y, reduction="none").sum(),
        LossReading("cross-entropy", "identity", (8, 3), (8, 3), 8, classes=3),
    ),
    "averaged by hand": (
        lambda: F.cross_entropy(MANY(X), Y, reduction="none").mean(),
        LossReading("cross-entropy", "identity", (8, 3), (8, 3), classes=3),
    ),
    "summed and divided by the batch": (
        lambda: F.mse_loss(MANY(X), torch.rand(8, 3), reduction="sum") / 8,
        LossReading("squared", "identity", (8, 3), (8, 3), 0),
    ),
    "summed beside a penalty": (
        lambda: F.cross_entropy(MANY(X), Y, reduction="sum") + 0.1 * MANY.weight.square().sum(),
        LossReading("cross-entropy", "identity", (8, 3), (8, 3), 8, alone=False, classes=3),
    ),
    "weighted": (
        lambda: (F.cross_entropy(MANY(X), Y, reduction="none") * torch.rand(8)).mean(),
        LossReading("cross-entropy", "identity", (8, 3), (8, 3), 0, weighted=True, classes=3),
    ),
    "summed over columns, averaged over rows": (
        lambda: F.binary_cross_entropy_with_logits(MANY(X), torch.rand(8, 3), reduction="none").sum(1).mean(),
        LossReading("binary-logits", "identity", (8, 3), (8, 3), 3),
    ),
    "squares summed over columns by hand": (
        lambda: (MANY(X) - torch.rand(8, 3)).pow(2).sum(1).mean(),
        LossReading("squared", "identity", (8, 3), (8, 3), 3),
    ),
    "averaged twice": (
        lambda: F.mse_loss(MANY(X), torch.rand(8, 3), reduction="none").mean(1).mean(),
        LossReading("squared", "identity", (8, 3), (8, 3), 1),
    ),
    "of weighted classes": (
        lambda: F.cross_entropy(MANY(X), Y, weight=torch.tensor([1.0, 2.0, 3.0])),
        LossReading("cross-entropy", "identity", (8, 3), (8, 3), weighted=True, classes=3),
    ),
    "of a weighted positive class": (
        lambda: F.binary_cross_entropy_with_logits(ONE(X), T, pos_weight=torch.tensor([9.0])),
        LossReading("binary-logits", "identity", (8, 1), (8, 1), weighted=True),
    ),
    "smooth": (
        lambda: F.smooth_l1_loss(ONE(X), T, beta=0.5),
        LossReading("huber", "identity", (8, 1), (8, 1), delta=0.5),
    ),
    "steep": (
        lambda: F.huber_loss(ONE(X), T, delta=2.0),
        LossReading("huber", "identity", (8, 1), (8, 1), delta=2.0, slope=2.0),
    ),
    "softmax twice": (
        lambda: F.cross_entropy(MANY(X).softmax(1), Y),
        LossReading("cross-entropy", "softmax", (8, 3), (8, 3), classes=3),
    ),
    "nll of log-softmax": (
        lambda: F.nll_loss(MANY(X).log_softmax(1), Y),
        LossReading("cross-entropy", "identity", (8, 3), (8, 3), classes=3),
    ),
    "nll of raw outputs": (lambda: F.nll_loss(MANY(X), Y), LossReading("nll", "identity", (8, 3), (8, 3), classes=3)),
    "logits": (
        lambda: F.binary_cross_entropy_with_logits(ONE(X), T),
        LossReading("binary-logits", "identity", (8, 1), (8, 1)),
    ),
    "probabilities": (
        lambda: F.binary_cross_entropy(ONE(X).sigmoid(), T),
        LossReading("binary", "sigmoid", (8, 1), (8, 1)),
    ),
    "squares": (lambda: F.mse_loss(ONE(X).relu(), T), LossReading("squared", "relu", (8, 1), (8, 1))),
    "squares by hand": (lambda: ((ONE(X) - T) ** 2).mean(), LossReading("squared", "identity", (8, 1), (8, 1))),
    "with a penalty": (
        lambda: F.mse_loss(ONE(X), T) + 0.1 * ONE.weight.square().sum(),
        LossReading("squared", "identity", (8, 1), (8, 1), alone=False),
    ),
    "with a loss of its own": (
        lambda: F.mse_loss(z := ONE(X), T) + (1 - (z * T).sum() / (z + T).sum().clamp_min(1e-6)),
        LossReading("squared", "identity", (8, 1), (8, 1), alone=False, joined=True),
    ),
    "classes with an entropy": (
        lambda: F.cross_entropy(z := MANY(X), Y) - 0.1 * (z.softmax(1) * z).sum(1).mean(),
        LossReading("cross-entropy", "identity", (8, 3), (8, 3), alone=False, classes=3, joined=True),
    ),
    "squeezed": (lambda: F.mse_loss(ONE(X).squeeze(1), T[:, 0]), LossReading("squared", "identity", (8, 1), (8,))),
    "absolute": (lambda: F.l1_loss(ONE(X), T), LossReading("absolute", "identity", (8, 1), (8, 1))),
    "huber": (lambda: F.huber_loss(ONE(X), T), LossReading("huber", "identity", (8, 1), (8, 1))),
    "divergence of probabilities": (
        lambda: F.kl_div(MANY(X).softmax(1), SHARES, reduction="batchmean"),
        LossReading("divergence", "softmax", (8, 3), (8, 3)),
    ),
    "divergence of log-probabilities": (
        lambda: F.kl_div(MANY(X).log_softmax(1), SHARES, reduction="batchmean"),
        LossReading("cross-entropy", "identity", (8, 3), (8, 3), 1, by_hand=True, classes=3),
    ),
    "one minus what is right": (
        lambda: (1 - MANY(X).softmax(1) * SHARES).mean(),
        LossReading(),
    ),
    "two losses": (lambda: F.cross_entropy(MANY(X), Y) + F.mse_loss(ONE(X), T), LossReading()),
    "something else": (lambda: (ONE(X).exp() * ONE(X)).mean(), LossReading()),
}


@pytest.mark.covers("D9")
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_told_by_its_graph_before_and_after_the_way_back(name: str) -> None:
    make, wanted = LOSSES[name]
    loss = make()
    assert read_loss(loss) == wanted
    loss.backward()
    assert read_loss(loss) == wanted


@pytest.mark.parametrize("loss_fn", [F.mse_loss, F.l1_loss, F.huber_loss, lambda z, t: ((z - t) ** 2).mean()])
def test_shapes_that_broadcast_are_told(loss_fn: Callable[[Tensor, Tensor], Tensor]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own
        wrong = read_loss(loss_fn(ONE(X), T[:, 0]))
    assert wrong.broadcasts and wrong.shape == (8, 1) and wrong.compared == (8, 8)
    assert not read_loss(loss_fn(ONE(X), T)).broadcasts


def test_a_loss_without_a_graph_tells_nothing() -> None:
    assert read_loss(torch.tensor(1.0)) == LossReading()


@pytest.mark.parametrize(
    ("loss", "chance"),
    [
        (lambda: F.cross_entropy(MANY(X), Y), log(3)),
        (lambda: F.nll_loss(MANY(X).log_softmax(1), Y), log(3)),
        (lambda: F.cross_entropy(MANY(X.view(2, 4, 5)).view(-1, 3), Y), log(3)),  # of a step of a sequence each
        (lambda: F.cross_entropy(MANY(X.view(2, 4, 5)).permute(0, 2, 1), Y.view(2, 4)), log(3)),
        (lambda: F.cross_entropy(MANY(X), Y, reduction="sum"), None),
        (lambda: F.cross_entropy(MANY(X), Y) + MANY.weight.square().sum(), None),
        (lambda: F.cross_entropy(MANY(X), Y, weight=torch.ones(3)), None),
        (lambda: -(MANY(X).log_softmax(1)[:, 0] * X[:, 0]).mean(), None),  # of a policy
        (lambda: F.mse_loss(ONE(X), T), None),
    ],
)
def test_without_targets_the_chance_of_a_cross_entropy_is_that_of_its_classes(loss: Any, chance: float | None) -> None:
    assert read_loss(loss()).chance == (None if chance is None else pytest.approx(chance))


@pytest.mark.parametrize(("axis", "across"), [(0, True), (1, False)])
def test_a_softmax_over_the_samples_is_told_of_images_too(axis: int, across: bool) -> None:
    net = nn.Conv2d(1, 3, 1)
    for x, y in ((torch.randn(8, 1, 6, 6), torch.zeros(8, 6, 6, dtype=torch.long)),):
        assert read_loss(F.nll_loss(net(x).log_softmax(axis), y)).across == across
    assert read_loss(F.nll_loss(MANY(X).log_softmax(axis), Y)).across == across


def test_a_penalty_written_by_hand_beside_squares_is_seen() -> None:
    assert read_loss(((ONE(X) - T) ** 2).mean()).alone
    assert not read_loss(((ONE(X) - T) ** 2).mean() + 0.1 * ONE.weight.abs().sum()).alone
