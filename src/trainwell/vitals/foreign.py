"""A user's own training, looked at: hooks on the module and its optimizers, numbers into a record.

The cheap things are noted at every step; at some steps the layers are looked at, before and after the update. Nothing
is changed: no random number is drawn, no mode or gradient set, no graph kept.
"""

import copy
from collections.abc import Container, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from trainwell.vitals.inside import Layer

MOST_NUMBERS = 8192  # of a weight matrix, in evenly spaced rows, that are kept to see the update
PARALLEL = 1e-4  # 1 − cos, below which two gradients are one
EXACT = 1e-3  # relative difference, below which two gradients are one


class Weights:
    """The weights of some layers, at one update: gradients just before it, and how far they moved.

    Args:
        named: all parameters by name. layers: those to look at.

    Attributes:
        parameters: their matrices.
    """

    def __init__(self, named: Mapping[str, nn.Parameter], layers: Sequence[Layer]) -> None:
        pairs = [(layer.name, named[key]) for layer in layers for key in layer.weights]
        self._owners, self.parameters = [name for name, _ in pairs], [p for _, p in pairs]
        self._gradients: tuple[list[str], Tensor] | None = None
        self._before: list[Tensor] = []

    @torch.no_grad()
    def before_update(self) -> None:
        """Note gradients, and some rows of the weights."""
        have = [
            (name, dense(p.grad)) for name, p in zip(self._owners, self.parameters, strict=True) if p.grad is not None
        ]
        if have:
            self._gradients = by_layer([name for name, _ in have], norms_of([g for _, g in have]))
        self._before = [rows_of(p).clone() for p in self.parameters]

    @torch.no_grad()
    def after_update(self) -> tuple[list[tuple[str, str]], list[Tensor]]:
        """(layer, signal), and their values in vectors one after another: gradient-norm, weight-norm, update-ratio."""
        if not self.parameters:
            return [], []
        before, rows = self._before, [rows_of(p) for p in self.parameters]
        names, sizes = by_layer(self._owners, norms_of([p.detach() for p in self.parameters]))
        between = torch._foreach_sub(rows, before)  # pyright: ignore[reportPrivateImportUsage]
        (_, moved), (_, old) = (by_layer(self._owners, norms_of(tensors)) for tensors in (list(between), before))
        ratio = torch.where(old == 0, (moved != 0).to(moved.dtype), moved / old)
        self._before = []
        keys = [(name, signal) for signal in ("weight-norm", "update-ratio") for name in names]
        if self._gradients is None:
            return keys, [sizes, ratio]
        return [*((name, "gradient-norm") for name in self._gradients[0]), *keys], [self._gradients[1], sizes, ratio]


def by_layer(owners: Sequence[str], norms: Sequence[Tensor]) -> tuple[list[str], Tensor]:
    """Names of layers, and the norm over all that is owned by each."""
    names = list(dict.fromkeys(owners))
    if len(names) == len(owners):
        return names, torch.stack(list(norms))
    shares = [[norm for owner, norm in zip(owners, norms, strict=True) if owner == name] for name in names]
    return names, torch.stack([torch.linalg.vector_norm(torch.stack(share)) for share in shares])


def norms_of(tensors: list[Tensor]) -> list[Tensor]:
    """Euclidean norms, all in one call as `clip_grad_norm_` takes them."""
    return list(torch._foreach_norm(tensors)) if tensors else []  # pyright: ignore[reportPrivateImportUsage]


def dense(gradient: Tensor | None) -> Tensor:
    """A gradient without holes."""
    assert gradient is not None
    return gradient.coalesce().values() if gradient.is_sparse else gradient


def rows_of(p: Tensor) -> Tensor:
    """Evenly spaced rows of a weight matrix, at most MOST_NUMBERS numbers and at least one row."""
    matrix = p.detach().flatten(1)
    most = max(1, MOST_NUMBERS // matrix.shape[1])
    return matrix[:: -(-len(matrix) // most)]


class Accumulation:
    """Whether the gradient of an update still holds that of the one before it (row of TrainCheck).

    Watches one parameter from one update to the next: what was in its gradient, and what each backward pass adds.
    """

    def __init__(self, parameter: nn.Parameter) -> None:
        self._parameter = parameter
        grad = parameter.grad
        self._old = None if grad is None or grad.is_sparse else grad.detach().clone()
        self._added: Tensor | None = None
        self._handle = parameter.register_hook(self._add) if self._old is not None else None

    def _add(self, gradient: Tensor) -> None:
        g = gradient.detach()
        self._added = g.clone() if self._added is None else self._added + g

    def judge(self) -> bool | None:
        """Just before the next update: True when the old gradient is still in the sum; None where NaN hides it."""
        self.drop()
        now, old, added = self._parameter.grad, self._old, self._added
        if now is not None and not bool(dense(now).isfinite().all()):
            return None
        if now is None or old is None or added is None or torch.equal(now, added):
            return False  # as it should be
        if not bool(old.any()) or not bool(added.any()):
            return False
        both = old + added
        if bool((now - both).norm() <= EXACT * now.norm()):
            return True
        return _parallel(now, both) and not _parallel(now, added)

    def drop(self) -> None:
        """Look no further; a parameter without other hooks is left as it was, not with an empty list that is walked."""
        if self._handle is not None:
            self._handle.remove()
            if not self._parameter._backward_hooks:
                self._parameter._backward_hooks = None


def _parallel(a: Tensor, b: Tensor) -> bool:
    scale = a.norm() * b.norm()
    return a.numel() > 1 and bool(scale > 0) and float((a * b).sum() / scale) > 1 - PARALLEL


def learning(layers: Sequence[Layer], named: Mapping[str, nn.Parameter], held: Container[int]) -> list[Layer]:
    """Layers whose weights are all trained. `held`: ids of the parameters in optimizers, empty where none is known."""

    def learns(p: nn.Parameter) -> bool:
        return p.requires_grad and (not held or id(p) in held)

    return [layer for layer in layers if all(learns(named[key]) for key in layer.weights)]


def witness_of(parameters: Iterable[nn.Parameter]) -> nn.Parameter | None:
    """The smallest trained parameter with a few numbers, nearest to the output: cheap to look at in every step."""
    trained = [p for p in parameters if p.requires_grad]
    several = [p for p in trained if p.numel() >= 8] or trained
    return min(reversed(several), key=lambda p: p.numel(), default=None)


def silent_copy(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode, to which nobody listens.

    Raises:
        Exception: the module can't be copied, whatever it may say.
    """
    twin = copy.deepcopy(bare(model)[0]).eval()
    for module in twin.modules():
        module._forward_hooks.clear()
        module._forward_pre_hooks.clear()
    return twin


def bare(model: nn.Module) -> tuple[nn.Module, bool]:
    """The module inside wrappers for several devices or for compiling, and whether its layers can be looked into."""
    deep = True
    while True:
        if hasattr(model, "_orig_mod"):
            model, deep = model._orig_mod, False  # pyright: ignore[reportAssignmentType]
        elif isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel):
            model = model.module
        else:
            return model, deep and getattr(model, "_compiled_call_impl", None) is None
