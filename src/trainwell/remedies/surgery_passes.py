"""Surgeons of what a forward pass does beside computing: it sets modes, cuts gradients off, runs along an axis."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from trainwell.base.randomness import own_randomness
from trainwell.remedies.training import ModuleEdit, fitting
from trainwell.vitals.program import MODAL

TRIED = 4  # rows


class KeepsMode(nn.Module):
    """A module whose forward pass can't set the mode of itself or of its parts."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *given: Any) -> Any:
        with _deaf(self.inner):
            return self.inner(*given)


@contextmanager
def _deaf(module: nn.Module) -> Iterator[None]:
    """Calls of `train` and `eval` do nothing meanwhile."""
    parts = list(module.modules())
    for part in parts:
        object.__setattr__(part, "train", lambda mode=True, part=part: part)
    try:
        yield
    finally:
        for part in parts:
            object.__delattr__(part, "train")


def kept_mode(module: nn.Module, x: Tensor, wanted: str) -> ModuleEdit | None:
    """With the mode that it is put into, where its forward pass sets another one."""
    return KeepsMode if wanted == "kept" and switched(module, x) else None


def switched(module: nn.Module, x: Tensor) -> list[str]:
    """Layers for which the mode matters that a forward pass in training mode leaves in evaluation mode."""
    before = {part: part.training for part in module.modules()}
    with torch.no_grad():
        module.train()(fitting(x[:TRIED], module))
    found = [name for name, part in module.named_modules() if isinstance(part, MODAL) and not part.training]
    for part, mode in before.items():
        part.training = mode
    return found


class KeepsGradients(nn.Module):
    """A module whose forward pass can't cut gradients off: by `no_grad`, `detach` or `data`."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *given: Any) -> Any:
        if not torch.is_grad_enabled():
            return self.inner(*given)
        with _Uncut():
            return self.inner(*given)


class _Uncut(TorchFunctionMode):
    """What would cut gradients off does nothing."""

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch._C._set_grad_enabled:  # pyright: ignore[reportAttributeAccessIssue]
            return None
        if func in (torch.detach, Tensor.detach, Tensor.data.__get__):  # pyright: ignore[reportAttributeAccessIssue]
            return args[0]
        return func(*args, **(kwargs or {}))


def kept_gradients(module: nn.Module, x: Tensor, wanted: str) -> ModuleEdit | None:
    """With gradients for all that is to be trained, where its forward pass cuts them off."""
    return KeepsGradients if wanted == "kept" and cut_off(module, x) else None


def cut_off(module: nn.Module, x: Tensor) -> list[str]:
    """Parameters that get a gradient only when the forward pass can't cut it off."""
    reached = _reached(KeepsGradients(module), module, x)
    return [name for name in reached if name not in _reached(module, module, x)] if reached else []


def _reached(run: nn.Module, module: nn.Module, x: Tensor) -> list[str]:
    """Parameters of a module that the outputs depend on, as autograd knows."""
    named = {name: p for name, p in module.named_parameters() if p.requires_grad}
    with own_randomness(0, "cure", "gradients"), torch.enable_grad():
        outputs = run(fitting(x[:TRIED], module))
        if not isinstance(outputs, Tensor) or not outputs.requires_grad:
            return []
        found = torch.autograd.grad(outputs.sum(), list(named.values()), allow_unused=True)
    return [name for name, gradient in zip(named, found, strict=True) if gradient is not None]


def along_time(module: nn.Module, x: Tensor, wanted: object) -> ModuleEdit | None:
    """With `batch_first` in the layers for sequences that run from row to row."""
    names = along_rows(module, x) if wanted else []

    def edit(fresh: nn.Module) -> nn.Module:
        for name in names:
            fresh.get_submodule(name).batch_first = True  # pyright: ignore[reportArgumentType]
        return fresh

    return edit if names else None


def along_rows(module: nn.Module, x: Tensor) -> list[str]:
    """Layers without `batch_first` whose first axis is as long as there are rows, however many."""
    parts = {name: part for name, part in module.named_modules() if getattr(part, "batch_first", True) is False}
    kept = list(parts)
    for rows in (TRIED, TRIED - 1):
        shapes: dict[str, tuple[int, ...]] = {}
        hooks = [
            part.register_forward_pre_hook(_noting(name, shapes), with_kwargs=True) for name, part in parts.items()
        ]
        try:
            with torch.no_grad(), own_randomness(0, "cure", "axis"):
                module(fitting(x[:rows], module))
        finally:
            for hook in hooks:
                hook.remove()
        kept = [name for name in kept if len(shape := shapes.get(name, ())) == 3 and shape[0] == rows != shape[1]]
    return kept


def _noting(name: str, shapes: dict[str, tuple[int, ...]]) -> Callable[..., None]:
    def note(module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        first = given[0] if given else next(iter(named.values()), None)
        if isinstance(first, Tensor):
            shapes[name] = tuple(first.shape)

    return note
