"""Small tables with something to learn in them."""

import numpy as np
import polars as pl

STAGES = [
    "data",
    "baselines",
    "initial-loss",
    "gradient-check",
    "overfit-batch",
    "rate-range",
    "search",
    "final",
    "healing",
    "test",
]


def moons(rows: int = 400, seed: int = 0) -> pl.DataFrame:
    """Two interleaved half circles, a category that helps a little, missing values, and text labels."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, rows)
    t = rng.uniform(0, np.pi, rows)
    x = np.where(y == 0, np.cos(t), 1 - np.cos(t)) + rng.normal(0, 0.15, rows)
    z = np.where(y == 0, np.sin(t), 0.5 - np.sin(t)) + rng.normal(0, 0.15, rows)
    colour = np.where(rng.random(rows) < 0.7, np.where(y == 0, "red", "blue"), "green")
    frame = pl.DataFrame({"x": x, "z": z, "colour": colour, "label": np.where(y == 0, "down", "up")})
    return frame.with_columns(pl.when(pl.int_range(pl.len()) % 17 == 0).then(None).otherwise(pl.col("z")).alias("z"))


def waves(rows: int = 300) -> pl.DataFrame:
    """A smooth function of two numbers, far from unit scale."""
    rng = np.random.default_rng(1)
    a, b = rng.uniform(-3, 3, rows), rng.uniform(-3, 3, rows)
    return pl.DataFrame({"a": a, "b": b, "height": 1000 + 50 * (np.sin(a) + 0.5 * b) + rng.normal(0, 3, rows)})
