"""One member as a plain `torch.nn.Module`, usable and exportable without trainwell's engine."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from trainwell.ingredients import ACTIVATIONS, NORM_EPSILON, NORM_MOMENTUM
from trainwell.networks.dense import Blueprint

NORM_MODULES: dict[str, Callable[[int, int], nn.Module]] = {
    "none": lambda units, groups: nn.Identity(),
    "batch": lambda units, groups: nn.BatchNorm1d(units, eps=NORM_EPSILON, momentum=NORM_MOMENTUM),
    "layer": lambda units, groups: nn.LayerNorm(units, eps=NORM_EPSILON),
    "rms": lambda units, groups: nn.RMSNorm(units, eps=NORM_EPSILON),
    "group": lambda units, groups: nn.GroupNorm(groups, units, eps=NORM_EPSILON),
}


class DenseNetwork(nn.Module):
    """The network of one member, built of standard layers, in evaluation mode.

    `forward(x, categories)`: x (B, D) float, categories (B, E) integers (may be left out when E = 0) → outputs (B, C),
    before softmax or sigmoid; for a regression in standardised units. Weight norm has been worked into the weights.

    Args:
        blueprint: the structure.
        hypers: the member's hyperparameters that its signals depend on: dropout, and those of its activation.
    """

    def __init__(self, blueprint: Blueprint, hypers: Mapping[str, float] | None = None) -> None:
        super().__init__()
        b, hypers = blueprint, hypers or {}
        self.blueprint = b
        φ = ACTIVATIONS[b.activation]
        self.activation = φ.function
        self.hypers = {key: torch.tensor(hypers.get(key, φ.standard[key]), dtype=torch.float64) for key in φ.standard}
        self.embeddings = nn.ModuleList(
            nn.Embedding(c, d) for c, d in zip(b.cardinalities, b.embedding_sizes, strict=True)
        )
        self.hidden = nn.ModuleList(nn.Linear(fan_in, b.width * b.pieces) for fan_in in b.fan_ins[:-1])
        self.norms = nn.ModuleList(NORM_MODULES[b.norm](b.normed, b.groups) for _ in self.hidden)
        self.learned = nn.ModuleList(
            nn.ParameterDict({key: nn.Parameter(torch.zeros(b.width)) for key in φ.learned}) for _ in self.hidden
        )
        self.dropout = nn.Dropout(hypers.get("dropout", 0.0))
        self.output = nn.Linear(b.fan_ins[-1], b.outputs)

    def forward(self, x: Tensor, categories: Tensor | None = None) -> Tensor:
        parts = [x]
        if categories is not None:
            parts += [embed(categories[:, i]) for i, embed in enumerate(self.embeddings)]
        h = torch.cat(parts, dim=1) if len(parts) > 1 else x
        after = self.blueprint.norm_place == "after"
        for linear, norm, learned in zip(self.hidden, self.norms, self.learned, strict=True):
            z = linear(h)
            a = norm(self._activate(z, learned)) if after else self._activate(norm(z), learned)
            h = self.dropout(a + h if self.blueprint.residual and a.shape == h.shape else a)
        return self.output(h)

    def _activate(self, z: Tensor, learned: nn.Module) -> Tensor:
        """φ on (B, H); the population's φ has units before samples, which only maxout minds."""
        h = {key: value.to(z) for key, value in self.hypers.items()} | dict(learned.named_parameters())
        if self.blueprint.pieces == 1:
            return self.activation(z, h)
        return self.activation(z.T.unsqueeze(0), h).squeeze(0).T

    @classmethod
    def from_rows(
        cls,
        blueprint: Blueprint,
        weights: Mapping[str, Tensor],
        statistics: Mapping[str, Tensor],
        hypers: Mapping[str, float] | None = None,
    ) -> "DenseNetwork":
        """Build the module and copy one member's tensors (shapes without K) into it."""
        network = cls(blueprint, hypers).to(next(iter(weights.values())).dtype)
        one = {name: tensor.detach().unsqueeze(0) for name, tensor in weights.items()}
        effective = {f"{layer}.weight": blueprint.effective_weight(layer, one)[0] for layer in blueprint.layers}
        own = network.state_dict()
        for name, tensor in {**weights, **effective, **statistics}.items():
            if not name.endswith(".length"):
                place = _module_name(name, blueprint)
                own[place] = tensor.detach().cpu().reshape(own[place].shape).clone()
        network.load_state_dict(own)
        return network.eval()


def _module_name(name: str, blueprint: Blueprint) -> str:
    """The name in the module's state of a tensor of the layout."""
    if name.startswith("embedding."):
        return name.replace("embedding.", "embeddings.", 1)
    if ".norm." in name:
        layer, _, kind = name.partition(".norm.")
        renamed = {"mean": "running_mean", "var": "running_var"}.get(kind, kind)
        return f"norms.{layer.removeprefix('hidden.')}.{renamed}"
    layer, _, kind = name.rpartition(".")
    if kind in ACTIVATIONS[blueprint.activation].learned:
        return f"learned.{layer.removeprefix('hidden.')}.{kind}"
    return name
