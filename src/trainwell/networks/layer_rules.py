"""How standard layers are computed for all members at once: one rule for each kind of layer.

A rule takes the layer, its signal h (K, B, …) — (1, B, …) while all members see the same — and its tensors `own`, each
(K, …), and gives the layer's output (K, B, …). A kind of layer is added in the table at the foot.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMALL = 1_000_000  # products: 150,000 in groups take 1/2 to 1/4 of the time of turns, 5,000,000 up to twice the time
Own = Mapping[str, Tensor]
Rule = Callable[[Any, Tensor, Own, bool], Tensor]  # layer, h, own tensors, training → output


@dataclass(frozen=True)
class Step:
    """One layer of a sequential module: its name, itself, its rule; None: dropout, whose noise is the engine's."""

    name: str
    layer: nn.Module
    rule: Rule | None


def steps_of(module: nn.Module, name: str = "") -> list[Step] | str:
    """The layers of a module in order, or why there are no rules for it."""
    if type(module) is nn.Sequential:
        found: list[Step] = []
        for key, child in module.named_children():
            inner = steps_of(child, f"{name}.{key}".removeprefix("."))
            if isinstance(inner, str):
                return inner
            found += inner
        return found if found and not _hooked(module) else f"'{name}' is empty or has hooks"
    if type(module) not in RULES and type(module) not in DROPOUTS:
        return f"there is no rule for {type(module).__name__}"
    if _hooked(module) or not _plain(module):
        return f"{type(module).__name__} '{name}' has hooks or options without a rule"
    if type(module) in DROPOUTS:
        return [Step(name, module, None)]
    layer = copy.copy(module)
    if getattr(layer, "inplace", False):
        layer.__dict__["inplace"] = False  # the batch must not be overwritten
    return [Step(name, layer, RULES[type(module)])]


def dropout_rates(module: nn.Module) -> tuple[float, ...]:
    """The rates of its layers of dropout, but not what other layers (as an LSTM) draw themselves."""
    return tuple(layer.p for layer in module.modules() if type(layer) in DROPOUTS)  # pyright: ignore[reportReturnType]


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)


def _plain(module: nn.Module) -> bool:
    """Whether a layer has no option that its rule leaves out."""
    if isinstance(module, nn.modules.conv._ConvNd):
        return module.padding_mode == "zeros"
    if isinstance(module, nn.Embedding):
        return module.max_norm is None and not module.scale_grad_by_freq and not module.sparse
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return module.momentum is not None
    return True


def linear(layer: nn.Linear, h: Tensor, own: Own, training: bool) -> Tensor:
    """h·Wᵀ + b: the batched product of (K, B, D) and (K, D, H); a shared batch is one operand broadcast to all."""
    weight, bias = own["weight"], own.get("bias")
    flat = h.reshape(len(h), -1, h.shape[-1]).expand(len(weight), -1, -1)
    z = torch.bmm(flat, weight.mT) if bias is None else torch.baddbmm(bias.unsqueeze(1), flat, weight.mT)
    return z.view(len(weight), *h.shape[1:-1], -1)


def convolution(layer: nn.Conv1d | nn.Conv2d, h: Tensor, own: Own, training: bool) -> Tensor:
    """A shared batch meets all members' filters as one large convolution; else it is a grouped one, or members in turn.

    On a CPU turns take half the time of groups, unless there is so little to do that the calls count (`SMALL`).
    """
    weight, bias = own["weight"], own.get("bias")
    function: Any = F.conv1d if isinstance(layer, nn.Conv1d) else F.conv2d
    options = (layer.stride, layer.padding, layer.dilation)
    members, shared = len(weight), len(h) == 1 and layer.groups == 1
    h = h if shared else h.expand(members, *h.shape[1:])
    products = h[0].numel() * weight[0].numel() // h.shape[2]  # of each member, at stride 1
    if shared or h.is_cuda or products < SMALL:
        channels, groups = (h[0], 1) if shared else (h.transpose(0, 1).flatten(1, 2), members * layer.groups)
        flat = None if bias is None else bias.flatten()
        z = function(channels, weight.flatten(0, 1), flat, *options, groups)
        return z.unflatten(1, weight.shape[:2]).transpose(0, 1)
    biases = [None] * members if bias is None else bias.unbind(0)
    turns = zip(h.unbind(0), weight.unbind(0), biases, strict=True)
    return torch.stack([function(x, w, b, *options, layer.groups) for x, w, b in turns])


def embedding(layer: nn.Embedding, h: Tensor, own: Own, training: bool) -> Tensor:
    """Each member looks up in its own table; all tables as one would have to be copied out of θ."""
    tables = own["weight"].unbind(0)
    rows = h.expand(len(tables), *h.shape[1:]).unbind(0)
    return torch.stack([F.embedding(i, table, layer.padding_idx) for i, table in zip(rows, tables, strict=True)])


