"""From encoded rows to batches: which samples each data group sees at each step.

A *data group* (axis G) is a set of members that see the same batches: the same training rows in the same order.
The batch of a step depends on (order seed, epoch, position) alone, so a resumed run continues with the same batches.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from trainwell.base import InputError, stream_seed

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Samples:
    """Encoded rows on a device: x (N, D), categories (N, E), y (N,) classes or (N, C) numbers; y may be absent.

    With `samples_first`, as a user's module takes them: x (N, …) and categories (N, …) of any shape and type.
    """

    x: Tensor
    categories: Tensor
    y: Tensor | None = None
    samples_first: bool = False

    @property
    def count(self) -> int:
        """N."""
        return self.x.shape[0]

    def only(self, rows: Tensor) -> "Samples":
        """The samples of `rows` (n,), laid out as here."""
        y = None if self.y is None else self.y[rows]
        return replace(self, x=self.x[rows], categories=self.categories[rows], y=y)

    def take(self, rows: Tensor) -> "Samples":
        """The samples of `rows` (B,) or (G, B), laid out as the networks want them.

        x becomes (G, D, B), categories (G, E, B), y (G, B) or (G, C, B), with G = 1 for rows (B,). With `samples_first`
        x and categories become (G, B, …).
        """
        rows = rows if rows.dim() == 2 else rows.unsqueeze(0)
        y = None
        if self.y is not None:
            y = self.y[rows] if self.y.dim() == 1 else self.y[rows].transpose(1, 2)
        x, categories = self.x[rows], self.categories[rows]
        if self.samples_first:
            return replace(self, x=x, categories=categories, y=y)
        return Samples(x.transpose(1, 2), categories.transpose(1, 2), y)

    def to(self, device: torch.device) -> "Samples":
        """The same samples on a device."""
        if self.x.device == device:
            return self
        y = None if self.y is None else self.y.to(device)
        return replace(self, x=self.x.to(device), categories=self.categories.to(device), y=y)

    def of_members(self, groups: Tensor | None) -> "Samples":
        """A batch (G, …) as each member's own (K, …), given the group of each member; unchanged when all share one."""
        if groups is None or self.x.shape[0] == 1:
            return self
        y = None if self.y is None else self.y[groups]
        return replace(self, x=self.x[groups], categories=self.categories[groups], y=y)

    def of_rows(self, rows: slice) -> "Samples":
        """A batch (K or 1, …) for these members alone."""
        parts = {"x": self.x, "categories": self.categories, "y": self.y}
        own = {name: part for name, part in parts.items() if part is not None and len(part) > 1}
        return replace(self, **{name: part[rows] for name, part in own.items()})


class BatchSource(Protocol):
    """What a training asks of a feed; see `Feed`.

    Batches are on the device of the training; `samples` may be elsewhere, and rows are where the samples are.
    """

    samples: Samples
    train: Tensor
    validation: Tensor
    orders: tuple[int, ...]
    batch_size: int
    steps_per_epoch: int

    def batch(self, step: int) -> Samples:
        """The batch of update `step` = 0, 1, …."""
        ...


class Feed:
    """The training and validation rows of each data group.

    Args:
        samples: all encoded rows.
        train: (G, n) rows to train on; every group has the same number (its epoch must not depend on company).
        validation: (G, v) rows to choose by.
        orders: the order seed of each group.
        batch_size: 1 ≤ B ≤ n (row H2).
        drop_last: leave out the last, short batch of an epoch (row H3).
    """

    def __init__(
        self,
        samples: Samples,
        train: Tensor,
        validation: Tensor,
        orders: Sequence[int],
        batch_size: int,
        *,
        drop_last: bool = False,
    ) -> None:
        n = train.shape[1]
        if not 1 <= batch_size <= n:
            raise InputError(f"batch_size must be from 1 to the {n} training rows, but is {batch_size}.")
        self.samples, self.train, self.validation = samples, train, validation
        self.orders, self.batch_size = tuple(orders), batch_size
        self.steps_per_epoch = n // batch_size if drop_last else -(-n // batch_size)
        self._epoch = -1
        self._order = train

    def batch(self, step: int) -> Samples:
        """The batch of update `step` = 0, 1, …; reshuffled every epoch."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._order = torch.stack([self._shuffled(g, epoch) for g in range(len(self.orders))])
            self._epoch = epoch
        start = position * self.batch_size
        return self.samples.take(self._order[:, start : start + self.batch_size])

    def _shuffled(self, group: int, epoch: int) -> Tensor:
        generator = torch.Generator().manual_seed(stream_seed(self.orders[group], "epoch", epoch))
        order = torch.randperm(self.train.shape[1], generator=generator)
        return self.train[group][order.to(self.train.device)]
