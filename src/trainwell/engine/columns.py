"""Which plan values are columns of the matrix, and which are structure.

Members of one population agree in structure; each has its own value in every column.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainwell.base import InputError
from trainwell.plan import Plan

COLUMNS: dict[str, str] = {
    "learning_rate": "optimizer.learning_rate",
    "weight_decay": "optimizer.weight_decay",
    "momentum": "optimizer.momentum",
    "beta2": "optimizer.beta2",
    "epsilon": "optimizer.epsilon",
    "dropout": "regularisation.dropout",
    "clip_norm": "regularisation.clip_norm",
    "label_smoothing": "loss.label_smoothing",
    "gain": "initialiser.gain",
    "warmup": "schedule.warmup",
}

STRUCTURE: tuple[str, ...] = (
    "data.encoding",
    "network.depth",
    "network.width",
    "network.activation",
    "network.norm",
    "network.residual",
    "loss.name",
    "optimizer.name",
    "training.batch_size",
    "training.epochs",
    "training.patience",
    "training.evaluations_per_epoch",
    "training.drop_last",
)


def structure(plan: Plan) -> tuple[object, ...]:
    """What must be equal for two plans to share a population."""
    return tuple(plan.get(path) for path in STRUCTURE)


def one_structure(plans: Sequence[Plan]) -> Plan:
    """The first plan, after making sure that all agree in structure."""
    for plan in plans[1:]:
        for path in STRUCTURE:
            if plan.get(path) != plans[0].get(path):
                raise InputError(
                    f"Members of one population must agree in {path}, "
                    f"but have {plans[0].get(path)} and {plan.get(path)}."
                )
    return plans[0]


def columns_of(plans: Sequence[Plan], *, dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
    """Each hyperparameter as a column (K, 1); no clipping is a threshold of infinity."""
    values = {name: [plan.get(path) for plan in plans] for name, path in COLUMNS.items()}
    values["clip_norm"] = [float("inf") if c is None else c for c in values["clip_norm"]]
    return {name: torch.tensor(v, dtype=dtype, device=device).unsqueeze(1) for name, v in values.items()}
