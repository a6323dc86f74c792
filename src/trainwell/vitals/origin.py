"""Where a NaN or infinity comes from: the first module and operation that made one out of finite numbers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode, resolve_name

from trainwell.base.randomness import own_randomness

MASKS = ("masked_fill", "where", "full", "new_full", "full_like", "triu", "tril", "fill_", "zeros", "ones", "empty")
"""Operations that write an infinity on purpose, as a mask of attention is."""


@dataclass(frozen=True)
class Origin:
    """What made the first value that is not finite.

    Attributes:
        place: "inputs", "targets", "weights", "module", "loss" or "backward".
        module: the name of the module, "" for the whole; operation: what it applied there, as torch calls it.
        passed_on: modules that only handed it on, in their order.
        low, high: the range of the finite numbers that went in.
    """

    place: str
    module: str = ""
    operation: str = ""
    passed_on: tuple[str, ...] = ()
    low: float = float("nan")
    high: float = float("nan")

    def __str__(self) -> str:
        what = f" by {self.operation}" if self.operation else ""
        span = f", out of numbers from {self.low:.3g} to {self.high:.3g}" if self.low == self.low else ""
        where = {
            "inputs": "it stands in the inputs",
            "targets": "it stands in the targets",
            "weights": f"it stands in the weights of {self.module}",
            "module": f"{self.module or 'the module'} made it{what}{span}",
            "loss": f"the loss made it{what} out of finite outputs{span}",
            "backward": f"the way back through {self.module or 'the loss'} made it, out of a finite loss",
        }
        return where[self.place]


def not_finite(value: object) -> bool:
    """Whether a tensor, or one within it, holds a NaN or infinity."""
    if isinstance(value, Tensor):
        return value.is_floating_point() and not bool(torch.isfinite(value).all())
    if isinstance(value, Mapping):
        return any(not_finite(v) for v in value.values())
    if isinstance(value, list | tuple):
        return any(not_finite(v) for v in value)
    return False


def locate(
    model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], weights: Mapping[str, Tensor] | None = None
) -> tuple[Origin | None, object]:
    """Repeat a forward pass; gives what made the first NaN or infinity, None if nothing did, and the outputs.

    Modes stay, buffers and random streams are put back. `weights`: those to repeat it with, by name; None: its own.
    """
    if not_finite(args) or not_finite(kwargs):
        return Origin("inputs"), None
    own = {name: p.detach() for name, p in model.named_parameters()} if weights is None else dict(weights)
    sick = [name for name, p in own.items() if not_finite(p)]
    if sick:
        return Origin("weights", sick[0].rpartition(".")[0] or sick[0]), None
    kept = {name: b.detach().clone() for name, b in model.named_buffers()}
    trace = _Trace(model)
    try:
        with torch.no_grad(), own_randomness(0), trace:
            outputs = functional_call(model, own, args, dict(kwargs))
    finally:
        trace.close()
        with torch.no_grad():
            for name, b in model.named_buffers():
                b.copy_(kept[name])
    return trace.origin, outputs


def of_backward(model: nn.Module) -> Origin | None:
    """The parameter nearest to the output whose gradient is not finite, when those after it are."""
    sick = [name for name, p in model.named_parameters() if p.grad is not None and not_finite(p.grad)]
    return Origin("backward", sick[-1].rpartition(".")[0]) if sick else None


class _Trace(TorchFunctionMode):
    """Follows every operation of a pass, and knows within which module it was applied."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.origin: Origin | None = None
        self._stack: list[str] = []
        self._handles = []
        for name, module in model.named_modules():
            self._handles.append(module.register_forward_pre_hook(self._entered(name)))
            self._handles.append(module.register_forward_hook(self._left(name), always_call=True))

    def close(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()

    def _entered(self, name: str) -> Callable[..., None]:
        return lambda *ignored: self._stack.append(name)

    def _left(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, given: object, output: object) -> None:
            if self._stack:
                self._stack.pop()
            if self.origin is None and not_finite(output) and not not_finite(given):
                self._found(name, type(module).__name__, given)
            elif self.origin is not None and name and not_finite(output) and not _around(name, self.origin.module):
                self.origin = Origin(**{**self.origin.__dict__, "passed_on": (*self.origin.passed_on, name)})

        return hook

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if self.origin is None and isinstance(output, Tensor) and not_finite(output):
            given = [*args, *(kwargs or {}).values()]
            if not not_finite(given):
                name = (resolve_name(func) or getattr(func, "__name__", "an operation")).removeprefix("torch.")
                if not name.rpartition(".")[2].startswith(MASKS):
                    self._found(self._stack[-1] if self._stack else "", name, given)
        return output

    def _found(self, module: str, operation: str, given: object) -> None:
        numbers = [v for v in (given if isinstance(given, list | tuple) else [given]) if isinstance(v, Tensor)]
        numbers = [v.detach() for v in numbers if v.is_floating_point() and v.numel()]
        low = min((float(v.min()) for v in numbers), default=float("nan"))
        high = max((float(v.max()) for v in numbers), default=float("nan"))
        self.origin = Origin("module", module, operation, (), low, high)


def _around(name: str, inner: str) -> bool:
    """Whether a module contains the other."""
    return inner == name or inner.startswith(f"{name}.")
