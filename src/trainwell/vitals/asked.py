"""What a copy of the module is asked once, when the training is over, and nobody else hears of."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainwell.base.randomness import own_randomness
from trainwell.vitals.foreign import silent_copy
from trainwell.vitals.future import future_change

MOST_COPIED = 2**26
"""Numbers in a module that may be copied to be asked something."""

SOME, MOST_NUMBERS = 16, 2**18
"""Samples that are kept to ask with, and numbers in them at the most."""

FEWEST = 4
"""Samples, below which half of them say nothing of the others."""


class Batch:
    """Some samples of the first batch of a loop in which batches differ.

    Attributes:
        x: their inputs, or None. shape: of the outputs, without the axis of samples.
    """

    def __init__(self) -> None:
        self.x: Tensor | None = None
        self.shape: tuple[int, ...] = ()
        self._looks, self._same = 0, True

    def look(self, x: Tensor, outputs: object) -> None:
        """Take in a batch, whose outputs are rows; where all come at once, as nodes of a graph, none is asked."""
        self._looks += 1
        if self._looks == 1 and isinstance(outputs, Tensor) and outputs.is_floating_point():
            fits = x.dim() and len(x) >= FEWEST and 0 < outputs.dim() <= 2 and len(outputs) == len(x)
            if fits and x[:SOME].numel() <= MOST_NUMBERS:
                self.x, self.shape = x.detach()[:SOME].clone(), tuple(outputs.shape[1:])
        elif self._same and self.x is not None:
            self._same = x.shape[1:] == self.x.shape[1:] and torch.equal(x.detach()[:SOME], self.x)

    @property
    def asked(self) -> Tensor | None:
        """The samples to ask with, if batches differ."""
        return None if self._same else self.x


class Asked:
    """What a module has been asked.

    Args:
        root: the user's module. deep: whether it can be copied and run as it is.
    """

    def __init__(self, root: nn.Module, deep: bool) -> None:
        self._root, self._deep = root, deep
        self._answers: dict[str, float] = {}

    def future(self, x: Tensor | None) -> float:
        """By how much outputs change with later inputs that hold their targets."""
        return self._ask("future", x, lambda x: future_change(self._root, x))

    def mixed(self, batch: Batch) -> float:
        """By how much outputs of samples change with other samples of their batch."""
        return self._ask("mixed", batch.asked, lambda x: mixed_change(self._root, x, batch.shape))

    def _ask(self, name: str, x: Tensor | None, question: Callable[[Tensor], float]) -> float:
        """The answer; 0 of a module that can't be copied, or can't be run on these inputs alone."""
        if x is None or name in self._answers:
            return self._answers.get(name, 0.0)
        weights = list(self._root.parameters())
        self._answers[name] = 0.0
        if self._deep and weights and sum(p.numel() for p in weights) <= MOST_COPIED:
            try:
                self._answers[name] = question(x.to(weights[0].device))
            except Exception:  # noqa: BLE001  whatever the user's code may raise
                pass
        return self._answers[name]


def mixed_change(model: nn.Module, x: Tensor, shape: tuple[int, ...]) -> float:
    """By how much of their size outputs of the last half of samples change, at most, with the first half.

    Copies of the module are run, in evaluation mode; 0 where its outputs are not of this shape a sample, or differ when
    nothing does, as of a module that remembers what it saw.

    Raises:
        Exception: the module can't be copied, or run, whatever it may say.
    """
    outputs: list[Tensor] = []
    for inputs in (x, x, x[others_first(len(x))]):
        with own_randomness("mixed"), torch.no_grad():
            z = silent_copy(model)(inputs)
        if not isinstance(z, Tensor) or tuple(z.shape) != (len(x), *shape) or not bool(z.isfinite().all()):
            return 0.0
        outputs.append(z)
    if not torch.equal(outputs[0], outputs[1]):
        return 0.0
    return moved(outputs[0], outputs[2])


def others_first(count: int) -> Tensor:
    """Places of samples: in the first half stand others, many, as one may by chance be like the one in its place.

    >>> others_first(5).tolist()
    [2, 3, 2, 3, 4]
    """
    half = count // 2
    return torch.cat([torch.arange(half, 2 * half), torch.arange(half, count)])


def moved(before: Tensor, after: Tensor) -> float:
    """The largest change of outputs (B, …) of the last half of samples, in units of the largest output."""
    half = len(before) // 2
    return float((before[half:] - after[half:]).abs().max() / before.abs().max().clamp_min(1e-12))
