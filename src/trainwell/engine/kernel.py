"""The passes of a dense network as one compiled function, where that pays.

    kernel = kernel_for(blueprint, loss, members=64, batch=256, steps=50_000)    # None: it does not pay
    losses, slopes = kernel(given, weights, running)                             # as `objective.slopes_of`

The formula is that of `objective`, differentiated by torch.func inside what is compiled, so that it sees both ways
at once and keeps little between them (docs/log.md).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from trainwell.base.layout import Views
from trainwell.data.batches import Samples
from trainwell.engine.compiling import MARGIN, Compiled, wanted
from trainwell.engine.objective import Given, objective
from trainwell.ingredients import ACTIVATIONS, Loss
from trainwell.networks import Blueprint, Noise
from trainwell.networks.structure import Structure

COMPILE_SECONDS = 8.0  # with nothing in the disk cache, two hidden layers
# What it saves a step: torch's calls, and by each number of the signals, writing and reading it between two products.
# 64 members on two cores with AMX: 39 → 22, 76 → 46, 408 → 299, 602 → 539 µs each; one member 0.42 → 0.20 ms.
SAVED_SECONDS, SAVED_BY_NUMBER = 2e-4, 1e-9
Tensors = dict[str, Tensor]


class Kernel:
    """Compiled at its first call, for batches of one size and any number of members above 1.

    Torch is shown the number of members that the population began with, so that a resumed training gets the same code.

    Args:
        members: rows that the population began with.
    """

    def __init__(self, blueprint: Blueprint, loss: Loss, *, members: int) -> None:
        self._blueprint, self._members = blueprint, members
        self._weights = tuple(slot.name for slot in blueprint.layout.slots)
        self._statistics = tuple(slot.name for slot in blueprint.statistics.slots)
        signal = (*ACTIVATIONS[blueprint.activation].standard, *loss.standard)
        self._columns = tuple(dict.fromkeys(("learning_rate", *signal)))
        names, statistics = self._weights, self._statistics

        def there_and_back(
            weights: Sequence[Tensor], running: Sequence[Tensor], tensors: Tensors, drawn: Tensors
        ) -> tuple[Tensor, Sequence[Tensor], Sequence[Tensor]]:
            given = _unpacked(tensors, drawn)

            def summed(weights: Sequence[Tensor], running: Sequence[Tensor]) -> tuple[Tensor, Any]:
                own = dict(zip(names, weights, strict=True))
                kept = dict(zip(statistics, running, strict=True))
                losses = objective(blueprint, loss, given, own, kept)
                return losses.sum(), (losses, tuple(kept.values()))

            new = tuple(t.clone() for t in running)
            slopes, (losses, kept) = torch.func.grad(summed, has_aux=True)(weights, new)
            return losses, slopes, kept

        self._call = Compiled(there_and_back)

    @torch.no_grad()
    def __call__(self, given: Given, weights: Views, running: Views) -> tuple[Tensor, Sequence[Tensor]]:
        """Losses (K,) and slopes, as of `slopes_of`; statistics are updated in place.

        Raises:
            Exception: of the compiler's tool chain, at the first call; nothing has been changed then.
        """
        arguments = self._packed(given, weights, running)
        a_weight = next(iter(weights.values()))
        alone = len(given.batch.x) == 1, len(a_weight) == 1
        signature = (a_weight.dtype, a_weight.device, *alone, *arguments[2], *arguments[3])
        first = None
        if not self._call.knows(signature):
            first = _of_members(arguments, len(a_weight), self._members)
        losses, slopes, kept = self._call(signature, *arguments, first=first)
        for old, new in zip(arguments[1], kept, strict=True):
            old.copy_(new)
        return losses, slopes

    def _packed(
        self, given: Given, weights: Views, running: Views
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], Tensors, Tensors]:
        """As plain tensors, and only those that are read: torch looks at each before every call."""
        batch, noise = given.batch, given.noise
        tensors = {name: given.columns[name] for name in self._columns if name in given.columns}
        tensors |= {"x": batch.x, "categories": batch.categories}
        tensors |= {} if batch.y is None else {"y": batch.y}
        tensors |= {} if given.class_weights is None else {"class_weights": given.class_weights}
        drawn: Tensors = {}
        if noise is not None and noise.dropout is not None:
            width, samples = self._blueprint.width, batch.x.shape[-1]
            drawn = {name: noise.uniform(name, width, samples) for name in self._blueprint.layers[:-1]}
            drawn["dropout"] = noise.dropout
        if noise is not None and noise.inputs is not None:
            drawn["normal"], drawn["deviation"] = noise.inputs
        if noise is not None and noise.mixup is not None:
            drawn["order"], drawn["share"] = noise.mixup
        return tuple(weights[n] for n in self._weights), tuple(running[n] for n in self._statistics), tensors, drawn


def kernel_for(structure: Structure, loss: Loss, *, members: int, batch: int, steps: int) -> Kernel | None:
    """The compiled passes, if this structure has them and they pay; as with updates, sizes alone decide.

    Embeddings have none: the compiler adds their slopes up in an order that depends on the threads.

    Args:
        members: K. batch: B. steps: updates that the training may make at the most.
    """
    if not isinstance(structure, Blueprint) or structure.cardinalities:
        return None
    numbers = members * batch * (structure.depth * structure.width * structure.pieces + structure.outputs)
    saved = steps * (SAVED_SECONDS + SAVED_BY_NUMBER * numbers)
    return Kernel(structure, loss, members=members) if wanted(saved >= MARGIN * COMPILE_SECONDS) else None


def _unpacked(tensors: Tensors, drawn: Tensors) -> Given:
    """What `Kernel._packed` made plain tensors of."""
    noise = None
    if drawn:
        inputs = (drawn["normal"], drawn["deviation"]) if "normal" in drawn else None
        mixup = (drawn["order"], drawn["share"]) if "order" in drawn else None
        noise = Noise(lambda name, units, samples: drawn[name], drawn.get("dropout"), inputs, mixup)
    batch = Samples(tensors["x"], tensors["categories"], tensors.get("y"))
    return Given(batch, noise, tensors, tensors.get("class_weights"))


def _of_members(arguments: tuple[Any, ...], here: int, members: int) -> list[Any]:
    """Zeros laid out as the arguments, with `members` rows for those `here`: a number marked as one that varies."""
    nothing: dict[torch.dtype, Tensor] = {}  # all read the same zeros

    def other(tensor: Tensor) -> Tensor:
        varies = here > 1 and len(tensor) == here
        shape = (members, *tensor.shape[1:]) if varies else tensor.shape
        last = sum((size - 1) * stride for size, stride in zip(shape, tensor.stride(), strict=True))
        zeros = nothing.get(tensor.dtype)
        if zeros is None or len(zeros) <= last:
            zeros = nothing[tensor.dtype] = tensor.new_zeros(last + 1)
        made = zeros.as_strided(shape, tensor.stride())
        if varies:
            torch._dynamo.mark_dynamic(made, 0)
        return made

    def all_of(part: Any) -> Any:
        return {n: other(t) for n, t in part.items()} if isinstance(part, dict) else tuple(other(t) for t in part)

    return [all_of(part) for part in arguments]
