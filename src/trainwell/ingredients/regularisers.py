"""What keeps a network from learning by heart, and its steps from growing too large.

Contract: a `Regulariser` has one strength, a column (K, 1), and a value of it that means "not used"; a member with that
value is left as it is, bit for bit. Where it acts is its `stage`, and that fixes what `apply` is:

| stage | apply | when |
|---|---|---|
| forward | (signal (K or 1, H, B), column, noise) → (K, H, B) | on the way through the network, in training only |
| gradient | (θ (K, P), g (K, P), column, layout), g changed in place | between the gradient and the optimizer |
| weights | (θ (K, P), column, layout), θ changed in place | after the optimizer |
| average | (update t = 1, 2, …, total, column) → (K, 1) | after each update: the share of the newest θ in the average |

The order of the table is the order of application: penalties belong to the gradient that is clipped. Label smoothing
(row R8) stands with the losses, decoupled weight decay (row R1) with the optimizers, early stopping with training.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal

import torch
from torch import Tensor

from trainwell.base import Between, Hyper, Registry
from trainwell.base.layout import Columns, Layout
from trainwell.base.streams import stream

Stage = Literal["forward", "gradient", "weights", "average"]
AGC_EPSILON = 1e-3  # Brock 2021: lets units that start with weights 0 move


@dataclass(frozen=True)
class Regulariser:
    """One regulariser: its strength and range, the value that means "not used", where it acts, and how.

    `noise` is what a forward one needs beside its strength: "uniform" or "normal" numbers of the signal's shape, or for
    mixup the "order" (K or 1, B) in which samples meet (its strength α then comes as `beta_shares`).
    """

    hyper: Hyper
    off: float
    stage: Stage
    apply: Callable[..., Tensor | None]
    doc: str
    noise: Literal["none", "uniform", "normal", "order"] = "none"


def input_noise(x: Tensor, σ: Tensor, normal: Tensor) -> Tensor:
    """x + σ·N(0, 1) on the inputs, anew in each step (row R6; Bishop 1995).

    Augmentation for numbers: close to a penalty on the slope of the network. Inputs have unit variance, so that σ of
    0.01 to 0.3 is usual. `normal` are standard normal numbers (K or 1, D, B), `x` is (K or 1, D, B).
    """
    return x + σ.unsqueeze(2) * normal


def mixup(x: Tensor, share: Tensor, order: Tensor) -> Tensor:
    """λ·x + (1 − λ)·x′ and the same for losses, λ ~ Beta(α, α), x′ another sample (row R6; Zhang 2018).

    Augmentation without knowing what samples mean. α of 0.1 to 0.4 for images, more for noisy labels; 0 is off.
    `beta_shares` draws λ, `mixed_loss` mixes the losses. Where λ is 1 it is x itself, whatever the other sample holds.

    Args:
        x: (K or 1, D, B). share: λ, (K, 1).
        order: (K or 1, B), the sample that each one is mixed with.
    """
    members = max(len(x), len(order), len(share))
    x, share = x.expand(members, -1, -1), share.unsqueeze(2)
    other = x.gather(2, order.unsqueeze(1).expand(members, x.shape[1], -1))
    return torch.where(share == 1, x, share * x + (1 - share) * other)


def mixed_loss(losses: Tensor, losses_of_others: Tensor, share: Tensor) -> Tensor:
    """share·L(z, y) + (1 − share)·L(z, y[order]), per-sample losses (K, B) each, share (K, 1) (Zhang 2018)."""
    return torch.where(share == 1, losses, share * losses + (1 - share) * losses_of_others)


def beta_shares(α: Tensor, seeds: Sequence[int]) -> Tensor:
    """λ ~ Beta(α, α) of each member from its own stream, (K, 1); exactly 1 where α is 0.

    Args:
        α: (K, 1), strengths of mixup. seeds: one a member, another one for each step.
    """
    drawn = [stream(seed).beta(a, a) if a > 0 else 1.0 for a, seed in zip(α.flatten().tolist(), seeds, strict=True)]
    return torch.tensor(drawn, dtype=α.dtype, device=α.device).unsqueeze(1)


def dropout(h: Tensor, p: Tensor, uniform: Tensor) -> Tensor:
    """h·[u ≥ p]/(1 − p): each unit is silent with probability p, E is kept (row R2; Srivastava 2014).

    Inverted: nothing is to be scaled when predicting. p of 0.1 to 0.5 in wide layers that learn by heart. `uniform` are
    numbers in [0, 1) of shape (K or 1, H, B), `h` is (K, H, B).
    """
    p = p.unsqueeze(2)
    return h * ((uniform >= p).to(h.dtype) * (1 / (1 - p)))


def l1(θ: Tensor, g: Tensor, λ: Tensor, layout: Layout) -> None:
    """g += λ·sign w, the gradient of λ·Σ|w|, w the layers' weights (row R1; Tibshirani 1996).

    Pulls weights to 0 and lets few of them be large; biases, norms and embeddings are free.
    """
    for _, w, slope in _matrices(θ, g, layout):
        slope.addcmul_(torch.sign(w), λ.unsqueeze(2))


def l2(θ: Tensor, g: Tensor, λ: Tensor, layout: Layout) -> None:
    """g += λ·w, the gradient of ½λ·Σw², w the layers' weights (row R1; Krogh & Hertz 1992).

    Keeps weights small. With adaptive optimizers decoupled weight decay is better (Loshchilov & Hutter 2019): there
    this penalty is divided by the gradient's scale.
    """
    for _, w, slope in _matrices(θ, g, layout):
        slope.addcmul_(w, λ.unsqueeze(2))


def penalty(θ: Tensor, h: Columns, layout: Layout) -> Tensor:
    """λ₁·Σ|w| + ½λ₂·Σw² of each member (K, 1): what l1 and l2 add to its loss, whose gradient they add to g."""
    total = torch.zeros_like(θ[:, :1])
    for _, w, _ in _matrices(θ, θ, layout):
        w = w.flatten(1)
        total = total + h["l1"] * w.abs().sum(1, keepdim=True) + h["l2"] / 2 * w.square().sum(1, keepdim=True)
    return total


def clip_value(θ: Tensor, g: Tensor, c: Tensor, layout: Layout) -> None:
    """g ← min(max(g, −c), c), number by number (row R9; Mikolov 2012).

    Changes the direction as well; clipping by a norm is the better choice, unless single numbers explode.
    """
    g.clamp_(min=-c, max=c)


def clip_layer_norm(θ: Tensor, g: Tensor, c: Tensor, layout: Layout) -> None:
    """g_l ← c·g_l/‖g_l‖ for each tensor l with ‖g_l‖ ≥ c (row R9).

    A layer that explodes does not slow the others down; the direction of the whole gradient changes.
    """
    for view in layout.views(g).values():
        view.mul_(_shrinking(_norm(view.flatten(1)), c).reshape(-1, *[1] * (view.dim() - 1)))


def clip_adaptive(θ: Tensor, g: Tensor, λ: Tensor, layout: Layout) -> None:
    """g_i ← λ·max(‖w_i‖, ε)·g_i/‖g_i‖ for each unit i with ‖g_i‖ > λ·max(‖w_i‖, ε) (row R9; Brock 2021, AGC).

    For large batches and networks without norms; λ = 0.01, ε = 1e-3. The output layer is left alone, as in the paper.
    A unit is a row of a matrix (its incoming weights); a bias counts as one.
    """
    slopes = layout.views(g)
    for slot in layout.slots:
        if slot.name.startswith("output."):
            continue
        w, slope = layout.views(θ)[slot.name], slopes[slot.name]
        units = slope.shape[1] if slot.start == "weight" or min(slot.shape) > 1 else 1
        w, slope = w.reshape(len(w), units, -1), slope.view(len(slope), units, -1)
        limit = λ.unsqueeze(2) * _norm(w).clamp(min=AGC_EPSILON)
        slope.mul_(_shrinking(_norm(slope), limit))


def clip_norm(θ: Tensor, g: Tensor, c: Tensor, layout: Layout) -> None:
    """g ← c·g/‖g‖ if ‖g‖ ≥ c, g all slopes of a member: its norm is then c (row R9; Pascanu 2013).

    The remedy for exploding gradients: the direction stays. c of 1 is usual; below the usual norm it works as a smaller
    rate. Exactly the formula: torch's clip_grad_norm_ divides by ‖g‖ + 1e-6.
    """
    g.mul_(_shrinking(_norm(g), c))


def max_norm(θ: Tensor, c: Tensor, layout: Layout) -> None:
    """w_i ← c·w_i/‖w_i‖ for each unit i whose incoming weights have ‖w_i‖ > c (row R1; Srivastava 2014).

    Together with dropout it allows large rates: weights can't grow without bound. c of 3 to 4 is usual.
    """
    for _, w, _ in _matrices(θ, θ, layout):
        w.mul_(_shrinking(_norm(w), c.unsqueeze(2)))


def ema_decay(t: int, total: int, decay: Tensor) -> Tensor:
    """θ̄ ← decay·θ̄ + (1 − decay)·θ after each update, and θ̄ is judged and kept (row R8; Polyak 1992).

    A smooth path over about 1/(1 − decay) updates, as good as a falling rate. The average starts as θ after the first
    update and has no bias towards 0 to be corrected.
    """
    return torch.ones_like(decay) if t == 1 else 1 - decay


def swa_start(t: int, total: int, start: Tensor) -> Tensor:
    """θ̄ ← θ̄ + (θ − θ̄)/(n + 1), the mean of all θ after this share of the run (row R8; Izmailov 2018).

    Finds flatter minima, best with a constant or cyclical rate; 0.75 is the paper's start. 1 is off; before the start
    the average is the newest θ itself.
    """
    n = t - 1 - torch.round(start * total)  # rounded, as 0.7·10 is not quite 7
    return torch.where(start < 1, 1 / (1 + n.clamp(min=0)), 1.0)


def _matrices(θ: Tensor, g: Tensor, layout: Layout) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Name, weights (K, H, D) and slopes of each layer's matrix: what an initialiser draws."""
    weights, slopes = layout.views(θ), layout.views(g)
    return ((s.name, weights[s.name], slopes[s.name]) for s in layout.slots if s.start == "weight")


