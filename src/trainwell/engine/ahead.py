"""What the next steps need and is known before them, worked out for many at once: one at a time costs as much as a
small network's update."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from trainwell.base.layout import Columns
from trainwell.ingredients import Clock, Optimizer, factors

AHEAD = 64  # steps


@dataclass
class Ahead:
    """The learning rates of the steps `first` … `first` + 63, and what an optimizer makes of them.

    Attributes:
        rates: (64, K, 1).
    """

    first: int
    rates: Tensor
    _columns: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, schedules: list[str], columns: Columns, step: int, length: int, steps_per_epoch: int) -> "Ahead":
        """Those around update `step` = 0, 1, … of `length`, by each member's schedule."""
        first = step - step % AHEAD
        clock = Clock(torch.arange(first, first + AHEAD), length, steps_per_epoch)
        scheduled = factors(schedules, clock, columns, columns["warmup"])
        return cls(first, columns["learning_rate"] * scheduled.T.contiguous().unsqueeze(2))

    def columns(self, optimizer: Optimizer, columns: Columns, step: int) -> Columns:
        """The optimizer's columns of update `step`; of a rule whose columns keep no state."""
        if not self._columns:
            t = torch.arange(self.first + 1, self.first + AHEAD + 1).to(self.rates).view(-1, 1, 1)
            self._columns = dict(optimizer.columns({**columns, "learning_rate": self.rates}, {}, t))
        i = step - self.first
        return {name: column[i] if column.dim() == 3 else column for name, column in self._columns.items()}
