"""Modules of users, and data for them; importable, so that a killed process can be gone on with."""

from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

DRAW = torch.Generator().manual_seed(5)


def cnn() -> nn.Module:
    """A small convolutional network for the 8 × 8 digits, with batch norm and dropout."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.2), nn.Linear(128, 10),
    )  # fmt: skip


def digits(rows: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 1, 8, 8) from 0 to 1, and their digits."""
    loaded: Any = load_digits(return_X_y=True)
    images, numbers = loaded
    return (images / 16).reshape(-1, 1, 8, 8)[:rows], numbers[:rows]


class Recurrent(nn.Module):
    """A GRU whose last state is read out."""

    def __init__(self) -> None:
        super().__init__()
        self.gru, self.output = nn.GRU(2, 6, batch_first=True), nn.Linear(6, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.gru(x)[0][:, -1]).squeeze(1)


def sequences() -> tuple[Tensor, Tensor]:
    """Sequences (N, 4, 2), and whether their first numbers sum to more than 0."""
    x = torch.randn(200, 4, 2, generator=DRAW)
    return x, (x[:, :, 0].sum(1) > 0).float()


class Words(nn.Module):
    """The mean of embedded words, under two rates of dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.output = nn.Embedding(12, 8), nn.Linear(8, 3)
        self.first, self.second = nn.Dropout(0.1), nn.Dropout(0.3)

    def forward(self, words: Tensor) -> Tensor:
        return self.output(self.second(torch.relu(self.first(self.words(words)).mean(1))))


def tokens() -> tuple[Tensor, list[str]]:
    """Words (N, 5) in int32, and of which third of the table the first one is."""
    words = torch.randint(0, 12, (240, 5), generator=DRAW, dtype=torch.int32)
    words[:, 1:3] = words[:, :1]
    return words, [("low", "middle", "top")[int(w) // 4] for w in words[:, 0]]


def prices() -> tuple[np.ndarray, np.ndarray]:
    """Rows (N, 3), and a number far from unit scale."""
    x = np.random.default_rng(2).normal(size=(250, 3))
    return x, 5_000 + 800 * np.sin(x[:, 0]) + 300 * x[:, 1]


def perceptron() -> nn.Module:
    """A regression network, whose last layer is linear."""
    return nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1))
