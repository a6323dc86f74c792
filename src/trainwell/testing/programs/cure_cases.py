"""The table of sick trainings and their known fixes."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Adam, AdamW, Optimizer

from trainwell.testing.programs.cures import CureCase, Rows, Training, pair
from trainwell.testing.programs.healthy_networks import dense_with
from trainwell.testing.programs.materials import material
from trainwell.testing.programs.networks import (
    ConvNet,
    Net,
    Recurrent,
    RecurrentHead,
    convolutional,
    dense,
    head,
    linears,
    network,
)

Make = Callable[[], nn.Module]
CE, MSE = nn.CrossEntropyLoss(), nn.MSELoss()


def by(rule: Callable[..., Optimizer], **settings: Any) -> Callable[[Any], Optimizer]:
    """A maker of optimizers."""
    return lambda parameters: rule(parameters, **settings)


def then(make: Make, change: Callable[[nn.Module], Any]) -> Make:
    """The module, changed after it was made."""

    def made() -> nn.Module:
        model = make()
        with torch.no_grad():
            change(model)
        return model

    return made


def ended(make: Make, end: Make) -> Make:
    """The module, with something after its output."""
    return lambda: nn.Sequential(make(), end())


def fill(value: float) -> Callable[[nn.Module], None]:
    """All weights alike."""

    def change(model: nn.Module) -> None:
        for weights in model.parameters():
            weights.fill_(value if weights.dim() > 1 else 0.0)

    return change


def gain(factor: float) -> Callable[[nn.Module], None]:
    """Weights of this many times √(2/fan-in)."""

    def change(model: nn.Module) -> None:
        for layer in linears(model):
            weights = layer.get_parameter("weight")
            weights.normal_(std=factor * sqrt(2 / weights[0].numel()))

    return change


def low_biases(model: nn.Module) -> None:
    """Hidden biases at -10."""
    for layer in linears(model)[:-1]:
        layer.get_parameter("bias").fill_(-10.0)


def freeze(model: nn.Module) -> None:
    """All but the last layer."""
    for weights in list(model.parameters())[:-2]:
        weights.requires_grad_(False)


def columns(rows: Rows) -> Rows:
    """Columns of very different size."""
    return (rows[0] + 2) * torch.logspace(0, 3, rows[0].shape[1]), rows[1]


def grey(rows: Rows) -> Rows:
    """Grey values up to 255."""
    return (rows[0] + 0.81) * 96, rows[1]


def readings(rows: Rows) -> Rows:
    """Readings in the thousands."""
    return 200 * rows[0] + 3000, rows[1]


def amounts(rows: Rows) -> Rows:
    """Numbers to predict in the hundreds."""
    return rows[0], 80 * rows[1] + 400


def wrong_side(rows: Rows) -> Rows:
    """Targets divided by a thousand, inputs as they come."""
    return columns(rows)[0], rows[1] / 1000


def flat_targets(rows: Rows) -> Rows:
    """Targets (B,) instead of (B, 1)."""
    return rows[0], rows[1].squeeze(1)


def zero_or_one(rows: Rows) -> Rows:
    """Targets (B, 1) of 0 and 1."""
    return rows[0], rows[1].clamp(max=1).float().unsqueeze(1)


def log_loss(out: Tensor, y: Tensor) -> Tensor:
    """A cross-entropy by hand, of a low temperature: 0 · log 0 where the network is sure."""
    p, hit = torch.softmax(200 * out, 1), F.one_hot(y, out.shape[1])
    return -(hit * torch.log(p) + (1 - hit) * torch.log(1 - p)).sum(1).mean()


mlp = lambda: dense(64, 10)
conv = lambda: ConvNet(10)
lstm = lambda: Recurrent(8, 10)
reg = lambda: Net(10, 32, 1)
DIGITS = Training(mlp, CE, by(Adam, lr=2e-3))
DEEP = Training(lambda: dense(64, 10, 4), CE, by(Adam, lr=3e-3), epochs=4)
IMAGES = Training(conv, CE, by(Adam, lr=3e-3), epochs=8)
ROWS = Training(lstm, CE, by(Adam, lr=1e-2), epochs=10)
CANCER = Training(lambda: Net(30, 16, 2), CE, by(Adam, lr=2e-3))
FRIEDMAN = Training(reg, MSE, by(Adam, lr=3e-3), epochs=15)
INK = Training(lambda: ConvNet(1), MSE, by(Adam, lr=2e-3), epochs=8)
ADDING = Training(lambda: Recurrent(2, 1, kind="gru"), MSE, by(Adam, lr=1e-2), epochs=10)
WAVES = Training(lambda: convolutional(material("waves")), CE, by(Adam, lr=3e-3))
NEXT = Training(lambda: Recurrent(1, 1, kind="gru"), MSE, by(Adam, lr=5e-3), epochs=8)
BINARY = Training(lambda: dense(30, 1), nn.BCEWithLogitsLoss(), by(Adam, lr=2e-3), view=zero_or_one)


def deep(act: Make, gains: float = 0.0, layers: int = 8) -> Make:
    """A deep stack of narrow layers."""
    make = lambda: dense(64, 10, layers, act=act)
    return then(make, gain(gains)) if gains else make


def lines(outputs: int) -> Make:
    """Three linear layers on 20 steps, with nothing between them."""
    return lambda: nn.Sequential(nn.Flatten(), nn.Linear(20, 64), nn.Linear(64, 64), nn.Linear(64, outputs))


SICK_CASES = (
    pair("rate 20", "digits", DIGITS, make_optimizer=by(SGD, lr=20.0)),
    pair("rate 3", "images", IMAGES, make_optimizer=by(Adam, lr=3.0)),
    pair("rate 1, LSTM", "rows", ROWS, make_optimizer=by(Adam, lr=1.0)),
    pair("rate 1e-5, images", "images", IMAGES, make_optimizer=by(Adam, lr=1e-5)),
    pair("rate 1e-6, regression", "friedman", FRIEDMAN, make_optimizer=by(Adam, lr=1e-6)),
    pair("rate 1e-4 of SGD, LSTM", "rows", ROWS, make_optimizer=by(SGD, lr=1e-4)),
    pair("one row a batch", "digits", DIGITS, make_optimizer=by(SGD, lr=0.2), batch_size=1, epochs=1),
    pair("all rows a batch", "images", IMAGES, batch_size=1000),
    pair("one epoch", "digits", Training(mlp, CE, by(SGD, lr=0.05), epochs=15), epochs=1),
    pair("one epoch, sequences", "adding", ADDING, epochs=1),
    pair("no activations", "height", Training(lambda: network(material("height")), MSE, by(Adam, lr=2e-3), 15),
         make_model=lines(1)),
    pair("no activations, classes", "waves", WAVES, make_model=lines(3)),
    pair("zeros", "digits", DIGITS, make_model=then(mlp, fill(0.0))),
    pair("ones", "images", IMAGES, make_model=then(conv, fill(1.0))),
    pair("constant weights, LSTM", "rows", ROWS, make_model=then(lstm, fill(0.1))),
    pair("decay 2", "friedman", FRIEDMAN, make_optimizer=by(Adam, lr=3e-3, weight_decay=2.0)),
    pair("decay 1, images", "images", IMAGES, make_optimizer=by(SGD, lr=0.05, weight_decay=1.0)),
    pair("decay 20, GRU", "next value", NEXT, make_optimizer=by(AdamW, lr=5e-3, weight_decay=20.0)),
    pair("dropout 0.97", "digits", DIGITS, make_model=lambda: dense_with((64, 32, 32, 10), dropout=0.97)),
    pair("frozen by mistake", "digits", DIGITS, make_model=then(lambda: dense(64, 10, 3, 16), freeze)),
    pair("frozen convolutions", "ink", INK, make_model=then(lambda: ConvNet(1, 4), freeze)),
    pair("softmax twice", "digits", DEEP, make_model=ended(DEEP.make_model, lambda: nn.Softmax(dim=1))),
    pair("softmax twice, images", "images", replace(IMAGES, epochs=5),
         make_model=ended(conv, lambda: nn.Softmax(dim=1))),
    pair("sigmoid before logits", "rows", replace(ROWS, epochs=4), make_model=ended(lstm, nn.Sigmoid)),
    pair("1-unit softmax", "breast_cancer", BINARY, loss_fn=nn.BCELoss(),
         make_model=ended(lambda: dense(30, 1), lambda: nn.Softmax(dim=1))),
    pair("ReLU output", "friedman", FRIEDMAN, make_model=ended(reg, nn.ReLU)),
    pair("sigmoid output", "ink", INK, make_model=ended(lambda: ConvNet(1), nn.Sigmoid)),
    pair("tanh output", "adding", ADDING, make_model=ended(lambda: Recurrent(2, 1, kind="gru"), nn.Tanh)),
    pair("ReLU before cross-entropy", "images", IMAGES, make_model=ended(conv, nn.ReLU)),
    pair("NLL of logits", "digits", DIGITS, loss_fn=nn.NLLLoss()),
    pair("NLL of logits, LSTM", "rows", ROWS, loss_fn=F.nll_loss),
    pair("log 0", "digits", DIGITS, loss_fn=log_loss),
    pair("inputs as they come", "breast_cancer", CANCER, view=columns, make_optimizer=by(SGD, lr=0.01)),
    pair("inputs as they come, regression", "friedman", FRIEDMAN, view=columns),
    pair("grey values", "images", IMAGES, view=grey, make_optimizer=by(SGD, lr=0.05)),
    pair("readings", "wave steps", Training(lambda: Recurrent(1, 3, kind="gru"), CE, by(Adam, lr=1e-2), 8),
         view=readings),
    pair("targets in the hundreds", "friedman", FRIEDMAN, view=amounts),
    pair("targets in the hundreds, GRU", "next value", NEXT, view=amounts),
    pair("the wrong side scaled", "friedman", FRIEDMAN, view=wrong_side),
    pair("(B,) against (B, 1)", "friedman", FRIEDMAN, view=flat_targets),
    pair("(B,) against (B, 1), images", "ink", INK, view=flat_targets),
    pair("dead units", "digits", DIGITS, make_model=then(mlp, low_biases)),
    pair("dead units, images", "images", IMAGES, make_model=then(conv, low_biases)),
    pair("sigmoid stack", "digits", DIGITS, make_model=deep(nn.Sigmoid)),
    pair("sigmoid stack behind a GRU", "rows", ROWS,
         make_model=lambda: RecurrentHead(8, head(10, 7, nn.Sigmoid))),
    pair("tiny weights", "digits", DIGITS, make_model=deep(nn.Tanh, 0.05), make_optimizer=by(SGD, lr=0.05)),
    pair("huge weights", "digits", DIGITS, make_model=deep(nn.ReLU, 3.0, 6)),
    pair("huge weights, images", "images", IMAGES, make_model=then(conv, gain(6.0))),
    pair("saturated", "digits", DIGITS, make_model=then(partial(dense, 64, 10, act=nn.Tanh), gain(20.0))),
    pair("one unit", "friedman", FRIEDMAN, make_model=lambda: dense(10, 1, 2, 1)),
)  # fmt: skip

HEALTHY_CASES = tuple(
    CureCase(f"healthy, {data}", data, training, None)
    for data, training in (
        ("digits", DIGITS), ("images", IMAGES), ("friedman", FRIEDMAN), ("rows", ROWS), ("breast_cancer", CANCER),
    )
)  # fmt: skip
CASES = (*SICK_CASES, *HEALTHY_CASES)
