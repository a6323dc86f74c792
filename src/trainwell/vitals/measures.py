"""What is measured of a layer: norms, the size of an update, and what its units do. Formula, range, how to read it."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.linalg import vector_norm

from trainwell.base import Registry
from trainwell.engine.moment import LayerView
from trainwell.ingredients import ACTIVATIONS

Measure = Callable[[LayerView], Tensor | None]

MINIMUM_SAMPLES = 8
"""Fewer samples do not tell a unit that never fires from one that fires seldom (our assumption)."""

NEGLIGIBLE = 1e-3
"""A unit of a smooth rectifier (GELU, SiLU …) whose every output is smaller hands on nothing (our assumption)."""

SMOOTH_RECTIFIERS = frozenset({"gelu", "mish", "silu"})
"""Activations that tend to 0 on the left without reaching it."""

MOSTLY = 0.5
"""A unit is saturated when more than this share of the samples finds it near a bound (TheDeepChecker's and ours)."""


def gradient_norm(view: LayerView) -> Tensor | None:
    """‖g‖₂ of the layer's weights, ≥ 0. Read it against the other layers: falling towards the input, it vanishes."""
    return None if view.gradient is None else norm(view.gradient)


def update_ratio(view: LayerView) -> Tensor | None:
    """‖Δw‖/‖w‖ of one step (B7). About 1e-3 is usual; above 0.1 the layer is thrown about, below 1e-6 it stands still.

    ‖w‖ is that before the update. A layer of zeros that moves has the ratio 1, one that does not move has 0.
    """
    if view.before is None:
        return None
    moved, size = norm(view.weight - view.before), norm(view.before)
    return torch.where(size == 0, torch.where(moved == 0, moved, torch.ones_like(moved)), moved / size)


def weight_norm(view: LayerView) -> Tensor | None:
    """‖w‖₂ after the update, ≥ 0. Growth by orders of magnitude is divergence; decay to 0, too much regularisation."""
    return norm(view.weight)


def activation_mean(view: LayerView) -> Tensor | None:
    """Mean of what the layer hands on, over samples and units. Far from 0 compared with the deviation: not centred."""
    return None if view.moments is None else view.moments[0].mean(1)


def activation_std(view: LayerView) -> Tensor | None:
    """Deviation of what the layer hands on, over samples and units. It should not shrink or grow with depth (I13)."""
    if view.moments is None:
        return None
    means, variances = view.moments  # the whole variance is the mean of the units' and that of their means
    return (variances.mean(1) + means.var(1, correction=0)).sqrt_()


def signal_std(view: LayerView) -> Tensor | None:
    """Mean over units of their deviation over the samples: what of the inputs is left. Biases do not count (I13)."""
    return None if view.moments is None or not enough(view) else view.moments[1].sqrt().mean(1)


def dead_fraction(view: LayerView) -> Tensor | None:
    """Share of rectifier units that hand on nothing for all samples of the view, in [0, 1] (D4).

    An upper bound of the share that is dead on all data: a unit may fire for a sample that is not in the view.
    Applies to ReLU (never > 0) and to smooth rectifiers (never beyond ±NEGLIGIBLE); leaky ones cannot die.
    """
    name = view.activation_name
    if name not in ACTIVATIONS or not enough(view):
        return None
    if ACTIVATIONS[name].silent:
        assert view.highest is not None
        return share(view.highest <= 0, view)
    if name not in SMOOTH_RECTIFIERS:
        return None
    assert view.highest is not None and view.lowest is not None
    return share((view.highest < NEGLIGIBLE) & (view.lowest > -NEGLIGIBLE), view)


def saturated_fraction(view: LayerView) -> Tensor | None:
    """Share of sigmoid or tanh units that are near a bound for most samples, in [0, 1] (D3): they stop learning."""
    known = view.activation_name in ACTIVATIONS and enough(view)
    return None if not known or view.near is None else share(view.near > MOSTLY, view)


def asked_of(function: str) -> list[str]:
    """Properties of a view that the measures of activations ask for, by the name of its activation."""
    if function not in ACTIVATIONS:
        return ["samples", "moments"]
    whole = ["highest"] if ACTIVATIONS[function].silent else []
    whole += ["highest", "lowest"] if function in SMOOTH_RECTIFIERS else []
    return ["samples", "moments", *whole, "near"]


def norm(values: Tensor) -> Tensor:
    """(K, ...) to (K,): each member's Euclidean norm."""
    return vector_norm(values.flatten(1), dim=1)


def enough(view: LayerView) -> bool:
    """Whether there are so many samples that units can be judged; of a sequence times count too."""
    return view.samples >= MINIMUM_SAMPLES


def share(chosen: Tensor, view: LayerView) -> Tensor:
    """(K, H) of truth to its mean (K,); NaN for a member with activations that are not finite: nothing is known."""
    assert view.moments is not None
    unknown = view.moments[0].sum(1).mul_(0.0)  # 0, or NaN if one of them is not finite
    return chosen.to(unknown.dtype).mean(1).add_(unknown)


MEASURES: Registry[Measure] = Registry(
    "vital",
    {
        "gradient-norm": gradient_norm,
        "update-ratio": update_ratio,
        "weight-norm": weight_norm,
        "activation-mean": activation_mean,
        "activation-std": activation_std,
        "signal-std": signal_std,
        "dead-fraction": dead_fraction,
        "saturated-fraction": saturated_fraction,
    },
)