def _norm(x: Tensor) -> Tensor:
    """‖x‖₂ over the last dimension, which stays with length 1; also where the squares pass the largest number."""
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    if bool(torch.isinf(norm).any()):  # an exploding gradient is just what is to be clipped
        most = x.abs().amax(dim=-1, keepdim=True)
        norm = torch.where(torch.isinf(norm), most * torch.linalg.vector_norm(x / most, dim=-1, keepdim=True), norm)
    return norm


def _shrinking(norm: Tensor, limit: Tensor) -> Tensor:
    """limit/norm where the norm is larger, else 1; 1 also where the norm is no number, so that a NaN stays seen."""
    return torch.where(norm > limit, limit / norm, 1.0)


_RATE = Hyper("p, share of units silenced in each step; 0: off", least=0, below=1, search=Between(0.05, 0.5, share=0.6))
_PENALTY = Hyper("λ, weight of the penalty; 0: off", least=0)
_LIMIT = Hyper("c, largest norm", above=0)


def _of(stage: Stage, off: float, hyper: Hyper, how: Callable[..., Tensor | None]) -> Regulariser:
    return Regulariser(hyper, off, stage, how, how.__doc__ or "")


def _noisy(noise: Literal["uniform", "normal", "order"], hyper: Hyper, how: Callable[..., Tensor]) -> Regulariser:
    return Regulariser(hyper, 0.0, "forward", how, how.__doc__ or "", noise)


