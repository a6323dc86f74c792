"""First weights, drawn so that signals neither fade nor grow with depth.

Contract: an `Initialiser` gives the standard deviation for (fan_in, fan_out) and the form of the distribution; biases
start at 0. A uniform distribution on ±a has standard deviation a/√3.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Literal

import torch
from torch import Tensor

from trainwell.base import Registry
from trainwell.ingredients.activations import ACTIVATIONS


@dataclass(frozen=True)
class Initialiser:
    """One scheme: `std(fan_in, fan_out)`, and the form in which weights are drawn."""

    form: Literal["normal", "uniform", "constant"]
    std: Callable[[int, int], float]
    doc: str = ""

    def fill(self, weight: Tensor, *, gain: float, generator: torch.Generator) -> None:
        """Draw `weight` (..., fan_out, fan_in) in place; `gain` multiplies the standard deviation (or the constant)."""
        fan_out, fan_in = weight.shape[-2:]
        scale = gain * self.std(fan_in, fan_out)
        if self.form == "constant":
            weight.fill_(scale)
        elif self.form == "normal":
            weight.normal_(0.0, scale, generator=generator)
        else:
            weight.uniform_(-scale * sqrt(3), scale * sqrt(3), generator=generator)


def glorot(fan_in: int, fan_out: int) -> float:
    """√(2/(fan_in + fan_out))."""
    return sqrt(2 / (fan_in + fan_out))


def he(fan_in: int, fan_out: int) -> float:
    """√(2/fan_in)."""
    return sqrt(2 / fan_in)


def lecun(fan_in: int, fan_out: int) -> float:
    """√(1/fan_in)."""
    return sqrt(1 / fan_in)


def initialiser_for(activation: str) -> str:
    """The scheme that keeps the variance under this activation (row I12).

    >>> initialiser_for("relu"), initialiser_for("tanh"), initialiser_for("selu")
    ('he_normal', 'glorot_uniform', 'lecun_normal')
    """
    family = ACTIVATIONS[activation].family
    return "glorot_uniform" if family == "glorot" else f"{family}_normal"


INITIALISERS: Registry[Initialiser] = Registry(
    "initialiser",
    {
        "glorot_uniform": Initialiser(
            "uniform", glorot, "Uniform on ±√(6/(fan_in + fan_out)) (row I3; Glorot & Bengio 2010)."
        ),
        "glorot_normal": Initialiser("normal", glorot, "Normal with variance 2/(fan_in + fan_out) (row I3)."),
        "he_uniform": Initialiser("uniform", he, "Uniform on ±√(6/fan_in) (row I5; He 2015)."),
        "he_normal": Initialiser("normal", he, "Normal with variance 2/fan_in (row I5; He 2015)."),
        "lecun_uniform": Initialiser("uniform", lecun, "Uniform on ±√(3/fan_in) (row I6; LeCun 1998)."),
        "lecun_normal": Initialiser("normal", lecun, "Normal with variance 1/fan_in (row I6; LeCun 1998)."),
        "normal": Initialiser("normal", lambda i, o: 0.01, "Normal with standard deviation 0.01 × gain (row I2)."),
        "zeros": Initialiser("constant", lambda i, o: 0.0, "All 0: a demonstration of symmetric units (row I1)."),
        "constant": Initialiser(
            "constant", lambda i, o: 0.1, "All 0.1 × gain: a demonstration of symmetric units (row I1)."
        ),
    },
)
