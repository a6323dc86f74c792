"""Which columns of the matrix θ (K, P) belong to which tensor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from torch import Tensor


@dataclass(frozen=True)
class Slot:
    """One tensor of a member: its name ("hidden.0.weight"), its shape without K, and how it starts.

    `start` is "weight" (drawn by the initialiser), "one" or "zero".
    """

    name: str
    shape: tuple[int, ...]
    start: str = "zero"


class Layout:
    """Tensors laid side by side in the rows of a matrix.

    >>> layout = Layout([Slot("output.weight", (3, 2), "weight"), Slot("output.bias", (3, 1))])
    >>> layout.size, layout.span("output.bias")
    (9, (6, 9))
    """

    def __init__(self, slots: Sequence[Slot]) -> None:
        self.slots = tuple(slots)
        self._spans: dict[str, tuple[int, int]] = {}
        end = 0
        for slot in self.slots:
            self._spans[slot.name] = (end, end + prod(slot.shape))
            end += prod(slot.shape)
        self.size = end

    def span(self, name: str) -> tuple[int, int]:
        """First column of a tensor, and the one behind its last."""
        return self._spans[name]

    def views(self, matrix: Tensor) -> dict[str, Tensor]:
        """Each tensor as a view (K, *shape) into the rows of `matrix` (K, P)."""
        rows = matrix.shape[0]
        return {s.name: matrix[:, slice(*self._spans[s.name])].view(rows, *s.shape) for s in self.slots}


Views = Mapping[str, Tensor]  # tensors by the name of their slot, (K, *shape)
Columns = Mapping[str, Tensor]  # hyperparameters by name, (K, 1) each
