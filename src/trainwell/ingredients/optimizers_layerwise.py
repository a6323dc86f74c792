"""Update rules that look at whole tensors: steps as long as their weights, and orthogonal steps."""

from math import prod

import torch
from torch import Tensor

from trainwell.base import Hyper
from trainwell.base.layout import Columns, Layout
from trainwell.ingredients.update_rule import HYPERS, InTurn, Optimizer, State, filled, mean_columns


def _lamb(h: Columns, s: State, t: Tensor) -> Columns:
    return {
        **mean_columns(h, t),
        "unbias1": 1 / filled(h["momentum"], t),
        "weight_decay": h["weight_decay"],
        "step": -h["learning_rate"],
    }


def _direction(θ: Tensor, g: Tensor, s: State, c: Columns, layout: Layout) -> None:
    """g ← m̂/(√v̂ + ε) + λθ."""
    m, v = s["m"], s["v"]
    m.lerp_(g, c["new1"])
    v.lerp_(g.square_(), c["new2"])
    root = torch.addcmul(c["epsilon_inside"], v, c["unbias2"], out=g).sqrt_().add_(c["epsilon"])
    torch.div(m, root, out=g).mul_(c["unbias1"]).addcmul_(θ, c["weight_decay"])


def _trusted(θ: Tensor, g: Tensor, s: State, c: Columns, layout: Layout) -> None:
    """Each tensor's step, scaled to the norm of its weights."""
    sizes = [prod(slot.shape) for slot in layout.slots]
    weights, steps = θ.split(sizes, dim=1), g.split(sizes, dim=1)
    norms = [torch.linalg.vector_norm(part, dim=1) for part in (*weights, *steps)]
    long, wide = torch.stack(norms, dim=1).split(len(sizes), dim=1)  # (K, tensors) each
    trust = torch.where((long == 0) | (wide == 0), 1, long / wide)
    for w, u, rate in zip(weights, steps, (c["step"] * trust).split(1, dim=1), strict=True):
        w.addcmul_(u, rate)


lamb = InTurn(_direction, _trusted)
LAMB = """u = m̂/(√v̂ + ε) + λθ;  θ ← θ − η·(‖θ‖/‖u‖)·u for each tensor (row O9; You 2020, algorithm 2, φ the identity).

Each tensor moves by the share η of its own norm: for large batches and rates. Where a norm is 0 the ratio is 1.
"""


def _muon(h: Columns, s: State, t: Tensor) -> Columns:
    η = h["learning_rate"]
    others = mean_columns({**h, "momentum": torch.full_like(η, OTHERS_BETA1)}, t)
    return {
        **others,
        "momentum": h["momentum"],
        "new_momentum": 1 - h["momentum"],
        "keep": 1 - η * h["weight_decay"],
        "matrix_step": -η,
        "step": -η / filled(torch.full_like(η, OTHERS_BETA1), t),
    }


def muon(θ: Tensor, g: Tensor, s: State, c: Columns, layout: Layout) -> None:
    """θ ← θ(1 − ηλ) − η·0.2√max(H, D)·UVᵀ for each hidden matrix, UΣVᵀ = g + γu; else AdamW (row O9; Jordan 2024).

    Momentum u as in Nesterov's rule; its step made orthogonal, so that rare directions of a matrix move as far as
    frequent ones. UVᵀ roughly, singular values 0.7 … 1.2, by five Newton–Schulz steps. The factor 0.2√max(H, D) (Liu
    2025) makes a step as long as AdamW's, so one rate and one decay suit all parts. Biases, norms, embeddings and the
    output layer follow AdamW with β1 = 0.9 and this β2. A step costs many times AdamW's: for wide hidden layers.
    """
    for name, kind in _kinds(layout).items():
        part = slice(*layout.span(name))
        θ_part, g_part, m, v = θ[:, part], g[:, part], s["m"][:, part], s["v"][:, part]
        θ_part.mul_(c["keep"])
        if kind is None:
            m.lerp_(g_part, c["new1"])
            v.lerp_(g_part.square_(), c["new2"])
            root = torch.addcmul(c["epsilon_inside"], v, c["unbias2"]).sqrt_().add_(c["epsilon"])
            θ_part.addcmul_(m / root, c["step"])
        else:
            m.lerp_(g_part, c["new_momentum"])
            step = orthogonal(g_part.lerp_(m, c["momentum"]).unflatten(1, kind)).flatten(1)
            θ_part.addcmul_(step, c["matrix_step"] * (MATCH * max(kind) ** 0.5))


def _kinds(layout: Layout) -> dict[str, tuple[int, ...] | None]:
    """By tensor: the shape of a hidden matrix, None for all others."""
    hidden = lambda slot: slot.start == "weight" and len(slot.shape) == 2 and slot.name != "output.weight"
    return {slot.name: slot.shape if hidden(slot) else None for slot in layout.slots}


def orthogonal(matrices: Tensor) -> Tensor:
    """Nearly UVᵀ of each matrix UΣVᵀ in (K, H, D): X ← aX + (bA + cA²)X, A = XXᵀ, five times from X = M/‖M‖.

    Products of float32 are made in bfloat16 where the processor is several times faster at it: five steps on
    16 × 256 × 256 took 17 ms in place of 99 on two cores with AMX. The singular values are only near 1 in any case.
    """
    if len(matrices) > (block := max(1, BLOCK // matrices[0].numel())):
        return torch.cat([orthogonal(part) for part in matrices.split(block)])
    a, b, c = NEWTON_SCHULZ
    upright = matrices.shape[1] > matrices.shape[2]
    X = matrices.mT if upright else matrices
    X = X / torch.linalg.matrix_norm(X, keepdim=True).clamp(min=1e-7)
    X = X.bfloat16() if _halves_pay(X) else X
    for _ in range(NEWTON_SCHULZ_STEPS):
        A = X @ X.mT
        X = torch.baddbmm(X, torch.baddbmm(A, A, A, beta=b, alpha=c), X, beta=a)
    return (X.mT if upright else X).to(matrices.dtype)


def _halves_pay(X: Tensor) -> bool:
    if X.dtype != torch.float32 or X.shape[1] < BFLOAT16_FROM:
        return False
    if X.is_cuda:
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return X.device.type == "cpu" and getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()


NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # Jordan 2024: steepest at 0 among those that stay near 1
NEWTON_SCHULZ_STEPS = 5
BFLOAT16_FROM = 64  # shorter side: 64 × 32 × 32 took 0.52 ms in bfloat16, 0.35 in float32
BLOCK = 2**22  # numbers worked on at a time, to stay near the cache: 256 × 256 × 256 took 549 ms at once, 135 in blocks
MATCH = 0.2  # root mean square of AdamW's steps (Liu 2025)
OTHERS_BETA1 = 0.9  # as in the author's optimizer for the other tensors

LAYERWISE_HYPERS: dict[str, Hyper] = {**HYPERS}

LAYERWISE: dict[str, Optimizer] = {
    "lamb": Optimizer(
        lamb,
        _lamb,
        ("m", "v"),
        standard={"momentum": 0.9, "beta2": 0.999, "epsilon": 1e-6},
        elementwise=False,
        doc=LAMB,
    ),
    "muon": Optimizer(
        muon, _muon, ("m", "v"), standard={"momentum": 0.95, "beta2": 0.95, "epsilon": 1e-8}, elementwise=False
    ),
}
