"""One member as a plain `torch.nn.Module`, usable and exportable without trainwell's engine."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from trainwell.ingredients import ACTIVATIONS
from trainwell.networks.dense import NORM_EPSILON, NORM_MOMENTUM, Blueprint


class DenseNetwork(nn.Module):
    """The network of one member, built of standard layers, in evaluation mode.

    `forward(x, categories)`: x (B, D) float, categories (B, E) integers (may be left out when E = 0) → outputs (B, C),
    before softmax or sigmoid; for a regression in standardised units.
    """

    def __init__(self, blueprint: Blueprint, dropout: float = 0.0) -> None:
        super().__init__()
        b = blueprint
        self.residual = b.residual
        self.activation = ACTIVATIONS[b.activation].function
        self.embeddings = nn.ModuleList(
            nn.Embedding(c, d) for c, d in zip(b.cardinalities, b.embedding_sizes, strict=True)
        )
        self.hidden = nn.ModuleList(nn.Linear(fan_in, b.width) for fan_in in b.fan_ins[:-1])
        self.norms = nn.ModuleList(_norm(b) for _ in self.hidden)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(b.fan_ins[-1], b.outputs)

    def forward(self, x: Tensor, categories: Tensor | None = None) -> Tensor:
        parts = [x]
        if categories is not None:
            parts += [embed(categories[:, i]) for i, embed in enumerate(self.embeddings)]
        h = torch.cat(parts, dim=1) if len(parts) > 1 else x
        for linear, norm in zip(self.hidden, self.norms, strict=True):
            a = self.activation(norm(linear(h)))
            h = self.dropout(a + h if self.residual and a.shape == h.shape else a)
        return self.output(h)

    @classmethod
    def from_rows(
        cls, blueprint: Blueprint, weights: Mapping[str, Tensor], statistics: Mapping[str, Tensor], dropout: float = 0.0
    ) -> "DenseNetwork":
        """Build the module and copy one member's tensors (shapes without K) into it."""
        network = cls(blueprint, dropout).to(next(iter(weights.values())).dtype)
        state = {_module_name(name): tensor for name, tensor in {**weights, **statistics}.items()}
        own = network.state_dict()
        for name, tensor in state.items():
            own[name] = tensor.detach().cpu().reshape(own[name].shape).clone()
        network.load_state_dict(own)
        return network.eval()


def _norm(b: Blueprint) -> nn.Module:
    if b.norm == "batch":
        return nn.BatchNorm1d(b.width, eps=NORM_EPSILON, momentum=NORM_MOMENTUM)
    return nn.LayerNorm(b.width, eps=NORM_EPSILON) if b.norm == "layer" else nn.Identity()


def _module_name(name: str) -> str:
    """The name in the module's state of a tensor of the layout."""
    if name.startswith("embedding."):
        return name.replace("embedding.", "embeddings.", 1)
    if ".norm." in name:
        layer, _, kind = name.partition(".norm.")
        renamed = {"mean": "running_mean", "var": "running_var"}.get(kind, kind)
        return f"norms.{layer.removeprefix('hidden.')}.{renamed}"
    return name
