"""Of numbers to predict: which share of the targets belongs to other rows, by where they lie beside the outputs.

A network that learns from targets of which a share π was dealt out at random learns f = (1 − π)·truth + π·mean: it is
right on the average, but the true targets lie along a line of slope 1 / (1 − π) over its outputs, and the others lie
anywhere. Noise, however heavy its tails, lies along a line of slope 1. Both are fitted, and compared by likelihood.
"""

from math import lgamma, log, pi
from typing import NamedTuple

import numpy as np

MOST, ROUNDS = 1024, 40
"""Samples that are fitted, and rounds of the fit (expectation maximisation, Dempster et al. 1977)."""

TAILS = (1.0, 2.0, 4.0, 10.0, 100.0)
WIDTHS = np.geomspace(0.3, 3.0, 16)
"""Degrees of freedom of Student's t that stand for noise, and its widths over that of the middle errors."""

LEVELS = np.linspace(0.005, 0.995, 100)
NARROWEST = 1e-3  # deviations of the targets, below which no line is fitted more closely


class Strays(NamedTuple):
    """What the fit tells; lengths in deviations of the targets.

    Attributes:
        samples: how many. share: of the targets that lie anywhere. slope: of the line along which the others lie.
        spread: of these about their line.
        gain: log-likelihood a sample over that of noise about the outputs, in nats.
        fades: share of strays where outputs are far from their mean, over that where they are near: below 1 where
            targets of two kinds merely overlap.
    """

    samples: int
    share: float
    slope: float
    spread: float
    gain: float
    fades: float


NONE = Strays(0, 0.0, 1.0, 0.0, 0.0, 0.0)


def strays(outputs: np.ndarray, targets: np.ndarray) -> Strays:
    """Fit both.

    Args:
        outputs, targets: (N,), of the same rows.
    """
    z, y = (values[-MOST:].astype(float) for values in (outputs, targets))
    deviation = float(y.std())
    if len(y) < 2 or not deviation > 0 or not np.isfinite(z).all() or z.std() == 0:
        return NONE
    z, y = (z - y.mean()) / deviation, (y - y.mean()) / deviation
    anywhere = _density(y)
    share, slope, offset = 0.3, 1.0, 0.0
    width = max(NARROWEST, 1.4826 * float(np.median(np.abs(y - z))))
    own = np.ones(len(y))
    for _ in range(ROUNDS):
        along = (1 - share) * _normal(y - offset - slope * z, width)
        own = along / (along + share * anywhere)
        slope, offset = _line(z, y, own)
        width = max(NARROWEST, float(np.sqrt((own * (y - offset - slope * z) ** 2).sum() / own.sum())))
        share = float(np.clip(1 - own.mean(), 1e-6, 1 - 1e-6))
    both = np.log((1 - share) * _normal(y - offset - slope * z, width) + share * anywhere).mean()
    far = np.abs(z - z.mean()) >= np.median(np.abs(z - z.mean()))
    fades = float((1 - own)[far].mean() / max((1 - own)[~far].mean(), 1e-12))
    return Strays(len(y), share, slope, width, float(both) - _noise(z, y), fades)


def _line(z: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Slope and offset of the weighted least squares line."""
    total = weights.sum()
    centre, height = float((weights * z).sum() / total), float((weights * y).sum() / total)
    slope = float((weights * (z - centre) * (y - height)).sum() / max((weights * (z - centre) ** 2).sum(), 1e-12))
    return slope, height - slope * centre


def _normal(errors: np.ndarray, width: float) -> np.ndarray:
    return np.exp(-0.5 * (errors / width) ** 2) / (width * (2 * pi) ** 0.5) + 1e-300


def _density(y: np.ndarray) -> np.ndarray:
    """The density of all targets at each, by normal kernels at their quantiles (Silverman 1986)."""
    quartiles = np.subtract(*np.percentile(y, [75, 25])) / 1.34
    width = 1.06 * min(1.0, float(quartiles) or 1.0) * len(y) ** -0.2
    return _normal(y[:, None] - np.quantile(y, LEVELS), width).mean(axis=1) + 1e-6


def _noise(z: np.ndarray, y: np.ndarray) -> float:
    """The largest mean log-likelihood of Student's t about the least squares line."""
    slope, offset = _line(z, y, np.ones(len(y)))
    errors = y - offset - slope * z
    middle = max(NARROWEST, 1.4826 * float(np.median(np.abs(errors))))
    best = -np.inf
    for ν in TAILS:
        constant = lgamma((ν + 1) / 2) - lgamma(ν / 2) - 0.5 * log(ν * pi)
        scaled = (errors[:, None] / (middle * WIDTHS)) ** 2
        means = constant - np.log(middle * WIDTHS) - (ν + 1) / 2 * np.log1p(scaled / ν).mean(axis=0)
        best = max(best, float(means.max()))
    return best
