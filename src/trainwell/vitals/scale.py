"""Means and deviations of inputs, gathered over batches."""

import torch
from torch import Tensor

MOST_ROWS = 1024  # of a batch
Sums = tuple[int, Tensor, Tensor]


@torch.no_grad()
def sums_of(x: Tensor) -> Sums | None:
    """How many rows (N, D), evenly spaced, their sum and that of their squares; None if some are not finite."""
    if not x.numel():
        return None
    x = x[:: -(-len(x) // MOST_ROWS)].double()
    squares = (x * x).sum(0)
    return (len(x), x.sum(0), squares) if bool(torch.isfinite(squares).all()) else None


class Scale:
    """Running sums of each input, in float64.

    >>> scale = Scale()
    >>> scale.add(torch.tensor([[0.0, 100.0], [2.0, 300.0]]))
    >>> scale.extremes()
    {'largest_mean': 200.0, 'largest_std': 100.0, 'smallest_std': 1.0, 'constant': 0.0, 'inputs': 2.0}
    """

    def __init__(self) -> None:
        self.rows, self._sum, self._squares = 0, torch.zeros(0), torch.zeros(0)

    def add(self, x: Tensor) -> None:
        """Take in rows (N, D); rows of another width begin anew."""
        self.take(sums_of(x))

    def take(self, sums: Sums | None) -> None:
        """Take in what `sums_of` gave of rows."""
        if sums is None:
            return
        rows, total, squares = sums
        if not self.rows or self._sum.shape != total.shape:
            self.rows, self._sum, self._squares = sums
        else:
            self.rows, self._sum, self._squares = self.rows + rows, self._sum + total, self._squares + squares

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation (D,) of each input."""
        mean = self._sum / self.rows
        return mean, (self._squares / self.rows - mean**2).clamp_min(0.0).sqrt()

    def extremes(self) -> dict[str, float] | None:
        """`largest_mean` (absolute), `largest_std`, `smallest_std`, share of `constant` inputs; None before any.

        Of rows that are one 1 among zeros an input that never changes is a name that did not come up.
        """
        if self.rows < 2:
            return None
        mean, std = self.moments()
        still = std <= 1e-7 * mean.abs().clamp_min(1e-12)
        named = torch.equal(self._sum, self._squares) and float(self._sum.sum()) == self.rows
        share = 0.0 if named and not bool(still.all()) else float(still.double().mean())
        return {
            "largest_mean": float(mean.abs().max()),
            "largest_std": float(std.max()),
            "smallest_std": float(std.min()),
            "constant": share,
            "inputs": float(len(mean)),
        }