REGULARISERS: Registry[Regulariser] = Registry(
    "regulariser",
    {
        "input_noise": _noisy("normal", Hyper("σ, deviation of the noise on the inputs; 0: off", least=0), input_noise),
        "mixup": _noisy("order", Hyper("α, of the Beta distribution of shares; 0: off", least=0), mixup),
        "dropout": _noisy("uniform", _RATE, dropout),
        "l1": _of("gradient", 0.0, _PENALTY, l1),
        "l2": _of("gradient", 0.0, _PENALTY, l2),
        "clip_value": _of("gradient", inf, Hyper("c, largest size of a number", above=0), clip_value),
        "clip_layer_norm": _of("gradient", inf, _LIMIT, clip_layer_norm),
        "clip_norm": _of("gradient", inf, _LIMIT, clip_norm),
        "clip_adaptive": _of(
            "gradient",
            inf,
            Hyper("λ, largest norm of a unit's slopes, as a share of its weights'", above=0),
            clip_adaptive,
        ),
        "max_norm": _of("weights", inf, Hyper("c, largest norm of a unit's incoming weights", above=0), max_norm),
        "ema_decay": _of("average", 0.0, Hyper("share of the old in the average; 0: off", least=0, below=1), ema_decay),
        "swa_start": _of(
            "average", 1.0, Hyper("share of the run before the average begins; 1: off", least=0, most=1), swa_start
        ),
    },
)
