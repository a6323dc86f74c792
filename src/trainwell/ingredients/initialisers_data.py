"""First weights that look at data: the second phase of some schemes, for a whole population at once.

Contract: `prepare(network, rows, h, activation)` changes, in place, the weights and biases of the members chosen by
`rows` (K,) alone; all others stay bit for bit what they were. `h` has columns (K, 1): "gain" (the standard deviation
that the signals of a layer shall have, 1 in the papers) and the scheme's own hyperparameters.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from trainwell.base.layout import Columns
from trainwell.ingredients.activations import ACTIVATIONS

ROUNDS = 10  # of equalising rates, as the authors' code; one is enough where φ is positively homogeneous
CLOSE = 0.01  # rates within 1 % of their mean are equal, as the authors' code


class Probe(Protocol):
    """A population as these schemes see it, with a batch of real inputs at hand."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers from input to output."""
        ...

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """Weights (K, H, D) by layer: views, written to in place."""
        ...

    @property
    def biases(self) -> Mapping[str, Tensor]:
        """Biases (K, H, 1) by layer: views, written to in place."""
        ...

    def signals(self, names: Sequence[str]) -> Mapping[str, Tensor]:
        """Pre-activations W·h + b (K, H, B) of these layers with the present weights, without dropout."""
        ...

    def slopes(self) -> Mapping[str, Tensor]:
        """Gradients (K, H, D) of Σ η·z by layer: z the outputs, η standard normal, the same at every call."""
        ...


def scale_to_unit_variance(network: Probe, rows: Tensor, h: Columns, activation: str) -> None:
    """Divide each layer's weights by its signals' standard deviation, from input to output (Mishkin & Matas 2015).

    Their algorithm 1: a layer stays as it is if its variance is within `tolerance` of gain². Their loop ends after one
    division here: the signals of a layer are linear in its weights. A layer without any variance is left alone.
    """
    goal = h["gain"].square()
    for name in network.layers:
        z = network.signals([name])[name].detach()
        var = z.var(dim=(1, 2), correction=0).unsqueeze(1)  # (K, 1)
        off = rows.unsqueeze(1) & ((var / goal - 1).abs() >= h["tolerance"]) & (var > 0) & var.isfinite()
        _put(network.weights[name], off, network.weights[name] * (goal / var).sqrt().unsqueeze(2))


def normalise_units(network: Probe, rows: Tensor, h: Columns, activation: str) -> None:
    """Give every unit's pre-activations mean 0 and deviation `gain`; then equalise rates (Krähenbühl 2015).

    Their algorithms 1 and 2. The second, where `between` is 1, needs a positively homogeneous φ; other networks stay as
    the first left them.
    """
    gain = h["gain"].unsqueeze(2)
    for name in network.layers:
        weight, bias = network.weights[name], network.biases[name]
        _put(bias, rows, torch.zeros_like(bias))
        std, mean = torch.std_mean(
            network.signals([name])[name].detach(), dim=2, correction=0, keepdim=True
        )  # (K, H, 1)
        varies = std.isfinite() & (
            std > 10 * torch.finfo(std.dtype).eps * mean.abs()
        )  # else: the same for every sample
        scale = torch.where(varies, gain / std, 1.0)
        _put(weight, rows, weight * scale)
        _put(bias, rows, -mean * scale)
    if positively_homogeneous(activation):
        equalise_rates(network, rows & (h["between"] > 0).squeeze(1))


def equalise_rates(network: Probe, rows: Tensor) -> None:
    """Give all layers the same rate C̃, at the same outputs (Krähenbühl 2015, alg. 2).

    W_l ← s_l·W_l with s_l = √(C̃_l/C̃), C̃ the geometric mean: the product of all s is 1, so that the outputs stay, and
    C̃_l falls by s_l². A bias is scaled by the product of the s up to its layer, as its layer's inputs are.
    """
    for _ in range(ROUNDS):
        c = rates(network)  # (K, L)
        ratio = c / c.log().mean(dim=1, keepdim=True).exp()
        known = (c.isfinite() & (c > 0)).all(dim=1)
        off = rows & known & ((ratio - 1).abs() > CLOSE).any(dim=1)
        if not off.any():
            return
        s = ratio.sqrt()
        reached = s.cumprod(dim=1)
        for l, name in enumerate(network.layers):
            _put(network.weights[name], off, network.weights[name] * s[:, l, None, None])
            _put(network.biases[name], off, network.biases[name] * reached[:, l, None, None])


def rates(network: Probe) -> Tensor:
    """C̃ = √(E (∂ηz/∂W)²/E W²) of each layer (K, L): how fast weights change for their size (Krähenbühl 2015).

    Large: the layer is the first to diverge. Small: it learns last.
    """
    slopes = network.slopes()
    squares = [
        slopes[n].detach().square().mean((1, 2)) / network.weights[n].detach().square().mean((1, 2)) for n in slopes
    ]
    return torch.stack(squares, dim=1).sqrt()


def positively_homogeneous(activation: str) -> bool:
    """Whether φ(a·z) = a·φ(z) for every a > 0.

    >>> positively_homogeneous("relu"), positively_homogeneous("tanh")
    (True, False)
    """
    φ = ACTIVATIONS[activation]
    h = {name: torch.tensor(value, dtype=torch.float64) for name, value in φ.standard.items()}
    z = torch.linspace(-3, 3, 120, dtype=torch.float64).view(1, -1, 1)
    return torch.equal(φ.function(4 * z, h), 4 * φ.function(z, h))  # 4: no rounding


def _put(target: Tensor, rows: Tensor, values: Tensor) -> None:
    """Overwrite `target` (K, H, D) where `rows` (K,) or (K, 1) says so; all other rows keep their bits."""
    with torch.no_grad():
        target.copy_(torch.where(rows.view(-1, 1, 1), values, target))
