"""Non-linearities φ, element by element.

Contract: an `Activation` is φ with what follows from its shape: the initialiser family that keeps the variance, its
bounds (where a unit saturates), and whether a unit can be silent for every input.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from trainwell.base import Registry


@dataclass(frozen=True)
class Activation:
    """One non-linearity.

    Attributes:
        function: φ, element-wise on a tensor of any shape.
        family: which initialiser keeps the variance of signals (rows I3, I5, I6).
        bounds: values approached by a saturated unit, or None.
        silent: φ(x) = 0 for all x < 0, so that a unit can die (row D4).
    """

    function: Callable[[Tensor], Tensor]
    family: Literal["glorot", "he", "lecun"]
    bounds: tuple[float, float] | None = None
    silent: bool = False
    doc: str = ""


def _entry(
    doc: str, function: Callable[[Tensor], Tensor], family: Literal["glorot", "he", "lecun"], **more: object
) -> Activation:
    return Activation(function, family, doc=doc, **more)  # pyright: ignore[reportArgumentType]


ACTIVATIONS: Registry[Activation] = Registry(
    "activation",
    {
        "identity": _entry("φ(x) = x: no non-linearity (outputs of a regression).", lambda x: x, "glorot"),
        "relu": _entry("φ(x) = max(0, x); φ′(0) = 0 (row A3; Nair & Hinton 2010).", torch.relu, "he", silent=True),
        "leaky_relu": _entry("φ(x) = max(0.01·x, x) (row A4; Maas 2013).", F.leaky_relu, "he"),
        "elu": _entry("φ(x) = x for x > 0, else eˣ − 1 (row A5; Clevert 2016).", F.elu, "he"),
        "selu": _entry("φ(x) = 1.0507·ELU with α = 1.6733 (row A6; Klambauer 2017).", F.selu, "lecun"),
        "silu": _entry("φ(x) = x·σ(x), also called Swish (row A7; Ramachandran 2017).", F.silu, "he"),
        "gelu": _entry("φ(x) = x·Φ(x), Φ the normal distribution (row A8; Hendrycks 2016).", F.gelu, "he"),
        "mish": _entry("φ(x) = x·tanh(ln(1 + eˣ)) (row A8; Misra 2019).", F.mish, "he"),
        "tanh": _entry("φ(x) = tanh x; φ′(0) = 1 (row A2).", torch.tanh, "glorot", bounds=(-1.0, 1.0)),
        "sigmoid": _entry("φ(x) = 1/(1 + e⁻ˣ); φ′(0) = 0.25 (row A1).", torch.sigmoid, "glorot", bounds=(0.0, 1.0)),
    },
)
