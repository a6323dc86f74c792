"""What is asked of any structure, and answered by each kind in its own way: a member as a module, sizes, noise."""

from collections.abc import Mapping

from torch import Tensor, nn

from trainwell.networks.dense import Blueprint
from trainwell.networks.foreign import ModuleBlueprint
from trainwell.networks.single import DenseNetwork
from trainwell.networks.structure import Structure


def as_module(
    structure: Structure, weights: Mapping[str, Tensor], statistics: Mapping[str, Tensor], hypers: Mapping[str, float]
) -> nn.Module:
    """A module in evaluation mode with one member's tensors (shapes without K).

    Args:
        hypers: what the member's signals depend on: dropout, and the hyperparameters of its activation.
    """
    if isinstance(structure, Blueprint):
        return DenseNetwork.from_rows(structure, weights, statistics, hypers)
    assert isinstance(structure, ModuleBlueprint)
    return structure.member(weights, statistics, hypers.get("dropout"))


def widest(structure: Structure) -> int:
    """Numbers that a sample has in the widest signal; tells how many samples fit into memory."""
    if isinstance(structure, Blueprint):
        return max(structure.width, structure.outputs, structure.fan_ins[0])
    assert isinstance(structure, ModuleBlueprint)
    return structure.widest


def samples_first(structure: Structure) -> bool:
    """Whether x is (K or 1, B, …), as a user's module takes it, and not (K or 1, D, B)."""
    return isinstance(structure, ModuleBlueprint)


def halves_weights(structure: Structure) -> bool:
    """Whether it computes in the type of its weights, so that these are what is halved; else torch autocasts."""
    return isinstance(structure, Blueprint)


def always_noisy(structure: Structure) -> bool:
    """Whether training draws random numbers also where no plan asks for noise: a user's module may."""
    return isinstance(structure, ModuleBlueprint) and structure.noisy


def in_float64(structure: Structure) -> bool:
    """Whether it can be computed in float64: a user's module may have float32 written in."""
    return not isinstance(structure, ModuleBlueprint) or structure.in_float64
