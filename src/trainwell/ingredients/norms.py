"""Normalisation of signals, and of weights: the same distribution for every layer, whatever the layers before it do.

Contract: a `Norm` says over which values of z (K, H, B) mean and variance are taken. `normalise` makes of it
γ·(z − mean)/√(variance + ε) + β, with γ, β of each unit trained. γ is a standard deviation and β a mean:
γ = √(Var z + ε) with β = E z gives back z. ⚠ N1 calls γ the variance; with γ = Var z the input does not come back.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from trainwell.base import Hyper, InputError, Registry

NORM_EPSILON = 1e-5  # as torch.nn.BatchNorm1d and its kin
NORM_MOMENTUM = 0.1  # weight of the newest batch in the running statistics, as torch.nn.BatchNorm1d

Running = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Norm:
    """One way to normalise.

    Attributes:
        moments: (z (K, H, B), groups) → mean and variance, each broadcastable to z; a mean None is not subtracted. No
            moments: z stays as it is.
        statistics: running mean and variance are kept for judging; else a sample is judged by its own.
        shift: there is a β; without it, the norm has a scale only.
        standard: hyperparameters.
    """

    moments: Callable[[Tensor, int], tuple[Tensor | None, Tensor]] | None
    statistics: bool = False
    shift: bool = True
    standard: Mapping[str, float] = field(default_factory=dict)
    doc: str = ""


def over_batch(z: Tensor, groups: int) -> tuple[Tensor | None, Tensor]:
    """ẑ = (z − E z)/√(Var z + ε) of each unit over the batch (row R3; Ioffe & Szegedy 2015).

    Large rates become possible, and the first weights matter less. Judged by running statistics. Not for batches of a
    few samples, whose moments are noise: a single sample becomes β whatever it is.
    """
    var, mean = torch.var_mean(z, dim=2, correction=0, keepdim=True)  # (K, H, 1)
    return mean, var


def over_units(z: Tensor, groups: int) -> tuple[Tensor | None, Tensor]:
    """ẑ = (z − E z)/√(Var z + ε) of each sample over the units of the layer (row R4; Ba 2016).

    Independent of the batch, and the same in training and judging.
    """
    var, mean = torch.var_mean(z, dim=1, correction=0, keepdim=True)  # (K, 1, B)
    return mean, var


def root_mean_square(z: Tensor, groups: int) -> tuple[Tensor | None, Tensor]:
    """ẑ = z/√(E z² + ε) of each sample over the units of the layer (row R4; Zhang & Sennrich 2019).

    Layer norm without the mean, and without β: cheaper, about as good.
    """
    return None, z.square().mean(dim=1, keepdim=True)


def over_groups(z: Tensor, groups: int) -> tuple[Tensor | None, Tensor]:
    """ẑ = (z − E z)/√(Var z + ε) of each sample over each group of units (row R4; Wu & He 2018).

    Between layer norm (one group) and a norm of each unit; the number of groups must divide the units.
    """
    units = z.shape[1]
    check_groups(units, groups)
    var, mean = torch.var_mean(z.unflatten(1, (groups, -1)), dim=2, correction=0)  # (K, groups, B)
    return mean.repeat_interleave(units // groups, dim=1), var.repeat_interleave(units // groups, dim=1)


def check_groups(units: int, groups: int) -> None:
    """Make sure that groups of equal size can be formed.

    Raises:
        InputError: `groups` does not divide `units`.
    """
    if groups < 1 or units % groups:
        divisors = ", ".join(str(n) for n in range(1, units + 1) if units % n == 0)
        raise InputError(f"Group norm needs groups of equal size: {groups} does not divide {units}. Use {divisors}.")


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
    """
    norm = NORMS[name]
    if norm.moments is None:
        return z
    if norm.statistics and not training:
        assert running is not None
        mean, var = running
    else:
        mean, var = norm.moments(z, groups)
        if norm.statistics and running is not None and mean is not None:
            _follow(running, mean.detach(), var.detach(), z.shape[2])
    ẑ = (z if mean is None else z - mean) * torch.rsqrt(var + NORM_EPSILON)
    return ẑ * weight if bias is None else torch.addcmul(bias, ẑ, weight)


def _follow(running: Running, mean: Tensor, var: Tensor, samples: int) -> None:
    if samples > 1:
        running[0].lerp_(mean, NORM_MOMENTUM)
        running[1].lerp_(var * (samples / (samples - 1)), NORM_MOMENTUM)


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


def _entry(moments: Callable[[Tensor, int], tuple[Tensor | None, Tensor]], **more: object) -> Norm:
    return Norm(moments, doc=moments.__doc__ or "", **more)  # pyright: ignore[reportArgumentType]


NORMS: Registry[Norm] = Registry(
    "norm",
    {
        "none": Norm(None, doc="ẑ = z: no normalisation, for shallow networks with fitting first weights (row R3)."),
        "batch": _entry(over_batch, statistics=True),
        "layer": _entry(over_units),
        "rms": _entry(root_mean_square, shift=False),
        "group": _entry(over_groups, standard={"groups": 8}),
    },
    hypers={"groups": Hyper("groups of units that are normalised together", least=1, whole=True, structural=True)},
)
