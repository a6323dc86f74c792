"""Update rules with one mean: gradient descent, momentum, and steps scaled by past gradients."""

import torch
from torch import Tensor

from trainwell.base import Hyper, OneOf
from trainwell.base.layout import Columns, Layout
from trainwell.ingredients.update_rule import HYPERS, Optimizer, State


def _descent(h: Columns, s: State, t: Tensor) -> Columns:
    """−η and λ; γ where there is one."""
    c = {"step": -h["learning_rate"], "weight_decay": h["weight_decay"]}
    return c | ({"momentum": h["momentum"]} if "momentum" in h else {})


def sgd(θ: Tensor, g: Tensor, s: State, c: Columns, layout: Layout) -> None:
    """θ ← θ − η(g + λθ) (row O1; Robbins & Monro 1951).

    The plainest rule and the reference for all others; needs inputs of one scale and a rate found by trial, ≈ 0.1.
    """
    g.addcmul_(θ, c["weight_decay"])
    θ.addcmul_(g, c["step"])


def momentum(θ: Tensor, g: Tensor, s: State, c: Columns, layout: Layout) -> None:
    """u ← γu + g + λθ;  θ ← θ − ηu (row O2; Polyak 1964, in the form of torch.optim.SGD).

    For ravines: steps across cancel, steps along add up, to 1/(1−γ) times as far. At a constant rate ηu is the
    document's change_t = γ·change_{t−1} + η∇ = Σ γ^{t−i}η∇_i; when the rate falls, this form slows at once.
    """
    u = s["u"]
    g.addcmul_(θ, c["weight_decay"])
    u.mul_(c["momentum"]).add_(g)
    θ.addcmul_(u, c["step"])


def nesterov(θ: Tensor, g: Tensor, s: State, c: Columns, layout: Layout) -> None:
    """u ← γu + g + λθ;  θ ← θ − η(g + λθ + γu) (row O3; Nesterov 1983, in the form of torch.optim.SGD).

    Momentum that looks ahead: the gradient counts as if taken where momentum leads, so it overshoots less.
    """
    u = s["u"]
    g.addcmul_(θ, c["weight_decay"])
    u.mul_(c["momentum"]).add_(g)
    θ.addcmul_(g.addcmul_(u, c["momentum"]), c["step"])


def _rooted(h: Columns, s: State, t: Tensor) -> Columns:
    """−η, λ, both ε; what else there is as it is, and 1 minus the share of the past."""
    names = ("weight_decay", "epsilon", "epsilon_inside", "momentum", "beta2", "rho")
    c = {"step": -h["learning_rate"], **{name: h[name] for name in names if name in h}}
    return c | {f"new_{name}": 1 - h[name] for name in ("beta2", "rho") if name in h}


def adagrad(θ: Tensor, g: Tensor, s: State, c: Columns, layout: Layout) -> None:
    """G ← G + g²;  θ ← θ − ηg/(√G + ε), g with λθ (row O4; Duchi 2011).

    For sparse inputs: rare features keep a large rate. Rates only fall, so long trainings come to a halt.
    """
    G = s["G"]
    g.addcmul_(θ, c["weight_decay"])
    G.addcmul_(g, g)
    root = torch.add(G, c["epsilon_inside"]).sqrt_().add_(c["epsilon"])
    θ.addcmul_(g.div_(root), c["step"])


def adadelta(θ: Tensor, g: Tensor, s: State, c: Columns, layout: Layout) -> None:
    """v ← ρv + (1−ρ)g²;  Δ = √(d+ε)/√(v+ε)·g;  d ← ρd + (1−ρ)Δ²;  θ ← θ − ηΔ, g with λθ (row O5; Zeiler 2012).

    Steps have the unit of the weights, so the paper has no rate (η = 1): the usual 0.001 is far too small here.
    """
    v, d = s["v"], s["d"]
    g.addcmul_(θ, c["weight_decay"])
    root = torch.square(g)
    v.lerp_(root, c["new_rho"])
    torch.add(v, c["epsilon_inside"], out=root).sqrt_().add_(c["epsilon"])
    g.div_(root)
    torch.add(d, c["epsilon_inside"], out=root).sqrt_().add_(c["epsilon"])
    g.mul_(root)
    θ.addcmul_(g, c["step"])
    d.lerp_(g.square_(), c["new_rho"])


