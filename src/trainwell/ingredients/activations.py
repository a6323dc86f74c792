"""Non-linearities φ, element by element.

Contract: an `Activation` is φ(z, h) with its derivative in closed form, and what follows from its shape: its range, the
initialiser family that keeps the variance, the gain, its bounds (where a unit saturates), and whether a unit can be
silent for every input. z is (K, H, B), units before samples; h holds the activation's hyperparameters, which broadcast
with z: (K, 1, 1) for all units of a member, (K, H, 1) where each unit has its own, or plain numbers.

Letters: α alpha, β beta, σ the logistic function, Φ the normal distribution.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import cleandoc
from math import inf, pi, sqrt
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from trainwell.base import Hyper, Registry
from trainwell.base.layout import Columns

Function = Callable[[Tensor, Columns], Tensor]
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # λ, α: fixed point mean 0, variance 1 (Klambauer 2017)
SOFTPLUS_LINEAR = 40.0  # ln(1 + eˣ) = x in float64 from here on; torch's 20 costs 2e-9
GELU_CUBIC = 0.044715  # Hendrycks & Gimpel 2016


@dataclass(frozen=True)
class Activation:
    """One non-linearity.

    Attributes:
        function: φ(z, h), on a tensor of any shape (maxout: (..., pieces·H, B) → (..., H, B)).
        derivative: φ′(z, h) in closed form, same shape as z. Training uses autograd; this is for pictures and checks.
        family: which initialiser keeps the variance of signals (rows I3, I5, I6, I12).
        range: the interval of the values of φ, at standard hyperparameters.
        gain: factor on the deviation of Glorot's weights (row I4).
        bounds: values approached by a saturated unit, or None.
        silent: φ(z) = 0 for all z < 0, so that a unit can die (row D4).
        standard: hyperparameters with their standard values.
        learned: those of them that are trained, one a unit.
    """

    function: Function
    derivative: Function
    family: Literal["glorot", "he", "lecun"]
    range: tuple[float, float]
    gain: float
    bounds: tuple[float, float] | None = None
    silent: bool = False
    standard: Mapping[str, float] = field(default_factory=dict)
    learned: tuple[str, ...] = ()
    doc: str = ""


def identity(z: Tensor, h: Columns) -> Tensor:
    """φ(z) = z; φ′ = 1: no non-linearity (row A10; Widrow & Hoff 1960).

    For the output of a regression. Hidden layers with it are one linear map together.
    """
    return z


def sigmoid(z: Tensor, h: Columns) -> Tensor:
    """φ(z) = 1/(1 + e⁻ᶻ); φ′ = φ(1 − φ), 0.25 at most (row A1; Rumelhart 1986).

    Range (0, 1). For the output of two classes. In hidden layers it saturates, is not centred on zero and lets
    gradients fade. ⚠ The documents round φ′(±10) to 0; it is 4.5e-5.
    """
    return torch.sigmoid(z)


def tanh(z: Tensor, h: Columns) -> Tensor:
    """φ(z) = tanh z = (eᶻ − e⁻ᶻ)/(eᶻ + e⁻ᶻ); φ′ = 1 − φ², 1 at most (row A2; LeCun 1998).

    Range (−1, 1). A sigmoid centred on zero: better than it in hidden layers, and saturates as well.
    """
    return torch.tanh(z)


def relu(z: Tensor, h: Columns) -> Tensor:
    """φ(z) = max(0, z); φ′ = 1 for z > 0, else 0 (row A3; Nair & Hinton 2010).

    Range [0, ∞). The first choice for hidden layers: cheap, does not saturate above 0. A unit may die: a small positive
    `initialiser.bias` fires units up at the start (N1). ⚠ N2 prints φ′(0) = 1; here, in N3 and in torch it is 0.
    """
    return torch.relu(z)


def relu6(z: Tensor, h: Columns) -> Tensor:
    """φ(z) = min(max(0, z), 6); φ′ = 1 for 0 < z < 6, else 0 (row A8; Krizhevsky 2010).

    Range [0, 6]. ReLU for arithmetic of few bits.
    """
    return F.relu6(z)


def selu(z: Tensor, h: Columns) -> Tensor:
    """φ(z) = λz for z > 0, else λα(eᶻ − 1), λ = 1.0507, α = 1.6733; φ′ = λ or φ + λα (row A6; Klambauer 2017).

    Range (−1.758, ∞). With LeCun's weights signals normalise themselves: deep plain networks without batch norm.
    """
    return F.selu(z)


def silu(z: Tensor, h: Columns) -> Tensor:
    """φ(z) = z·σ(z), also called Swish; φ′ = φ + σ(1 − φ) (row A7; Elfwing 2018, Ramachandran 2017).

    Range [−0.278, ∞). Smooth ReLU for deeper networks. ⚠ N3's table prints φ′ with a for φ: a + (1 − a)/(1 + e⁻ᶻ).
    """
    return F.silu(z)


def gelu(z: Tensor, h: Columns) -> Tensor:
    """φ(z) = z·Φ(z); φ′ = Φ(z) + z·Φ′(z) (row A8; Hendrycks & Gimpel 2016).

    Range [−0.170, ∞). Smooth ReLU; the usual choice in transformers.
    """
    return F.gelu(z)


def gelu_tanh(z: Tensor, h: Columns) -> Tensor:
    """φ(z) = ½z(1 + tanh(√(2/π)(z + 0.044715·z³))) (row A8; Hendrycks & Gimpel 2016).

    Range [−0.170, ∞). GELU without the error function, within 5e-4 of it.
    """
    return F.gelu(z, approximate="tanh")


def mish(z: Tensor, h: Columns) -> Tensor:
    """φ(z) = z·tanh(ln(1 + eᶻ)) (row A8; Misra 2019).

    Range [−0.309, ∞). Smooth ReLU, close to SiLU, and dearer.
    """
    return F.mish(z)


def softsign(z: Tensor, h: Columns) -> Tensor:
    """φ(z) = z/(1 + |z|); φ′ = 1/(1 + |z|)² (row A8; Bergstra 2009).

    Range (−1, 1). Tanh that saturates slowly: its slope falls as 1/z², not exponentially.
    """
    return F.softsign(z)


def hard_sigmoid(z: Tensor, h: Columns) -> Tensor:
    """φ(z) = min(max(0, z + 3), 6)/6; φ′ = 1/6 for |z| < 3, else 0 (row A8; Howard 2019).

    Range [0, 1]. Sigmoid without the exponential. Courbariaux 2015 has the slope ½ instead; this is torch's.
    """
    return F.hardsigmoid(z)


def hard_tanh(z: Tensor, h: Columns) -> Tensor:
    """φ(z) = min(max(−1, z), 1); φ′ = 1 for |z| < 1, else 0 (row A8; Collobert 2004).

    Range [−1, 1]. Tanh without the exponential; a saturated unit gets no gradient at all.
    """
    return F.hardtanh(z)


def hard_swish(z: Tensor, h: Columns) -> Tensor:
    """φ(z) = z·min(max(0, z + 3), 6)/6; φ′ = z/3 + ½ for |z| < 3, else 0 or 1 (row A8; Howard 2019).

    Range [−0.375, ∞). SiLU without the exponential, for small devices.
    """
    return F.hardswish(z)


def leaky_relu(z: Tensor, h: Columns) -> Tensor:
    """φ(z) = z for z > 0, else slope·z; φ′ = 1 or slope (row A4; Maas 2013).

    Range all numbers; standard slope 0.01. All benefits of ReLU, and a unit cannot die: take it where many do.
    """
    return torch.lerp(torch.relu(z), z, h["slope"])  # as a choice by z > 0, but three times faster with its gradient


def prelu(z: Tensor, h: Columns) -> Tensor:
    """φ(z) = z for z > 0, else slope·z with a trained slope for each unit; φ′ = 1 or slope (row A4; He 2015).

    Range all numbers; the slope starts at 0.25, and should not be decayed (decay makes it a ReLU). Leaky ReLU that
    finds its own slope, for hardly more parameters.
    """
    return leaky_relu(z, h)


def elu(z: Tensor, h: Columns) -> Tensor:
    """φ(z) = z for z > 0, else α(eᶻ − 1); φ′ = 1 or φ + α (row A5; Clevert 2016).

    Range (−α, ∞); standard α = 1. Means nearer to zero than ReLU's; the flat negative side adds robustness to noise.
    """
    return torch.lerp(torch.relu(z), F.elu(z), h["alpha"])


def celu(z: Tensor, h: Columns) -> Tensor:
    """φ(z) = z for z > 0, else α(e^(z/α) − 1); φ′ = 1 or e^(z/α) (row A5; Barron 2017).

    Range (−α, ∞); standard α = 1. ELU with a continuous slope for every α.
    """
    return h["alpha"] * F.elu(z / h["alpha"])


def swish(z: Tensor, h: Columns) -> Tensor:
    """φ(z) = z·σ(βz); φ′ = βφ + σ(βz)(1 − βφ) (row A7; Ramachandran 2017).

    Range from −0.278/β; standard β = 1 (SiLU). From z/2 (β → 0) to ReLU (β → ∞): β sets how sharp the bend is.
    """
    return F.silu(h["beta"] * z) / h["beta"]


def softplus(z: Tensor, h: Columns) -> Tensor:
    """φ(z) = ln(1 + e^(βz))/β; φ′ = σ(βz) (row A8; Dugas 2001).

    Range (0, ∞); standard β = 1. For what must be positive; in hidden layers ReLU is usually better (Glorot 2011).
    """
    return F.softplus(h["beta"] * z, threshold=SOFTPLUS_LINEAR) / h["beta"]


def maxout(z: Tensor, h: Columns) -> Tensor:
    """φ(z)ᵢ = max of the pieces of unit i; φ′ = 1 for the largest piece, 0 for the others (row A9; Goodfellow 2013).

    z is (..., pieces·H, B), the pieces of unit i in rows i·pieces … (i + 1)·pieces − 1. Range all numbers; standard 2
    pieces, a plain number. Does not saturate or die, for `pieces` times the weights; made for use with dropout. Two
    pieces keep the second moment of signals under LeCun's weights (Tseran & Montúfar 2023). Equal pieces share φ′.
    """
    return _pieces(z, h).amax(dim=-2)


def _pieces(z: Tensor, h: Columns) -> Tensor:
    """z (..., pieces·H, B) as (..., H, pieces, B)."""
    pieces = int(torch.as_tensor(h["pieces"]).flatten()[0])  # structural: the same for all members
    return z.unflatten(-2, (z.shape[-2] // pieces, pieces))


def maxout_slope(z: Tensor, h: Columns) -> Tensor:
    """1 for the largest piece of each unit, 0 for the others; equal ones share it."""
    parts = _pieces(z, h)
    largest = (parts == parts.amax(dim=-2, keepdim=True)).to(z.dtype)
    return (largest / largest.sum(dim=-2, keepdim=True)).flatten(-3, -2)


def gelu_slope(z: Tensor, h: Columns) -> Tensor:
    """Φ(z) + z·Φ′(z)."""
    return (1 + torch.erf(z / sqrt(2))) / 2 + z * torch.exp(-z * z / 2) / sqrt(2 * pi)


def gelu_tanh_slope(z: Tensor, h: Columns) -> Tensor:
    """½(1 + t) + ½z(1 − t²)·√(2/π)(1 + 3c·z²) with t = tanh(√(2/π)(z + c·z³))."""
    t = torch.tanh(sqrt(2 / pi) * (z + GELU_CUBIC * z**3))
    return (1 + t) / 2 + z / 2 * (1 - t * t) * sqrt(2 / pi) * (1 + 3 * GELU_CUBIC * z * z)


def mish_slope(z: Tensor, h: Columns) -> Tensor:
    """t + z·σ(z)(1 − t²) with t = tanh(ln(1 + eᶻ))."""
    t = torch.tanh(F.softplus(z, threshold=SOFTPLUS_LINEAR))
    return t + z * torch.sigmoid(z) * (1 - t * t)


def silu_slope(z: Tensor, h: Columns) -> Tensor:
    """φ + σ(1 − φ) (row A7)."""
    φ, σ = F.silu(z), torch.sigmoid(z)
    return φ + σ * (1 - φ)


def swish_slope(z: Tensor, h: Columns) -> Tensor:
    """βφ + σ(βz)(1 − βφ)."""
    return silu_slope(h["beta"] * z, h)


def hard_swish_slope(z: Tensor, h: Columns) -> Tensor:
    """z/3 + ½ for |z| < 3, else 0 or 1."""
    return torch.where(z.abs() < 3, z / 3 + 0.5, (z > 0).to(z.dtype))


def _inside(z: Tensor, low: float, high: float) -> Tensor:
    """1 for low < z < high, else 0."""
    return ((z > low) & (z < high)).to(z.dtype)


def _bend(z: Tensor, below: Tensor | float) -> Tensor:
    """1 for z > 0, else `below`."""
    return torch.where(z > 0, torch.ones_like(z), below)


leaky_slope: Function = lambda z, h: _bend(z, h["slope"])
elu_slope: Function = lambda z, h: _bend(z, h["alpha"] * torch.exp(z.clamp_max(0)))
selu_slope: Function = lambda z, h: SELU_SCALE * _bend(z, SELU_ALPHA * torch.exp(z.clamp_max(0)))
celu_slope: Function = lambda z, h: torch.exp(z.clamp_max(0) / h["alpha"])
softplus_slope: Function = lambda z, h: torch.sigmoid(h["beta"] * z)


def _entry(
    function: Function,
    derivative: Function,
    family: Literal["glorot", "he", "lecun"],
    range: tuple[float, float],
    gain: float,
    bounds: tuple[float, float] | None = None,
    **more: Any,
) -> Activation:
    return Activation(function, derivative, family, range, gain, bounds, doc=cleandoc(function.__doc__ or ""), **more)


HYPERS = {
    "slope": Hyper("φ′ below 0", least=0, below=1),
    "alpha": Hyper("α: −α is the value far below 0", above=0),
    "beta": Hyper("β: how sharp the bend at 0 is", above=0),
    "pieces": Hyper("linear maps a unit takes the largest of", least=2, whole=True, structural=True),
}

ANY, ONE, UNIT = (-inf, inf), (0.0, 1.0), (-1.0, 1.0)  # intervals
ROOT = sqrt(2)  # makes up for the half that a rectifier cuts off

ACTIVATIONS: Registry[Activation] = Registry(
    "activation",
    {
        "identity": _entry(identity, lambda z, h: torch.ones_like(z), "glorot", ANY, 1),
        "relu": _entry(relu, lambda z, h: (z > 0).to(z.dtype), "he", (0, inf), ROOT, silent=True),
        "leaky_relu": _entry(leaky_relu, leaky_slope, "he", ANY, sqrt(2 / (1 + 0.01**2)), standard={"slope": 0.01}),
        "prelu": _entry(
            prelu, leaky_slope, "he", ANY, sqrt(2 / (1 + 0.25**2)), standard={"slope": 0.25}, learned=("slope",)
        ),
        "elu": _entry(elu, elu_slope, "he", (-1, inf), ROOT, standard={"alpha": 1.0}),
        "selu": _entry(selu, selu_slope, "lecun", (-SELU_SCALE * SELU_ALPHA, inf), 1),
        "celu": _entry(celu, celu_slope, "he", (-1, inf), ROOT, standard={"alpha": 1.0}),
        "silu": _entry(silu, silu_slope, "he", (-0.27846454276107363, inf), ROOT),
        "swish": _entry(swish, swish_slope, "he", (-0.27846454276107363, inf), ROOT, standard={"beta": 1.0}),
        "gelu": _entry(gelu, gelu_slope, "he", (-0.16997120747990355, inf), ROOT),
        "gelu_tanh": _entry(gelu_tanh, gelu_tanh_slope, "he", (-0.1700407505712539, inf), ROOT),
        "mish": _entry(mish, mish_slope, "he", (-0.3088434130172504, inf), ROOT),
        "softplus": _entry(softplus, softplus_slope, "he", (0, inf), ROOT, standard={"beta": 1.0}),
        "softsign": _entry(softsign, lambda z, h: (1 + z.abs()) ** -2, "glorot", UNIT, 1, UNIT),
        "hard_sigmoid": _entry(hard_sigmoid, lambda z, h: _inside(z, -3, 3) / 6, "glorot", ONE, 6, ONE),
        "hard_tanh": _entry(hard_tanh, lambda z, h: _inside(z, -1, 1), "glorot", UNIT, 1, UNIT),
        "hard_swish": _entry(hard_swish, hard_swish_slope, "he", (-0.375, inf), ROOT),
        "relu6": _entry(relu6, lambda z, h: _inside(z, 0, 6), "he", (0, 6), ROOT, silent=True),
        "maxout": _entry(maxout, maxout_slope, "lecun", ANY, 1, standard={"pieces": 2}),
        "tanh": _entry(tanh, lambda z, h: 1 - torch.tanh(z) ** 2, "glorot", UNIT, 1, UNIT),
        "sigmoid": _entry(sigmoid, lambda z, h: torch.sigmoid(z) * (1 - torch.sigmoid(z)), "glorot", ONE, 4, ONE),
    },
    hypers=HYPERS,
)
