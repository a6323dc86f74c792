"""References for one member's steps: torch.optim where it has the rule, else the paper's algorithm in numpy."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainwell.base.layout import Layout

Hypers = Mapping[str, float]
Torch = Callable[[list[Tensor], Hypers], torch.optim.Optimizer]


def _adam(kind: Any, **more: Any) -> Torch:
    return lambda p, h: kind(
        p, h["learning_rate"], (h["momentum"], h["beta2"]), h["epsilon"], h["weight_decay"], **more
    )


def _rmsprop(centered: bool) -> Torch:
    return lambda p, h: torch.optim.RMSprop(
        p, h["learning_rate"], h["beta2"], h["epsilon"], h["weight_decay"], h["momentum"], centered
    )


TORCH: dict[str, Torch] = {
    "sgd": lambda p, h: torch.optim.SGD(p, h["learning_rate"], weight_decay=h["weight_decay"]),
    "momentum": lambda p, h: torch.optim.SGD(p, h["learning_rate"], h["momentum"], weight_decay=h["weight_decay"]),
    "nesterov": lambda p, h: torch.optim.SGD(
        p, h["learning_rate"], h["momentum"], weight_decay=h["weight_decay"], nesterov=h["momentum"] > 0
    ),
    "adagrad": lambda p, h: torch.optim.Adagrad(
        p, h["learning_rate"], weight_decay=h["weight_decay"], eps=h["epsilon"]
    ),
    "adadelta": lambda p, h: torch.optim.Adadelta(
        p, h["learning_rate"], h["rho"], h["epsilon_inside"], h["weight_decay"]
    ),
    "rmsprop": _rmsprop(False),
    "centred_rmsprop": _rmsprop(True),
    "adam": _adam(torch.optim.Adam),
    "amsgrad": _adam(torch.optim.Adam, amsgrad=True),
    "nadam": lambda p, h: torch.optim.NAdam(
        p,
        h["learning_rate"],
        (h["momentum"], h["beta2"]),
        h["epsilon"],
        h["weight_decay"],
        momentum_decay=h["momentum_decay"],
    ),
    "adamw": _adam(torch.optim.AdamW),
    "radam": _adam(torch.optim.RAdam),
}

Row = NDArray[np.float64]  # a row of the matrix
Gradient = Callable[[Row, int], Row]  # at these weights and step
Paper = Callable[[Row, Gradient, Hypers, Sequence[float], Layout], tuple[Row, Row]]  # last weights, and those to use


def root(v: Row, h: Hypers) -> Row:
    """The denominator with ε at its place."""
    return np.sqrt(v + h["epsilon_inside"]) + h["epsilon"]


def lion(θ: Row, gradient: Gradient, h: Hypers, rates: Sequence[float], layout: Layout) -> tuple[Row, Row]:
    """Chen et al. 2023, algorithm 2."""
    m = np.zeros_like(θ)
    for t, η in enumerate(rates, start=1):
        g = gradient(θ, t)
        c = h["momentum"] * m + (1 - h["momentum"]) * g
        θ = θ - η * (np.sign(c) + h["weight_decay"] * θ)
        m = h["beta2"] * m + (1 - h["beta2"]) * g
    return θ, θ


def schedule_free(y: Row, gradient: Gradient, h: Hypers, rates: Sequence[float], layout: Layout) -> tuple[Row, Row]:
    """Defazio et al. 2024, algorithm 1 (AdamW), with the authors' correction of the rate in place of a warm-up."""
    x, z, v, total, largest = y.copy(), y.copy(), np.zeros_like(y), 0.0, 0.0
    for t, η in enumerate(rates, start=1):
        y = (1 - h["momentum"]) * z + h["momentum"] * x
        g = gradient(y, t)
        v = h["beta2"] * v + (1 - h["beta2"]) * g**2
        γ = η * np.sqrt(1 - h["beta2"] ** t)
        z = z - γ * g / root(v, h) - γ * h["weight_decay"] * y
        largest = max(largest, γ)
        total += largest**2
        x = (1 - largest**2 / total) * x + largest**2 / total * z
    return (1 - h["momentum"]) * z + h["momentum"] * x, x


