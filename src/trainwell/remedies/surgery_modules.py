"""Surgeons of a user's module: each looks at a module, run on rows x, and gives an edit (module → module), or None.

Layers are found by running the module (`anatomy`), so they may stand in attributes, lists or sequences. A layer is
replaced where it stands, or followed by another; what is called as a function inside `forward` is replaced while it
runs (`Overridden`), and what follows the last linear layer is left out by reading that layer's output (`Tapped`).
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from trainwell.remedies.anatomy import ENDS, NORMS, WEIGHTED, anatomy, run
from trainwell.remedies.training import ModuleEdit

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
BOUNDED = (nn.Sigmoid, nn.Tanh, nn.Hardsigmoid, nn.Hardtanh, nn.Softsign)
OTHERS = (nn.ReLU6, nn.Softplus, nn.Mish, nn.Hardswish, nn.CELU, nn.PReLU, nn.LogSigmoid, nn.Threshold)
ANY_ACTIVATION = (*ACTIVATIONS.values(), *BOUNDED, *OTHERS)
FUNCTIONS: dict[Any, str] = {
    F.relu: "relu", torch.relu: "relu", Tensor.relu: "relu", torch.relu_: "relu",
    F.sigmoid: "sigmoid", torch.sigmoid: "sigmoid", Tensor.sigmoid: "sigmoid",
    F.tanh: "tanh", torch.tanh: "tanh", Tensor.tanh: "tanh",
    F.leaky_relu: "leaky_relu", F.elu: "elu", F.gelu: "gelu", F.silu: "silu", F.softplus: "softplus", F.selu: "selu",
}  # fmt: skip
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
DROPOUT_FUNCTIONS = (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout)
MOST_SPREAD = 1e-30  # below it a probability's logarithm isn't taken


class Substitution(TorchFunctionMode):
    """While it is on, calls of activations and dropouts are noted, and may be others.

    Attributes:
        activation: called in place of all, but for the call number `spared`. dropout: the rate in place of theirs.
        called: activations by name, in order. rates: of the dropouts.
    """

    def __init__(self, activation: str | None = None, spared: int | None = None, dropout: float | None = None) -> None:
        self.spared, self.dropout = spared, dropout
        self.function = None if activation is None else ACTIVATIONS[activation]()
        self.called: list[str] = []
        self.rates: list[float] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The substitute's result, or the function's own; the mode is off inside."""
        given = dict(kwargs or {})
        if func in FUNCTIONS:
            self.called.append(FUNCTIONS[func])
            if self.function is not None and len(self.called) - 1 != self.spared:
                return self.function(args[0] if args else given["input"])
        if func in DROPOUT_FUNCTIONS:
            self.rates.append(float(args[1] if len(args) > 1 else given.get("p", 0.5)))
            if self.dropout is not None:
                given.pop("p", None)
                return func(*args[:1], self.dropout, *args[2:], **given)
        return func(*args, **given)


class Overridden(nn.Module):
    """A module whose calls of activation or dropout functions are replaced while it runs."""

    def __init__(self, inner: nn.Module, activation: str | None, spared: int | None, dropout: float | None) -> None:
        super().__init__()
        self.inner, self.settings = inner, (activation, spared, dropout)

    def forward(self, *given: Any) -> Any:
        with Substitution(*self.settings):
            return self.inner(*given)


class Tapped(nn.Module):
    """A module's outputs before what its `forward` does to those of the layer `last`."""

    def __init__(self, inner: nn.Module, last: str) -> None:
        super().__init__()
        self.inner, self.last = inner, last

    def forward(self, *given: Any) -> Tensor:
        caught: list[Tensor] = []
        hook = self.inner.get_submodule(self.last).register_forward_hook(lambda *seen: caught.append(seen[2]))
        try:
            outputs = self.inner(*given)
        finally:
            hook.remove()
        return caught[-1].reshape(outputs.shape)


class Logarithm(nn.Module):
    """Logits of a module that gives probabilities: log p after a softmax, log p / (1 − p) after a sigmoid."""

    def __init__(self, inner: nn.Module, end: str) -> None:
        super().__init__()
        self.inner, self.end = inner, end

    def forward(self, *given: Any) -> Tensor:
        p = self.inner(*given).clamp(MOST_SPREAD, 1.0)
        return p.log() if self.end == "softmax" else p.log() - (1 - p).clamp(min=1e-7).log()


