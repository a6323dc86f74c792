"""Numbers as inputs of about unit size, by figures of the training rows alone."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

Scaling = Literal["robust", "standard"]


@dataclass(frozen=True)
class Scaler:
    """(x − centre) · factor, then, if `soft`, softly clipped to ±3."""

    centre: float
    factor: float
    soft: bool

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Scaled values of the same shape, elementwise.

        >>> float(Scaler(centre=5.0, factor=1.0, soft=True).apply(np.array([1e12]))[0])
        3.0
        """
        scaled = (values - self.centre) * self.factor
        if not self.soft:
            return scaled
        scaled = np.clip(scaled, -1e9, 1e9)  # its square must stay finite
        return scaled / np.sqrt(1.0 + (scaled / 3.0) ** 2)


def fit_scaler(values: np.ndarray, scaling: Scaling) -> Scaler:
    """A scaler for these finite training values (N,).

    "robust": the median and the distance of the quartiles (where that is 0, half the distance of the extremes), then
    x / √(1 + (x/3)²), as in RealMLP (Holzmüller, Grinsztajn & Steinwart 2024, arXiv 2407.04491): an outlier can
    neither set the scale nor leave it. "standard": zero mean and unit variance. A constant becomes 0.
    """
    if scaling == "standard":
        spread = float(values.std())
        return Scaler(float(values.mean()), _inverse(spread), soft=False)
    low, middle, high = (float(q) for q in np.percentile(values, (25, 50, 75)))
    return Scaler(middle, _inverse(high - low) or _inverse((float(values.max()) - float(values.min())) / 2), soft=True)


def _inverse(spread: float) -> float:
    inverse = 1.0 / spread if spread > 0 else 0.0
    return inverse if np.isfinite(inverse) else 0.0
