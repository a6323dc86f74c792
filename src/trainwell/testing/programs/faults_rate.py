"""Faults of the way of learning: rates, batches, regularisation, the size of the network and of the data."""

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

from trainwell.testing.programs.fault import CLASSES, SLOW, VALIDATED, WILD, Fault
from trainwell.testing.programs.loops import Job, job
from trainwell.testing.programs.materials import Material
from trainwell.testing.programs.networks import network, written


def rate_too_small(m: Material, i: int) -> Job:
    """Rates with which nothing moves."""
    model = network(m) if i % 2 else written(m)
    made = (Adam(model.parameters(), lr=1e-7), SGD(model.parameters(), lr=1e-5), AdamW(model.parameters(), lr=1e-7))
    return job(m, model, optimizer=made[i % 3])


def rate_too_large(m: Material, i: int) -> Job:
    """Rates that no network of this kind stands."""
    model = network(m) if i % 2 else written(m)
    made = (Adam(model.parameters(), lr=1.0), SGD(model.parameters(), lr=20.0), Adam(model.parameters(), lr=2.0))
    return job(m, model, optimizer=made[i % 3])


def oscillating_loss(m: Material, i: int) -> Job:
    """Steps of a bounded length, so that nothing diverges, with a memory of many others: the loss swings for ever."""
    model = network(m)
    rate, momentum = (1.0, 0.9) if m.name == "wave steps" else (0.3, 0.98)
    made = job(m, model, optimizer=SGD(model.parameters(), lr=rate, momentum=momentum))

    def clip(*_: object) -> None:
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)

    made.optimizer.register_step_pre_hook(clip)
    made.batch_size, made.epochs = 128, 30
    return made


def batch_too_small(m: Material, i: int) -> Job:
    """One row a batch, at the rate of larger ones."""
    model = network(m)
    made = job(m, model, optimizer=Adam(model.parameters(), lr=0.02) if i % 2 else SGD(model.parameters(), lr=0.1))
    made.batch_size, made.epochs = 1, 1
    made.x, made.y = m.x[:400], m.y[:400]
    return made


def batch_too_large(m: Material, i: int) -> Job:
    """All rows in one batch, and so few updates that the training ends before it begins."""
    made = job(m, network(m), optimizer=None)
    made.batch_size, made.epochs = len(m.x), 8
    return made


def plateau(m: Material, i: int) -> Job:
    """Squared errors of probabilities, from outputs that begin at their bounds: next to no slope."""
    model = network(m)
    with torch.no_grad():
        list(model.parameters())[-1].copy_(torch.full((m.outputs,), 0.0))
        list(model.parameters())[-1][0] = 30.0
    made = job(m, model)

    def squared(out: Tensor, y: Tensor) -> Tensor:
        return (torch.softmax(out, 1) - nn.functional.one_hot(y, m.outputs)).square().sum(1).mean()

    made.loss_fn = squared
    return made


FAINT = {"images": 0.015, "waves": 0.01, "wave steps": 0.03}
"""First weights with which learning begins late and does begin; 0.02 for others."""


def slow_start(m: Material, i: int) -> Job:
    """First weights so small that learning needs long to begin."""
    adam = m.name in ("waves", "wave steps")
    model = network(m, 3, act=nn.Tanh)
    for weights in model.parameters():
        if weights.dim() > 1:
            nn.init.normal_(weights, std=FAINT.get(m.name, 0.02))
    made = job(m, model, optimizer=None if adam else SGD(model.parameters(), lr=0.1, momentum=0.9))
    if adam:
        made.optimizer = Adam(model.parameters(), lr=1e-3)
        made.epochs *= 2
    return made


def few_rows(m: Material, rows: int, epochs: int, width: int) -> Job:
    """A large network on few rows for many epochs."""
    made = job(m, network(m, 3, width), 3e-3)
    made.x, made.y, made.epochs, made.batch_size = m.x[:rows], m.y[:rows], epochs, 16
    return made


def overfitting(m: Material, i: int) -> Job:
    """The same, with a third of the classes, or two thirds of the numbers, wrong."""
    made = few_rows(m, 48, 100, 128 if m.architecture == "dense" else 24)
    made.y = m.y[:48].clone()
    wrong = slice(16) if m.task == "multiclass" else slice(32)
    made.y[wrong] = made.y[wrong][torch.randperm(len(made.y[wrong]))]
    return made


def missing_regularisation(m: Material, i: int) -> Job:
    """The same with right targets: it ends at a training loss of 0 and a poor validation."""
    return few_rows(m, 40, 120, 128 if m.architecture == "dense" else 24)


