"""The weights of a training as one row of numbers, which its optimizer steps at once.

Contract: where an optimizer of torch looks at each weight alone, one step on the whole row gives what steps on each
tensor give, at a third of the calls (Adam on six tensors: 172 → 60 µs). The module's parameters are views of the row;
rows of several trainings may lie in one matrix.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.optim import Optimizer

ELEMENTWISE = (
    *(optim.SGD, optim.Adam, optim.AdamW, optim.Adamax, optim.NAdam, optim.RAdam),
    *(optim.RMSprop, optim.Adadelta, optim.Rprop),
)
"""Their own subclasses may look at whole tensors; Adagrad and ASGD begin with a state of each tensor."""


class Row:
    """The trained parameters of an optimizer, side by side.

    Attributes:
        parameters: of the module, in the row's order. values, gradient: (P,).
        parts: what the optimizer steps, one of each of its groups.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self._groups = [(group, [p for p in group["params"] if p.requires_grad]) for group in optimizer.param_groups]
        self.parameters = [p for _, own in self._groups for p in own]
        self._before = [group["params"] for group, _ in self._groups]
        self.values = torch.cat([p.detach().flatten() for p in self.parameters])
        self.gradient = torch.zeros_like(self.values)
        self.parts = [nn.Parameter(self.values) for _ in self._groups]  # each a stretch of the row, set by `lie_in`
        self.lie_in(self.values, self.gradient)
        for (group, own), part in zip(self._groups, self.parts, strict=True):
            group["params"] = [part] if own else []

    @classmethod
    def of(cls, optimizer: Optimizer) -> "Row | None":
        """The row of an optimizer that has not stepped; None where it must see each tensor."""
        trained = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
        alike = {(p.dtype, p.device, p.layout) for p in trained}
        twice = len({id(p) for p in trained}) < len(trained)
        if type(optimizer) not in ELEMENTWISE or optimizer.state or len(alike) != 1 or twice:
            return None
        return cls(optimizer) if all(type(p) is nn.Parameter and p.is_contiguous() for p in trained) else None

    @torch.no_grad()
    def lie_in(self, values: Tensor, gradient: Tensor) -> None:
        """Move to this memory, (P,) each; the values go along."""
        if values is not self.values:
            values.copy_(self.values)
        self.values, self.gradient, start = values, gradient, 0
        self._places: list[Tensor] = []
        self._slopes: list[Tensor] = []
        for (_, own), part in zip(self._groups, self.parts, strict=True):
            first = start
            for p in own:
                stretch = slice(start, start + p.numel())
                self._places.append(values[stretch].view(p.shape))
                p.data = self._places[-1]
                self._slopes.append(gradient[stretch].view(p.shape))
                start = stretch.stop
            part.data = values[first:start]
            part.grad = gradient[first:start]

    def clear(self) -> None:
        """No parameter has a gradient."""
        for p in self.parameters:
            p.grad = None

    @torch.no_grad()
    def gathered(self) -> bool:
        """Bring the parameters' gradients into the row; False where one has none, or a sparse one.

        A parameter that was given other memory, as a forward pass may that keeps its weights at length 1, comes back.
        """
        slopes = [p.grad for p in self.parameters]
        if any(slope is None or slope.layout != torch.strided for slope in slopes):
            return False
        for p, place in zip(self.parameters, self._places, strict=True):
            if p.data_ptr() != place.data_ptr():
                place.copy_(p.detach())
                p.data = place
        torch._foreach_copy_(self._slopes, slopes)  # pyright: ignore[reportPrivateImportUsage]
        return True

    @torch.no_grad()
    def dissolve(self) -> None:
        """Give the optimizer its tensors back, with what it remembers of each."""
        for (group, own), before, part in zip(self._groups, self._before, self.parts, strict=True):
            group["params"] = before
            state: dict[str, Any] = self.optimizer.state.pop(part, {})
            start = 0
            for p in own:
                stretch = slice(start, start + p.numel())
                start = stretch.stop
                if state:
                    self.optimizer.state[p] = {name: _of(value, part, stretch, p) for name, value in state.items()}
        own_memory(self.parameters)


def _of(value: Any, whole: Tensor, stretch: slice, p: Tensor) -> Any:
    """What an optimizer's memory of the row says of one tensor of it."""
    if not isinstance(value, Tensor):
        return value
    return value[stretch].view(p.shape).clone() if value.shape == whole.shape and value.dim() else value.clone()


@torch.no_grad()
def own_memory(tensors: Iterable[Tensor]) -> None:
    """Each in memory of its own, as a module has them that was never in a row."""
    for tensor in tensors:
        tensor.data = tensor.data.clone()
