"""The networks of the programs, written as people write them: sequences of layers, and modules with a forward."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.testing.programs.materials import Material

Activation = Callable[[], nn.Module]


class Net(nn.Module):
    """Two hidden layers."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(inputs, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.fc3 = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


class ConvNet(nn.Module):
    """Two convolutions with pooling over 8 × 8 images, then two linear layers."""

    def __init__(self, outputs: int, channels: int = 8, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, 2 * channels, 3, padding=1)
        self.pool = nn.MaxPool2d(2, 2)
        self.dropout = nn.Dropout(dropout)
        self.fc1 = nn.Linear(2 * channels * 4, 32)
        self.fc2 = nn.Linear(32, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = torch.flatten(x, 1)
        x = self.dropout(F.relu(self.fc1(x)))
        return self.fc2(x)


class Recurrent(nn.Module):
    """A recurrent layer, and a head on its last step."""

    def __init__(self, inputs: int, outputs: int, hidden: int = 24, kind: str = "lstm", layers: int = 1) -> None:
        super().__init__()
        made = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[kind]
        self.rnn = made(inputs, hidden, num_layers=layers, batch_first=True)
        self.fc = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        out, _ = self.rnn(x)
        return self.fc(out[:, -1, :])


class RecurrentHead(nn.Module):
    """A recurrent layer, and whatever follows its last step."""

    def __init__(self, inputs: int, head: nn.Module, hidden: int = 24, kind: str = "gru") -> None:
        super().__init__()
        made = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[kind]
        self.encoder = made(inputs, hidden, batch_first=True)
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x)[0][:, -1])


def dense(inputs: int, outputs: int, depth: int = 2, width: int = 32, act: Activation = nn.ReLU) -> nn.Sequential:
    """`depth` hidden layers and a linear output."""
    layers: list[nn.Module] = []
    for i in range(depth):
        layers += [nn.Linear(inputs if i == 0 else width, width), act()]
    return nn.Sequential(*layers, nn.Linear(width if depth else inputs, outputs))


def head(outputs: int, depth: int = 1, act: Activation = nn.ReLU, hidden: int = 24) -> nn.Sequential:
    """What follows a recurrent layer of 24 units."""
    return dense(hidden, outputs, depth, 24, act)


def convolutional(m: Material, depth: int = 2, width: int = 8, act: Activation = nn.ReLU) -> nn.Sequential:
    """`depth` convolutions that keep the size, a pooling, and a linear output."""
    flat = m.x.dim() == 4
    conv = nn.Conv2d if flat else nn.Conv1d
    layers: list[nn.Module] = []
    for i in range(depth):
        layers += [conv(m.inputs if i == 0 else width, width, 3, padding=1), act()]
    pooled = width * (16 if flat else 10)
    pool = nn.MaxPool2d(2) if flat else nn.MaxPool1d(2)
    return nn.Sequential(*layers, pool, nn.Flatten(), nn.Linear(pooled, m.outputs))


def network(m: Material, depth: int = 2, width: int = 0, act: Activation = nn.ReLU) -> nn.Module:
    """Layers for this material; for sequences a recurrent layer with `depth` - 1 hidden layers behind it."""
    if m.architecture == "dense":
        return dense(m.inputs, m.outputs, depth, width or 32, act)
    if m.architecture == "convolutional":
        return convolutional(m, depth, width or 8, act)
    return RecurrentHead(m.inputs, head(m.outputs, depth - 1, act))


def written(m: Material) -> nn.Module:
    """A module with a forward of its own for this material."""
    if m.architecture == "dense":
        return Net(m.inputs, 32, m.outputs)
    if m.architecture == "convolutional":
        return ConvNet(m.outputs) if m.x.dim() == 4 else convolutional(m)
    return Recurrent(m.inputs, m.outputs)


def linears(model: nn.Module) -> list[nn.Module]:
    """All layers with a weight matrix or kernel, in order."""
    return [layer for layer in model.modules() if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d)]


def last_linear(model: nn.Module) -> nn.Linear:
    """The output layer."""
    return [layer for layer in model.modules() if isinstance(layer, nn.Linear)][-1]
