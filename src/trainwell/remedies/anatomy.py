"""How a user's module is built, seen by running it on a few rows: its layers in order, what follows the last one."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainwell.remedies.training import fitting

WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d)
NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.modules.batchnorm._NormBase)
Ran = tuple[str, nn.Module, Tensor, Tensor]  # a layer that ran: its name, itself, what it was given, what it gave
ENDS: dict[str, type[nn.Module]] = {
    "softmax": nn.Softmax,
    "log_softmax": nn.LogSoftmax,
    "sigmoid": nn.Sigmoid,
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "softplus": nn.Softplus,
}


@dataclass(frozen=True, eq=False)
class Anatomy:
    """What one pass without training showed.

    Attributes:
        leaves: names of the modules without children, in the order in which they ran; a shared one at its first place.
        weighted: those of them with a weight matrix or kernels, that ran once.
        outputs: of the module. last: name of the last linear layer, if the outputs come from it one by one.
        end: the function between that layer and the outputs: a name of `ENDS`, "identity", or "own".
        linear_pairs: layers whose output is the next layer's input with nothing non-linear between.
    """

    leaves: tuple[str, ...]
    weighted: tuple[str, ...]
    outputs: Tensor
    last: str | None
    end: str
    linear_pairs: tuple[tuple[str, str], ...]


def anatomy(module: nn.Module, x: Tensor) -> Anatomy | None:
    """Run the module on rows x, without a trace; None if it raises or gives no tensor.

    Where no output is negative, a ReLU behind the last layer shows only with that layer's signs turned.
    """
    body = _looked_at(module, x)
    if body is None or body.last is None or body.end != "identity" or bool((body.outputs < 0).any()):
        return body
    own = list(module.get_submodule(body.last).parameters())
    with torch.no_grad():
        for p in own:
            p.neg_()
        turned = _looked_at(module, x)
        for p in own:
            p.neg_()
    return body if turned is None else replace(body, end=turned.end)


def _looked_at(module: nn.Module, x: Tensor) -> Anatomy | None:
    """One pass, read."""
    seen: list[Ran] = []

    def note(name: str, layer: nn.Module, given: tuple[Tensor, ...], output: object) -> None:
        if given and isinstance(given[0], Tensor):
            first = output[0] if isinstance(output, tuple) else output
            if isinstance(first, Tensor):
                seen.append((name, layer, given[0].detach().clone(), first.detach().clone()))

    leaves = [(name, layer) for name, layer in module.named_modules() if not list(layer.children())]
    hooks = [
        layer.register_forward_hook(lambda layer, given, output, name=name: note(name, layer, given, output))
        for name, layer in leaves
    ]
    try:
        outputs: object = run(module, x)
    except Exception:  # noqa: BLE001  whatever a user's module may raise
        return None
    finally:
        for hook in hooks:
            hook.remove()
    return _read(seen, outputs.detach()) if isinstance(outputs, Tensor) else None


@torch.no_grad()
def run(module: nn.Module, x: Tensor) -> Tensor:
    """One pass in evaluation mode, without a trace."""
    modes = {layer: layer.training for layer in module.modules()}
    try:
        return module.eval()(fitting(x, module))
    finally:
        for layer, mode in modes.items():
            layer.training = mode


def _read(seen: list[Ran], outputs: Tensor) -> Anatomy:
    names = [name for name, *_ in seen]
    weighted = [row for row in seen if isinstance(row[1], WEIGHTED) and names.count(row[0]) == 1]
    last, end = None, "own"
    if weighted and isinstance(weighted[-1][1], nn.Linear) and weighted[-1][3].numel() == outputs.numel():
        last, end = weighted[-1][0], _end(weighted[-1][3], outputs)
    pairs = [(a[0], b[0]) for a, b in zip(weighted, weighted[1:], strict=False) if _linear_between(seen, a, b)]
    return Anatomy(tuple(dict.fromkeys(names)), tuple(row[0] for row in weighted), outputs, last, end, tuple(pairs))


def _end(z: Tensor, outputs: Tensor) -> str:
    z = z.reshape(outputs.shape)
    dims = [1, -1] if z.dim() > 1 else [0]
    functions = {
        "identity": [z],
        "sigmoid": [torch.sigmoid(z)],
        "relu": [F.relu(z)],
        "tanh": [torch.tanh(z)],
        "softplus": [F.softplus(z)],
        "softmax": [F.softmax(z, d) for d in (*dims, 0)],
        "log_softmax": [F.log_softmax(z, d) for d in dims],
    }
    for same in (torch.equal, _nearly):  # a sigmoid far to the left is nearly 0, as a ReLU is exactly
        for name, values in functions.items():
            if any(same(value, outputs) for value in values):
                return name
    return "own"


def _nearly(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-5, atol=1e-7)


def _linear_between(seen: list[Ran], a: Ran, b: Ran) -> bool:
    """Whether b is given what a gave, perhaps in another shape, or by way of a norm or an average alone."""
    start, stop = _place(seen, a), _place(seen, b)
    signal = a[3]
    for _, layer, given, output in seen[start + 1 : stop]:
        if isinstance(layer, (*NORMS, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)) and _same(given, signal):
            signal = output
    return _same(b[2], signal)


def _place(seen: list[Ran], row: Ran) -> int:
    return next(i for i, other in enumerate(seen) if other is row)


def _same(a: Tensor, b: Tensor) -> bool:
    """Whether one is the other in another shape; of signals that are all 0, as with zero weights, nothing is known."""
    return a.numel() == b.numel() and bool(a.any()) and torch.equal(a.reshape(-1), b.reshape(-1))
