"""How a table becomes inputs."""

from dataclasses import dataclass
from typing import Literal

from trainwell.base import DataError
from trainwell.data.scaling import Scaling


@dataclass(frozen=True)
class PreparationOptions:
    """Choices of a preparation.

    Attributes:
        encoding: numbers as one scaled input, or also as one input a quantile bin.
        bins: at most so many bins a number.
        one_hot_limit: a column with more categories than this in training becomes an index (for an embedding).
        scaling: see `fit_scaler`.
    """

    encoding: Literal["plain", "piecewise-linear"] = "piecewise-linear"
    bins: int = 32
    one_hot_limit: int = 64
    scaling: Scaling = "robust"

    def __post_init__(self) -> None:
        if self.encoding not in ("plain", "piecewise-linear"):
            raise DataError(f"encoding must be plain or piecewise-linear, but is '{self.encoding}'.")
        if self.bins < 1:
            raise DataError(f"bins must be 1 or more, but is {self.bins}. Common choices are 8 to 64.")
