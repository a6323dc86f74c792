"""The space of plans, and random draws from it (Bergstra & Bengio 2012; scales log-uniform, row B6).

Structure makes a population, columns make its members; so a draw is a few structures with many members each. What is
searched, and within which range, stands with the plan's fields and the ingredients' hyperparameters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainwell.base import Between, OneOf, Search
from trainwell.engine import STRUCTURE
from trainwell.plan import Plan, described, hypers, is_of_tables, paths, searched

ALWAYS = (
    "optimizer.weight_decay",
    "regularisation.dropout",
    "loss.label_smoothing",
    "initialiser.gain",
    "optimizer.beta2",
)  # drawn first, and also where a plan has no use for them: the other draws of a seed then do not depend on the plan

_FOUND = {path: search for path in (*ALWAYS, *paths()) if (search := searched(path)) is not None}
STRUCTURE_SPACE: dict[str, Search] = {path: search for path, search in _FOUND.items() if path in STRUCTURE}
COLUMN_SPACE: dict[str, Search] = {path: search for path, search in _FOUND.items() if path not in STRUCTURE}
WIDTH_FACTORS = OneOf(0.5, 1.0, 1.0, 2.0)
BATCH_FACTORS = (1.0, 2.0, 4.0)  # none makes an epoch dearer


@dataclass(frozen=True)
class Space:
    """What a search may vary, by path; the rate always is.

    Attributes:
        structure, columns: draws. factors: structure too, drawn as a multiple of the plan's own value.
        most: structures that there are, at the most.
    """

    structure: Mapping[str, Search]
    factors: Mapping[str, OneOf]
    columns: Mapping[str, Search]
    most: int = 1_000

    @property
    def paths(self) -> tuple[str, ...]:
        """All that may differ between two plans."""
        return (*self.structure, *self.factors, "optimizer.learning_rate", *self.columns)


DENSE_SPACE = Space(STRUCTURE_SPACE, {"network.width": WIDTH_FACTORS}, COLUMN_SPACE)


def module_space(*, dropout: bool, largest: float, fixed: Sequence[str]) -> Space:
    """What there is to vary about a user's module, whose structure stays.

    Args:
        dropout: whether its rate is the plan's. largest: multiple of the batch size that the rows allow.
    """
    without = () if dropout else ("regularisation.dropout",)
    columns = {p: search for p, search in COLUMN_SPACE.items() if p not in without and not is_of_tables(p)}
    factors = tuple(f for f in BATCH_FACTORS if f <= largest and "training.batch_size" not in fixed)
    return Space({}, {"training.batch_size": OneOf(*factors)} if factors else {}, columns, most=max(1, len(factors)))


def draw(
    plan: Plan,
    space: Space = DENSE_SPACE,
    *,
    structures: int,
    members: int,
    rates: tuple[float, float],
    fixed: Sequence[str],
    seed: np.random.Generator,
) -> list[list[Plan]]:
    """Plans to try, grouped by structure; the first of the first group is `plan` itself.

    For tables the second structure differs in the encoding of numbers alone: that is what matters most, and what no
    table tells beforehand (docs/log.md). The others are drawn.

    Args:
        plan: the complete plan to vary. space: in what. fixed: paths that must stay as they are.
        structures, members: how many groups, of how many plans each.
        rates: the learning rates between which to draw, log-uniform.
    """
    groups: list[list[Plan]] = []
    seen: set[tuple[Any, ...]] = set()
    for _ in range(structures * 10):
        shape = _structure(plan, space, fixed, seed, len(groups))
        key = tuple(shape.get(path, plan.get(path)) for path in (*space.structure, *space.factors))
        if key in seen:
            continue
        seen.add(key)
        base = _search(plan, shape)
        columns = [_columns(base, space, rates, fixed, seed) for _ in range(members)]
        groups.append([_search(base, {} if not groups and i == 0 else c) for i, c in enumerate(columns)])
        if len(groups) == structures:
            break
    return groups


def _search(plan: Plan, values: Mapping[str, Any]) -> Plan:
    return plan.edited(values, by="search", why="drawn at random") if values else plan


def _structure(
    plan: Plan, space: Space, fixed: Sequence[str], seed: np.random.Generator, number: int
) -> dict[str, Any]:
    if number == 0:
        return {}
    if number == 1 and "data.encoding" in space.structure and "data.encoding" not in fixed:
        return {"data.encoding": "plain" if plan.data.encoding == "piecewise-linear" else "piecewise-linear"}
    shape = {path: search.draw(seed) for path, search in space.structure.items()}
    shape |= {path: max(1, round(plan.get(path) * factor.draw(seed))) for path, factor in space.factors.items()}
    if plan.training.batch_size < 8 and "network.norm" in shape:
        shape["network.norm"] = "none"  # statistics of so few samples are noise
    return {path: value for path, value in shape.items() if path not in fixed}


def _columns(
    plan: Plan, space: Space, rates: tuple[float, float], fixed: Sequence[str], seed: np.random.Generator
) -> dict[str, Any]:
    values = {"optimizer.learning_rate": Between(*rates, log=True).draw(seed)}
    values |= {path: s.draw(seed) for path, s in space.columns.items() if path in ALWAYS or has_use(plan, path)}
    return {path: value for path, value in values.items() if path not in fixed and has_use(plan, path)}


def has_use(plan: Plan, path: str) -> bool:
    """Whether a plan's ingredients have this value, and it is worth searching for them."""
    by = hyper.searched_by if (hyper := described(path)) is not None else ()
    return plan.uses(path) and (not by or plan.chosen(hypers()[path]) in by)
