"""First weights of a user's module drawn anew, and whether those it has are fit to start from."""

import math

import torch
from torch import Tensor, nn

from trainwell.remedies.anatomy import NORMS, WEIGHTED, anatomy
from trainwell.remedies.surgery_modules import BOUNDED, calls
from trainwell.remedies.training import ModuleEdit

RESET = (*NORMS, nn.RNNBase, nn.Embedding, nn.Bilinear, nn.RNNCellBase)
RECTIFIERS = 2.0  # He et al. 2015: half of the signal's power is cut off, hence Var w = 2 / fan in


def redrawn(module: nn.Module, x: Tensor, name: str) -> ModuleEdit | None:
    """All weights anew: He's for rectifiers, Glorot's for bounded units, norms at 1; biases 0.

    The last linear layer gets 1 / fan in. Recurrent layers and embeddings get what torch gives them.
    """
    body, seen = anatomy(module, x), calls(module, x).called
    bounded = any(isinstance(layer, BOUNDED) for layer in module.modules()) or bool(
        {"sigmoid", "tanh"} & set(seen[:-1])
    )
    glorot = name == "glorot" or (name == "auto" and bounded)
    last = None if body is None else body.last
    drawn = any(isinstance(layer, (*WEIGHTED, *RESET)) for layer in module.modules())
    return (lambda fresh: _redraw(fresh, last, glorot)) if drawn else None


@torch.no_grad()
def _redraw(module: nn.Module, last: str | None, glorot: bool) -> nn.Module:
    end = None if last is None else module.get_submodule(last)
    for layer in module.modules():
        if isinstance(layer, WEIGHTED):
            _draw(layer, "last" if layer is end else "glorot" if glorot else "he")
        elif isinstance(layer, RESET):
            layer.reset_parameters()
    return module


@torch.no_grad()
def _draw(layer: nn.Module, how: str) -> None:
    weight: Tensor = layer.weight  # pyright: ignore[reportAssignmentType]
    inputs, outputs = fans(weight)
    variance = {"last": 1 / inputs, "he": RECTIFIERS / inputs, "glorot": 2 / (inputs + outputs)}[how]
    weight.uniform_(-math.sqrt(3 * variance), math.sqrt(3 * variance))
    if isinstance(layer.bias, Tensor):
        layer.bias.zero_()


def fans(weight: Tensor) -> tuple[int, int]:
    """Inputs and outputs of a unit: those of one channel times the size of its kernel."""
    kernel = weight[0, 0].numel() if weight.dim() > 2 else 1
    return weight.shape[1] * kernel, weight.shape[0] * kernel


def spread(weight: Tensor) -> float:
    """The deviation of a layer's weights in units of 1 / √fan in; torch's own layers have 0.58, He's 1.41."""
    return float(weight.detach().double().std(unbiased=False)) * math.sqrt(fans(weight)[0])
