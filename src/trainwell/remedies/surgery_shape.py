"""Surgeons of a module's shape: wider layers, fewer of them, paths around them.

As in `surgery_modules` each gives an edit, or None. Layers are followed in the order in which they ran; whether a
module whose `forward` does more than that still runs is seen by running it, as with every edit.
"""

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.remedies.anatomy import NORMS, WEIGHTED, Anatomy, anatomy
from trainwell.remedies.surgery_modules import ANY_ACTIVATION, options, replaced
from trainwell.remedies.training import ModuleEdit

GATED = (nn.RNN, nn.LSTM, nn.GRU)
CHANNELS, OUTPUTS = ("in_channels", "out_channels"), ("out_features", "out_channels")


class Residual(nn.Module):
    """x + f(x): whatever the layer does, the signal and its gradient pass (He et al. 2016)."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


def wider(module: nn.Module, x: Tensor, units: int) -> ModuleEdit | None:
    """With all hidden layers wider in proportion, so that each has so many units; they start as torch's own do."""
    body = anatomy(module, x)
    if body is None or body.last is None or units <= narrowest(module, body):
        return None
    factor = math.ceil(units / max(1, narrowest(module, body)))
    sized = [name for name in body.leaves if isinstance(module.get_submodule(name), (*WEIGHTED, *GATED))]
    if len(sized) < 2 or sized[-1] != body.last or not _all_known(module, sized):
        return None

    def edit(fresh: nn.Module) -> nn.Module:
        grown = False
        for name in body.leaves:
            layer = fresh.get_submodule(name)
            new = _grown(layer, factor if grown else 1, 1 if name == body.last else factor)
            if new is not None:
                frozen = not all(p.requires_grad for p in layer.parameters())
                fresh = replaced(fresh, name, new.requires_grad_(not frozen))
            grown = grown or name in sized
        return fresh

    return edit


def _all_known(module: nn.Module, sized: list[str]) -> bool:
    """Whether every parameter belongs to a layer that ran and that can be made wider, or to a norm."""
    layers = [module.get_submodule(name) for name in sized]
    known = [*layers, *(m for m in module.modules() if isinstance(m, (*NORMS, nn.Embedding, nn.PReLU)))]
    owned = {id(p) for layer in known for p in layer.parameters()}
    grouped = any(getattr(layer, "groups", 1) != 1 or getattr(layer, "proj_size", 0) for layer in layers)
    return not grouped and all(id(p) in owned for p in module.parameters())


def _grown(layer: nn.Module, inputs: int, outputs: int) -> nn.Module | None:
    """The layer with so many times the inputs and outputs; None where it needs no change."""
    if isinstance(layer, nn.Linear):
        return nn.Linear(layer.in_features * inputs, layer.out_features * outputs, layer.bias is not None)
    if isinstance(layer, GATED):
        more: dict[str, Any] = options(layer)
        if isinstance(layer, nn.RNN):
            more["nonlinearity"] = layer.nonlinearity
        return type(layer)(layer.input_size * inputs, layer.hidden_size * outputs, layer.num_layers, **more)
    if isinstance(layer, WEIGHTED):
        new = copy.deepcopy(layer)
        for name, times in zip(CHANNELS, (inputs, outputs), strict=True):
            setattr(new, name, getattr(layer, name) * times)
        first, second, *kernel = layer.weight.shape
        turned = isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d)
        times = (inputs, outputs) if turned else (outputs, inputs)
        new.weight = nn.Parameter(torch.empty(first * times[0], second * times[1], *kernel))
        if layer.bias is not None:
            new.bias = nn.Parameter(torch.empty(len(layer.bias) * outputs))
        new.reset_parameters()
        return new
    if isinstance(layer, NORMS) and inputs > 1:
        return _norm(layer, inputs)
    return None


def _norm(layer: nn.Module, times: int) -> nn.Module | None:
    if isinstance(layer, nn.GroupNorm):
        return nn.GroupNorm(layer.num_groups, layer.num_channels * times, layer.eps, layer.affine)
    if isinstance(layer, nn.LayerNorm) and len(layer.normalized_shape) == 1:
        return nn.LayerNorm(layer.normalized_shape[0] * times, layer.eps)
    if isinstance(layer, nn.modules.batchnorm._NormBase):
        return type(layer)(layer.num_features * times, layer.eps, layer.momentum, layer.affine)  # pyright: ignore[reportCallIssue]
    return None


def narrowest(module: nn.Module, body: Anatomy | None) -> int:
    """Units of the narrowest hidden layer; 0 where there is none."""
    hidden = [] if body is None else [module.get_submodule(name) for name in body.leaves if name != body.last]
    widths = [_width(layer) for layer in hidden if isinstance(layer, (*WEIGHTED, *GATED))]
    return min(widths, default=0)


def _width(layer: nn.Module) -> int:
    names = (*OUTPUTS, "hidden_size")
    return next(int(getattr(layer, name)) for name in names if hasattr(layer, name))


def squares(module: nn.Module, body: Anatomy | None) -> list[str]:
    """Hidden layers whose outputs have the shape of their inputs, in the order in which they ran."""
    names = [] if body is None else [name for name in body.weighted if name != body.last]
    return [name for name in names if _square(module.get_submodule(name))]


def _square(layer: nn.Module) -> bool:
    if isinstance(layer, nn.Linear):
        return layer.in_features == layer.out_features
    if not isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d) or layer.in_channels != layer.out_channels:
        return False
    if isinstance(layer.padding, str):
        return layer.padding == "same"
    kept = [2 * p == d * (k - 1) for p, d, k in zip(layer.padding, layer.dilation, layer.kernel_size, strict=True)]
    return all(kept) and math.prod(layer.stride) == 1


def shallower(module: nn.Module, x: Tensor, count: int) -> ModuleEdit | None:
    """With so many hidden layers: the last of those that keep the shape go, with the activations behind them."""
    body = anatomy(module, x)
    if body is None or body.last is None:
        return None
    excess = len(body.weighted) - 1 - count
    gone = squares(module, body)[-excess:] if excess > 0 else []
    if not gone:
        return None
    places = list(gone)
    for name in gone:
        behind = body.leaves[body.leaves.index(name) + 1]
        if isinstance(module.get_submodule(behind), ANY_ACTIVATION) and _once(module, behind):
            places.append(behind)

    def edit(fresh: nn.Module) -> nn.Module:
        for name in places:
            fresh = replaced(fresh, name, nn.Identity())
        return fresh

    return edit


def _once(module: nn.Module, name: str) -> bool:
    """Whether a layer stands in one place only."""
    layer = module.get_submodule(name)
    return sum(child is layer for parent in module.modules() for child in parent._modules.values()) == 1


def residual(module: nn.Module, x: Tensor, wanted: bool) -> ModuleEdit | None:
    """With a path around each hidden layer that keeps the shape of the signal."""
    places = squares(module, anatomy(module, x))
    if not wanted or any(isinstance(layer, Residual) for layer in module.modules()):
        return None

    def edit(fresh: nn.Module) -> nn.Module:
        for name in places:
            fresh = replaced(fresh, name, Residual(fresh.get_submodule(name)))
        return fresh

    return edit if places else None
