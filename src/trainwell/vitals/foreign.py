"""A user's own training, looked at: hooks on the module and its optimizers, numbers into a record.

The cheap things are noted at every step; at some steps the layers are looked at, before and after the update. Nothing
is changed: no random number is drawn, no mode or gradient set, no graph kept.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from trainwell.vitals.inside import Layer

MOST_NUMBERS = 8192  # of a weight matrix, in evenly spaced rows, that are kept to see the update
PARALLEL = 1e-4  # 1 − cos, below which two gradients are one
EXACT = 1e-3  # relative difference, below which two gradients are one


class Weights:
    """The weights of some layers, at one update: gradients just before it, and how far they moved."""

    def __init__(self, model: nn.Module, layers: Sequence[Layer]) -> None:
        named = dict(model.named_parameters(remove_duplicate=False))
        self._named = {layer.name: [named[key] for key in layer.weights] for layer in layers}
        self._gradients: dict[str, Tensor] = {}
        self._before: dict[str, list[Tensor]] = {}
        self.silent: dict[str, bool] = {}

    @torch.no_grad()
    def before_update(self) -> None:
        """Note gradients, and some rows of the weights."""
        flat = [(name, p) for name, group in self._named.items() for p in group if p.grad is not None]
        norms = norms_of([dense(p.grad) for _, p in flat])
        self._gradients = {}
        for (name, _), norm in zip(flat, norms, strict=True):
            old = self._gradients.get(name)
            self._gradients[name] = norm if old is None else torch.hypot(old, norm)
        self._before = {name: [rows_of(p).clone() for p in group] for name, group in self._named.items()}

    @torch.no_grad()
    def after_update(self) -> dict[tuple[str, str], Tensor]:
        """(layer, signal) → a number: gradient-norm, update-ratio, weight-norm."""
        signals: dict[tuple[str, str], Tensor] = {
            (name, "gradient-norm"): norm for name, norm in self._gradients.items()
        }
        flat = [(name, p) for name, group in self._named.items() for p in group]
        sizes = norms_of([p.detach() for _, p in flat])
        for (name, _), size in zip(flat, sizes, strict=True):
            old = signals.get((name, "weight-norm"))
            signals[name, "weight-norm"] = size if old is None else torch.hypot(old, size)
        for name, before in self._before.items():
            moved = _joint_norm([rows_of(p) - b for p, b in zip(self._named[name], before, strict=True)])
            size = _joint_norm(before)
            still = torch.where(moved == 0, moved, torch.ones_like(moved))
            signals[name, "update-ratio"] = torch.where(size == 0, still, moved / size)
        self._before = {}
        return signals


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


def _joint_norm(parts: Sequence[Tensor]) -> Tensor:
    norms = [torch.linalg.vector_norm(part) for part in parts]
    return norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms))


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

    def judge(self) -> bool:
        """Just before the next update: True when the old gradient is still in the sum."""
        if self._handle is not None:
            self._handle.remove()
        now, old, added = self._parameter.grad, self._old, self._added
        if now is None or old is None or added is None or not bool(old.any()) or not bool(added.any()):
            return False
        both = old + added
        if bool((now - both).norm() <= EXACT * now.norm()):
            return True
        return _parallel(now, both) and not _parallel(now, added)

    def drop(self) -> None:
        """Look no further."""
        if self._handle is not None:
            self._handle.remove()


def _parallel(a: Tensor, b: Tensor) -> bool:
    scale = a.norm() * b.norm()
    return a.numel() > 1 and bool(scale > 0) and float((a * b).sum() / scale) > 1 - PARALLEL


def witness_of(parameters: Iterable[nn.Parameter]) -> nn.Parameter | None:
    """The smallest trained parameter with a few numbers, nearest to the output: cheap to look at in every step."""
    trained = [p for p in parameters if p.requires_grad]
    several = [p for p in trained if p.numel() >= 8] or trained
    return min(reversed(several), key=lambda p: p.numel(), default=None)


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
