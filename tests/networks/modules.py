"""Modules as users write them, each with an example batch."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

Make = Callable[[], nn.Module]
DRAW = torch.Generator().manual_seed(3)
ROWS = torch.randn(6, 6, generator=DRAW)
IMAGES = torch.randn(6, 2, 8, 8, generator=DRAW)
WORDS = torch.randint(0, 11, (6, 7), generator=DRAW)


def mlp() -> nn.Module:
    hidden = nn.Sequential(nn.Linear(8, 8), nn.PReLU(8))
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(inplace=True), hidden, nn.Linear(8, 3))


def cnn() -> nn.Module:
    first = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
    second = (nn.Conv2d(4, 6, 3, groups=2, bias=False), nn.GroupNorm(2, 6), nn.GELU(), nn.AdaptiveAvgPool2d(1))
    return nn.Sequential(first, *second, nn.Flatten(), nn.Linear(6, 3))


def embedding() -> nn.Module:
    words = (nn.Embedding(11, 8), nn.LayerNorm(8), nn.Linear(8, 4), nn.RMSNorm(4), nn.Tanh())
    return nn.Sequential(*words, nn.Flatten(), nn.Linear(28, 3))


def waves() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.SiLU(), nn.AvgPool1d(2), nn.Flatten(), nn.Linear(12, 3)
    )


class Residual(nn.Module):
    """h + W·relu(h): a link around a layer, with dropout."""

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        self.first, self.norm, self.second = nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 8)
        self.dropout, self.output = nn.Dropout(rate), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        return self.output(h + self.dropout(torch.relu(self.second(self.norm(h)))))


class ResidualImages(nn.Module):
    """A residual block of convolutions with batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.second, self.output = nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.norm(self.first(x)))
        return self.output((h + self.second(h)).mean((2, 3)))


class Encoder(nn.Module):
    """A transformer's encoder layer over words."""

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        self.words, self.output = nn.Embedding(11, 8), nn.Linear(8, 3)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, rate, batch_first=True)

    def forward(self, words: Tensor) -> Tensor:
        return self.output(self.layer(self.words(words)).mean(1))


class Recurrent(nn.Module):
    """An LSTM over words, whose last state is read out."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.lstm, self.output = nn.Embedding(11, 8), nn.LSTM(8, 9, batch_first=True), nn.Linear(9, 3)

    def forward(self, words: Tensor) -> Tensor:
        return self.output(self.lstm(self.words(words))[0][:, -1])


class Branching(nn.Module):
    """Which weights are used depends on the numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.plus, self.minus = nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.plus(x) if x.sum() > 0 else self.minus(x)


class Tied(nn.Module):
    """One table for words and outputs; a frozen layer; a parameter without use; a column of outputs without axis."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.back = nn.Embedding(11, 6), nn.Linear(6, 11, bias=False)
        self.back.weight = self.words.weight
        self.frozen, self.spare = nn.Linear(6, 6).requires_grad_(False), nn.Parameter(torch.ones(2))

    def forward(self, words: Tensor) -> Tensor:
        return self.back(torch.tanh(self.frozen(self.words(words).mean(1)))).mean(1)


MODULES: dict[str, tuple[Make, Tensor, str]] = {
    "mlp": (mlp, ROWS, "batched"),
    "mlp with dropout": (
        lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3)),
        ROWS,
        "batched",
    ),
    "cnn": (cnn, IMAGES, "batched"),
    "waves": (waves, IMAGES.flatten(2)[:, :, :8], "batched"),
    "embedding": (embedding, WORDS, "batched"),
    "residual": (Residual, ROWS, "vmap"),
    "residual with dropout": (lambda: Residual(0.4), ROWS, "vmap"),
    "residual images": (ResidualImages, IMAGES, "loop"),
    "encoder": (Encoder, WORDS, "vmap"),
    "encoder with dropout": (lambda: Encoder(0.2), WORDS, "loop"),
    "recurrent": (Recurrent, WORDS, "loop"),
    "branching": (Branching, ROWS, "loop"),
    "tied": (Tied, WORDS, "vmap"),
}
ALL_WAYS = {  # of the modules above, those that more than one way can compute
    "mlp": ("batched", "vmap"),
    "mlp with dropout": ("batched", "vmap"),
    "cnn": ("batched", "vmap"),
    "waves": ("batched", "vmap"),
    "embedding": ("batched", "vmap"),
    "residual": ("vmap",),
    "residual with dropout": ("vmap",),
    "residual images": ("vmap",),
    "encoder": ("vmap",),
    "tied": ("vmap",),
}
