"""What is known of layers for sequences: which axis they run along, and how far a plain recurrent one remembers."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from trainwell.vitals.inside import Layer


class Memory(NamedTuple):
    """Of a plain recurrent layer: `reach` is ρ^steps, of the spectral radius ρ of its recurrent weights.

    What happens at the first step reaches the last with about this factor at the most, as slopes of tanh are below 1
    (Pascanu, Mikolov & Bengio 2013).
    """

    layer: str
    steps: int
    radius: float
    reach: float


def along_the_batch(
    layers: Sequence[Layer], sequences: Mapping[str, tuple[int, ...]], targets: Sequence[Tensor]
) -> tuple[str, ...]:
    """Layers without `batch_first` whose first axis is that of the samples, so that they run from sample to sample.

    Args:
        sequences: shapes of what reached them. targets: of some batches; of one target a sample, else nothing is told.
    """
    counts = {len(y) for y in targets if y.numel() == len(y)}
    first = {layer.name for layer in layers if not getattr(layer.module, "batch_first", True)}
    shapes = {name: shape for name, shape in sequences.items() if name in first and len(shape) == 3}
    return tuple(name for name, shape in shapes.items() if shape[0] in counts and shape[1] not in counts)


@torch.no_grad()
def memories(layers: Sequence[Layer], sequences: Mapping[str, tuple[int, ...]]) -> tuple[Memory, ...]:
    """Of each plain recurrent layer that was seen at work."""
    found: list[Memory] = []
    for layer in layers:
        module, shape = layer.module, sequences.get(layer.name)
        if type(module) is not nn.RNN or shape is None:
            continue
        weights = module.get_parameter("weight_hh_l0").detach().cpu().double()
        if not bool(torch.isfinite(weights).all()):
            continue
        steps, radius = shape[1 if module.batch_first else 0], float(torch.linalg.eigvals(weights).abs().max())
        found.append(Memory(layer.name, steps, radius, radius**steps))
    return tuple(found)
