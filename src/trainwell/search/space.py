"""The space of plans, and random draws from it (Bergstra & Bengio 2012; scales log-uniform, row B6).

Structure makes a population, columns make its members; so a draw is a few structures with many members each.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from trainwell.plan import Plan, hypers

Draw = Callable[[np.random.Generator], Any]


def log_uniform(low: float, high: float) -> Draw:
    """Uniform in the logarithm."""
    return lambda rng: float(np.exp(rng.uniform(np.log(low), np.log(high))))


def choice(*values: Any) -> Draw:
    """One of these, equally likely."""
    return lambda rng: values[int(rng.integers(len(values)))]


def sometimes(share: float, draw: Draw, otherwise: Any = 0.0) -> Draw:
    """A draw in this share of cases, else a fixed value."""
    return lambda rng: draw(rng) if rng.random() < share else otherwise


def uniform(low: float, high: float) -> Draw:
    """Uniform between two bounds."""
    return lambda rng: float(rng.uniform(low, high))


# Ranges: RealMLP's and TabM's search spaces (practice.md 4.1, 4.2), narrowed to what a small CPU trains in minutes.
STRUCTURE_SPACE: dict[str, Draw] = {
    "data.encoding": choice("piecewise-linear", "plain"),
    "network.depth": choice(0, 1, 1, 2, 2, 3, 4),
    "network.activation": choice("relu", "silu", "selu", "gelu"),
    "network.norm": choice("none", "none", "layer", "batch"),
    "network.residual": choice(False, True),
}
WIDTH_FACTORS = (0.5, 1.0, 1.0, 2.0)

COLUMN_SPACE: dict[str, Draw] = {
    "optimizer.weight_decay": sometimes(0.7, log_uniform(1e-4, 0.3)),
    "regularisation.dropout": sometimes(0.6, uniform(0.05, 0.5)),
    "loss.label_smoothing": sometimes(0.3, log_uniform(0.01, 0.1)),
    "initialiser.gain": sometimes(0.3, log_uniform(0.5, 1.5), 1.0),
    "optimizer.beta2": choice(0.95, 0.99, 0.999),
}


def draw(
    plan: Plan,
    *,
    structures: int,
    members: int,
    rates: tuple[float, float],
    fixed: Sequence[str],
    seed: np.random.Generator,
) -> list[list[Plan]]:
    """Plans to try, grouped by structure; the first of the first group is `plan` itself.

    The second structure differs in the encoding of numbers alone: that is what matters most, and what no table tells
    beforehand (docs/log.md). The others are drawn.

    Args:
        plan: the complete plan to vary. fixed: paths that must stay as they are.
        structures, members: how many groups, of how many plans each.
        rates: the learning rates between which to draw, log-uniform.
    """
    groups: list[list[Plan]] = []
    seen: set[tuple[Any, ...]] = set()
    for _ in range(structures * 10):
        shape = _structure(plan, fixed, seed, len(groups))
        key = tuple(shape.get(path, plan.get(path)) for path in (*STRUCTURE_SPACE, "network.width"))
        if key in seen:
            continue
        seen.add(key)
        base = _search(plan, shape)
        columns = [_columns(base, rates, fixed, seed) for _ in range(members)]
        groups.append([_search(base, {} if not groups and i == 0 else c) for i, c in enumerate(columns)])
        if len(groups) == structures:
            break
    return groups


def _search(plan: Plan, values: Mapping[str, Any]) -> Plan:
    return plan.edited(values, by="search", why="drawn at random") if values else plan


def _structure(plan: Plan, fixed: Sequence[str], seed: np.random.Generator, number: int) -> dict[str, Any]:
    if number == 0:
        return {}
    if number == 1 and "data.encoding" not in fixed:
        return {"data.encoding": "plain" if plan.data.encoding == "piecewise-linear" else "piecewise-linear"}
    shape = {path: pick(seed) for path, pick in STRUCTURE_SPACE.items()}
    shape["network.width"] = max(1, round(plan.network.width * choice(*WIDTH_FACTORS)(seed)))
    if plan.training.batch_size < 8:
        shape["network.norm"] = "none"  # statistics of so few samples are noise
    return {path: value for path, value in shape.items() if path not in fixed}


def _columns(plan: Plan, rates: tuple[float, float], fixed: Sequence[str], seed: np.random.Generator) -> dict[str, Any]:
    values = {"optimizer.learning_rate": log_uniform(*rates)(seed)}
    values |= {path: pick(seed) for path, pick in COLUMN_SPACE.items()}
    unused = [path for path in values if path in hypers() and plan.standard(path) is None]
    return {path: value for path, value in values.items() if path not in fixed and path not in unused}
