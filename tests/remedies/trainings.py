"""Small trainings with a planted fault, as users write them, and their data."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn import datasets
from torch import Tensor, nn
from torch.nn import functional as F

Pair = tuple[Tensor, Tensor]
cross_entropy = nn.CrossEntropyLoss()


def blobs(scale: float = 1.0, rows: int = 360) -> tuple[Pair, Pair]:
    """Three classes in rings, which no linear network tells apart; train and test."""
    draw = np.random.default_rng(0)
    y = np.arange(rows) % 3
    angle, radius = draw.uniform(0, 2 * np.pi, rows), 0.5 + y + draw.normal(0, 0.12, rows)
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1) * scale
    return halves(torch.tensor(x, dtype=torch.float32), torch.tensor(y))


def curve() -> tuple[Pair, Pair]:
    """A number that bends with its inputs, centred; targets (N, 1)."""
    x, y = datasets.make_friedman1(400, 6, noise=0.5, random_state=0)
    y = (y - y.mean()) / y.std()
    return halves(torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)[:, None])


def waves() -> tuple[Pair, Pair]:
    """Sequences (N, 10, 2) whose class is the sign of a sum over time."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(400, 10, 2)).astype(np.float32)
    return halves(torch.tensor(x), torch.tensor((x[:, :, 0].sum(axis=1) > 0).astype(np.int64)))


def halves(x: Tensor, y: Tensor) -> tuple[Pair, Pair]:
    """Three quarters to train on, the rest to test by."""
    n = len(x) * 3 // 4
    return (x[:n], y[:n]), (x[n:], y[n:])


def dense(*sizes: int, end: nn.Module | None = None, prepare: Callable[[nn.Module], Any] | None = None) -> Any:
    """A factory of linear layers with ReLU between."""

    def make() -> nn.Module:
        layers: list[nn.Module] = []
        for i, (a, b) in enumerate(zip(sizes, sizes[1:], strict=False)):
            layers += [nn.Linear(a, b)] + ([nn.ReLU()] if i < len(sizes) - 2 else [])
        module = nn.Sequential(
            *layers, *([type(end)(1) if isinstance(end, nn.Softmax) else type(end)()] if end else [])
        )
        if prepare is not None:
            prepare(module)
        return module

    return make


class Picture(nn.Module):
    """A small convolutional network, its activations called as functions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1)
        self.out = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(torch.sigmoid(self.first(x)), 2)
        x = torch.sigmoid(self.second(x)).mean(dim=(2, 3))
        return F.softmax(self.out(F.dropout(x, 0.9, self.training)), dim=1)


class Listener(nn.Module):
    """A plain recurrent network."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.out = nn.RNN(2, 12, batch_first=True), nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        states, last = self.rnn(x)
        return self.out(states[:, -1] + 0 * last[-1])


def sgd(rate: float, **more: Any) -> Any:
    """A factory of SGD."""
    return lambda parameters: torch.optim.SGD(parameters, lr=rate, **more)


def adam(rate: float = 1e-2, **more: Any) -> Any:
    """A factory of Adam."""
    return lambda parameters: torch.optim.Adam(parameters, lr=rate, **more)


def given(
    make: Any, loss: Any = cross_entropy, optimizer: Any = None, epochs: int = 16, batch: int = 32
) -> dict[str, Any]:
    """The arguments of a cure."""
    first = {"make_model": make, "loss_fn": loss, "make_optimizer": optimizer or adam()}
    return first | {"epochs": epochs, "batch_size": batch}


class Cut(nn.Module):
    """Its forward pass lets nothing back into the first layer: by "no_grad", "detach" or "data"."""

    def __init__(self, way: str = "no_grad") -> None:
        super().__init__()
        self.way, self.first, self.last = way, nn.Linear(2, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        if self.way == "no_grad":
            with torch.no_grad():
                h = self.first(x).relu()
        else:
            h = self.first(x).relu()
            h = h.detach() if self.way == "detach" else h.data
        return self.last(h)


class Sideways(nn.Module):
    """Its layer takes the rows of a batch for steps in time."""

    def __init__(self, kind: str = "lstm") -> None:
        super().__init__()
        self.into, self.last = nn.Linear(1, 8), nn.Linear(8, 2)
        self.over: nn.Module = nn.LSTM(8, 8) if kind == "lstm" else nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0)

    def forward(self, x: Tensor) -> Tensor:
        h = self.over(self.into(x.reshape(len(x), -1, 1)))
        return self.last((h[0] if isinstance(h, tuple) else h)[:, -1])
