"""Dense networks over a population: embeddings, hidden layers with norm, residual links and dropout, a linear output.

A hidden layer is: product with W, plus b → norm → φ → + input (residual, where the widths agree) → dropout; the norm
may also stand behind φ. Signals are (K, H, B), units before samples: every product is then W·h for all members at once
(`torch.baddbmm`), with the batch shared by members of one data group as one operand broadcast to all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainwell.base.layout import Columns, Layout, Slot, Views
from trainwell.ingredients import (
    ACTIVATIONS,
    NORMS,
    centred_weight,
    check_groups,
    dropout,
    input_noise,
    mixup,
    normalise,
    normalised_weight,
)
from trainwell.plan import Plan

Tap = Callable[[str, Tensor], None]
NORM_PARTS = (("weight", "one"), ("bias", "zero"))  # γ and β, and what they start as
WEIGHT_NORMS = {"weight": normalised_weight, "centred": centred_weight}


@dataclass(frozen=True)
class Noise:
    """What is random in the forward pass of one training step; None: not used by any member.

    Attributes:
        uniform: uniform numbers (K or 1, H, B) on call, given a layer's name.
        dropout: the rate p of each member (K, 1).
        inputs: standard normal numbers (K or 1, D, B), and their deviation in each member (K, 1).
        mixup: which sample each one is mixed with (K or 1, B), and the share that stays (K, 1).
    """

    uniform: Callable[[str, int, int], Tensor]
    dropout: Tensor | None = None
    inputs: tuple[Tensor, Tensor] | None = None
    mixup: tuple[Tensor, Tensor] | None = None


@dataclass(frozen=True)
class Blueprint:
    """The structure of a dense network.

    Attributes:
        inputs: dense inputs D.
        cardinalities: categories of each embedded column, unknown (0) included.
        outputs: C.
        depth, width, activation, norm, residual, norm_place, weight_norm: as in the plan's network section.
        pieces: linear maps a unit of maxout takes the largest of; 1 for other activations.
        groups: groups of a group norm.
    """

    inputs: int
    outputs: int
    cardinalities: tuple[int, ...] = ()
    depth: int = 2
    width: int = 128
    activation: str = "relu"
    norm: str = "none"
    residual: bool = False
    norm_place: str = "before"
    weight_norm: str = "none"
    pieces: int = 1
    groups: int = 1

    @classmethod
    def of(cls, plan: Plan, inputs: int, outputs: int, cardinalities: tuple[int, ...] = ()) -> "Blueprint":
        """The structure that a plan describes, on these inputs and outputs."""
        n = plan.network
        pieces, groups = (int(plan.effective(f"network.{name}") or 1) for name in ("pieces", "groups"))
        places = (n.norm_place, n.weight_norm, pieces, groups)
        return cls(inputs, outputs, cardinalities, n.depth, n.width, n.activation, n.norm, n.residual, *places)

    def __post_init__(self) -> None:
        if self.norm == "group":
            check_groups(self.normed, self.groups)

    @property
    def embedding_sizes(self) -> tuple[int, ...]:
        """Dimensions of each embedding: min(50, 1.6·c^0.56), fastai's rule (its `emb_sz_rule`, capped lower here)."""
        return tuple(min(50, max(2, round(1.6 * c**0.56))) for c in self.cardinalities)

    @property
    def fan_ins(self) -> tuple[int, ...]:
        """Inputs of each hidden layer and of the output."""
        first = self.inputs + sum(self.embedding_sizes)
        return (first, *[self.width] * self.depth)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers with a weight matrix, from input to output."""
        return (*(f"hidden.{i}" for i in range(self.depth)), "output")

    @property
    def layout(self) -> Layout:
        """The trained tensors."""
        slots = [
            Slot(f"embedding.{i}.weight", (c, d), "embedding")
            for i, (c, d) in enumerate(zip(self.cardinalities, self.embedding_sizes, strict=True))
        ]
        for name, fan_in in zip(self.layers, self.fan_ins, strict=True):
            units = self.outputs if name == "output" else self.width * self.pieces
            slots.append(Slot(f"{name}.weight", (units, fan_in), "weight"))
            slots.append(Slot(f"{name}.bias", (units, 1)))
            if self.weight_norm != "none":
                slots.append(Slot(f"{name}.length", (units, 1), "length"))
            if name != "output":
                slots += self._norm_slots(name)
                slots += [Slot(f"{name}.{h}", (self.width, 1), h) for h in ACTIVATIONS[self.activation].learned]
        return Layout(slots)

    def _norm_slots(self, name: str) -> list[Slot]:
        if self.norm == "none":
            return []
        scale, shift = (Slot(f"{name}.norm.{part}", (self.normed, 1), start) for part, start in NORM_PARTS)
        return [scale, shift] if NORMS[self.norm].shift else [scale]

    @property
    def normed(self) -> int:
        """Units that a norm sees: of maxout all its pieces, unless it stands behind φ."""
        return self.width if self.norm_place == "after" else self.width * self.pieces

    @property
    def statistics(self) -> Layout:
        """The running statistics of batch norm: kept with a member, not trained."""
        if not NORMS[self.norm].statistics:
            return Layout([])
        shape = (self.normed, 1)
        return Layout(
            [s for n in self.layers[:-1] for s in (Slot(f"{n}.norm.mean", shape), Slot(f"{n}.norm.var", shape, "one"))]
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for `model/blueprint.json`; `Blueprint(**values)` reads them back."""
        return {**self.__dict__, "cardinalities": list(self.cardinalities)}

    def forward(
        self,
        weights: Views,
        statistics: Views,
        x: Tensor,
        categories: Tensor,
        *,
        hypers: Columns,
        training: bool,
        noise: Noise | None = None,
        tap: Tap | None = None,
        pre_tap: Tap | None = None,
    ) -> Tensor:
        """Outputs z (K, C, B) of all members.

        Args:
            weights, statistics: views (K, ...) by name.
            x: (K or 1, D, B) dense inputs; 1 when all members see the same batch.
            categories: (K or 1, E, B) category numbers.
            hypers: the activation's hyperparameters, (K, 1) each; others are not read.
            training: batch norm by the batch, running statistics updated in place; else by these.
            noise: dropout, noise and mixup of this step, in training.
            tap: is shown each layer's name and output (K, H, B). pre_tap: the same before norm and φ.
        """
        h = self._inputs(weights, x, categories)
        if noise is not None and noise.inputs is not None:
            h = input_noise(h, noise.inputs[1], noise.inputs[0])
        if noise is not None and noise.mixup is not None:
            h = mixup(h, noise.mixup[1], noise.mixup[0])
        for name in self.layers[:-1]:
            z = _affine(self.effective_weight(name, weights), weights[f"{name}.bias"], h)
            if pre_tap is not None:
                pre_tap(name, z)
            a = self._hidden(name, z, weights, statistics, hypers, training)
            h = a + h if self.residual and h.shape[1] == a.shape[1] else a
            if tap is not None:
                tap(name, a)
            if noise is not None and noise.dropout is not None:
                h = dropout(h, noise.dropout, noise.uniform(name, self.width, h.shape[2]))
        z = _affine(self.effective_weight("output", weights), weights["output.bias"], h)
        for shown in (tap, pre_tap):
            if shown is not None:
                shown("output", z)
        return z

    def _hidden(
        self, name: str, z: Tensor, weights: Views, statistics: Views, hypers: Columns, training: bool
    ) -> Tensor:
        """From a hidden layer's pre-activations to what it hands on (K, H, B)."""
        φ = ACTIVATIONS[self.activation]
        if self.norm_place == "before":
            z = self._normalise(name, z, weights, statistics, training)
        own = {key: hypers[key].unsqueeze(2) for key in φ.standard if key in hypers}
        own |= {"pieces": torch.tensor(self.pieces)} if "pieces" in φ.standard else {}
        a = φ.function(z, {**own, **{key: weights[f"{name}.{key}"] for key in φ.learned}})
        return self._normalise(name, a, weights, statistics, training) if self.norm_place == "after" else a

    def effective_weight(self, name: str, weights: Views) -> Tensor:
        """The matrix (K, H, D) that a layer multiplies with: its weights, or what weight norm makes of them."""
        weight = weights[f"{name}.weight"]
        if self.weight_norm == "none":
            return weight
        length = weights[f"{name}.length"]
        return WEIGHT_NORMS[self.weight_norm](_wide(weight), _wide(length)).to(weight.dtype)

    def _inputs(self, weights: Views, x: Tensor, categories: Tensor) -> Tensor:
        if not self.cardinalities:
            return x
        members = weights["output.bias"].shape[0]
        parts = [x.expand(members, -1, -1)]
        for i in range(len(self.cardinalities)):
            table = _wide(weights[f"embedding.{i}.weight"])  # (K, c, d); slopes of a category are summed up
            index = categories[:, i].expand(members, -1).unsqueeze(2).expand(-1, -1, table.shape[2])
            parts.append(table.gather(1, index).transpose(1, 2))  # (K, d, B)
        return torch.cat(parts, dim=1)

    def _normalise(self, name: str, z: Tensor, weights: Views, statistics: Views, training: bool) -> Tensor:
        if self.norm == "none":
            return z
        scale, shift = _wide(weights[f"{name}.norm.weight"]), weights.get(f"{name}.norm.bias")
        z, shift = _wide(z), None if shift is None else _wide(shift)
        running = (statistics[f"{name}.norm.mean"], statistics[f"{name}.norm.var"]) if statistics else None
        return normalise(self.norm, z, scale, shift, running, training=training, groups=self.groups)


def _affine(weight: Tensor, bias: Tensor, h: Tensor) -> Tensor:
    """W·h + b for all members: weight (K, H, D), bias (K, H, 1), h (K or 1, D, B); in the type of the weights.

    In bfloat16 one large product of an h that all share is twice as fast as many small ones (docs/log.md).
    """
    h = h.to(weight.dtype)
    if weight.dtype == torch.bfloat16 and len(h) == 1:
        return (weight.reshape(-1, weight.shape[2]) @ h[0]).view(len(weight), weight.shape[1], -1) + bias
    return torch.baddbmm(bias, weight, h.expand(len(weight), -1, -1))


def _wide(tensor: Tensor) -> Tensor:
    """In float32 where it has half as many bits."""
    return tensor.float() if tensor.dtype == torch.bfloat16 else tensor
