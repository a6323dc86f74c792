"""How signals and gradients spread through a deep network at its start (row I13)."""

import torch
from torch import Tensor

from trainwell.ingredients.activations import ACTIVATIONS
from trainwell.ingredients.initialisers import INITIALISERS, InitialiserSettings


def signal_variances(
    initialiser: str,
    activation: str,
    depth: int = 20,
    width: int = 256,
    gain: float = 1.0,
    batch: int = 256,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """Variances of pre-activations and of their gradients, layer by layer (row I13; Glorot & Bengio 2010, fig. 6, 7).

    Inputs are standard normal; the gradient is that of a random projection of the last layer's pre-activations. First
    weights are good if both are constant over the layers. Schemes that look at data are taken as they are drawn.

    Returns:
        forward: Var z of each layer (depth,), from input to output, over units and samples.
        backward: E (∂/∂z)² of each layer (depth,), in the same order; 1 in the last.
    """
    signals, slopes = propagate(initialiser, activation, depth, width, gain, batch, seed)
    forward = torch.stack([z.var(correction=0) for z in signals])
    return forward, torch.stack([g.square().mean() for g in slopes]) / slopes[-1].square().mean()


def propagate(
    initialiser: str, activation: str, depth: int, width: int, gain: float, batch: int, seed: int
) -> tuple[list[Tensor], list[Tensor]]:
    """Pre-activations z and gradients ∂/∂z of each layer, (units, batch) each, in float64: for histograms."""
    generator = torch.Generator().manual_seed(seed)
    φ = ACTIVATIONS[activation]
    own = {name: torch.tensor(value, dtype=torch.float64) for name, value in φ.standard.items()}
    units = width * int(φ.standard.get("pieces", 1))
    h, signals = torch.randn(1, width, batch, generator=generator, dtype=torch.float64), []
    for layer in range(depth):
        weight = torch.empty(units, width, dtype=torch.float64)
        settings = InitialiserSettings(activation=activation, first=layer == 0)
        INITIALISERS[initialiser].fill(weight, gain=gain, generator=generator, settings=settings)
        z = (weight @ h).requires_grad_()
        signals.append(z)
        h = φ.function(z, own)
    η = torch.randn(signals[-1].shape, generator=generator, dtype=torch.float64)
    slopes = torch.autograd.grad((η * signals[-1]).sum(), signals)
    return [z.detach()[0] for z in signals], [g[0] for g in slopes]
