"""The networks of the healthy programs: norms, dropout, residual links, attention, recurrent layers of all kinds."""

import torch
from torch import Tensor, nn

from trainwell.testing.programs.networks import Activation


def dense_with(
    sizes: tuple[int, ...], act: Activation = nn.ReLU, norm: str = "", dropout: float = 0.0, bias: bool = True
) -> nn.Sequential:
    """Linear → norm → activation → dropout between these sizes; the last is linear."""
    norms: dict[str, Activation] = {
        "batch": lambda: nn.BatchNorm1d(size),
        "layer": lambda: nn.LayerNorm(size),
        "group": lambda: nn.GroupNorm(4, size),
    }
    layers: list[nn.Module] = []
    for before, size in zip(sizes, sizes[1:-1], strict=False):
        layers.append(nn.Linear(before, size, bias=bias))
        if norm:
            layers.append(norms[norm]())
        layers.append(act())
        if dropout:
            layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


def images_with(
    outputs: int, act: Activation = nn.ReLU, norm: str = "", dropout: float = 0.0, size: int = 8
) -> nn.Sequential:
    """Two convolutions with pooling over 8 × 8 images."""
    norms: dict[str, Activation] = {
        "": nn.Identity,
        "batch": lambda: nn.BatchNorm2d(channels),
        "group": lambda: nn.GroupNorm(2, channels),
    }
    layers: list[nn.Module] = []
    for before, channels in ((1, size), (size, 2 * size)):
        layers += [nn.Conv2d(before, channels, 3, padding=1, bias=not norm), norms[norm](), act(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(dropout), nn.Linear(8 * size, outputs))


def waves_with(outputs: int, act: Activation = nn.ReLU, batch_norm: bool = False, size: int = 12) -> nn.Module:
    """Strided convolutions over (B, 1, 20) and a mean over the steps."""
    return nn.Sequential(
        nn.Conv1d(1, size, 5, stride=2, padding=2),
        nn.BatchNorm1d(size) if batch_norm else nn.Identity(),
        act(),
        nn.Conv1d(size, size, 5, stride=2, padding=2),
        act(),
        nn.Flatten(),
        nn.Linear(5 * size, outputs),
    )


class Residual(nn.Module):
    """x + f(norm(x))."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


def residual_dense(inputs: int, outputs: int, blocks: int, width: int = 32) -> nn.Sequential:
    """Blocks of norm, linear, ReLU, linear with a link around them."""
    inner = lambda: nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
    return nn.Sequential(
        nn.Linear(inputs, width), *(Residual(inner()) for _ in range(blocks)), nn.LayerNorm(width),
        nn.Linear(width, outputs),
    )  # fmt: skip


class ResNet(nn.Module):
    """Two residual blocks with batch norm over 8 × 8 images, and a mean over the places."""

    def __init__(self, outputs: int, channels: int = 12) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU())
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(),
                nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels),
            )
            for _ in range(2)
        )  # fmt: skip
        self.fc = nn.Linear(4 * channels, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = torch.relu(x + block(x))
        return self.fc(nn.functional.adaptive_avg_pool2d(x, 2).flatten(1))


class Sequence(nn.Module):
    """A recurrent layer of any kind, both ways or one, and the mean or last of its steps."""

    def __init__(
        self, inputs: int, outputs: int, kind: str, hidden: int = 24, layers: int = 1, both: bool = False,
        mean: bool = False, dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        made = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[kind]
        self.rnn = made(inputs, hidden, num_layers=layers, batch_first=True, bidirectional=both, dropout=dropout)
        self.mean = mean
        self.out = nn.Linear(hidden * (1 + both), outputs)

    def forward(self, x: Tensor) -> Tensor:
        h = self.rnn(x)[0]
        return self.out(h.mean(1) if self.mean else h[:, -1])


class Encoder(nn.Module):
    """A transformer encoder over (B, T, D) with learned places."""

    def __init__(
        self, inputs: int, outputs: int, steps: int, layers: int = 1, width: int = 24, first: bool = True
    ) -> None:
        super().__init__()
        self.lift = nn.Linear(inputs, width)
        self.places = nn.Parameter(0.02 * torch.randn(steps, width))
        layer = nn.TransformerEncoderLayer(
            width, 4, dim_feedforward=2 * width, dropout=0.1, batch_first=True, norm_first=first
        )
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.out = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.encoder(self.lift(x) + self.places).mean(1))


class Attention(nn.Module):
    """A recurrent layer whose steps are weighed by attention."""

    def __init__(self, inputs: int, outputs: int, hidden: int = 24) -> None:
        super().__init__()
        self.gru = nn.GRU(inputs, hidden, batch_first=True)
        self.score = nn.Linear(hidden, 1)
        self.out = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        h, _ = self.gru(x)
        weights = torch.softmax(self.score(torch.tanh(h)), dim=1)
        return self.out((weights * h).sum(1))


class Gated(nn.Module):
    """Highway layers (Srivastava et al. 2015)."""

    def __init__(self, inputs: int, outputs: int, layers: int = 3, width: int = 32) -> None:
        super().__init__()
        self.lift = nn.Linear(inputs, width)
        self.change = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.gate = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.out = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.lift(x))
        for change, gate in zip(self.change, self.gate, strict=True):
            g = torch.sigmoid(gate(x))
            x = g * torch.relu(change(x)) + (1 - g) * x
        return self.out(x)