class LongMemory(nn.Module):
    """An LSTM in the place of a plain recurrent layer: the same inputs and outputs, the cells kept inside."""

    def __init__(self, plain: nn.RNNBase) -> None:
        super().__init__()
        self.lstm = nn.LSTM(*sizes(plain), **options(plain))

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        outputs, (last, _) = self.lstm(x, None if state is None else (state, torch.zeros_like(state)))
        return outputs, last


def sizes(layer: nn.RNNBase) -> tuple[int, int, int]:
    """Inputs, units and layers."""
    return layer.input_size, layer.hidden_size, layer.num_layers


def options(layer: nn.RNNBase) -> dict[str, Any]:
    """What else a recurrent layer was made with."""
    names = ("bias", "batch_first", "dropout", "bidirectional")
    return {name: getattr(layer, name) for name in names}


def replaced(module: nn.Module, name: str, layer: nn.Module) -> nn.Module:
    """The module with another layer in that place (every place where it stands)."""
    if not name:
        return layer
    old = module.get_submodule(name)
    like = next((p for p in module.parameters()), None)
    layer = layer if like is None else layer.to(like.device, like.dtype)
    for parent in list(module.modules()):
        for own, child in list(parent.named_children()):
            if child is old:
                setattr(parent, own, layer)
    return module


def output_identity(module: nn.Module, x: Tensor) -> ModuleEdit | None:
    """Without the function behind the last linear layer."""
    body = anatomy(module, x)
    if body is None or body.last is None or body.end not in ENDS:
        return None
    last, behind = body.last, body.leaves[body.leaves.index(body.last) + 1 :]
    ends = [name for name in behind if isinstance(module.get_submodule(name), ENDS[body.end])]
    if len(ends) == 1 and body.leaves.count(ends[0]) == 1 and ends[0] == body.leaves[-1]:
        return lambda fresh: replaced(fresh, ends[0], nn.Identity())
    return lambda fresh: Tapped(fresh, last)


def output_logarithm(module: nn.Module, x: Tensor) -> ModuleEdit | None:
    """Logits by undoing the softmax or sigmoid at the end, where there is no layer to read them from."""
    body = anatomy(module, x)
    if body is None or body.end != "own" or body.outputs.dim() != 2:
        return None
    p = body.outputs
    if bool(((p < 0) | (p > 1)).any()):
        return None
    ones = bool((p.sum(dim=1) - 1).abs().max() < 1e-4) and p.shape[1] > 1
    return lambda fresh: Logarithm(fresh, "softmax" if ones else "sigmoid")


def with_outputs(module: nn.Module, x: Tensor, count: int) -> ModuleEdit | None:
    """With another last linear layer."""
    body = anatomy(module, x)
    if body is None or body.last is None:
        return None
    last, old = body.last, module.get_submodule(body.last)
    assert isinstance(old, nn.Linear)
    return lambda fresh: replaced(fresh, last, nn.Linear(old.in_features, count, bias=old.bias is not None))


def with_activation(module: nn.Module, x: Tensor, name: str) -> ModuleEdit | None:
    """With other hidden activations, be they modules or functions called inside `forward`."""
    body = anatomy(module, x)
    if body is None:
        return None
    layers = [place for place in body.leaves if isinstance(module.get_submodule(place), ANY_ACTIVATION)]
    at_end = body.end not in ("identity", "own")
    hidden = [place for place in layers if not (at_end and place == body.leaves[-1])]
    hidden = [place for place in hidden if type(module.get_submodule(place)) is not ACTIVATIONS[name]]
    called = calls(module, x).called
    spared = len(called) - 1 if at_end and called and called[-1] == body.end else None
    inside = len(called) > len(layers) and any(
        call != name for call in called[: spared if spared is not None else None]
    )
    if not hidden and not inside:
        return None

    def edit(fresh: nn.Module) -> nn.Module:
        for place in hidden:
            fresh = replaced(fresh, place, ACTIVATIONS[name]())
        return Overridden(fresh, name, spared, None) if inside else fresh

    return edit


