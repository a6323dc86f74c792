"""How weights follow gradients.

Contract: an `Optimizer` names the state it keeps (matrices shaped like θ) and updates θ (K, P) in place from the
gradient g (K, P) (which is used up), the state, the hyperparameter columns (K, 1) and the step t = 1, 2, ….

Letters: θ weights, g gradient, η learning_rate, λ weight_decay, γ and β1 momentum, β2 beta2, ε epsilon.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from trainwell.base import Registry

State = Mapping[str, Tensor]
Columns = Mapping[str, Tensor]
Update = Callable[[Tensor, Tensor, State, Columns, int], None]


@dataclass(frozen=True)
class Optimizer:
    """One update rule and the names of its state matrices; state starts at 0."""

    update: Update
    state: tuple[str, ...] = ()
    doc: str = ""


def sgd(θ: Tensor, g: Tensor, state: State, h: Columns, t: int) -> None:
    """θ ← θ − η(g + λθ) (row O1)."""
    g.addcmul_(θ, h["weight_decay"])
    θ.sub_(g.mul_(h["learning_rate"]))


def momentum(θ: Tensor, g: Tensor, state: State, h: Columns, t: int) -> None:
    """u ← γu + g + λθ;  θ ← θ − ηu (row O2; Polyak 1964, in the form of torch.optim.SGD)."""
    u = state["u"]
    g.addcmul_(θ, h["weight_decay"])
    u.mul_(h["momentum"]).add_(g)
    θ.sub_(u * h["learning_rate"])


def adam(θ: Tensor, g: Tensor, state: State, h: Columns, t: int) -> None:
    """m̂/(√v̂ + ε) with m, v the decaying means of g + λθ and its square (row O7; Kingma & Ba 2015, ε outside)."""
    g.addcmul_(θ, h["weight_decay"])
    _adam_step(θ, g, state, h, t)


def adamw(θ: Tensor, g: Tensor, state: State, h: Columns, t: int) -> None:
    """θ ← θ(1 − ηλ), then Adam's step on g alone (row O9; Loshchilov & Hutter 2019)."""
    θ.mul_(1 - h["learning_rate"] * h["weight_decay"])
    _adam_step(θ, g, state, h, t)


def _adam_step(θ: Tensor, g: Tensor, state: State, h: Columns, t: int) -> None:
    m, v, β1, β2 = state["m"], state["v"], h["momentum"], h["beta2"]
    m.mul_(β1).addcmul_(g, 1 - β1)
    v.mul_(β2).addcmul_(g.mul_(g), 1 - β2)
    root = (v / (1 - β2**t)).sqrt_().add_(h["epsilon"])
    θ.sub_((m * (h["learning_rate"] / (1 - β1**t))).div_(root))


OPTIMIZERS: Registry[Optimizer] = Registry(
    "optimizer",
    {
        "sgd": Optimizer(sgd, (), sgd.__doc__ or ""),
        "momentum": Optimizer(momentum, ("u",), momentum.__doc__ or ""),
        "adam": Optimizer(adam, ("m", "v"), adam.__doc__ or ""),
        "adamw": Optimizer(adamw, ("m", "v"), adamw.__doc__ or ""),
    },
)
