"""Which plan values are columns of the matrix, and which are structure.

Members of one population agree in structure; each has its own value in every column. A column is named by the last part
of its path ("momentum" of "optimizer.momentum").
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainwell.base import Hyper, InputError
from trainwell.ingredients import ACTIVATIONS, REGULARISERS, SCHEDULES
from trainwell.plan import NAMED, Plan, hypers

SHARED = ("optimizer.learning_rate", "optimizer.weight_decay", "schedule.warmup")  # whatever the ingredients are


def _described(path: str) -> Hyper:
    return NAMED[hypers()[path]].hypers[path.partition(".")[2]]


_PATHS = (
    *SHARED,
    *(path for path, name in hypers().items() if name != "initialiser.name" and not _described(path).structural),
    *(f"regularisation.{name}" for name in REGULARISERS),
)
COLUMNS: dict[str, str] = {path.partition(".")[2]: path for path in _PATHS}
assert len(COLUMNS) == len(_PATHS), "two columns have the same name"

STRUCTURE: tuple[str, ...] = (
    "data.encoding",
    "network.depth",
    "network.width",
    "network.activation",
    "network.norm",
    "network.norm_place",
    "network.weight_norm",
    "network.residual",
    "loss.name",
    "optimizer.name",
    "training.batch_size",
    "training.epochs",
    "training.patience",
    "training.evaluations_per_epoch",
    "training.drop_last",
    "training.precision",
    *(path for path in hypers() if _described(path).structural),
)


def structure(plan: Plan) -> tuple[object, ...]:
    """What must be equal for two plans to share a population."""
    return tuple(_decides(plan, path) for path in STRUCTURE)


def _decides(plan: Plan, path: str) -> object:
    """A value that decides the structure; None for a hyperparameter that the chosen ingredient does not have."""
    return plan.effective(path) if plan.uses(path) else None


def one_structure(plans: Sequence[Plan]) -> Plan:
    """The first plan, after making sure that all agree in structure."""
    for plan in plans[1:]:
        for path in STRUCTURE:
            first, other = _decides(plans[0], path), _decides(plan, path)
            if first != other:
                raise InputError(f"Members of one population must agree in {path}, but have {first} and {other}.")
    return plans[0]


def columns_of(plans: Sequence[Plan], *, dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
    """Each hyperparameter as a column (K, 1), as far as any of these members uses it.

    A regulariser that is not used has the value that switches it off. ε stands in two columns, `epsilon` outside the
    root and `epsilon_inside`, one of them 0.
    """
    values: dict[str, list[float]] = {}
    for name, path in COLUMNS.items():
        own = [_value(plan, path) for plan in plans]
        unread = next((value for value in own if value is not None), None)  # stands in a row that does not use it
        if unread is not None:
            values[name] = [unread if value is None else value for value in own]
    for schedule in {plan.schedule.name for plan in plans}:
        values |= {name: [first] * len(plans) for name, first in SCHEDULES[schedule].state.items()}
    if "epsilon" in values:
        inside = [_epsilon_inside(plan) for plan in plans]
        pairs = list(zip(values["epsilon"], inside, strict=True))
        values["epsilon"] = [0.0 if within else ε for ε, within in pairs]
        values["epsilon_inside"] = [ε if within else 0.0 for ε, within in pairs]
    return {name: torch.tensor(v, dtype=dtype, device=device).unsqueeze(1) for name, v in values.items()}


def signal_hypers(plan: Plan) -> dict[str, float]:
    """The hyperparameters that a member's signals depend on: those of its activation, and dropout while it trains."""
    own = {h: plan.effective(f"network.{h}") for h in ACTIVATIONS[plan.network.activation].standard}
    return {"dropout": plan.regularisation.dropout, **own}


def _value(plan: Plan, path: str) -> float | None:
    """A member's value of a column; None when it has no use for it."""
    section, _, name = path.partition(".")
    if section == "regularisation":
        value = plan.get(path)
        return REGULARISERS[name].off if value is None else value
    return plan.effective(path) if plan.uses(path) else None


def _epsilon_inside(plan: Plan) -> bool:
    place = plan.optimizer.epsilon_place
    return NAMED["optimizer.name"][plan.optimizer.name].epsilon_inside if place == "auto" else place == "inside"
