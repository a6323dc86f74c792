"""Piecewise-linear encoding of a number (Gorishniy, Rubachev & Babenko 2022, "On Embeddings for Numerical Features
in Tabular Deep Learning", arXiv 2203.05556, section 3.2.1).

With bin edges b0 < b1 < … < bT a number x becomes T inputs:
e_t = 0 if x < b_(t−1); 1 if x ≥ b_t; else (x − b_(t−1)) / (b_t − b_(t−1)).
The paper lets the first bin fall below 0 and the last rise above 1; here all stay in [0, 1], and the scaled plain
number beside them carries what lies outside.
"""

import numpy as np


def quantile_edges(values: np.ndarray, bins: int) -> np.ndarray:
    """(T + 1,) rising edges: the distinct ones among the bins + 1 quantiles of finite training values (N,)."""
    return np.unique(np.quantile(values, np.linspace(0.0, 1.0, bins + 1)))


def encode_piecewise(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(N, T) of float32 in [0, 1], from (N,) finite values.

    >>> encode_piecewise(np.array([1.5, 9.0]), np.array([0.0, 1.0, 2.0])).tolist()
    [[1.0, 0.5], [1.0, 1.0]]
    """
    with np.errstate(over="ignore"):  # far outside a narrow bin: ±∞, clipped below
        share = (values[:, None] - edges[:-1]) / (edges[1:] - edges[:-1])
    return np.clip(share, 0.0, 1.0).astype(np.float32)
