"""First weights, drawn so that signals neither fade nor grow with depth.

Contract: an `Initialiser` fills one weight matrix (fan_out, fan_in) of one member from that member's own random stream;
biases start at 0. `gain` multiplies every draw. A scheme that scales its variance by a fan has `fan` ("in", "out" or
their mean "avg"); the plan may ask for another. Schemes that look at data have a second phase, `prepare`. A uniform
distribution on ±a has standard deviation a/√3.

⚠ N4 swaps the formulas of Xavier (Glorot) and He; N0's ±1/√n for Glorot is `fan_in_uniform`, and N1's randn/√fan_in for
Xavier is `lecun_normal`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from math import sqrt
from typing import Literal

import torch
from torch import Tensor

from trainwell.base import Hyper, InputError, PlanError, Registry
from trainwell.base.layout import Columns
from trainwell.ingredients.activations import ACTIVATIONS
from trainwell.ingredients.initialisers_data import Probe, normalise_units, scale_to_unit_variance

Fan = Literal["in", "out", "avg"]


@dataclass(frozen=True)
class InitialiserSettings:
    """What a draw may depend on beside the shape.

    Attributes:
        fan: the fan that scales the variance; "auto": the scheme's own.
        activation: φ of the hidden layers.
        dropout: share p of hidden units silenced, in [0, 1).
        hypers: hyperparameters of the scheme by name; one left out has its standard value.
        first: the layer reads the network's inputs. last: its outputs are the network's.
    """

    fan: Literal["auto", "in", "out", "avg"] = "auto"
    activation: str = "identity"
    dropout: float = 0.0
    hypers: Mapping[str, float] = field(default_factory=dict)
    first: bool = False
    last: bool = False


STANDARD = InitialiserSettings()
Draw = Callable[[Tensor, float, InitialiserSettings, torch.Generator], None]
Prepare = Callable[[Probe, Tensor, Columns, str], None]


@dataclass(frozen=True)
class Initialiser:
    """One scheme.

    Attributes:
        draw: (weight (..., fan_out, fan_in), gain, settings, generator): fill the weight in place.
        fan: which fan scales the variance; None: none does.
        standard: hyperparameters.
        prepare: (network, rows (K,), h, activation): the phase that looks at data, see `initialisers_data`.
    """

    draw: Draw
    fan: Fan | None = None
    standard: Mapping[str, float] = field(default_factory=dict)
    prepare: Prepare | None = None
    doc: str = ""

    def fill(
        self, weight: Tensor, *, gain: float, generator: torch.Generator, settings: InitialiserSettings = STANDARD
    ) -> None:
        """Draw `weight` (..., fan_out, fan_in) in place; `gain` multiplies the standard deviation (or the constant).

        Raises:
            PlanError: another fan is asked for, but the scheme scales by none.
        """
        if self.fan is None and settings.fan != "auto":
            scaled = ", ".join(name for name, scheme in INITIALISERS.items() if scheme.fan is not None)
            raise PlanError(
                f"Only schemes that scale their variance have a fan, so '{settings.fan}' says nothing here: "
                f"leave initialiser.fan at auto, or choose one of {scaled}."
            )
        fan = (self.fan or "auto") if settings.fan == "auto" else settings.fan
        own = {name: settings.hypers.get(name, value) for name, value in self.standard.items()}
        self.draw(weight, gain, replace(settings, fan=fan, hypers=own), generator)


def constant(weight: Tensor, gain: float, settings: InitialiserSettings, generator: torch.Generator) -> None:
    """w = value: all units of a layer stay equal, a demonstration of symmetry (rows I1, D7).

    No training can tell the units apart, for their gradients are equal too. With value 0 no gradient passes at all.
    """
    weight.fill_(gain * settings.hypers.get("value", 0.0))


def normal(weight: Tensor, gain: float, settings: InitialiserSettings, generator: torch.Generator) -> None:
    """w ~ N(0, std²), std 0.01 whatever the fan: fine for a layer or two, fades in deep networks (row I2)."""
    weight.normal_(0.0, gain * settings.hypers["std"], generator=generator)


def uniform(weight: Tensor, gain: float, settings: InitialiserSettings, generator: torch.Generator) -> None:
    """w ~ U(−bound, bound), bound 0.05 whatever the fan: as Keras, fades in deep networks (row I2)."""
    bound = gain * settings.hypers["bound"]
    weight.uniform_(-bound, bound, generator=generator)


def unit_signals(weight: Tensor, gain: float, settings: InitialiserSettings, generator: torch.Generator) -> None:
    """w ~ N(0, 1/fan_in): a start whose scale is corrected afterwards."""
    weight.normal_(0.0, gain / sqrt(weight.shape[-1]), generator=generator)


def orthogonal(weight: Tensor, gain: float, settings: InitialiserSettings, generator: torch.Generator) -> None:
    """W = gain·Q, Q from the QR of normal draws: QᵀQ = 1, or QQᵀ = 1 if wider than high (row I7; Saxe 2013).

    All singular values are the gain, so that linear signals keep their lengths exactly, at any depth. For deep networks
    with φ near the identity (tanh, residual); with ReLU give it the gain √2. Signs are those of
    torch.nn.init.orthogonal_, which makes Q uniform among all orthogonal matrices.
    """
    drawn = torch.empty_like(weight).normal_(generator=generator)
    tall = drawn.shape[-2] >= drawn.shape[-1]
    q, r = torch.linalg.qr(drawn if tall else drawn.mT)
    q = q * torch.diagonal(r, dim1=-2, dim2=-1).sign().unsqueeze(-2)
    weight.copy_(q if tall else q.mT).mul_(gain)


def identity(weight: Tensor, gain: float, settings: InitialiserSettings, generator: torch.Generator) -> None:
    """W = gain·1: every unit starts as a copy of one input, for layers of equal width (Le 2015)."""
    weight.zero_()
    weight.diagonal(dim1=-2, dim2=-1).fill_(gain)


def centred(weight: Tensor, gain: float, settings: InitialiserSettings, generator: torch.Generator) -> None:
    """w = gain·(v − v̄)/‖v − v̄‖, v ~ N(0, 1): sum 0 and length gain for every unit (row I11; Huang 2017).

    A unit starts with mean 0 even if its inputs (from ReLU, sigmoid) have another; the variance is that of LeCun. With
    ReLU and batch norm give it the gain √2, as the paper does. Without a norm no gain suits both directions: √2 keeps
    gradients while signals fade, √(2π/(π − 1)) = 1.71 keeps signals while gradients grow. The plan's
    `network.weight_norm: centred` holds on to it in training.

    Raises:
        InputError: a unit has a single input; centred, its weight would be 0.
    """
    if weight.shape[-1] < 2:
        raise InputError("Centred weights need 2 inputs a unit or more, but there is 1: choose another initialiser.")
    weight.normal_(generator=generator)
    weight.sub_(weight.mean(dim=-1, keepdim=True))
    weight.mul_(gain / torch.linalg.vector_norm(weight, dim=-1, keepdim=True))


def dropout_adjusted(weight: Tensor, gain: float, settings: InitialiserSettings, generator: torch.Generator) -> None:
    """w = v/‖v‖/√(E φ(z)²/q + q·E φ′(z)²), q = 1 − p, z ~ N(0, 1) (row I10; Hendrycks & Gimpel 2017).

    For networks with dropout, any φ: the noise of dropout makes signals larger by 1/q. In the first layer the inputs
    have variance 1 in place of E φ²/q; in the last there is no φ behind, so that q·E φ′² is 1. Both passes are added up
    as in the authors' code: at p = 0 with ReLU the variance is 1/fan_in, half of He's; a gain of √2 makes a mean of the
    sum. Backwards the factor is the authors' q, though with inverted dropout it were 1/q (assumption). The expectations
    are our quadrature; for tanh and GELU the authors' table has other E φ′² (0.216 for 0.464, 0.444 for 0.456).

    Raises:
        PlanError: φ has more than one argument (maxout).
    """
    q = 1 - settings.dropout
    forward, backward = second_moments(settings.activation)
    total = (1.0 if settings.first else forward / q) + (1.0 if settings.last else q * backward)
    weight.normal_(generator=generator)
    weight.mul_(gain / sqrt(total) / torch.linalg.vector_norm(weight, dim=-1, keepdim=True))


@cache
def second_moments(activation: str) -> tuple[float, float]:
    """E φ(z)² and E φ′(z)² for z ~ N(0, 1), with φ's standard hyperparameters.

    >>> [round(value, 3) for value in second_moments("tanh")]
    [0.394, 0.464]

    Raises:
        PlanError: φ has more than one argument (maxout).
    """
    φ = ACTIVATIONS[activation]
    if "pieces" in φ.standard:
        raise PlanError(
            f"dropout_adjusted needs a φ of one argument, but {activation} has several: choose another initialiser."
        )
    h = {name: torch.tensor(value, dtype=torch.float64) for name, value in φ.standard.items()}
    step = 1 / 200  # midpoints: the kinks of every φ here lie between two of them
    z = (torch.arange(-2400, 2400, dtype=torch.float64) + 0.5) * step
    density = torch.exp(-z.square() / 2) * (step / sqrt(2 * torch.pi))
    moments = (float((f(z, h).square() * density).sum()) for f in (φ.function, φ.derivative))
    forward, backward = moments
    return forward, backward


def initialiser_for(activation: str) -> str:
    """The scheme that keeps the variance under this activation (row I12).

    >>> initialiser_for("relu"), initialiser_for("tanh"), initialiser_for("selu")
    ('he_normal', 'glorot_uniform', 'lecun_normal')
    """
    family = ACTIVATIONS[activation].family
    return "glorot_uniform" if family == "glorot" else f"{family}_normal"


def gain_for(activation: str) -> float:
    """The factor on Glorot's standard deviation for this activation: sigmoid 4, tanh 1, ReLU and SiLU √2 (row I4).

    He and LeCun have their factor built in: do not apply both.

    >>> gain_for("sigmoid"), gain_for("tanh")
    (4.0, 1.0)
    """
    return float(ACTIVATIONS[activation].gain)


def _scaled(form: Literal["normal", "uniform"], factor: float, fan: Fan, doc: str) -> Initialiser:
    """A scheme with variance factor/fan."""

    def draw(weight: Tensor, gain: float, settings: InitialiserSettings, generator: torch.Generator) -> None:
        fan_out, fan_in = weight.shape[-2:]
        n = {"in": fan_in, "out": fan_out, "avg": (fan_in + fan_out) / 2}[settings.fan]
        scale = gain * sqrt(factor / n)
        if form == "normal":
            weight.normal_(0.0, scale, generator=generator)
        else:
            weight.uniform_(-scale * sqrt(3), scale * sqrt(3), generator=generator)

    return Initialiser(draw, fan, doc=doc)


def _entry(draw: Draw, **standard: float) -> Initialiser:
    return Initialiser(draw, standard=standard, doc=draw.__doc__ or "")


INITIALISERS: Registry[Initialiser] = Registry(
    "initialiser",
    {
        "glorot_uniform": _scaled(
            "uniform", 1, "avg", "w ~ U ±√(6/(fan_in + fan_out)), for tanh and sigmoid (row I3; Glorot & Bengio 2010)."
        ),
        "glorot_normal": _scaled(
            "normal", 1, "avg", "w ~ N(0, 2/(fan_in + fan_out)), for tanh and sigmoid (row I3; Glorot & Bengio 2010)."
        ),
        "he_uniform": _scaled("uniform", 2, "in", "w ~ U ±√(6/fan_in), for ReLU and its kin (row I5; He 2015)."),
        "he_normal": _scaled("normal", 2, "in", "w ~ N(0, 2/fan_in), for ReLU and its kin (row I5; He 2015)."),
        "lecun_uniform": _scaled("uniform", 1, "in", "w ~ U ±√(3/fan_in), for SELU (row I6; LeCun 1998)."),
        "lecun_normal": _scaled(
            "normal", 1, "in", "w ~ N(0, 1/fan_in), for SELU; N1's randn/√fan_in (row I6; LeCun 1998)."
        ),
        "fan_in_uniform": _scaled(
            "uniform",
            1 / 3,
            "in",
            "w ~ U ±1/√fan_in: signals fade (row I3; the 'standard' of Glorot & Bengio 2010).\n\n"
            "Variance 1/(3·fan_in). PyTorch's default. ⚠ N0 gives it as Glorot's formula, which it is not.",
        ),
        "normal": _entry(normal, std=0.01),
        "uniform": _entry(uniform, bound=0.05),
        "zeros": Initialiser(constant, doc="w = 0: no gradient passes, a demonstration of symmetry (rows I1, D7)."),
        "constant": _entry(constant, value=0.1),
        "orthogonal": _entry(orthogonal),
        "identity": _entry(identity),
        "centred": _entry(centred),
        "dropout_adjusted": _entry(dropout_adjusted),
        "lsuv": Initialiser(
            orthogonal,
            standard={"tolerance": 0.1},
            prepare=scale_to_unit_variance,
            doc="W = Q/√Var(Q·h): orthogonal, then every layer's variance on real inputs is made 1 (row I8; "
            "Mishkin & Matas 2015).\n\nFor deep networks and any φ, without norms. A gain g makes the variance g².",
        ),
        "krahenbuhl": Initialiser(
            unit_signals,
            standard={"between": 1},
            prepare=normalise_units,
            doc="w = v/σ, b = −μ/σ: mean 0 and variance 1 of each unit on real inputs, then equal rates of all layers "
            "(row I9; Krähenbühl 2015).\n\nThe second step where φ(a·z) = a·φ(z) for a > 0 (ReLU and its kin) and "
            "between is 1: it scales layers against each other and keeps the outputs. A gain g makes the variance g².",
        ),
    },
    hypers={
        "value": Hyper("the constant that all weights start from"),
        "std": Hyper("standard deviation of the first weights, σ", above=0),
        "bound": Hyper("first weights lie in ±bound", above=0),
        "tolerance": Hyper("a layer's variance may be off by this share", above=0),
        "between": Hyper("layers get equal rates of change: 1 yes, 0 no", least=0, most=1, whole=True),
    },
)
