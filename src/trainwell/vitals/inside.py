"""A user's module from inside, for one step: what its layers hand on, and the functions that follow them.

Hooks are there only while a step is looked at; they read, and keep a few numbers a layer.
"""

import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from trainwell.engine.moment import LayerView
from trainwell.vitals.dropping import rate_of
from trainwell.vitals.measures import asked_of

ACTIVATIONS: dict[Callable[..., Any], str] = {
    **dict.fromkeys((F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_, F.relu_), "relu"),
    **dict.fromkeys((torch.sigmoid, Tensor.sigmoid, Tensor.sigmoid_, F.sigmoid), "sigmoid"),
    **dict.fromkeys((torch.tanh, Tensor.tanh, Tensor.tanh_, F.tanh), "tanh"),
    F.gelu: "gelu",
    F.silu: "silu",
    F.mish: "mish",
    F.elu: "elu",
    F.selu: "selu",
    F.celu: "celu",
    F.leaky_relu: "leaky_relu",
    F.prelu: "prelu",
    F.softplus: "softplus",
    F.hardtanh: "hard_tanh",
    F.relu6: "relu6",
    F.hardswish: "hard_swish",
    F.hardsigmoid: "hard_sigmoid",
    F.softsign: "softsign",
}
"""Functions that a module may call, whether through a layer or by themselves, by our names."""

STRAIGHT = frozenset(
    "linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d embedding dropout dropout1d "
    "dropout2d dropout3d feature_dropout batch_norm add sub mul div matmul mm bmm addmm einsum view reshape flatten "
    "unflatten squeeze unsqueeze transpose permute movedim swapaxes t contiguous expand repeat cat concat stack split "
    "chunk unbind narrow select index_select gather sum mean avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d "
    "adaptive_avg_pool2d adaptive_avg_pool3d interpolate pad roll flip to float double type clone detach neg dim size "
    "numel stride is_floating_point zeros_like ones_like zeros ones new_zeros new_ones empty_like rsub is_contiguous "
    "max_pool1d max_pool2d max_pool3d adaptive_max_pool1d adaptive_max_pool2d item tolist register_hook "
    "requires_grad_ view_as reshape_as type_as expand_as rot90 unfold fold".split()
)
"""Functions that keep a map straight, or look at it only, and pools, which do not stand for a non-linearity."""

JOINING = frozenset("add sub mul div matmul mm bmm addmm einsum cat concat stack".split())
"""Of these, functions that may join two paths: behind a sum with another path nothing is missing."""

MULTIPLYING = frozenset("mul div matmul mm bmm addmm einsum".split())
"""Of these, functions that bend where both tensors come from layers: x · x is no straight map."""

PRODUCTS = frozenset("linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d".split())

LOOKS = frozenset({"__get__", "__getitem__", "__len__", "_set_grad_enabled"})

BENT = (nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention)
"""Layers that bend by themselves, in kernels that no one sees into."""

LISTS = (nn.ParameterList, nn.ParameterDict)
OF_A_SAMPLE = ("samples", "moments")
CONVOLUTIONS = (nn.modules.conv._ConvNd,)
NORMS = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)
MOST_SAMPLES = 1024  # of a layer's output, evenly spaced; enough to tell shares of units
MOST_RUNS = 4  # of a layer in one step that are kept
MOST_PLACES = 256  # of a sample's output, evenly spaced; enough to tell their mean deviation
EMPTY = torch.zeros(1, 0, 0)


@dataclass(frozen=True)
class Layer:
    """A module with a matrix of weights of its own.

    Attributes:
        weights: names of its matrices in the whole module; a recurrent layer has several.
    """

    name: str
    module: nn.Module
    weights: tuple[str, ...]


def layers_of(model: nn.Module) -> list[Layer]:
    """Modules that hold weight matrices themselves, in the order of their definition; norms are none."""
    found = []
    for name, module in model.named_modules():
        own = [key for key, p in module.named_parameters(recurse=False) if p.dim() > 1]
        if own and not isinstance(module, NORMS):
            prefix = f"{name}." if name else ""
            found.append(Layer(name or type(module).__name__.lower(), module, tuple(prefix + key for key in own)))
    return found


class Hook:
    """A hook on the user's module that its copies and files go without: what looks stays here."""

    def __init__(self, look: Callable[..., None]) -> None:
        self._look = look

    def __call__(self, *given: Any) -> None:
        self._look(*given)

    def __reduce__(self) -> tuple[Callable[[], Callable[..., None]], tuple[()]]:  # a deep copy asks this too
        return _silence, ()


def silent(*given: object) -> None:
    """In the place of a hook, where it was left out."""


def _silence() -> Callable[..., None]:
    return silent


def transformed() -> bool:
    """Whether a function transform of torch (vmap, grad, …) is at work: tensors in it are not to be kept."""
    return torch._C._functorch.peek_interpreter_stack() is not None  # pyright: ignore[reportAttributeAccessIssue]


