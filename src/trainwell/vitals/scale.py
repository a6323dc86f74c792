"""Means and deviations of inputs, gathered over batches."""

import torch
from torch import Tensor

MOST_ROWS = 1024  # of a batch


class Scale:
    """Running sums of each input, in float64.

    >>> scale = Scale()
    >>> scale.add(torch.tensor([[0.0, 100.0], [2.0, 300.0]]))
    >>> scale.extremes()
    {'largest_mean': 200.0, 'largest_std': 100.0, 'smallest_std': 1.0, 'constant': 0.0}
    """

    def __init__(self) -> None:
        self.rows, self._sum, self._squares = 0, torch.zeros(0), torch.zeros(0)

    @torch.no_grad()
    def add(self, x: Tensor) -> None:
        """Take in rows (N, D); rows of another width begin anew."""
        x = x[:: -(-len(x) // MOST_ROWS)].double()
        if not x.numel() or not bool(torch.isfinite(x).all()):
            return
        if not self.rows or self._sum.shape != x.shape[1:]:
            self.rows, self._sum, self._squares = 0, x.new_zeros(x.shape[1]), x.new_zeros(x.shape[1])
        self.rows, self._sum, self._squares = self.rows + len(x), self._sum + x.sum(0), self._squares + (x * x).sum(0)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation (D,) of each input."""
        mean = self._sum / self.rows
        return mean, (self._squares / self.rows - mean**2).clamp_min(0.0).sqrt()

    def extremes(self) -> dict[str, float] | None:
        """`largest_mean` (absolute), `largest_std`, `smallest_std`, share of `constant` inputs; None before any."""
        if self.rows < 2:
            return None
        mean, std = self.moments()
        still = std <= 1e-7 * mean.abs().clamp_min(1e-12)
        return {
            "largest_mean": float(mean.abs().max()),
            "largest_std": float(std.max()),
            "smallest_std": float(std.min()),
            "constant": float(still.double().mean()),
        }
