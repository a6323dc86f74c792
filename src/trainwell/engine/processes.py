"""The processes that train together: what a course, the loop and the recipe ask of them; and the one that is alone."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from trainwell.data.batches import BatchSource, Samples
from trainwell.data.parts import Part
from trainwell.engine.evaluate import Shown, judge
from trainwell.engine.population import Population

T = TypeVar("T")
Tensors = dict[str, Tensor]


class Processes(Protocol):
    """The processes of a training, as one of them sees them. All run the same program, and so call these alike.

    What depends on a clock, a person or a file is decided by process 0, or by all of them together: no process may go
    another way than the others. `seconds` and `interrupted` are therefore those of the last `tick`.
    """

    @property
    def rank(self) -> int:
        """Which one this is, 0 … world−1."""
        ...

    @property
    def world(self) -> int:
        """How many there are."""
        ...

    @property
    def writes(self) -> bool:
        """Whether this is the one that writes files and shows progress: process 0."""
        ...

    @property
    def device(self) -> torch.device | None:
        """Where this one has to compute; None: wherever it likes."""
        ...

    @property
    def seconds(self) -> float:
        """What process 0's clock shows, from any beginning."""
        ...

    @property
    def interrupted(self) -> bool:
        """Whether any of them was asked to stop."""
        ...

    def interrupt(self) -> None:
        """Ask all to stop; called by any of them, at any time."""
        ...

    def tick(self, changes: int = 0, members: int = 0) -> None:
        """Look at the clock, and whether one was asked to stop; also a place to wait for one another.

        Raises:
            ProcessError: in all, where a population has not been changed as often in all of them, or has other members.
        """
        ...

    def feed(self, feed: BatchSource) -> BatchSource:
        """The part of a feed that this process trains on."""
        ...

    def part(self, feed: BatchSource) -> Callable[[int], Part] | None:
        """Where that part stands in the batch of a step; None: it is the whole."""
        ...

    def reduce(self, population: Population, loss: Tensor) -> Tensor:
        """Make G, filled by `backward` with the loss (K,) of the part, that of the whole batch; give the whole's."""
        ...

    def judge(
        self, population: Population, samples: Samples, rows: Tensor, groups: Tensor | None, shown: Shown | None = None
    ) -> tuple[Tensor, Tensor]:
        """As `evaluate.judge`: the same figures in all processes."""
        ...

    def agree(self, value: T) -> T:
        """The plain value that process 0 has."""
        ...

    def attempt(self, make: Callable[[], T]) -> T:
        """What `make()` gives in each process; an `InputError` of any of them is raised by all, and told by one."""
        ...

    def same(self, facts: Mapping[str, str]) -> None:
        """Make sure that named facts are equal in all processes, else raise an `InputError` in all of them."""
        ...

    def first(self, tensors: Tensors, about: Any) -> tuple[Tensors, Any]:
        """The tensors and plain values that process 0 has."""
        ...

    def leave(self) -> None:
        """End together: nothing is asked any more."""
        ...


class Alone:
    """The only process of a training: it decides by itself what several agree on."""

    rank, world, writes, device = 0, 1, True, None

    def __init__(self) -> None:
        self.interrupted = False

    @property
    def seconds(self) -> float:
        """The present time; this clock never stands still."""
        return time.monotonic()

    def interrupt(self) -> None:
        """Remembered at once."""
        self.interrupted = True

    def tick(self, changes: int = 0, members: int = 0) -> None:
        """Nobody else to listen to."""

    def feed(self, feed: BatchSource) -> BatchSource:
        """The whole."""
        return feed

    def part(self, feed: BatchSource) -> Callable[[int], Part] | None:
        """None: the whole."""
        return None

    def reduce(self, population: Population, loss: Tensor) -> Tensor:
        """G is that of the whole batch as it is."""
        return loss

    def judge(
        self, population: Population, samples: Samples, rows: Tensor, groups: Tensor | None, shown: Shown | None = None
    ) -> tuple[Tensor, Tensor]:
        """`evaluate.judge`."""
        return judge(population, samples, rows, groups, shown)

    def agree(self, value: T) -> T:
        """The own value."""
        return value

    def attempt(self, make: Callable[[], T]) -> T:
        """What it gives, or raises."""
        return make()

    def same(self, facts: Mapping[str, str]) -> None:
        """Nothing to compare with."""

    def first(self, tensors: Tensors, about: Any) -> tuple[Tensors, Any]:
        """The own ones."""
        return tensors, about

    def leave(self) -> None:
        """Nobody waits."""
