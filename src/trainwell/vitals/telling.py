"""One input of a table that tells the target alone: it is the target, or was made from it."""

import torch
from torch import Tensor

MOST_COLUMNS, MOST_ROWS = 64, 512
"""Inputs of a row, and rows, that are looked at."""

FEWEST, DISTINCT = 32, 16
"""Different targets that tell it, and different numbers that the input must have among them."""

CLASSES, OF_EACH, SAME = 20, 16, 1e-5
"""Up to so many different targets are classes, of which two must have as many rows; numbers that differ by no more than
this share of the input's range are the same."""


class Telling:
    """Rows of the batches that were looked at, with their targets."""

    def __init__(self) -> None:
        self._pairs: list[tuple[Tensor, Tensor]] = []
        self._rows, self._steps = 0, 1

    @torch.no_grad()
    def take(self, x: Tensor, y: Tensor) -> None:
        """Inputs (B, …) and targets (B,) or (B, 1); others are passed over."""
        numbers = x.is_floating_point() and not y.is_complex() and x.dim() > 1
        if self._rows < MOST_ROWS and numbers and len(x) == len(y) == y.numel() and 1 < x[0].numel() <= MOST_COLUMNS:
            self._pairs.append((x.detach().flatten(1)[:MOST_ROWS].clone(), y.detach().flatten()[:MOST_ROWS].clone()))
            self._rows, self._steps = self._rows + len(x), x.shape[1]

    @torch.no_grad()
    def place(self, *, recurrent: bool = False) -> int | None:
        """The input that rises, or falls, wherever the target rises, or is of one number in each class; None without.

        Where several do, rows lie on a smooth curve, as windows of a series without noise.

        Args:
            recurrent: whether rows are read step by step: then to remember an input may be the task, but the last.
        """
        if len({x.shape[1] for x, _ in self._pairs}) != 1:
            return None
        x, y = (torch.cat(parts).cpu() for parts in zip(*self._pairs, strict=True))
        alone = _alike_in_classes(x, y) if len(y.unique()) <= CLASSES else _goes_along(x, y)
        places = alone.nonzero().flatten().tolist()
        if len(places) != 1 or (recurrent and places[0] < x.shape[1] - x.shape[1] // self._steps):
            return None
        return places[0]


def _goes_along(x: Tensor, y: Tensor) -> Tensor:
    """Inputs (D,) that rise, or fall, wherever the target does."""
    order = y.argsort()
    first = torch.cat([torch.ones(1, dtype=torch.bool), y[order].diff() > 0])  # of equal targets one
    steps = x[order][first].diff(dim=0)
    along = ((steps >= 0).all(0) | (steps <= 0).all(0)) & ((steps != 0).sum(0) >= DISTINCT)
    return along & (int(first.sum()) >= FEWEST)


def _alike_in_classes(x: Tensor, y: Tensor) -> Tensor:
    """Inputs (D,) that are of one number in each class, and of another one in any other."""
    parts = [x[y == value] for value in y.unique()]
    if sum(len(part) >= OF_EACH for part in parts) < 2:
        return torch.zeros(x.shape[1], dtype=torch.bool)
    least = SAME * (x.amax(0) - x.amin(0))
    alike = torch.stack([part.amax(0) - part.amin(0) <= least for part in parts]).all(0)
    apart = torch.stack([part[0] for part in parts]).sort(0).values.diff(dim=0) > least
    return alike & apart.all(0)
