"""Structures to be tried, with weights, statistics and inputs for them."""

from itertools import product

import torch
from torch import Tensor

from trainwell.networks import Blueprint

K, B, D = 3, 7, 5
DTYPE = torch.float64


def matrices(blueprint: Blueprint, seed: int = 0) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    g = torch.Generator().manual_seed(seed)
    theta = torch.randn(K, blueprint.layout.size, generator=g, dtype=DTYPE)
    statistics = torch.rand(K, blueprint.statistics.size, generator=g, dtype=DTYPE) + 0.5
    return blueprint.layout.views(theta), blueprint.statistics.views(statistics)


def inputs(blueprint: Blueprint, groups: int) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(9)
    x = torch.randn(groups, blueprint.inputs, B, generator=g, dtype=DTYPE)
    columns = [torch.randint(c, (groups, 1, B), generator=g) for c in blueprint.cardinalities]
    return x, torch.cat(columns, 1) if columns else torch.zeros(groups, 0, B, dtype=torch.int64)


BLUEPRINTS = [
    Blueprint(D, 2, cardinalities, depth, width, activation, norm, residual)
    for depth, width, (activation, norm), residual, cardinalities in product(
        (0, 1, 3),
        (D, 6),
        (("relu", "none"), ("tanh", "batch"), ("silu", "layer")),
        (False, True),
        ((), (3, 8)),
    )
] + [Blueprint(0, 1, (4,)), Blueprint(1, 1, width=1)]
