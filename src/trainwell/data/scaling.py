"""Numbers as inputs with zero mean and unit variance, by figures of the training rows alone."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

Scaling = Literal["robust", "standard"]


@dataclass(frozen=True)
class Scaler:
    """x becomes (s − mean) / std of s = soft((x − centre) · factor), where soft is the identity or clips to ±3."""

    centre: float
    factor: float
    soft: bool
    mean: float
    inverse_std: float

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Scaled values of the same shape, elementwise."""
        return (_squeezed(values, self.centre, self.factor, self.soft) - self.mean) * self.inverse_std


def fit_scaler(values: np.ndarray, scaling: Scaling) -> Scaler:
    """A scaler for these finite training values (N,), which get mean 0 and variance 1. A constant becomes 0.

    "robust": median and distance of the quartiles (where that is 0, half the distance of the extremes), then
    s / √(1 + (s/3)²), as in RealMLP (Holzmüller, Grinsztajn & Steinwart 2024, arXiv 2407.04491), so that an outlier
    can neither set the scale nor leave it; then standardised, which RealMLP leaves to learned scales.
    "standard": standardised only.

    >>> scaler = fit_scaler(np.array([0.0, 1.0, 2.0, 3.0, 1e6]), "robust")
    >>> bool(scaler.apply(np.array([1e12]))[0] < 2.1)
    True
    """
    centre, factor = (float(values.mean()), 1.0) if scaling == "standard" else _median_and_quartiles(values)
    squeezed = _squeezed(values, centre, factor, scaling == "robust")
    with np.errstate(over="ignore"):
        return Scaler(centre, factor, scaling == "robust", float(squeezed.mean()), _inverse(float(squeezed.std())))


def _median_and_quartiles(values: np.ndarray) -> tuple[float, float]:
    low, middle, high = (float(q) for q in np.percentile(values, (25, 50, 75)))
    factor = _inverse(high - low) or _inverse(float(values.max()) / 2 - float(values.min()) / 2)
    return middle, factor


def _squeezed(values: np.ndarray, centre: float, factor: float, soft: bool) -> np.ndarray:
    with np.errstate(over="ignore"):
        scaled = (values - centre) * factor
    if not soft:
        return scaled
    scaled = np.clip(scaled, -1e9, 1e9)  # its square must stay finite
    return scaled / np.sqrt(1.0 + (scaled / 3.0) ** 2)


def _inverse(spread: float) -> float:
    """1 / spread, or 0 for a spread that is no more than rounding."""
    return 1.0 / spread if 1e-300 < spread < np.inf else 0.0
