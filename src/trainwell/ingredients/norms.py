"""Normalisation of signals, and of weights: the same distribution for every layer, whatever the layers before it do.

Contract: a `Norm` makes of z (K, H, B) the signal γ·(z − mean)/√(variance + ε) + β, with γ, β of each unit trained.
Norms differ in the values over which mean and variance are taken. γ is a standard deviation and β a mean:
γ = √(Var z + ε) with β = E z gives back z. ⚠ N1 calls γ the variance; with γ = Var z the input does not come back.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from trainwell.base import Hyper, InputError, Registry

NORM_EPSILON = 1e-5  # as torch.nn.BatchNorm1d and its kin
NORM_MOMENTUM = 0.1  # weight of the newest batch in the running statistics, as torch.nn.BatchNorm1d

Running = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Norm:
    """One way to normalise.

    Attributes:
        apply: (z, γ, β, running, training, groups) → normalised (K, H, B); the arguments are those of `normalise`.
        statistics: running mean and variance are kept for judging; else a sample is judged by its own.
        shift: there is a β; without it, the norm has a scale only.
        standard: hyperparameters.
    """

    apply: Callable[[Tensor, Tensor, Tensor | None, Running | None, bool, int], Tensor]
    statistics: bool = False
    shift: bool = True
    standard: Mapping[str, float] = field(default_factory=dict)
    doc: str = ""


def normalise(
    name: str,
    z: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    running: Running | None,
    *,
    training: bool,
    groups: int = 1,
) -> Tensor:
    """γ·(z − mean)/√(variance + ε) + β for all members.

    Args:
        name: in `NORMS`.
        z: signals (K, H, B).
        weight, bias: γ and β (K, H, 1).
        running: mean and variance (K, H, 1) of a norm with statistics. In training they take a tenth of the batch's,
            in place (the variance unbiased, as torch.nn.BatchNorm1d); they stay as they are on a batch of one sample,
            which has no variance. Otherwise they are what is normalised by.
        groups: of a group norm.
    """
    return NORMS[name].apply(z, weight, bias, running, training, groups)


def unchanged(z: Tensor, γ: Tensor, β: Tensor | None, running: Running | None, training: bool, groups: int) -> Tensor:
    """ẑ = z: no normalisation, for shallow networks with fitting first weights (row R3)."""
    return z


def over_batch(z: Tensor, γ: Tensor, β: Tensor | None, running: Running | None, training: bool, groups: int) -> Tensor:
    """ẑ = (z − E z)/√(Var z + ε) of each unit over the batch (row R3; Ioffe & Szegedy 2015).

    Large rates become possible, and the first weights matter less. Judged by running statistics. Not for batches of a
    few samples, whose moments are noise: a single sample becomes β whatever it is.
    """
    assert β is not None
    if training and z.shape[2] == 1:
        return torch.addcmul(β, z - z, γ)
    mean, var = (None, None) if running is None else (part.flatten().clone() for part in running)  # autograd keeps them
    # torch's kernel, every unit of every member a channel: 4 times as fast as the formula written out
    out = F.batch_norm(
        z.reshape(1, z.shape[0] * z.shape[1], z.shape[2]),
        mean,
        var,
        γ.reshape(-1),
        β.reshape(-1),
        training,
        NORM_MOMENTUM,
        NORM_EPSILON,
    )
    if training and running is not None and mean is not None and var is not None:
        running[0].copy_(mean.view_as(running[0]))
        running[1].copy_(var.view_as(running[1]))
    return out.view_as(z)


def over_units(z: Tensor, γ: Tensor, β: Tensor | None, running: Running | None, training: bool, groups: int) -> Tensor:
    """ẑ = (z − E z)/√(Var z + ε) of each sample over the units of the layer (row R4; Ba 2016).

    Independent of the batch, and the same in training and judging.
    """
    return over_groups(z, γ, β, running, training, 1)


def root_mean_square(
    z: Tensor, γ: Tensor, β: Tensor | None, running: Running | None, training: bool, groups: int
) -> Tensor:
    """ẑ = z/√(E z² + ε) of each sample over the units of the layer (row R4; Zhang & Sennrich 2019).

    Layer norm without the mean, and without β: cheaper, about as good.
    """
    return z * torch.rsqrt(z.square().mean(dim=1, keepdim=True) + NORM_EPSILON) * γ


def over_groups(z: Tensor, γ: Tensor, β: Tensor | None, running: Running | None, training: bool, groups: int) -> Tensor:
    """ẑ = (z − E z)/√(Var z + ε) of each sample over each group of units (row R4; Wu & He 2018).

    Between layer norm (one group) and a norm of each unit by itself; the groups are of neighbouring units.
    """
    assert β is not None
    check_groups(z.shape[1], groups)
    parts = z.unflatten(1, (groups, -1))  # (K, groups, H/groups, B)
    centred = parts - parts.mean(dim=2, keepdim=True)
    ẑ = centred * torch.rsqrt(centred.square().mean(dim=2, keepdim=True) + NORM_EPSILON)
    return torch.addcmul(β, ẑ.flatten(1, 2), γ)


def check_groups(units: int, groups: int) -> None:
    """Make sure that groups of equal size can be formed.

    Raises:
        InputError: `groups` does not divide `units`.
    """
    if groups < 1 or units % groups:
        divisors = ", ".join(str(n) for n in range(1, units + 1) if units % n == 0)
        raise InputError(f"Group norm needs groups of equal size: {groups} does not divide {units}. Use {divisors}.")


def normalised_weight(v: Tensor, gain: Tensor) -> Tensor:
    """w = g·v/‖v‖ of each unit: direction and length are learned apart (Salimans & Kingma 2016).

    Args:
        v: directions (K, H, D).
        gain: lengths g (K, H, 1).

    A unit with v = 0 has w = 0.
    """
    length = torch.linalg.vector_norm(v, dim=-1, keepdim=True)
    return v * (gain / length.clamp_min(torch.finfo(v.dtype).tiny))


def centred_weight(v: Tensor, gain: Tensor) -> Tensor:
    """w = g·(v − v̄)/‖v − v̄‖ of each unit: weights with sum 0 and length g (row I11; Huang 2017).

    A common shift of all inputs does not reach the unit. Shapes as in `normalised_weight`.

    Raises:
        InputError: a unit has a single input; centred, its weight would be 0.
    """
    if v.shape[-1] < 2:
        raise InputError("Centred weights need 2 inputs a unit or more, but there is 1: choose another weight norm.")
    return normalised_weight(v - v.mean(dim=-1, keepdim=True), gain)


NORMS: Registry[Norm] = Registry(
    "norm",
    {
        "none": Norm(unchanged, doc=unchanged.__doc__ or ""),
        "batch": Norm(over_batch, statistics=True, doc=over_batch.__doc__ or ""),
        "layer": Norm(over_units, doc=over_units.__doc__ or ""),
        "rms": Norm(root_mean_square, shift=False, doc=root_mean_square.__doc__ or ""),
        "group": Norm(over_groups, standard={"groups": 8}, doc=over_groups.__doc__ or ""),
    },
    hypers={"groups": Hyper("groups of units that are normalised together", least=1, whole=True, structural=True)},
)
