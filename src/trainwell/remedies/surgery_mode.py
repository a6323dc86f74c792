"""The surgeon of a module's mode: what is trained in training mode stays in it, whatever its forward pass says."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

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
