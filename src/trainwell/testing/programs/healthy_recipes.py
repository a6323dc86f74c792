"""Healthy trainings of one module with one optimizer, in as many recipes as practitioners use: no two alike."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn, optim

from trainwell.testing.programs.healthy_networks import (
    Attention,
    Encoder,
    Gated,
    ResNet,
    Sequence,
    dense_with,
    images_with,
    residual_dense,
    waves_with,
)  # fmt: skip
from trainwell.testing.programs.loops import LOOPS, Job, checked, job, watched
from trainwell.testing.programs.materials import SOURCES, material
from trainwell.testing.programs.networks import ConvNet, Net, Recurrent
from trainwell.testing.programs.program import Ended, Program

SGD, ADAM, ADAMW = optim.SGD, optim.Adam, optim.AdamW
MOMENTUM = partial(optim.SGD, momentum=0.9)
NESTEROV = partial(optim.SGD, momentum=0.9, nesterov=True)


@dataclass(frozen=True)
class Recipe:
    """One training: what it learns, with which module, update rule, rate, loop, epochs and size of a batch."""

    data: str
    model: Callable[[], nn.Module]
    rule: Callable[..., optim.Optimizer]
    rate: float
    loop: str
    epochs: int
    batch_size: int = 32
    loss: Callable[[], nn.Module] | None = None

    def made(self) -> Job:
        """Ready to train."""
        m = material(self.data)
        made = job(m, model := self.model(), optimizer=self.rule(model.parameters(), lr=self.rate))
        made.epochs, made.batch_size = self.epochs, self.batch_size
        if self.loss is not None:
            made.loss_fn = self.loss()
        return made

    def watched(self, _seed: int) -> Ended:
        """Trained in its loop."""
        return watched(self.made(), LOOPS[self.loop])

    def checked(self, _seed: int) -> Ended:
        """A batch of it before the training."""
        return checked(self.made())


def mlp(*sizes: int, **options: Any) -> Callable[[], nn.Module]:
    """See `dense_with`."""
    return lambda: dense_with(sizes, **options)


def cnn(outputs: int = 10, **options: Any) -> Callable[[], nn.Module]:
    """See `images_with`."""
    return lambda: images_with(outputs, **options)


def seq(inputs: int, outputs: int, kind: str, **options: Any) -> Callable[[], nn.Module]:
    """See `Sequence`."""
    return lambda: Sequence(inputs, outputs, kind, **options)


GELU, SILU, TANH, ELU, SELU, LEAKY, SIGMOID = nn.GELU, nn.SiLU, nn.Tanh, nn.ELU, nn.SELU, nn.LeakyReLU, nn.Sigmoid
SMOOTH = partial(nn.CrossEntropyLoss, label_smoothing=0.1)
RMS, NADAM, ADAGRAD, RADAM = optim.RMSprop, optim.NAdam, optim.Adagrad, optim.RAdam
DECAYED, LIGHT = partial(ADAMW, weight_decay=0.05), partial(ADAM, weight_decay=1e-4)

RECIPES = (
    Recipe("digits", lambda: Net(64, 64, 10), SGD, 0.1, "plain", 15),
    Recipe("digits", mlp(64, 64, 32, 10), MOMENTUM, 0.02, "loaders", 10),
    Recipe("digits", mlp(64, 128, 10), ADAM, 1e-3, "late zero", 10, 64),
    Recipe("digits", mlp(64, 48, 48, 48, 10, norm="batch"), ADAM, 3e-3, "loaders", 8, 64),
    Recipe("digits", mlp(64, 64, 64, 10, norm="layer"), ADAMW, 2e-3, "plain", 8),
    Recipe("digits", mlp(64, 64, 10, act=TANH), NESTEROV, 0.03, "drawn", 10),
    Recipe("digits", mlp(64, 64, 10, act=SIGMOID), ADAM, 1e-2, "every fifty", 10),
    Recipe("digits", mlp(64, 64, 64, 10, act=GELU, dropout=0.2), ADAMW, 2e-3, "every fifty", 12),
    Recipe("digits", mlp(64, 96, 96, 10, dropout=0.5), ADAM, 2e-3, "loaders", 15),
    Recipe("digits", mlp(64, 48, 48, 10, act=SELU), SGD, 0.03, "plain", 12, 16),
    Recipe("digits", mlp(64, 64, 10, act=LEAKY), RMS, 1e-3, "drawn", 10),
    Recipe("digits", mlp(64, 64, 10, act=ELU), ADAGRAD, 0.03, "loaders", 8),
    Recipe("digits", mlp(64, 40, 40, 10, act=SILU), NADAM, 2e-3, "late zero", 8),
    Recipe("digits", mlp(64, 64, 10), SGD, 0.02, "loaders", 12, 4),
    Recipe("digits", mlp(64, 64, 10), ADAM, 5e-3, "plain", 25, 256),
    Recipe("digits", mlp(64, 10), SGD, 0.1, "plain", 12),
    Recipe("digits", mlp(64, 72, 72, 10), RADAM, 3e-3, "drawn", 12),
    Recipe("digits", lambda: residual_dense(64, 10, 4), ADAM, 1e-3, "loaders", 8),
    Recipe("digits", lambda: Gated(64, 10), ADAM, 3e-3, "plain", 10),
    Recipe("digits", mlp(64, 64, 32, 10, norm="group"), MOMENTUM, 0.02, "every fifty", 10),
    Recipe("digits", mlp(64, 64, 10), ADAM, 2e-3, "loaders", 10, 32, SMOOTH),
    Recipe("digits", mlp(64, 200, 10), SGD, 0.05, "drawn", 15, 16),
    Recipe("breast_cancer", lambda: Net(30, 16, 2), ADAM, 1e-3, "loaders", 12),
    Recipe("breast_cancer", mlp(30, 16, 2), SGD, 0.05, "plain", 15, 16),
    Recipe("breast_cancer", mlp(30, 32, 16, 2, dropout=0.3), ADAM, 2e-3, "late zero", 12),
    Recipe("breast_cancer", mlp(30, 24, 2, act=TANH), MOMENTUM, 0.01, "drawn", 12),
    Recipe("breast_cancer", mlp(30, 24, 2, norm="batch"), ADAMW, 1e-3, "loaders", 10),
    Recipe("breast_cancer", mlp(30, 2), ADAM, 1e-2, "every fifty", 12),
    Recipe("breast_cancer", mlp(30, 20, 20, 2, act=GELU), DECAYED, 1e-3, "plain", 12),
    Recipe("breast_cancer", mlp(30, 16, 2, act=SIGMOID), RMS, 3e-3, "plain", 12),
    Recipe("wine", mlp(13, 16, 3), ADAM, 3e-3, "loaders", 25, 16),
    Recipe("wine", lambda: Net(13, 24, 3), SGD, 0.05, "plain", 30, 16),
    Recipe("wine", mlp(13, 32, 3, act=TANH, dropout=0.1), NADAM, 2e-3, "late zero", 25, 16),
    Recipe("wine", mlp(13, 16, 16, 3, act=ELU), ADAGRAD, 0.02, "drawn", 30, 16),
    Recipe("wine", mlp(13, 3), MOMENTUM, 0.02, "every fifty", 30, 8),
    Recipe("friedman", lambda: Net(10, 32, 1), ADAM, 2e-3, "plain", 20),
    Recipe("friedman", mlp(10, 64, 1), SGD, 0.03, "loaders", 25),
    Recipe("friedman", mlp(10, 32, 32, 1, act=TANH), MOMENTUM, 5e-3, "late zero", 25),
    Recipe("friedman", mlp(10, 64, 32, 1, norm="layer"), ADAMW, 2e-3, "every fifty", 20),
    Recipe("friedman", mlp(10, 48, 48, 1, act=GELU), RMS, 1e-3, "drawn", 20),
    Recipe("friedman", mlp(10, 32, 32, 1, act=SILU), LIGHT, 3e-3, "loaders", 20),
    Recipe("friedman", lambda: residual_dense(10, 1, 2), ADAM, 1e-3, "plain", 20),
    Recipe("friedman", mlp(10, 64, 1), NADAM, 3e-3, "late zero", 25, 64, nn.HuberLoss),
    Recipe("friedman", mlp(10, 64, 64, 1), ADAM, 1e-3, "plain", 25, 16, nn.SmoothL1Loss),
    Recipe("friedman", mlp(10, 64, 32, 1), ADAM, 2e-3, "every fifty", 25, 32, nn.L1Loss),
    Recipe("diabetes", mlp(10, 8, 1), SGD, 0.01, "loaders", 20),
    Recipe("diabetes", mlp(10, 16, 1, act=TANH), DECAYED, 2e-3, "every fifty", 15),
    Recipe("diabetes", mlp(10, 1), SGD, 0.01, "late zero", 20),
    Recipe("diabetes", mlp(10, 16, 1, dropout=0.2), ADAM, 2e-3, "loaders", 15),
    Recipe("diabetes", mlp(10, 16, 8, 1), ADAM, 1e-3, "plain", 15),
    Recipe("images", lambda: ConvNet(10), ADAM, 3e-3, "loaders", 10),
    Recipe("images", cnn(), SGD, 0.05, "plain", 12, 16),
    Recipe("images", cnn(norm="batch"), MOMENTUM, 0.02, "loaders", 6),
    Recipe("images", cnn(norm="group", act=SILU), ADAMW, 3e-3, "every fifty", 8),
    Recipe("images", cnn(dropout=0.4), ADAM, 3e-3, "late zero", 12),
    Recipe("images", cnn(act=LEAKY, size=12), RMS, 1e-3, "drawn", 8),
    Recipe("images", lambda: ResNet(10), ADAM, 3e-3, "loaders", 5),
    Recipe("images", lambda: ResNet(10, 8), NESTEROV, 0.05, "plain", 6),
    Recipe("images", cnn(act=TANH), NADAM, 3e-3, "plain", 8),
    Recipe("images", lambda: ConvNet(10, 12, 0.25), ADAM, 2e-3, "every fifty", 10, 32, SMOOTH),
    Recipe("images", cnn(act=ELU), ADAGRAD, 0.02, "drawn", 8),
    Recipe("ink", cnn(1), ADAM, 2e-3, "plain", 10),
    Recipe("ink", lambda: ConvNet(1), ADAMW, 2e-3, "loaders", 10),
    Recipe("ink", cnn(1, act=TANH), SGD, 0.01, "drawn", 10),
    Recipe("waves", lambda: waves_with(3), ADAM, 3e-3, "plain", 12),
    Recipe("waves", lambda: waves_with(3, batch_norm=True), MOMENTUM, 0.02, "loaders", 10),
    Recipe("waves", lambda: waves_with(3, GELU), ADAMW, 3e-3, "every fifty", 14),
    Recipe("waves", lambda: waves_with(3, TANH), RMS, 2e-3, "late zero", 14),
    Recipe("height", lambda: waves_with(1), ADAM, 2e-3, "loaders", 15),
    Recipe("height", lambda: waves_with(1, ELU), SGD, 0.01, "plain", 20),
    Recipe("rows", lambda: Recurrent(8, 10), ADAM, 1e-2, "loaders", 12),
    Recipe("rows", seq(8, 10, "gru"), ADAM, 5e-3, "plain", 12),
    Recipe("rows", seq(8, 10, "lstm", both=True, mean=True), ADAMW, 1e-2, "every fifty", 10),
    Recipe("rows", seq(8, 10, "gru", layers=2, dropout=0.2), ADAM, 5e-3, "late zero", 10),
    Recipe("rows", seq(8, 10, "rnn", hidden=48), ADAM, 2e-3, "plain", 14),
    Recipe("rows", seq(8, 10, "gru", hidden=32), RMS, 2e-3, "drawn", 10),
    Recipe("rows", lambda: Encoder(8, 10, 8), ADAM, 3e-3, "loaders", 10),
    Recipe("rows", lambda: Encoder(8, 10, 8, layers=2, first=False), ADAMW, 3e-3, "plain", 7),
    Recipe("rows", lambda: Attention(8, 10), ADAM, 1e-2, "every fifty", 12),
    Recipe("wave steps", lambda: Recurrent(1, 3), ADAM, 1e-2, "plain", 14),
    Recipe("wave steps", seq(1, 3, "gru"), ADAM, 1e-2, "loaders", 10),
    Recipe("wave steps", seq(1, 3, "lstm", mean=True, hidden=32), RMS, 3e-3, "late zero", 14),
    Recipe("wave steps", seq(1, 3, "gru", hidden=16, both=True), ADAM, 1e-2, "drawn", 12),
    Recipe("wave steps", lambda: Attention(1, 3), NADAM, 1e-2, "plain", 10),
    Recipe("adding", seq(2, 1, "lstm"), ADAM, 1e-2, "loaders", 20),
    Recipe("adding", seq(2, 1, "gru"), ADAMW, 5e-3, "plain", 20),
    Recipe("adding", seq(2, 1, "gru", mean=True), MOMENTUM, 0.05, "every fifty", 25),
    Recipe("next value", seq(1, 1, "lstm"), ADAM, 1e-2, "plain", 15),
    Recipe("next value", seq(1, 1, "gru", hidden=16), NADAM, 5e-3, "loaders", 15),
    Recipe("next value", seq(1, 1, "rnn"), ADAM, 3e-3, "late zero", 15),
    Recipe("next value", lambda: Encoder(1, 1, 16), ADAMW, 3e-3, "drawn", 20),
)


def recipes() -> list[Program]:
    """Each watched in its loop, and every second one checked as well."""
    programs = []
    for number, recipe in enumerate(RECIPES):
        name = f"healthy recipe {number}, {recipe.data}"
        architecture = SOURCES[recipe.data][1]
        programs.append(Program(name, None, (), recipe.watched, "watch", architecture, recipe.data))
        if number % 2:
            programs.append(Program(f"{name}, check", None, (), recipe.checked, "check", architecture, recipe.data))
    return programs