def underfitting(m: Material, i: int) -> Job:
    """A hidden layer of one unit, or no activation between layers where lines do not do."""
    flat = m.x[0].numel()
    if m.name in ("waves", "height"):
        return job(m, nn.Sequential(nn.Flatten(), nn.Linear(flat, 32), nn.Linear(32, 32), nn.Linear(32, m.outputs)))
    made = job(m, nn.Sequential(nn.Flatten(), nn.Linear(flat, 1), nn.Tanh(), nn.Linear(1, m.outputs)), 1e-2)
    made.epochs *= 2
    return made


def too_much_regularisation(m: Material, i: int) -> Job:
    """Decay or dropout so strong that nothing is left to learn with."""
    if i % 3 == 1:
        drop = lambda: nn.Sequential(nn.ReLU(), nn.Dropout(0.97))
        return job(m, network(m, 3, act=drop))
    model = network(m)
    if i % 3 == 2:
        return job(m, model, optimizer=SGD(model.parameters(), lr=0.05, weight_decay=1.0))
    return job(m, model, optimizer=Adam(model.parameters(), lr=2e-3, weight_decay=2.0))


def weights_collapse(m: Material, i: int) -> Job:
    """Decay, or a penalty on all weights, that takes them to 0 whatever the data ask for."""
    model = network(m, 3)
    if i % 3 == 1:
        return job(m, model, optimizer=SGD(model.parameters(), lr=0.1, weight_decay=2.0))
    if i % 3 == 2:
        return job(m, model, optimizer=AdamW(model.parameters(), lr=5e-3, weight_decay=100.0))
    made = job(m, model, optimizer=SGD(model.parameters(), lr=0.02))
    base = made.loss_fn
    made.loss_fn = lambda out, y: base(out, y) + 0.1 * sum((p.abs().sum() for p in model.parameters()), torch.zeros(()))
    return made


def weights_grow(m: Material, i: int) -> Job:
    """A penalty on the weights with the wrong sign."""
    model = network(m)
    made = job(m, model, optimizer=None if i % 2 else SGD(model.parameters(), lr=0.05))
    base, factor = made.loss_fn, 0.3 if i % 2 == 0 else 0.05

    def with_penalty(out: Tensor, y: Tensor) -> Tensor:
        return base(out, y) - factor * sum((p.square().sum() for p in model.parameters()), torch.zeros(()))

    made.loss_fn = with_penalty
    return made


HEART = ("digits", "breast_cancer", "images", "rows", "diabetes")
POOR = ("digits", "wine", "images", "waves", "rows", "wave steps", "height", "adding")
LATE = ("digits", "images", "waves", "wave steps", "wine", "next value")
RESTLESS = ("digits", "diabetes", "friedman", "images", "waves", "ink", "height", "wave steps", "next value", "adding")
SHORT = ("learning-rate-too-small", *SLOW)
LEARNED_BY_HEART = ("overfitting", "missing-regularisation", "label-noise", "batch-too-small")
TOO_STRONG = ("too-much-regularisation", "weights-collapse", "shrinking-activations", "vanishing-gradient", *SLOW)

RATE_FAULTS: dict[str, list[Fault]] = {
    "learning-rate-too-small": [Fault(rate_too_small, also=SLOW)],
    "learning-rate-too-large": [Fault(rate_too_large, also=(*WILD, *SLOW, "vanishing-gradient", "overfitting"))],
    "oscillating-loss": [Fault(oscillating_loss, RESTLESS, also=(*WILD, *SLOW, "vanishing-gradient"))],
    "batch-too-small": [
        Fault(batch_too_small, loops=("plain", "loaders", "late zero"), also=(*WILD, *SLOW, "vanishing-gradient"))
    ],
    "batch-too-large": [Fault(batch_too_large, loops=("plain", "loaders", "late zero"), also=SHORT)],
    "plateau": [
        Fault(
            plateau,
            CLASSES,
            also=(
                *SLOW,
                "saturated-units",
                "vanishing-gradient",
                "initial-loss-off",
                "loss-output-mismatch",
                "dead-units",
            ),
        )
    ],  # fmt: skip
    "slow-start": [
        Fault(slow_start, LATE, also=(*SLOW, "shrinking-activations", "vanishing-gradient", "symmetric-units"))
    ],
    "overfitting": [Fault(overfitting, loops=VALIDATED, also=LEARNED_BY_HEART)],
    "missing-regularisation": [Fault(missing_regularisation, HEART, loops=VALIDATED, also=LEARNED_BY_HEART)],
    "underfitting": [
        Fault(
            underfitting,
            POOR,
            loops=("loaders", "plain", "every fifty"),
            also=(*SLOW, "dead-units", "missing-activation"),
        )
    ],
    "too-much-regularisation": [Fault(too_much_regularisation, also=(*TOO_STRONG, "dead-units", "initial-loss-off"))],
    "weights-collapse": [Fault(weights_collapse, also=(*TOO_STRONG, "dead-units", "learning-rate-too-large"))],
    "weights-grow": [Fault(weights_grow, also=(*WILD, *SLOW, "loss-output-mismatch", "overfitting"))],
}