def batch_norm(layer: nn.BatchNorm1d | nn.BatchNorm2d, h: Tensor, own: Own, training: bool) -> Tensor:
    """Over the batch and the places, each unit of each member a channel of its own."""
    members = len(next(iter(own.values()))) if own else len(h)
    h = h.expand(members, *h.shape[1:])
    channels = h.transpose(0, 1).flatten(1, 2)
    running = [own.get(name) for name in ("running_mean", "running_var")]
    kept = [None if part is None else part.flatten().clone() for part in running]  # autograd keeps what it is given
    weight, bias = own.get("weight"), own.get("bias")
    assert layer.momentum is not None
    out = F.batch_norm(
        channels,
        kept[0],
        kept[1],
        None if weight is None else weight.flatten(),
        None if bias is None else bias.flatten(),
        training or kept[0] is None,
        layer.momentum,
        layer.eps,
    )
    if training:
        for part, now in zip(running, kept, strict=True):
            if part is not None and now is not None:
                part.copy_(now.view_as(part))
    return out.unflatten(1, h.shape[0:1] + h.shape[2:3]).transpose(0, 1)


def layer_norm(layer: nn.LayerNorm, h: Tensor, own: Own, training: bool) -> Tensor:
    """Over the last axes of each sample."""
    return _scaled(F.layer_norm(h, layer.normalized_shape, eps=layer.eps), own, len(layer.normalized_shape))


def rms_norm(layer: nn.RMSNorm, h: Tensor, own: Own, training: bool) -> Tensor:
    """Root mean square over the last axes of each sample."""
    return _scaled(F.rms_norm(h, list(layer.normalized_shape), eps=layer.eps), own, len(layer.normalized_shape))


def group_norm(layer: nn.GroupNorm, h: Tensor, own: Own, training: bool) -> Tensor:
    """Over the units of a group and all places, of each sample."""
    flat = F.group_norm(h.flatten(0, 1), layer.num_groups, eps=layer.eps)
    out, places = flat.unflatten(0, h.shape[:2]), [1] * (h.dim() - 3)
    for name, apply in (("weight", torch.mul), ("bias", torch.add)):
        if name in own:
            out = apply(
                out, own[name].unflatten(1, (1, -1)).unflatten(2, (-1, *places)) if places else own[name][:, None]
            )
    return out


def prelu(layer: nn.PReLU, h: Tensor, own: Own, training: bool) -> Tensor:
    """One learned slope, or one a channel (axis 1 of a sample's batch)."""
    slope = own["weight"]
    places = [1] * (h.dim() - 3) if h.dim() > 2 else []
    slope = slope.view(len(slope), 1, -1, *places) if h.dim() > 2 else slope.view(len(slope), 1)
    return torch.where(h > 0, h, slope * h)


def elementwise(layer: nn.Module, h: Tensor, own: Own, training: bool) -> Tensor:
    """φ looks at no axis."""
    return layer(h)


def each_sample(layer: nn.Module, h: Tensor, own: Own, training: bool) -> Tensor:
    """What has no tensors and treats samples alike: the samples of all members as one batch."""
    return layer(h.flatten(0, 1)).unflatten(0, h.shape[:2])


def _scaled(h: Tensor, own: Own, axes: int) -> Tensor:
    """γ·h + β, γ and β (K, …) of the last `axes` axes of h (K or 1, B, …)."""
    between = [1] * (h.dim() - 1 - axes)
    for name, apply in (("weight", torch.mul), ("bias", torch.add)):
        if name in own:
            h = apply(h, own[name].view(len(own[name]), *between, *own[name].shape[1:]))
    return h


DROPOUTS = (nn.Dropout,)
RULES: dict[type[nn.Module], Rule] = {
    nn.Linear: linear,
    nn.Conv1d: convolution,
    nn.Conv2d: convolution,
    nn.Embedding: embedding,
    nn.BatchNorm1d: batch_norm,
    nn.BatchNorm2d: batch_norm,
    nn.LayerNorm: layer_norm,
    nn.RMSNorm: rms_norm,
    nn.GroupNorm: group_norm,
    nn.PReLU: prelu,
    **dict.fromkeys(
        (
            *(nn.Identity, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish),
            *(nn.Tanh, nn.Sigmoid, nn.LogSigmoid, nn.Softplus, nn.Softsign, nn.Tanhshrink, nn.Softshrink),
            *(nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.Hardshrink, nn.Threshold),
        ),
        elementwise,
    ),
    **dict.fromkeys(
        (
            *(nn.Flatten, nn.Unflatten, nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.Upsample),
            *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d),
            *(nn.ZeroPad2d, nn.PixelShuffle, nn.LocalResponseNorm),
        ),
        each_sample,
    ),
}
