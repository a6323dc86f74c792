"""A population of points that go downhill: the smallest use of the optimizers."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from trainwell.base.layout import Layout, Slot
from trainwell.ingredients import OPTIMIZERS

Slopes = Callable[[Tensor, int], Tensor]  # θ (K, P), step 0, 1, … → gradient (K, P)


def descend(names: Sequence[str], slopes: Slopes, start: Tensor, steps: int, **hypers: Sequence[float]) -> Tensor:
    """Let each row of `start` (K, P) follow its gradient by its optimizer; gives the path (steps + 1, K, P).

    Args:
        names: the optimizer of each row.
        slopes: the gradient of all rows.
        start: first weights, in float64 for exactness; unchanged.
        hypers: learning_rate and other hyperparameters, one value a row; else the standard values of the optimizer.
    """
    θ = start.clone()
    layout = Layout([Slot("weight", (start.shape[1],), "weight")])
    states = [OPTIMIZERS[name].start(θ[k : k + 1]) for k, name in enumerate(names)]
    columns = [_columns(name, {h: float(v[k]) for h, v in hypers.items()}, θ) for k, name in enumerate(names)]
    path = [start]
    for step in range(steps):
        g = slopes(θ, step).clone()  # it is used up
        t = torch.tensor(step + 1, dtype=θ.dtype)
        for k, name in enumerate(names):  # a row a call: each has a rule of its own
            rule, row = OPTIMIZERS[name], slice(k, k + 1)
            rule.update(θ[row], g[row], states[k], rule.columns(columns[k], states[k], t), layout)
        path.append(θ.clone())
    return torch.stack(path)


def _columns(name: str, given: Mapping[str, float], θ: Tensor) -> dict[str, Tensor]:
    """The hyperparameters of one row, (1, 1) each: its own where they are given."""
    rule = OPTIMIZERS[name]
    ε = rule.standard.get("epsilon", 0.0)
    inside = {"epsilon": 0.0, "epsilon_inside": ε} if rule.epsilon_inside else {"epsilon": ε, "epsilon_inside": 0.0}
    values = {"weight_decay": 0.0, **rule.standard, **inside, **given}
    return {hyper: θ.new_full((1, 1), value) for hyper, value in values.items()}
