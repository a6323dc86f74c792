"""A training to be judged: how it is done, what was planted in it, and the rows it is given."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import log
from typing import Any

import numpy as np
import torch
from sklearn import datasets
from torch import Tensor

from trainwell.base import Registry
from trainwell.plan import Plan

STANDARD: dict[str, Any] = {
    "network.depth": 2,
    "network.width": 32,
    "network.activation": "relu",
    "network.norm": "none",
    "network.residual": False,
    "initialiser.name": "auto",
    "initialiser.gain": 1.0,
    "loss.label_smoothing": 0.0,
    "optimizer.name": "adam",
    "optimizer.learning_rate": 1e-3,
    "optimizer.weight_decay": 0.0,
    "optimizer.momentum": 0.9,
    "optimizer.beta2": 0.999,
    "optimizer.epsilon": 1e-8,
    "schedule.name": "constant",
    "schedule.warmup": 0.0,
    "regularisation.dropout": 0.0,
    "regularisation.clip_norm": None,
    "training.epochs": 30,
    "training.batch_size": 32,
    "training.patience": 10,
}
"""All that a setting does not name: written out, so that the plan's own standard values may change."""


@dataclass(frozen=True)
class Setting:
    """A training to be judged: how it is done, and what was planted in it (nothing, when it is healthy).

    Attributes:
        data: a name of `DATA_SETS`.
        edits: of STANDARD, by path.
        planted: the kind of the fault, or None.
        also: kinds that are as true of it (causes, consequences): a finding of these is not a false alarm.
        input_factor, input_shift: x ← factor·x + shift, after standardising.
        hidden_bias: the first value of all hidden biases.
        output_gain: factor on the first weights of the output.
        train_rows: use this many training rows only.
        label_noise: this share of the training rows gets the target of another row.
        keep_best: restore the weights of the best evaluation at the end, as our engine does.
    """

    name: str
    data: str
    edits: dict[str, Any] = field(default_factory=dict)
    planted: str | None = None
    also: tuple[str, ...] = ()
    input_factor: float = 1.0
    input_shift: float = 0.0
    hidden_bias: float = 0.0
    output_gain: float = 1.0
    train_rows: int | None = None
    label_noise: float = 0.0
    keep_best: bool = True

    @property
    def plan(self) -> Plan:
        """The plan of this training: STANDARD and what differs."""
        return Plan().edited({**STANDARD, **self.edits}, by="user", why="setting")


@dataclass(frozen=True)
class Rows:
    """x (N, D), y (N,) class numbers or (N, 1) numbers, of the training and the validation part."""

    x: Tensor
    y: Tensor
    validation_x: Tensor
    validation_y: Tensor
    task: str
    outputs: int


def chance(rows: Rows) -> float:
    """Loss of the best constant prediction."""
    if rows.task == "regression":
        return float(rows.y.var(correction=0))
    shares = np.bincount(rows.y.numpy()) / len(rows.y)
    return float(-sum(p * log(p) for p in shares if p > 0))


def scale_of(x: Tensor) -> dict[str, float]:
    """The scale of the inputs that the network is fed."""
    std = x.std(0, correction=0)
    return {
        "largest_mean": float(x.mean(0).abs().max()),
        "largest_std": float(std.max()),
        "smallest_std": float(std.min()),
    }


def prepared(setting: Setting, seed: int) -> Rows:
    """Load, split 3 : 1, standardise by the training part, then scale the inputs as the setting says."""
    x, y, task = DATA_SETS[setting.data]()
    draw = np.random.default_rng(seed)
    order = draw.permutation(len(x))
    held, kept = order[: len(x) // 4], order[len(x) // 4 :][: setting.train_rows]
    mean, std = x[kept].mean(0), x[kept].std(0)
    x = (x - mean) / np.where(std > 0, std, 1.0) * setting.input_factor + setting.input_shift
    if task == "regression":
        y = ((y - y[kept].mean()) / y[kept].std()).reshape(-1, 1).astype(np.float32)
    else:
        y = y.astype(np.int64)
    noisy = kept[: round(setting.label_noise * len(kept))]
    y[noisy] = y[draw.permutation(noisy)]
    outputs = int(y.max()) + 1 if task == "multiclass" else 1
    parts = (x[kept].astype(np.float32), y[kept], x[held].astype(np.float32), y[held])
    return Rows(*(torch.from_numpy(np.ascontiguousarray(part)) for part in parts), task=task, outputs=outputs)


Arrays = tuple[np.ndarray, np.ndarray, str]


def known(make: Callable[..., Any], task: str, **options: Any) -> Callable[[], Arrays]:
    """A data set of scikit-learn's: bundled with it, or made by it."""

    def load() -> Arrays:
        x, y = make(**options)
        return x, y, task

    return load


def hastie() -> tuple[np.ndarray, np.ndarray]:
    """Ten inputs; the class is whether the sum of their squares is above its median."""
    x, y = datasets.make_hastie_10_2(n_samples=800, random_state=0)
    return x, y > 0


HARD = {"n_samples": 800, "n_features": 20, "n_informative": 8, "n_classes": 4, "flip_y": 0.05, "random_state": 0}

DATA_SETS: Registry[Callable[[], Arrays]] = Registry(
    "data set",
    {
        "iris": known(datasets.load_iris, "multiclass", return_X_y=True),
        "wine": known(datasets.load_wine, "multiclass", return_X_y=True),
        "digits": known(datasets.load_digits, "multiclass", return_X_y=True),
        "breast_cancer": known(datasets.load_breast_cancer, "binary", return_X_y=True),
        "diabetes": known(datasets.load_diabetes, "regression", return_X_y=True),
        "moons": known(datasets.make_moons, "binary", n_samples=500, noise=0.2, random_state=0),
        "circles": known(datasets.make_circles, "binary", n_samples=500, noise=0.1, factor=0.5, random_state=0),
        "friedman": known(datasets.make_friedman1, "regression", n_samples=600, noise=1.0, random_state=0),
        "quantiles": known(datasets.make_gaussian_quantiles, "multiclass", n_samples=600, n_features=5, random_state=0),
        "hastie": known(hastie, "binary"),
        "overlapping": known(
            datasets.make_blobs, "multiclass", n_samples=500, centers=4, cluster_std=3.0, random_state=0
        ),
        "friedman3": known(datasets.make_friedman3, "regression", n_samples=600, noise=0.1, random_state=0),
        "sparse": known(datasets.make_sparse_uncorrelated, "regression", n_samples=600, random_state=0),
        "classes": known(datasets.make_classification, "multiclass", **HARD),
    },
)
