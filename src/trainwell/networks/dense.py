"""Dense networks over a population: embeddings, hidden layers with norm, residual links and dropout, a linear output.

A hidden layer is: product with W, plus b → norm → φ → + input (residual, where the widths agree) → dropout.
Signals are (K, H, B), units before samples: every product is then W·h for all members at once (`torch.baddbmm`), with
the batch shared by members of one data group as one operand broadcast to all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainwell.ingredients import ACTIVATIONS
from trainwell.networks.layout import Layout, Slot, Views

NORM_EPSILON = 1e-5  # as torch.nn.BatchNorm1d and LayerNorm
NORM_MOMENTUM = 0.1  # weight of the newest batch in the running statistics, as torch.nn.BatchNorm1d
Tap = Callable[[str, Tensor], None]


@dataclass(frozen=True)
class Noise:
    """Dropout of one step: the rate p (K, 1, 1), and uniform numbers (K or 1, H, B) on call, given the layer's name."""

    rate: Tensor
    uniform: Callable[[str, int, int], Tensor]


@dataclass(frozen=True)
class Blueprint:
    """The structure of a dense network.

    Attributes:
        inputs: dense inputs D.
        cardinalities: categories of each embedded column, unknown (0) included.
        outputs: C.
        depth, width, activation, norm, residual: as in the plan's network section.
    """

    inputs: int
    outputs: int
    cardinalities: tuple[int, ...] = ()
    depth: int = 2
    width: int = 128
    activation: str = "relu"
    norm: str = "none"
    residual: bool = False

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
            units = self.outputs if name == "output" else self.width
            slots.append(Slot(f"{name}.weight", (units, fan_in), "weight"))
            slots.append(Slot(f"{name}.bias", (units, 1)))
            if self.norm != "none" and name != "output":
                slots.append(Slot(f"{name}.norm.weight", (units, 1), "one"))
                slots.append(Slot(f"{name}.norm.bias", (units, 1)))
        return Layout(slots)

    @property
    def statistics(self) -> Layout:
        """The running statistics of batch norm: kept with a member, not trained."""
        if self.norm != "batch":
            return Layout([])
        shape = (self.width, 1)
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
        training: bool,
        noise: Noise | None = None,
        tap: Tap | None = None,
    ) -> Tensor:
        """Outputs z (K, C, B) of all members.

        Args:
            weights, statistics: views (K, ...) by name.
            x: (K or 1, D, B) dense inputs; 1 when all members see the same batch.
            categories: (K or 1, E, B) category numbers.
            training: batch norm by the batch, running statistics updated in place, and dropout by `noise`.
            tap: is shown each layer's name and output (K, H, B).
        """
        h = self._inputs(weights, x, categories)
        φ = ACTIVATIONS[self.activation].function
        for name in self.layers[:-1]:
            z = _affine(weights[f"{name}.weight"], weights[f"{name}.bias"], h)
            if self.norm != "none":
                z = self._normalise(name, z, weights, statistics, training)
            a = φ(z)
            h = a + h if self.residual and h.shape[1] == a.shape[1] else a
            if tap is not None:
                tap(name, a)
            if noise is not None:
                keep = noise.uniform(name, self.width, h.shape[2]) >= noise.rate
                h = h * keep.to(h.dtype) / (1 - noise.rate)
        z = _affine(weights["output.weight"], weights["output.bias"], h)
        if tap is not None:
            tap("output", z)
        return z

    def _inputs(self, weights: Views, x: Tensor, categories: Tensor) -> Tensor:
        if not self.cardinalities:
            return x
        members = weights["output.bias"].shape[0]
        parts = [x.expand(members, -1, -1)]
        for i in range(len(self.cardinalities)):
            table = weights[f"embedding.{i}.weight"]  # (K, c, d)
            index = categories[:, i].expand(members, -1).unsqueeze(2).expand(-1, -1, table.shape[2])
            parts.append(table.gather(1, index).transpose(1, 2))  # (K, d, B)
        return torch.cat(parts, dim=1)

    def _normalise(self, name: str, z: Tensor, weights: Views, statistics: Views, training: bool) -> Tensor:
        dim = 2 if self.norm == "batch" else 1
        if self.norm == "batch" and not training:
            mean, var = statistics[f"{name}.norm.mean"], statistics[f"{name}.norm.var"]
        else:
            var, mean = torch.var_mean(z, dim=dim, correction=0, keepdim=True)
        if self.norm == "batch" and training:
            n = z.shape[2]
            with torch.no_grad():
                statistics[f"{name}.norm.mean"].lerp_(mean, NORM_MOMENTUM)
                statistics[f"{name}.norm.var"].lerp_(var * (n / max(n - 1, 1)), NORM_MOMENTUM)
        scale = weights[f"{name}.norm.weight"] * torch.rsqrt(var + NORM_EPSILON)
        return (z - mean) * scale + weights[f"{name}.norm.bias"]


def _affine(weight: Tensor, bias: Tensor, h: Tensor) -> Tensor:
    """W·h + b for all members: weight (K, H, D), bias (K, H, 1), h (K or 1, D, B)."""
    return torch.baddbmm(bias, weight, h.expand(weight.shape[0], -1, -1))
