"""First weights of a population: each member's tensors from its own stream."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainwell.base import Seeds, stream_seed
from trainwell.base.layout import Slot, Views
from trainwell.ingredients import INITIALISERS, InitialiserSettings, gain_for
from trainwell.networks import Blueprint
from trainwell.networks.foreign import ModuleBlueprint
from trainwell.networks.structure import Structure
from trainwell.plan import Plan, hypers

EMBEDDING_STD = 0.1  # assumption: small beside the unit-scaled dense inputs, large enough to tell categories apart
OUTPUT_GAIN = (
    0.1  # under "auto" the output layer starts small, so that first predictions are what chance predicts (row B2)
)
OUTPUT = "output.weight"


def draw_first_weights(weights: Views, blueprint: Blueprint, plans: Sequence[Plan], seeds: Sequence[Seeds]) -> None:
    """Fill views (K, *shape) in place; a member's numbers depend on its plan and its seed alone."""
    for slot in blueprint.layout.slots:
        for k, (plan, own) in enumerate(zip(plans, seeds, strict=True)):
            weights[slot.name][k] = _first(slot, plan, own, weights[slot.name].dtype).to(weights[slot.name].device)
    measure_lengths(weights, blueprint)


def fill_first(
    theta: Tensor, statistics: Tensor, structure: Structure, plans: Sequence[Plan], seeds: Sequence[Seeds]
) -> None:
    """Fill θ (K, P) and the statistics (K, S) in place: by the plans' initialisers, or as a user's module begins."""
    if isinstance(structure, ModuleBlueprint):
        first = {own.init: structure.first(own) for own in dict.fromkeys(seeds)}  # equal ones are built once
        for k, own in enumerate(seeds):
            theta[k], statistics[k] = (row.to(theta.device, theta.dtype) for row in first[own.init])
        return
    assert isinstance(structure, Blueprint)
    draw_first_weights(structure.layout.views(theta), structure, plans, seeds)
    for slot in structure.statistics.slots:
        structure.statistics.views(statistics)[slot.name].fill_(float(slot.start == "one"))


def measure_lengths(weights: Views, blueprint: Blueprint) -> None:
    """Under weight norm, let each unit's length be that of the weights drawn for it."""
    for layer in blueprint.layers:
        if f"{layer}.length" in weights:
            length = torch.linalg.vector_norm(weights[f"{layer}.weight"], dim=2, keepdim=True)
            weights[f"{layer}.length"].copy_(length)


def _first(slot: Slot, plan: Plan, seeds: Seeds, dtype: torch.dtype) -> Tensor:
    """One tensor of one member."""
    if slot.start == "weight":
        return _drawn(slot, plan, seeds, dtype)
    row = torch.zeros(slot.shape, dtype=dtype)
    if slot.start == "embedding":
        row.normal_(0.0, EMBEDDING_STD, generator=_generator(slot, seeds))
    elif slot.start == "one":
        row.fill_(1.0)
    elif slot.start not in ("zero", "length"):  # a learned hyperparameter, such as PReLU's slope
        row.fill_(plan.effective(f"network.{slot.start}"))
    elif slot.name.startswith("hidden.") and slot.name.endswith(".bias") and ".norm." not in slot.name:
        row.fill_(plan.initialiser.bias)
    return row


def _drawn(slot: Slot, plan: Plan, seeds: Seeds, dtype: torch.dtype) -> Tensor:
    auto, last = plan.initialiser.name == "auto", slot.name == OUTPUT
    name = "glorot_uniform" if auto and last else plan.chosen("initialiser.name")
    gain = plan.initialiser.gain * (OUTPUT_GAIN if auto and last else 1.0)
    if plan.initialiser.activation_gain:
        gain *= gain_for("identity" if last else plan.network.activation)
    settings = initialiser_settings(plan, slot.name.removesuffix(".weight"))
    row = torch.empty(slot.shape, dtype=dtype)
    INITIALISERS[name].fill(row, gain=gain, generator=_generator(slot, seeds), settings=settings)
    return row


def initialiser_settings(plan: Plan, layer: str) -> InitialiserSettings:
    """What a scheme may depend on beside the fans, in this layer."""
    last = layer == "output"
    own = {
        path.partition(".")[2]: plan.effective(path) for path, name in hypers().items() if name == "initialiser.name"
    }
    return InitialiserSettings(
        fan=plan.initialiser.fan,
        activation="identity" if last else plan.network.activation,
        dropout=plan.regularisation.dropout,
        hypers={key: value for key, value in own.items() if value is not None},
        first=layer == "hidden.0" or (last and plan.network.depth == 0),
        last=last,
    )


def _generator(slot: Slot, seeds: Seeds) -> torch.Generator:
    return torch.Generator().manual_seed(stream_seed(seeds.init, slot.name))
