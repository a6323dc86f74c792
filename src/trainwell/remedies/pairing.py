"""Losses that a user's training may be given instead of its own, each with the targets it takes; and which one it has.

Contract: a pairing is a function (outputs, targets as the user gave them, aim) → loss. It brings the targets to the
type and the shape that the loss takes, so nothing broadcasts. `LOSSES` is the table.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from trainwell.base import Registry
from trainwell.base.streams import stream_seed
from trainwell.remedies.aim import Aim, Loss

Pairing = Callable[[Tensor, Tensor, Aim], Tensor]


def cross_entropy(outputs: Tensor, y: Tensor, aim: Aim) -> Tensor:
    """−log softmax(z)[class], from logits (B, C) and the numbers of the classes."""
    if aim.task == "sequence":
        return F.cross_entropy(outputs if outputs.shape[2:] == y.shape[1:] else outputs.movedim(-1, 1), y.long())
    return F.cross_entropy(outputs.reshape(len(outputs), -1), aim.index(y))


def binary_cross_entropy(outputs: Tensor, y: Tensor, aim: Aim) -> Tensor:
    """−log σ(±z), from a logit a row, or one a label."""
    target = aim.index(y) if aim.task == "classes" else y
    return F.binary_cross_entropy_with_logits(outputs, target.to(outputs.dtype).reshape(outputs.shape))


def mse(outputs: Tensor, y: Tensor, aim: Aim) -> Tensor:
    """(z − y)², averaged."""
    return F.mse_loss(outputs, y.to(outputs.dtype).reshape(outputs.shape))


def with_loss(name: str, aim: Aim) -> Loss:
    """The loss of this name for a task, as a function of outputs and given targets."""
    return partial(_paired, LOSSES[name], aim)


def _paired(pairing: Pairing, aim: Aim, outputs: Tensor, y: Tensor) -> Tensor:
    return pairing(outputs, y, aim)


def loss_name(loss_fn: Loss, outputs: Tensor, y: Tensor, aim: Aim) -> str:
    """Which known loss a user's function computes, found by its values; "own" if none, "fails" if it raises.

    Args:
        outputs: of the untrained module on some rows, for their shape. y: the rows' targets.
    """
    draw = torch.Generator().manual_seed(stream_seed("loss"))
    p = torch.rand(outputs.shape, generator=draw).to(outputs)  # every loss takes what lies between 0 and 1
    if p.numel() == y.numel():  # in the order of the targets, for which order a loss that broadcasts has no sense
        p = p.flatten().sort().values[y.flatten().argsort().argsort().to(p.device)].reshape(p.shape)
    try:
        loss_fn(outputs, y)
    except Exception:  # noqa: BLE001  whatever a user's loss may raise
        return "fails"
    for name, known in KNOWN.items():
        ours, theirs = _value(partial(_paired, known, aim), p, y), _value(loss_fn, p, y)
        if ours is not None and theirs is not None and torch.allclose(ours, theirs, rtol=1e-4, atol=1e-6):
            return name
    return "own"


def _value(loss: Callable[[Tensor, Tensor], Tensor], outputs: Tensor, y: Tensor) -> Tensor | None:
    try:
        value = loss(outputs, y)
    except Exception:  # noqa: BLE001  whatever a user's loss may raise
        return None
    return value.detach().double() if isinstance(value, Tensor) and value.dim() == 0 else None


def _nll(outputs: Tensor, y: Tensor, aim: Aim) -> Tensor:
    return F.nll_loss(outputs, aim.index(y))


def _probabilities(outputs: Tensor, y: Tensor, aim: Aim) -> Tensor:
    target = aim.index(y) if aim.task == "classes" else y
    return F.binary_cross_entropy(outputs, target.to(outputs.dtype).reshape(outputs.shape))


def _cross_entropy_of_columns(outputs: Tensor, y: Tensor, aim: Aim) -> Tensor:
    return F.cross_entropy(outputs, y.to(outputs.dtype))


def _flat(loss: Callable[[Tensor, Tensor], Tensor], outputs: Tensor, y: Tensor, aim: Aim) -> Tensor:
    return loss(outputs, y.to(outputs.dtype).reshape(outputs.shape))


def _broadcast(loss: Callable[[Tensor, Tensor], Tensor], outputs: Tensor, y: Tensor, aim: Aim) -> Tensor:
    return loss(*torch.broadcast_tensors(outputs, y.to(outputs.dtype)))


LOSSES: Registry[Pairing] = Registry(
    "loss of a user's training",
    {"cross_entropy": cross_entropy, "binary_cross_entropy": binary_cross_entropy, "mse": mse},
)

BROADCAST = ", broadcast"
DIFFERENCES: dict[str, Callable[..., Tensor]] = {
    "mse": F.mse_loss,
    "l1": F.l1_loss,
    "huber": F.smooth_l1_loss,
    "mse (sum)": partial(F.mse_loss, reduction="sum"),
    "l1 (sum)": partial(F.l1_loss, reduction="sum"),
}
KNOWN: dict[str, Pairing] = {
    "cross_entropy": cross_entropy,
    "cross_entropy of columns": _cross_entropy_of_columns,
    "nll": _nll,
    "binary_cross_entropy": binary_cross_entropy,
    "probabilities": _probabilities,  # binary cross entropy of probabilities, not of logits
    **{name: partial(_flat, loss) for name, loss in DIFFERENCES.items()},
    **{f"{name}{BROADCAST}": partial(_broadcast, loss) for name, loss in DIFFERENCES.items()},
}
ELEMENTWISE = tuple(name for name in KNOWN if name.removesuffix(BROADCAST) in DIFFERENCES)
"""Compare outputs and targets element by element; with the suffix, every output with every target."""