def rmsprop(θ: Tensor, g: Tensor, s: State, c: Columns, layout: Layout) -> None:
    """v ← β2v + (1−β2)g²;  u ← γu + g/(√v + ε);  θ ← θ − ηu, g with λθ (row O6; Tieleman & Hinton 2012).

    A rate of its own for each weight that, unlike Adagrad's, forgets. β2: 0.99 in torch, 0.9 in the lecture, 0.999 in
    the documents; γ = 0 there. ⚠ One document adds the step (w + η…) in its overview: that would ascend.
    """
    v, root = s["v"], _squared(θ, g, s, c)
    torch.add(v, c["epsilon_inside"], out=root).sqrt_().add_(c["epsilon"])
    s["u"].mul_(c["momentum"]).add_(g.div_(root))
    θ.addcmul_(s["u"], c["step"])


def centred_rmsprop(θ: Tensor, g: Tensor, s: State, c: Columns, layout: Layout) -> None:
    """m ← β2m + (1−β2)g;  RMSProp with the variance v − m² in place of v (row O6; Graves 2013).

    Bolder where the gradient is steady. Rounding can make the variance negative, where torch gives NaN: here it is 0.
    """
    v, m, root = s["v"], s["m"], _squared(θ, g, s, c)
    m.lerp_(g, c["new_beta2"])
    torch.addcmul(v, m, m, value=-1, out=root)
    root.clamp_(min=0).add_(c["epsilon_inside"]).sqrt_().add_(c["epsilon"])
    s["u"].mul_(c["momentum"]).add_(g.div_(root))
    θ.addcmul_(s["u"], c["step"])


def _squared(θ: Tensor, g: Tensor, s: State, c: Columns) -> Tensor:
    """Bring decay into g and g² into v; gives a matrix to use as scratch."""
    g.addcmul_(θ, c["weight_decay"])
    scratch = torch.square(g)
    s["v"].lerp_(scratch, c["new_beta2"])
    return scratch


def _lion(h: Columns, s: State, t: Tensor) -> Columns:
    η = h["learning_rate"]
    return {"keep": 1 - η * h["weight_decay"], "step": -η, "new1": 1 - h["momentum"], "new2": 1 - h["beta2"]}


def lion(θ: Tensor, g: Tensor, s: State, c: Columns, layout: Layout) -> None:
    """θ ← θ(1 − ηλ) − η·sign(β1m + (1−β1)g);  m ← β2m + (1−β2)g (row O9; Chen 2023).

    One matrix of state. All weights move by η, so take η 3 to 10 times smaller, λ as much larger, than in AdamW.
    """
    m = s["m"]
    direction = torch.lerp(m, g, c["new1"]).sign_()
    m.lerp_(g, c["new2"])
    θ.mul_(c["keep"]).addcmul_(direction, c["step"])


CLASSICAL_HYPERS: dict[str, Hyper] = {
    **HYPERS,
    "rho": Hyper(
        "ρ of Adadelta: share of the past in both mean squares", least=0, below=1, search=OneOf(0.9, 0.95, 0.99)
    ),
}

CLASSICAL: dict[str, Optimizer] = {
    "sgd": Optimizer(sgd, _descent),
    "momentum": Optimizer(momentum, _descent, ("u",), standard={"momentum": 0.9}),
    "nesterov": Optimizer(nesterov, _descent, ("u",), standard={"momentum": 0.9}),
    "adagrad": Optimizer(adagrad, _rooted, ("G",), standard={"epsilon": 1e-10}),
    "adadelta": Optimizer(adadelta, _rooted, ("v", "d"), standard={"rho": 0.95, "epsilon": 1e-6}, epsilon_inside=True),
    "rmsprop": Optimizer(rmsprop, _rooted, ("v", "u"), standard={"momentum": 0.0, "beta2": 0.99, "epsilon": 1e-8}),
    "centred_rmsprop": Optimizer(
        centred_rmsprop, _rooted, ("v", "m", "u"), standard={"momentum": 0.0, "beta2": 0.99, "epsilon": 1e-8}
    ),
    "lion": Optimizer(lion, _lion, ("m",), standard={"momentum": 0.9, "beta2": 0.99}),
}
