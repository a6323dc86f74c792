"""The contract of update rules, and the averages that many of them are built from.

A step is two calls: `c = optimizer.columns(h, s, t)`, what is equal for a whole row (K, 1), then
`optimizer.update(θ, g, s, c, layout)`, in place, with the gradient used up as scratch. All that is equal for a row is
worked out in `columns`, so that the update is a few multiplications an element, run as written or compiled.

Letters: θ weights (K, P), g gradient (K, P), s state, h hyperparameters, c columns, t = 1, 2, … the step (0-d, of θ's
dtype); η learning_rate, λ weight_decay, γ and β1 momentum, β2 beta2, ε epsilon.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from trainwell.base import Hyper, OneOf
from trainwell.base.layout import Columns, Layout

State = Mapping[str, Tensor]
Update = Callable[[Tensor, Tensor, State, Columns, Layout], None]

HYPERS: dict[str, Hyper] = {
    "momentum": Hyper(
        "γ of momentum, β1 of Adam: share of the past in the mean gradient",
        least=0,
        below=1,
        search=OneOf(0.8, 0.9, 0.95, 0.99),
        searched_by=("momentum", "nesterov"),  # β1 of Adam's kind is left alone in RealMLP's and TabM's spaces
    ),
    "beta2": Hyper(
        "β2: share of the past in the mean squared gradient; of Lion in the mean gradient",
        least=0,
        below=1,
        search=OneOf(0.95, 0.99, 0.999),
    ),
    "epsilon": Hyper("ε, beside the root or under it: keeps small gradients from being blown up", above=0),
}


def as_given(h: Columns, s: State, t: Tensor) -> Columns:
    """The hyperparameters themselves."""
    return h


@dataclass(frozen=True)
class Optimizer:
    """One update rule.

    Attributes:
        update: θ ← …, in place; g is used up, matrices of the state are brought forward.
        columns: what is equal for a whole row at this step, (K, 1) each; brings the scalars of the state forward.
        state: names of matrices (K, P), at 0 before the first step; those in `from_weights` are copies of θ.
        scalars: names of columns (K, 1), at 0 before the first step.
        standard: its own hyperparameters with their standard values.
        shown: the weights to judge and to keep, where they are not θ.
        elementwise: no element looks at another, so that one compiled kernel does the whole matrix.
        epsilon_inside: the paper's own place of ε is under the root.
        doc: the docstring of `update`, unless given.
    """

    update: Update
    columns: Callable[[Columns, State, Tensor], Columns] = as_given
    state: tuple[str, ...] = ()
    scalars: tuple[str, ...] = ()
    standard: Mapping[str, float] = field(default_factory=dict)
    shown: Callable[[Tensor, State, Columns], Tensor] | None = None
    elementwise: bool = True
    epsilon_inside: bool = False
    from_weights: tuple[str, ...] = ()
    doc: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "doc", self.doc or self.update.__doc__ or "")

    def start(self, θ: Tensor) -> dict[str, Tensor]:
        """The state before the first step."""
        matrices = {n: θ.clone() if n in self.from_weights else torch.zeros_like(θ) for n in self.state}
        return matrices | {name: θ.new_zeros(θ.shape[0], 1) for name in self.scalars}


@dataclass(frozen=True)
class InTurn:
    """An update in two phases: one kernel over the whole matrix, then one that looks at whole tensors.

    The first may be compiled; it leaves in g what the second needs.
    """

    elementwise: Update
    by_tensor: Update

    def __call__(self, θ: Tensor, g: Tensor, s: State, c: Columns, layout: Layout) -> None:
        """Both phases."""
        self.elementwise(θ, g, s, c, layout)
        self.by_tensor(θ, g, s, c, layout)


def filled(β: Tensor, t: Tensor) -> Tensor:
    """1 − βᵗ: the weight a mean that began at 0 has gathered after t steps; exact also where β is nearly 1."""
    return torch.expm1(t * β.log()).neg_()


def mean_columns(h: Columns, t: Tensor) -> dict[str, Tensor]:
    """What Adam's means need: shares of the new gradient, 1/(1 − β2ᵗ), both ε."""
    return {
        "new1": torch.rsub(h["momentum"], 1),
        "new2": torch.rsub(h["beta2"], 1),
        "unbias2": filled(h["beta2"], t).reciprocal_(),
        "epsilon": h["epsilon"],
        "epsilon_inside": h["epsilon_inside"],
    }


def weighted_averages(values: Tensor, beta: float, corrected: bool = False) -> Tensor:
    """v_t = βv_{t−1} + (1−β)θ_t, v_0 = 0: the exponentially weighted average (row O11; the means of row O7).

    It averages over about 1/(1−β) values: those weigh a share of 1 − β^{1/(1−β)} ≈ 0.63 in it. The first averages are
    too near 0; `corrected` divides by the weight gathered, 1 − βᵗ (Kingma & Ba 2015), so that v̂_1 = θ_1.

    Args:
        values: θ_1, θ_2, … along the last axis.
        beta: ≥ 0 and < 1.
        corrected: undo the pull of v_0.

    >>> weighted_averages(torch.tensor([3.0, 5.0, 7.0, 2.0]), 0.9)
    tensor([0.3000, 0.7700, 1.3930, 1.4537])
    """
    average, averages = torch.zeros_like(values[..., 0]), []
    for t, value in enumerate(values.unbind(-1), start=1):
        average = beta * average + (1 - beta) * value
        averages.append(average / (1 - beta**t) if corrected else average)
    return torch.stack(averages, dim=-1)
