"""What is minimised, per sample, from logits.

Contract: a loss takes the network's outputs z (K, C, B), the targets, and the label smoothing ε (K, 1); gives (K, B).
Targets are (1 or K, B) class indices for `cross_entropy`, else (1 or K, C, B) numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from trainwell.base import Registry


@dataclass(frozen=True)
class Loss:
    """One loss: its function, the activation that turns outputs into predictions, and its tasks (row A11)."""

    function: Callable[[Tensor, Tensor, Tensor], Tensor]
    output: str
    tasks: tuple[str, ...]
    doc: str = ""


def cross_entropy(z: Tensor, y: Tensor, smoothing: Tensor) -> Tensor:
    """−Σ_c t_c log softmax(z)_c with t = (1 − ε)·onehot(y) + ε/C (rows L6, R8)."""
    log_p = torch.log_softmax(z, dim=1)
    picked = log_p.gather(1, y.expand(z.shape[0], -1).unsqueeze(1)).squeeze(1)
    return -((1 - smoothing) * picked + smoothing * log_p.mean(dim=1))


def binary_cross_entropy(z: Tensor, y: Tensor, smoothing: Tensor) -> Tensor:
    """−t log σ(z) − (1 − t) log σ(−z) with t = (1 − ε)·y + ε/2, mean over labels; ∂/∂z = σ(z) − t (row L5)."""
    t = (1 - smoothing).unsqueeze(2) * y + smoothing.unsqueeze(2) / 2
    return F.binary_cross_entropy_with_logits(z, t.expand_as(z), reduction="none").mean(dim=1)


def mse(z: Tensor, y: Tensor, smoothing: Tensor) -> Tensor:
    """(z − y)², mean over targets (row L1)."""
    return (z - y).square().mean(dim=1)


def mae(z: Tensor, y: Tensor, smoothing: Tensor) -> Tensor:
    """|z − y|, mean over targets (row L2)."""
    return (z - y).abs().mean(dim=1)


def huber(z: Tensor, y: Tensor, smoothing: Tensor) -> Tensor:
    """½(z − y)² within 1 of the target, |z − y| − ½ beyond; mean over targets (row L4, δ = 1)."""
    return F.huber_loss(z, y.expand_as(z), reduction="none").mean(dim=1)


def loss_for(task: str) -> str:
    """The loss that fits a task's output (rows A10, A11).

    >>> loss_for("multiclass"), loss_for("regression")
    ('cross_entropy', 'mse')
    """
    return {"multiclass": "cross_entropy", "regression": "mse"}.get(task, "binary_cross_entropy")


LOSSES: Registry[Loss] = Registry(
    "loss",
    {
        "cross_entropy": Loss(cross_entropy, "softmax", ("multiclass",), cross_entropy.__doc__ or ""),
        "binary_cross_entropy": Loss(
            binary_cross_entropy, "sigmoid", ("binary", "multilabel"), binary_cross_entropy.__doc__ or ""
        ),
        "mse": Loss(mse, "identity", ("regression",), mse.__doc__ or ""),
        "mae": Loss(mae, "identity", ("regression",), mae.__doc__ or ""),
        "huber": Loss(huber, "identity", ("regression",), huber.__doc__ or ""),
    },
)