def calls(module: nn.Module, x: Tensor) -> Substitution:
    """The activation and dropout functions that a pass calls, by modules or not; none of a module that fails."""
    try:
        with Substitution() as seen:
            run(module, x)
    except Exception:  # noqa: BLE001  whatever a user's module may raise
        return Substitution()
    return seen


def add_activation(module: nn.Module, x: Tensor, name: str) -> ModuleEdit | None:
    """With an activation behind each layer whose output the next one is given as it is."""
    body = anatomy(module, x)
    places = [] if body is None else [a for a, _ in body.linear_pairs]
    return _followed(places, lambda layer: ACTIVATIONS[name]())


def with_norm(module: nn.Module, x: Tensor, kind: str) -> ModuleEdit | None:
    """With a norm behind each layer with weights but for the last, in a module that has none."""
    body = anatomy(module, x)
    if body is None or any(isinstance(layer, NORMS) for layer in module.modules()):
        return None
    return _followed(list(body.weighted[:-1]), lambda layer: _norm(layer, kind))


def _norm(layer: nn.Module, kind: str) -> nn.Module:
    if isinstance(layer, nn.Linear):
        return nn.BatchNorm1d(layer.out_features) if kind == "batch" else nn.LayerNorm(layer.out_features)
    assert isinstance(layer, WEIGHTED)
    units = int(layer.out_channels)  # pyright: ignore[reportArgumentType, reportAttributeAccessIssue]
    norms = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
    return norms[layer.weight.dim() - 2](units) if kind == "batch" else nn.GroupNorm(1, units)


def _followed(places: list[str], make: Callable[[nn.Module], nn.Module]) -> ModuleEdit | None:
    """Each of these layers followed by another."""

    def edit(fresh: nn.Module) -> nn.Module:
        for place in places:
            layer = fresh.get_submodule(place)
            fresh = replaced(fresh, place, nn.Sequential(layer, make(layer)))
        return fresh

    return edit if places else None


def recurrent(module: nn.Module, x: Tensor, kind: str) -> ModuleEdit | None:
    """With gated layers in the place of plain recurrent ones."""
    plain = [name for name, layer in module.named_modules() if type(layer) is nn.RNN]

    def edit(fresh: nn.Module) -> nn.Module:
        for name in plain:
            old = fresh.get_submodule(name)
            assert isinstance(old, nn.RNN)
            new = LongMemory(old) if kind == "lstm" else nn.GRU(*sizes(old), **options(old))
            fresh = replaced(fresh, name, new)
        return fresh

    return edit if plain else None


def dropout(module: nn.Module, x: Tensor, rate: float) -> ModuleEdit | None:
    """With this rate in all layers of dropout, and in all calls; new ones behind hidden linear layers."""
    layers = [layer for layer in module.modules() if isinstance(layer, DROPOUTS)]
    inside = len(calls(module, x).rates) > len(layers)
    rnns = [layer for layer in module.modules() if isinstance(layer, nn.RNNBase) and layer.num_layers > 1]
    if not layers and not inside and rate > 0:
        return _dropping(module, x, rate)

    def edit(fresh: nn.Module) -> nn.Module:
        for layer in fresh.modules():
            if isinstance(layer, DROPOUTS):
                layer.p = rate
            if isinstance(layer, nn.RNNBase) and layer.num_layers > 1:
                layer.dropout = rate
        return Overridden(fresh, None, None, rate) if inside else fresh

    return edit if layers or inside or rnns else None


def _dropping(module: nn.Module, x: Tensor, rate: float) -> ModuleEdit | None:
    body = anatomy(module, x)
    hidden = [] if body is None else [name for name in body.weighted if name != body.last]
    linear = [name for name in hidden if isinstance(module.get_submodule(name), nn.Linear)]
    return _followed(linear, lambda layer: nn.Dropout(rate))


def trainable(module: nn.Module, x: Tensor, which: str) -> ModuleEdit | None:
    """With every parameter trained."""
    return lambda fresh: fresh.requires_grad_(True)