def lamb(θ: Row, gradient: Gradient, h: Hypers, rates: Sequence[float], layout: Layout) -> tuple[Row, Row]:
    """You et al. 2020, algorithm 2, layer by layer."""
    m, v = np.zeros_like(θ), np.zeros_like(θ)
    for t, η in enumerate(rates, start=1):
        g = gradient(θ, t)
        m = h["momentum"] * m + (1 - h["momentum"]) * g
        v = h["beta2"] * v + (1 - h["beta2"]) * g**2
        r = m / (1 - h["momentum"] ** t) / root(v / (1 - h["beta2"] ** t), h)
        θ = θ.copy()
        for slot in layout.slots:
            layer = slice(*layout.span(slot.name))
            update = r[layer] + h["weight_decay"] * θ[layer]
            θ[layer] = θ[layer] - η * np.linalg.norm(θ[layer]) / np.linalg.norm(update) * update
    return θ, θ


def newton_schulz(matrix: Row) -> Row:
    """Jordan 2024: five steps of aX + b(XXᵀ)X + c(XXᵀ)²X."""
    X = matrix / np.sqrt(sum(x * x for x in matrix.ravel()))
    for _ in range(5):
        A = X @ X.T
        X = 3.4445 * X - 4.7750 * A @ X + 2.0315 * A @ A @ X
    return X


def muon(θ: Row, gradient: Gradient, h: Hypers, rates: Sequence[float], layout: Layout) -> tuple[Row, Row]:
    """Jordan 2024 with decay and scale of Liu et al. 2025, algorithm 1; AdamW (0.9, β2) for the rest."""
    B, m, v = np.zeros_like(θ), np.zeros_like(θ), np.zeros_like(θ)
    for t, η in enumerate(rates, start=1):
        g = gradient(θ, t)
        B = h["momentum"] * B + g
        m = 0.9 * m + 0.1 * g
        v = h["beta2"] * v + (1 - h["beta2"]) * g**2
        step = m / (1 - 0.9**t) / root(v / (1 - h["beta2"] ** t), h)
        for name in ("hidden.0.weight", "hidden.1.weight"):
            layer, shape = slice(*layout.span(name)), dict((s.name, s.shape) for s in layout.slots)[name]
            O = newton_schulz((g[layer] + h["momentum"] * B[layer]).reshape(shape))
            step[layer] = 0.2 * np.sqrt(max(shape)) * O.ravel()
        θ = θ - η * (step + h["weight_decay"] * θ)
    return θ, θ


def rmsprop(w: Row, gradient: Gradient, h: Hypers, rates: Sequence[float], layout: Layout) -> tuple[Row, Row]:
    """The documents' N0: s = β2s + (1−β2)∇², w ← w − η/(s + ε)^½·∇ (with momentum as torch puts it, and L2)."""
    s, change = np.zeros_like(w), np.zeros_like(w)
    for t, η in enumerate(rates, start=1):
        g = gradient(w, t) + h["weight_decay"] * w
        s = h["beta2"] * s + (1 - h["beta2"]) * g**2
        change = h["momentum"] * change + g / root(s, h)
        w = w - η * change
    return w, w


def adam(w: Row, gradient: Gradient, h: Hypers, rates: Sequence[float], layout: Layout) -> tuple[Row, Row]:
    """The documents' Adam with its signs mended and N3's hats: v̂/√(ŝ + ε) (and L2)."""
    v, s = np.zeros_like(w), np.zeros_like(w)
    for t, η in enumerate(rates, start=1):
        g = gradient(w, t) + h["weight_decay"] * w
        v = h["momentum"] * v + (1 - h["momentum"]) * g
        s = h["beta2"] * s + (1 - h["beta2"]) * g**2
        w = w - η * (v / (1 - h["momentum"] ** t)) / root(s / (1 - h["beta2"] ** t), h)
    return w, w


def adagrad(w: Row, gradient: Gradient, h: Hypers, rates: Sequence[float], layout: Layout) -> tuple[Row, Row]:
    """The documents' N3: G = G + ∇², w ← w − η∇/√(G + ε) (and L2)."""
    G = np.zeros_like(w)
    for t, η in enumerate(rates, start=1):
        g = gradient(w, t) + h["weight_decay"] * w
        G = G + g**2
        w = w - η * g / root(G, h)
    return w, w


PAPERS: dict[str, Paper] = {
    "lion": lion,
    "schedule_free": schedule_free,
    "lamb": lamb,
    "muon": muon,
    "rmsprop": rmsprop,
    "adam": adam,
    "adagrad": adagrad,
}
