"""What the programs train on: small sets, bundled with scikit-learn or made here, as vectors, images or sequences."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from sklearn import datasets
from torch import Tensor

from trainwell.base import Registry

Arrays = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Material:
    """Rows to train on, and others to judge by.

    Attributes:
        architecture: "dense" for vectors (B, D), "convolutional" for (B, C, L) and (B, C, H, W), "recurrent" for
            (B, T, D).
        task: "multiclass" with y (N,) class numbers, or "regression" with y (N, 1), standardised.
        outputs: classes, or 1.
        bar: the accuracy or R² on test rows from which a training is sound; below what an ordinary one reaches.
    """

    name: str
    architecture: str
    task: str
    outputs: int
    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor
    bar: float

    @property
    def inputs(self) -> int:
        """Inputs of a vector, channels of an image, values at a step of a sequence."""
        return self.x.shape[-1] if self.architecture == "recurrent" else self.x.shape[1]


def bunch(load: Callable[..., Any]) -> Callable[[], Arrays]:
    """A bundled set as (x, y)."""
    return lambda: load(return_X_y=True)


def friedman() -> Arrays:
    """Ten inputs, five of which matter, some of them non-linearly."""
    return datasets.make_friedman1(n_samples=800, noise=0.5, random_state=0)


def images() -> Arrays:
    """Digits (N, 1, 8, 8)."""
    x, y = bunch(datasets.load_digits)()
    return x.reshape(-1, 1, 8, 8), y


def ink() -> Arrays:
    """Digits (N, 1, 8, 8), and how far to the right the ink's centre lies."""
    x, _ = images()
    return x, (x[:, 0] * np.arange(8)).sum((1, 2)) / x.sum((1, 2, 3))


def rows_of_digits() -> Arrays:
    """Digits read row by row (N, 8, 8)."""
    x, y = bunch(datasets.load_digits)()
    return x.reshape(-1, 8, 8), y


def steps_of_waves() -> Arrays:
    """Noisy sines (N, 20, 1) of three frequencies, with any phase."""
    draw = np.random.default_rng(0)
    y = draw.integers(0, 3, 900)
    phase, time = draw.uniform(0, 2 * np.pi, (900, 1)), np.arange(20) / 20
    x = np.sin(2 * np.pi * (1 + y[:, None]) * time + phase) + draw.normal(0, 0.3, (900, 20))
    return x[:, :, None], y


def waves() -> Arrays:
    """The same with the steps along the last axis (N, 1, 20)."""
    x, y = steps_of_waves()
    return x.transpose(0, 2, 1), y


def height() -> Arrays:
    """Noisy sines (N, 1, 20) of one frequency, and how high they are."""
    draw = np.random.default_rng(1)
    y, phase = draw.uniform(0.5, 2.0, 900), draw.uniform(0, 2 * np.pi, (900, 1))
    x = y[:, None] * np.sin(4 * np.pi * np.arange(20) / 20 + phase) + draw.normal(0, 0.2, (900, 20))
    return x[:, None], y


def adding() -> Arrays:
    """Numbers with two of them marked (N, 8, 2), and the sum of these two (Hochreiter & Schmidhuber 1997)."""
    draw = np.random.default_rng(2)
    numbers, marks = draw.uniform(0, 1, (1000, 8)), np.zeros((1000, 8))
    for row in marks:
        row[draw.choice(8, 2, replace=False)] = 1
    return np.stack([numbers, marks], axis=2), (numbers * marks).sum(1)


def next_value() -> Arrays:
    """Pieces of a noisy sum of two sines (N, 16, 1), and the value that follows."""
    draw = np.random.default_rng(3)
    time = np.arange(916) * 0.3
    series = np.sin(time) + 0.6 * np.sin(2.3 * time) + draw.normal(0, 0.1, len(time))
    pieces = np.lib.stride_tricks.sliding_window_view(series, 17)
    return pieces[:, :16, None], pieces[:, 16]


SOURCES: Registry[tuple[Callable[[], Arrays], str, str, float]] = Registry(
    "material",
    {
        "digits": (bunch(datasets.load_digits), "dense", "multiclass", 0.90),
        "breast_cancer": (bunch(datasets.load_breast_cancer), "dense", "multiclass", 0.92),
        "wine": (bunch(datasets.load_wine), "dense", "multiclass", 0.90),
        "diabetes": (bunch(datasets.load_diabetes), "dense", "regression", 0.35),
        "friedman": (friedman, "dense", "regression", 0.75),
        "images": (images, "convolutional", "multiclass", 0.90),
        "waves": (waves, "convolutional", "multiclass", 0.90),
        "ink": (ink, "convolutional", "regression", 0.80),
        "height": (height, "convolutional", "regression", 0.80),
        "rows": (rows_of_digits, "recurrent", "multiclass", 0.85),
        "wave steps": (steps_of_waves, "recurrent", "multiclass", 0.85),
        "adding": (adding, "recurrent", "regression", 0.70),
        "next value": (next_value, "recurrent", "regression", 0.80),
    },
)
MOST = 1_000  # training rows


@cache
def material(name: str) -> Material:
    """The rows of a set: shuffled, a quarter kept to judge by, inputs (and numbers to predict) standardised.

    Pieces of one series overlap: the last quarter of its time is what is judged by.

    Images and sequences are standardised as a whole, so that their pixels and steps stay comparable.
    """
    load, architecture, task, bar = SOURCES[name]
    x, y = load()
    kept = min(MOST, len(x) * 3 // 4)
    order = np.random.default_rng(7).permutation(len(x))
    if name == "next value":
        order = np.concatenate([order[order < kept], order[order >= kept]])
    x, y = torch.tensor(x[order]).float(), torch.tensor(y[order])
    known = x[:kept]
    axes = (0,) if architecture == "dense" else (tuple(range(x.dim() - 1)) if architecture == "recurrent" else (0, 2))
    if x.dim() == 4 or name == "rows":  # the pixels of an image have one scale
        axes = tuple(range(x.dim()))
    x = (x - known.mean(axes, keepdim=True)) / known.std(axes, keepdim=True).clamp_min(1e-6)
    if task == "regression":
        y = ((y - y[:kept].mean()) / y[:kept].std()).float().unsqueeze(1)
    outputs = 1 if task == "regression" else int(y.max()) + 1
    held = slice(kept, kept + len(x) // 4)
    return Material(name, architecture, task, outputs, x[:kept], y[:kept], x[held], y[held], bar)


def figure(outputs: Tensor, y: Tensor) -> float:
    """Accuracy for class numbers (N,), R² for numbers (N, 1)."""
    if y.dtype == torch.int64:
        return float((outputs.argmax(1) == y).float().mean())
    return float(1 - (outputs.reshape(y.shape) - y).square().mean() / y.var(correction=0))
