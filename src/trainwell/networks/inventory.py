"""The tensors of a user's module: which are trained, which are kept beside, and where each stands in a row."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from trainwell.base import InputError
from trainwell.base.layout import Layout, Slot, Views

NORMS = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)
IDLE = "num_batches_tracked"  # counts, and is read by nobody unless the norm's momentum is None


@dataclass(frozen=True)
class Inventory:
    """Tensors by name; those that a module has under several names stand under the first.

    Attributes:
        layout: trained parameters. statistics: frozen parameters, and buffers that change or differ among members.
        shapes: of each of them as the module has it; slots are matrices (H, D), or (H, 1) where there is one axis.
        parameters: names of the parameters, frozen ones included.
        canonical: every name under which the module has a tensor, and the name it stands under.
        whole: buffers of whole numbers, with their type; they are kept as floats.
    """

    layout: Layout
    statistics: Layout
    shapes: Mapping[str, tuple[int, ...]]
    parameters: frozenset[str]
    canonical: Mapping[str, str]
    whole: Mapping[str, torch.dtype]

    @classmethod
    def of(cls, module: nn.Module, other: nn.Module, changing: Iterable[str] = ()) -> "Inventory":
        """Of two modules of one factory under different seeds; `changing`: buffers that training writes to."""
        parameters, buffers = dict(module.named_parameters()), dict(module.named_buffers())
        others = dict(other.named_buffers())
        differ = {n for n, b in buffers.items() if n in others and not torch.equal(b, others[n])} | set(changing)
        whole = {n: b.dtype for n, b in buffers.items() if not b.is_floating_point() and n in differ}
        kept = {n: b for n, b in buffers.items() if b.is_floating_point() or n in whole}
        trained = {n: p for n, p in parameters.items() if p.requires_grad}
        beside = {n: p for n, p in parameters.items() if not p.requires_grad} | kept
        first = {id(tensor): name for name, tensor in (trained | beside).items()}
        everything = [
            *module.named_parameters(remove_duplicate=False),
            *module.named_buffers(remove_duplicate=False),
        ]
        return cls(
            Layout([Slot(n, _flat(p.shape), _start(module, n, p)) for n, p in trained.items()]),
            Layout([Slot(n, _flat(p.shape)) for n, p in beside.items()]),
            {n: tuple(t.shape) for n, t in (trained | beside).items()},
            frozenset(parameters),
            {name: first[id(tensor)] for name, tensor in everything if id(tensor) in first},
            whole,
        )

    def shaped(self, weights: Views, statistics: Views) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Parameters and buffers (K, …) in the module's shapes, as views."""
        views = {name: view.view(len(view), *self.shapes[name]) for name, view in {**weights, **statistics}.items()}
        parameters = {name: view for name, view in views.items() if name in self.parameters}
        return parameters, {name: view for name, view in views.items() if name not in parameters}

    def rows(self, module: nn.Module) -> tuple[Tensor, Tensor]:
        """The tensors of a module, side by side: (P,) trained and (S,) kept beside.

        Raises:
            InputError: it has other tensors than these.
        """
        found = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        unlike = [n for n, shape in self.shapes.items() if n not in found or tuple(found[n].shape) != shape]
        unlike += [n for n, p in module.named_parameters() if n not in self.parameters]
        if unlike:
            raise InputError(
                f"make must build the same structure at each call, but '{unlike[0]}' was not the same: "
                "let it depend on nothing random but the weights."
            )
        first, second = (
            torch.cat(
                [
                    torch.zeros(0, dtype=torch.float64),
                    *(found[s.name].detach().cpu().double().flatten() for s in l.slots),
                ]
            )
            for l in (self.layout, self.statistics)
        )
        return first, second

    @torch.no_grad()
    def fill(self, module: nn.Module, values: Views) -> None:
        """Copy tensors (shapes without K) into a module."""
        own = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        for name, value in values.items():
            value = value.detach().cpu().reshape(self.shapes[name])
            own[name].copy_(value.round() if name in self.whole else value)

    def units(self, layer: str) -> int:
        """H, the units of a layer with a weight matrix."""
        return self.shapes[f"{layer}.weight"][0]


def changing_buffers(before: Mapping[str, Tensor], module: nn.Module) -> list[str]:
    """Buffers of whole numbers that a pass has changed, idle counters left out."""
    changed = [n for n, b in module.named_buffers() if n in before and not torch.equal(b, before[n])]
    return [n for n in changed if not _idle(module, n)]


def _idle(module: nn.Module, name: str) -> bool:
    owner, _, last = name.rpartition(".")
    return last == IDLE and getattr(module.get_submodule(owner), "momentum", None) is not None


def _flat(shape: tuple[int, ...]) -> tuple[int, int]:
    """The shape of a slot: a matrix."""
    return (shape[0], prod(shape[1:])) if shape else (1, 1)


def _start(module: nn.Module, name: str, parameter: Tensor) -> str:
    """What kind of tensor it is; regularisers and some optimizers treat matrices, embeddings and the rest apart."""
    path, _, last = name.rpartition(".")
    owner = module.get_submodule(path)
    if isinstance(owner, nn.Embedding):
        return "embedding"
    if isinstance(owner, NORMS):
        return "one" if last == "weight" else "zero"
    return "weight" if parameter.dim() > 1 and "weight" in last else "zero"
