"""Losses, metrics and predictions of all members, in evaluation mode."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from trainwell.data.batches import Samples
from trainwell.engine.population import Population
from trainwell.ingredients import ACTIVATIONS
from trainwell.networks.members import widest

Shown = tuple[Tensor, Tensor]  # weights (K, P) and statistics (K, S)
LARGEST_SIGNAL = 1 << 23  # numbers in the widest signal (K, H, B) of one chunk: 32 MiB in float32


def metric(z: Tensor, y: Tensor, output: str) -> Tensor:
    """What people judge by, (K,), larger is better, from outputs z (K, C, B).

    Accuracy for classes (softmax, sigmoid; over all labels), R² for numbers, the mean over targets.
    """
    if output == "softmax":
        return (z.argmax(dim=1) == y).to(z.dtype).mean(dim=1)
    if output == "sigmoid":
        return ((z > 0) == (y > 0.5)).to(z.dtype).mean(dim=(1, 2))
    spread = (y - y.mean(dim=2, keepdim=True)).square().sum(dim=2)
    return (1 - (z - y).square().sum(dim=2) / spread.clamp_min(1e-12)).mean(dim=1)


def chunks(population: Population, count: int) -> Iterator[slice]:
    """Slices of `count` samples, small enough for memory."""
    size = max(1, LARGEST_SIGNAL // (max(1, len(population)) * widest(population.blueprint)))
    yield from (slice(start, start + size) for start in range(0, count, size))


@torch.no_grad()
def outputs(
    population: Population, samples: Samples, rows: Tensor, groups: Tensor | None, shown: Shown | None = None
) -> Tensor:
    """Outputs (K, C, V) on `rows`, (V,) or (G, V), of `shown` weights and statistics (else `population.shown()`).

    Samples and rows may be elsewhere than the population, as where they are over memory maps: they come in chunks.
    """
    parts, shown = [], population.shown() if shown is None else shown
    for part in chunks(population, rows.shape[-1]):
        batch = replace(samples, y=None).take(rows[..., part]).to(population.device).of_members(groups)
        parts.append(population.forward(batch, shown=shown))
    return torch.cat(parts, dim=2)


@torch.no_grad()
def judge(
    population: Population, samples: Samples, rows: Tensor, groups: Tensor | None, shown: Shown | None = None
) -> tuple[Tensor, Tensor]:
    """Mean loss and metric (K,) of each member on its group's `rows` (G, V), label smoothing and class weights off."""
    return figures(population, outputs(population, samples, rows, groups, shown), samples, rows, groups)


@torch.no_grad()
def figures(
    population: Population, z: Tensor, samples: Samples, rows: Tensor, groups: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Mean loss and metric (K,) of outputs z (K, C, V) on `rows`."""
    assert samples.y is not None
    y = samples.y[rows] if samples.y.dim() == 1 else samples.y[rows].transpose(1, 2)
    y = y.to(population.device)
    y = y if groups is None else y[groups]
    return population.loss.total(population.losses(z, y, smooth=False)), metric(z, y, population.loss.output)


def predictions(z: Tensor, output: str) -> Tensor:
    """Outputs as probabilities (softmax, sigmoid), or as they are; same shape."""
    return torch.softmax(z, dim=1) if output == "softmax" else ACTIVATIONS[output].function(z, {})
