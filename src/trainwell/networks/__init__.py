"""Blueprints: structures whose weights are views into one matrix θ (K, P), all members computed at once.

Contract: a blueprint gives its `Layout` (which columns of θ are which tensor), a `forward` over views of θ, and one
member as a plain `torch.nn.Module`. Samples come last inside a network, units before them: (K, H, B).
"""

from trainwell.base.layout import Layout as Layout, Slot as Slot
from trainwell.networks.dense import Blueprint as Blueprint, Noise as Noise, Tap as Tap
from trainwell.networks.ends import (
    first_inputs as first_inputs,
    last_linear as last_linear,
    output_function as output_function,
)
from trainwell.networks.foreign import ModuleBlueprint as ModuleBlueprint, built as built
from trainwell.networks.layer_rules import dropout_rates as dropout_rates
from trainwell.networks.single import DenseNetwork as DenseNetwork
from trainwell.networks.structure import Structure as Structure
