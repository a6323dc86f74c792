"""Figures of one column or of a target."""

import numpy as np
import polars as pl

OUTLIER_REACH = 3.0
"""In interquartile ranges beyond the quartiles: Tukey's outer fences (1977)."""


@np.errstate(over="ignore", invalid="ignore")  # numbers near the largest there is
def describe(values: np.ndarray) -> dict[str, float]:
    """Mean, standard deviation, extremes, median, skewness and outliers of the finite ones among these numbers.

    >>> describe(np.array([1.0, 2.0, 3.0, np.nan, np.inf]))["median"]
    2.0
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return {}
    low, middle, high = np.percentile(finite, (25, 50, 75))
    mean, std = float(finite.mean()), float(finite.std())
    reach = OUTLIER_REACH * (high - low)
    outside = (finite < low - reach) | (finite > high + reach) if high > low else np.zeros(1, bool)
    skew = float((((finite - mean) / std) ** 3).mean()) if std > 0 else 0.0
    return {
        "mean": mean,
        "std": std,
        "minimum": float(finite.min()),
        "maximum": float(finite.max()),
        "median": float(middle),
        "skew": skew,
        "outliers": float(outside.sum()),
    }


def most_frequent(text: pl.Series, how_many: int = 5) -> tuple[tuple[str, int], ...]:
    """The most frequent values with their counts; of equals the first by name."""
    counts = text.drop_nulls().value_counts().sort("count", text.name, descending=[True, False]).head(how_many)
    return tuple((str(value), int(count)) for value, count in counts.iter_rows())