class Inside:
    """Looks into one or more forward passes of a training step.

    Args:
        layers: to look at. keep: moves what a view holds to where it may stay.

    Attributes:
        views: (layer, function after it) → of each run of it, MOST_RUNS at the most, the last one last: what its
            activations tell, and what their deviation over samples does.
        order: names of the layers as they were called. functions: the activation after a layer, by its name.
        entering: what reached the first layer with weights, (samples, D), or None where these are no numbers.
        bends: functions and layers that are not linear, of one pass. dropout: the largest rate of one in it.
        sequences: shapes (T, B, D) as a layer without `batch_first` takes them, (B, T, D) as one with it does.
        failed: what went wrong in a look, after which no more is looked at. spent: seconds of all looks.
        chained: pairs of dense or convolutional layers of which one is fed by the other; True where nothing bends the
            signal between them.
    """

    def __init__(self, layers: list[Layer], keep: Callable[[LayerView], LayerView]) -> None:
        self._keep = keep
        self.views: dict[tuple[str, str], list[tuple[LayerView, LayerView]]] = {}
        self.order: list[str] = []
        self.functions: dict[str, str] = {}
        self.entering: Tensor | None = None
        self.bends, self.dropout = 0, 0.0
        self.chained: dict[tuple[str, str], bool] = {}
        self.sequences: dict[str, tuple[int, ...]] = {}
        self._paths: dict[int, tuple[weakref.ref[Tensor], str, bool]] = {}  # tensors that come from a layer
        self._layers, self._mode, self._depth = layers, _Mode(self), 0
        self._alone, self._parts = None, 0  # the module, where it holds all weights itself; functions seen in it
        self._outer = False  # whether it holds some: then its first layer may come late
        self._handles: list[Any] = []
        self._pending: tuple[Layer, Tensor] | None = None
        self._current: Layer | None = None
        self.spent = 0.0
        self.failed: Exception | None = None

    def attach(self, root: nn.Module, *, deep: bool) -> None:
        """Begin to look; `deep`: into the layers too, which a compiled module does not permit."""
        if not deep:
            return
        self._outer = any(layer.module is root for layer in self._layers)
        if all(layer.module is root or isinstance(layer.module, LISTS) for layer in self._layers):
            self._alone = root
        for layer in self._layers:
            self._handles.append(layer.module.register_forward_hook(Hook(self._ran(layer))))
        self._handles.append(root.register_forward_pre_hook(Hook(self._enter)))
        self._handles.append(root.register_forward_hook(Hook(self._leave), always_call=True))

    def detach(self) -> None:
        """Take all hooks away."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        while self._depth:
            self._leave()

    def activated(self, name: str, output: Tensor) -> None:
        """A function was applied: it shows what the layer before it hands on."""
        layer, self._pending = self._current, None
        if layer is None and self._alone is not None and not transformed() and output.dim() == 2:
            layer = self._part(name)
        if layer is not None:
            self.functions[layer.name] = name
            self._safely(lambda: self._measure(layer, name, output))

    def _safely(self, look: Callable[[], None]) -> None:
        """Look, out of the module's sight and on our own time; what fails is kept, and the user's pass goes on."""
        if self.failed is not None or transformed():
            return
        began = time.perf_counter()
        try:
            with torch._C.DisableTorchFunction():
                look()
        except Exception as error:  # of any kind
            self.failed = error
        self.spent += time.perf_counter() - began

    def _part(self, name: str) -> Layer | None:
        """A function in the module that holds all weights itself, named by its place."""
        assert self._alone is not None
        self._parts += 1
        return Layer(f"{name} {self._parts}", self._alone, ())

    def _end(self, output: object) -> None:
        """Of a module that holds its weights in lists nothing else tells what it hands on in the end."""
        if self._parts and all(layer.module is not self._alone for layer in self._layers):
            if self._alone is not None and isinstance(output, Tensor) and output.dim() == 2:
                self._measure(Layer("output", self._alone, ()), "identity", output.detach())

    def _enter(self, *ignored: object) -> None:
        if torch.is_grad_enabled() and not transformed():
            self._depth += 1
            if self._depth == 1:
                self._parts = 0
                self._current = self._pending = None
                self._paths.clear()
                self._mode.__enter__()

    def _leave(self, *ignored: object) -> None:
        if self._depth:
            self._depth -= 1
            if self._depth == 0:
                self._mode.__exit__(None, None, None)
                self._safely(self._settle)
                self._safely(lambda: self._end(ignored[-1] if ignored else None))

    def _ran(self, layer: Layer) -> Callable[..., None]:
        def hook(module: nn.Module, given: tuple[object, ...], output: object) -> None:
            if self._depth:
                self._safely(lambda: note(given, output))

        def note(given: tuple[object, ...], output: object) -> None:
            self._settle()
            if layer.name not in self.order:
                if (
                    self.entering is None
                    and not self._outer
                    and given
                    and isinstance(given[0], Tensor)
                    and given[0].is_floating_point()
                ):
                    self.entering = _units_last(layer, given[0].detach())
                self.order.append(layer.name)
            self.bends += isinstance(layer.module, BENT)
            if hasattr(layer.module, "batch_first") and given and isinstance(given[0], Tensor) and given[0].dim() == 3:
                self.sequences[layer.name] = tuple(given[0].shape)
            self._chain(layer, given, output)
            first = output[0] if isinstance(output, tuple) and output else output
            self._current = layer
            if isinstance(first, Tensor) and first.is_floating_point():
                self._pending = (layer, first.detach())

        return hook

    def _chain(self, layer: Layer, given: tuple[object, ...], output: object) -> None:
        """Note whose output this layer was fed with, and whether anything bent it on the way."""
        dense = isinstance(layer.module, (nn.Linear, *CONVOLUTIONS)) and getattr(layer.module, "groups", 1) == 1
        came = self._path(given[0]) if given else None
        if dense and came is not None and came[0] != layer.name:
            pair = came[0], layer.name
            self.chained[pair] = self.chained.get(pair, True) and came[1]
        if dense and isinstance(output, Tensor):
            self._paths[id(output)] = weakref.ref(output), layer.name, True

    def _path(self, tensor: object) -> tuple[str, bool] | None:
        """The layer that a tensor comes from, and whether straight."""
        known = self._paths.get(id(tensor))
        return known[1:] if known is not None and known[0]() is tensor else None

    def passed(self, name: str, given: tuple[object, ...], output: object) -> None:
        """A function was applied: what comes from a layer still does, bent or straight."""
        both = name.strip("_") in MULTIPLYING and sum(self._path(part) is not None for part in given[:2]) == 2
        straight = (name.strip("_") in STRAIGHT or name in LOOKS) and not both
        self.bends += not straight
        if not isinstance(output, Tensor) or name.strip("_") in PRODUCTS or not given:
            return
        came = self._path(given[0])
        tensors = sum(isinstance(part, Tensor) and not isinstance(part, nn.Parameter) for part in given)
        if came is not None and output is not given[0]:
            joined = name.strip("_") in JOINING and tensors > 1
            self._paths[id(output)] = weakref.ref(output), came[0], came[1] and straight and not joined
        elif came is not None and not straight:
            self._paths[id(output)] = weakref.ref(output), came[0], False

    def _settle(self) -> None:
        """No function followed the layer that ran before: its own output is what it hands on."""
        if self._pending is not None:
            layer, output = self._pending
            kind = getattr(layer.module, "nonlinearity", None) if isinstance(layer.module, nn.RNN) else None
            self._measure(layer, kind or "identity", output)
            self._pending = None

    @torch.no_grad()
    def _measure(self, layer: Layer, function: str, output: Tensor) -> None:
        units = _some_units(layer, output.detach())
        if not units.numel() or units.dim() != 2:
            return
        units = units.float()
        whole = LayerView(layer.name, function, EMPTY, activation=units[None])
        view = seen = self._keep(whole.without_samples(asked_of(function)))
        if output.dim() > 2:  # by sample: places of an image differ at their borders
            apart = output.detach().flatten(1)
            apart = apart[:MOST_SAMPLES, :: -(-apart.shape[1] // MOST_PLACES) or 1].float()
            whole = LayerView(layer.name, function, EMPTY, activation=apart[None])
            seen = self._keep(whole.without_samples(OF_A_SAMPLE))
        runs = self.views.setdefault((layer.name, function), [])
        runs[MOST_RUNS - 1 :] = [(view, seen)]


class _Mode(TorchFunctionMode):
    """Sees every function that is applied while it is on."""

    def __init__(self, inside: Inside) -> None:
        super().__init__()
        self._inside = inside

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output, called = func(*args, **(kwargs or {})), getattr(func, "__name__", "")
        self._inside.passed(called, args, output)
        if "dropout" in called:
            self._inside.dropout = max(self._inside.dropout, rate_of(called, args, kwargs or {}))
        name = ACTIVATIONS.get(func)
        if name is not None and isinstance(output, Tensor):
            self._inside.activated(name, output)
        return output


def _some_units(layer: Layer, signal: Tensor) -> Tensor:
    """`_units_last` of MOST_SAMPLES at most, evenly spaced; of an image no copy is made that is thrown away."""
    if not isinstance(layer.module, CONVOLUTIONS) or signal.dim() < 3:
        units = _units_last(layer, signal)
        return units[:: -(-len(units) // MOST_SAMPLES) or 1]
    places = signal.flatten(2)
    several = places.shape[0] * places.shape[2]
    chosen = torch.arange(0, several, -(-several // MOST_SAMPLES) or 1, device=signal.device)
    return places[chosen // places.shape[2], :, chosen % places.shape[2]]


def _units_last(layer: Layer, signal: Tensor) -> Tensor:
    """A signal at a layer as (samples, units): a convolution has its channels in axis 1, other layers last."""
    if isinstance(layer.module, CONVOLUTIONS) and signal.dim() > 2:
        return signal.transpose(1, -1).flatten(0, -2)
    return signal.flatten(0, -2) if signal.dim() > 1 else signal[:, None]
