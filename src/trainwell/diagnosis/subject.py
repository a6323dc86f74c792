"""A module with one batch, for checks before any training: copies of it are tried, the user's own stays untouched."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.base import InputError
from trainwell.base.randomness import own_randomness
from trainwell.diagnosis.case import Case
from trainwell.vitals.foreign import bare
from trainwell.vitals.program import Program

SEED = 20_000


@dataclass(frozen=True)
class Subject:
    """What is checked.

    Attributes:
        model: the user's module, never called itself. loss_fn: of outputs and targets.
        inputs: a tensor, or several as a tuple or by name. optimizer: the user's as one, or None.
    """

    model: nn.Module
    loss_fn: Callable[..., Any]
    inputs: Any
    targets: Any
    optimizer: Any = None

    def copied(self) -> nn.Module:
        """A copy of the module, without wrappers, that may be changed.

        Raises:
            InputError: it can't be copied.
        """
        try:
            return copy.deepcopy(bare(self.model)[0])
        except Exception as error:  # whatever the user's code may raise
            raise InputError(f"The module can't be copied, so it can't be checked: {one_line(error)}") from error

    def with_optimizer(self) -> tuple[nn.Module, Any]:
        """Copies of module and optimizer that belong together."""
        model, optimizer = copy.deepcopy((bare(self.model)[0], self.optimizer))
        return model, optimizer

    def only(self, samples: Tensor) -> "Subject":
        """The same with these samples of the batch."""
        return replace(self, inputs=_taken(self.inputs, samples), targets=_taken(self.targets, samples))

    def double(self) -> "Subject":
        """The same in float64."""
        loss_fn = copy.deepcopy(self.loss_fn).double() if isinstance(self.loss_fn, nn.Module) else self.loss_fn
        return replace(self, inputs=_double(self.inputs), targets=_double(self.targets), loss_fn=loss_fn)

    def run(self, model: nn.Module) -> Any:
        """The module's outputs for the batch."""
        if isinstance(self.inputs, Mapping):
            return model(**self.inputs)
        return model(*self.inputs) if isinstance(self.inputs, tuple | list) else model(self.inputs)

    def loss(self, model: nn.Module) -> Tensor:
        """Its loss."""
        return self.loss_fn(self.run(model), self.targets)

    @property
    def samples(self) -> int:
        """B; 0 when it is not clear."""
        first = next(iter(self.inputs.values())) if isinstance(self.inputs, Mapping) else self.inputs
        first = first[0] if isinstance(first, tuple | list) and first else first
        same = isinstance(first, Tensor) and first.dim() > 0
        if same and isinstance(self.targets, Tensor) and self.targets.dim() and len(self.targets) != len(first):
            return 0
        return len(first) if same else 0

    @property
    def linked(self) -> bool:
        """Whether the module is told how samples hang together, as the nodes of a graph: by pairs of them, as edges or
        as a matrix (B, B), among its inputs or kept in it."""
        parts = list(self.inputs.values()) if isinstance(self.inputs, Mapping) else self.inputs
        several = list(parts) if isinstance(parts, tuple | list) else []
        count, beside = self.samples, [part for part in several[1:] if isinstance(part, Tensor) and part.dim()]
        edges = any(not part.is_floating_point() and len(part) != count for part in beside)
        kept = [t for m in self.model.modules() for t in [*vars(m).values(), *m.buffers()] if isinstance(t, Tensor)]
        return edges or any(tuple(part.shape) == (count, count) for part in [*beside, *kept])

    @property
    def x(self) -> Tensor | None:
        """The inputs, if they are one tensor."""
        return self.inputs if isinstance(self.inputs, Tensor) else None


class Several:
    """Optimizers that step together, as one."""

    def __init__(self, optimizers: Sequence[Any]) -> None:
        self.optimizers = list(optimizers)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Those of all."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def zero_grad(self) -> None:
        """Of all."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def step(self) -> None:
        """Of all."""
        for optimizer in self.optimizers:
            optimizer.step()


def as_one(optimizer: Any) -> Any:
    """An optimizer, several of them as one, or None.

    Raises:
        InputError: something else.
    """
    several = optimizer if isinstance(optimizer, list | tuple) else [] if optimizer is None else [optimizer]
    for one in several:
        if not hasattr(one, "param_groups"):
            raise InputError(f"optimizer must be a torch optimizer, or a list of them, but holds {type(one).__name__}.")
    return Several(several) if isinstance(optimizer, list | tuple) else optimizer


@dataclass(frozen=True)
class Trial:
    """What a probe is given: the subject, and what one observed pass has shown."""

    subject: Subject
    case: Case

    @property
    def program(self) -> Program:
        """What is known of the program."""
        assert self.case.program is not None
        return self.case.program


def _taken(value: Any, samples: Tensor) -> Any:
    if isinstance(value, Tensor):
        return value[samples] if value.dim() and len(value) > int(samples.max()) else value
    if isinstance(value, Mapping):
        return {key: _taken(part, samples) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_taken(part, samples) for part in value)
    return value


def _double(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.double() if value.is_floating_point() else value
    if isinstance(value, Mapping):
        return {key: _double(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_double(part) for part in value)
    return value


@contextmanager
def undisturbed(seed: int = SEED) -> Iterator[None]:
    """Random streams of its own, always the same; the user's are as before afterwards."""
    with own_randomness(seed), torch.enable_grad():
        yield


def one_line(error: Exception) -> str:
    """What an error says, in one line."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return f"{type(error).__name__}: {text[:200]}"
