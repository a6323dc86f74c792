"""Faults of the data: inputs on no scale, inputs that are constant, targets that are wrong or belong to other rows."""

import torch
from torch import Tensor

from trainwell.testing.programs.fault import ALL, CLASSES, SLOW, VALIDATED, WILD, Fault
from trainwell.testing.programs.loops import Job, job
from trainwell.testing.programs.materials import Material
from trainwell.testing.programs.networks import network, written


def raw(m: Material, x: Tensor) -> Tensor:
    """The inputs as they come: columns of very different size, grey values up to 255, amounts in the hundreds."""
    if m.architecture == "dense":
        draw = torch.Generator().manual_seed(3)
        return (x + 2) * 10 ** (1 + 2 * torch.rand(m.inputs, generator=draw))
    if x.dim() == 4 or m.name == "rows":
        return (x - m.x.min()) * 255 / (m.x.max() - m.x.min())
    return 200 * x + 1000


def unscaled_inputs(m: Material, i: int) -> Job:
    """Inputs fed as they come."""
    model = network(m) if i % 2 else written(m)
    made = job(m, model, optimizer=torch.optim.SGD(model.parameters(), lr=0.01) if i % 3 == 2 else None)
    made.x, made.test_x = raw(m, m.x), raw(m, m.test_x)
    return made


def constant_input(m: Material, i: int) -> Job:
    """Grey values divided as integers, so that all are 0; a loader that gives the same row for ever."""
    made = job(m, network(m))
    if i % 2:
        made.x, made.test_x = m.x[:1].expand_as(m.x), m.test_x[:1].expand_as(m.test_x)
    else:
        made.x, made.test_x = torch.zeros_like(m.x), torch.zeros_like(m.test_x)
    return made


def not_learning(m: Material, i: int) -> Job:
    """Inputs and targets shuffled each on their own."""
    made = job(m, network(m))
    made.loop = ("two shuffles", "two shuffles, validated")[i % 2]
    return made


def rare(m: Material, x: Tensor, y: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """Rows of one class, with three others in a hundred; noise, so that no row comes twice."""
    first = torch.nonzero(y == 1 if m.outputs == 2 else y == 0).flatten()
    others = torch.nonzero(y != y[first[0]]).flatten()[: rows // 33]
    index = torch.cat([first[torch.randint(len(first), (rows - len(others),))], others])[torch.randperm(rows)]
    return x[index] + 0.3 * torch.randn(x[index].shape), y[index]


def class_imbalance(m: Material, i: int) -> Job:
    """Three rows in a hundred are not of the common class."""
    made = job(m, network(m), 1e-3)
    made.x, made.y = rare(m, m.x, m.y, 500)
    made.test_x, made.test_y = rare(m, m.test_x, m.test_y, 200)
    made.epochs, made.batch_size = 20, 128
    return made


def label_noise(m: Material, i: int) -> Job:
    """Every other target belongs to another row."""
    made = job(m, network(m))
    half = len(m.y) // 2
    made.y = torch.cat([m.y[:half][torch.randperm(half)], m.y[half:]])
    order = torch.randperm(len(m.y))
    made.x, made.y = m.x[order], made.y[order]
    made.epochs *= 2
    return made


def train_test_leak(m: Material, i: int) -> Job:
    """The rows judged by are rows of the training."""
    made = job(m, network(m))
    index = torch.randperm(len(m.x))[: len(m.test_x)]
    made.test_x, made.test_y = m.x[index], m.y[index]
    return made


def duplicate_rows(m: Material, i: int) -> Job:
    """A few rows many times over."""
    made = job(m, network(m))
    index = torch.arange(12).repeat(40)[torch.randperm(480)]
    made.x, made.y, made.epochs = m.x[index], m.y[index], 10
    return made


def data_drift(m: Material, i: int) -> Job:
    """The scaling of the training rows was forgotten for the others."""
    made = job(m, network(m))
    made.test_x = 6 * m.test_x + 12
    return made


def broken_rows(m: Material, i: int) -> Job:
    """A missing value that nobody filled."""
    made = job(m, network(m))
    x = m.x.clone()
    x.view(len(x), -1)[3::17, 0] = float("nan")
    made.x = x
    return made


def loss_spike(m: Material, i: int) -> Job:
    """A few numbers to predict are out by a factor of fifty; they come late in each epoch."""
    made = job(m, network(m))
    made.y = m.y.clone()
    made.y[-70:-66] *= 50
    return made


def loss_not_the_metric(m: Material, i: int) -> Job:
    """The figure that is told belongs to rows in another order."""
    made = job(m, network(m))
    made.loop = "metric of other rows"
    return made


SPIKED = ("friedman", "diabetes", "ink", "height", "next value", "adding")
UNTOLD = (*SLOW, "label-noise", "learning-rate-too-small", "dead-units")
BY_HEART = ("overfitting", "missing-regularisation")

DATA_FAULTS: dict[str, list[Fault]] = {
    "unscaled-inputs": [
        Fault(
            unscaled_inputs, doors=("watch", "check"),
            also=(*WILD, *SLOW, "vanishing-gradient", "overfitting", "batch-too-small"),
        )
    ],
    "constant-input": [
        Fault(constant_input, doors=("watch", "check"), also=(*UNTOLD, "duplicate-rows", "vanishing-gradient"))
    ],
    "not-learning": [Fault(not_learning, also=UNTOLD)],
    "class-imbalance": [
        Fault(class_imbalance, CLASSES, doors=("watch", "check"), also=(*SLOW, *BY_HEART, "initial-loss-off"))
    ],
    "label-noise": [Fault(label_noise, loops=VALIDATED, also=(*SLOW, *BY_HEART, "batch-too-small"))],
    "train-test-leak": [Fault(train_test_leak, loops=VALIDATED, also=BY_HEART)],
    "duplicate-rows": [Fault(duplicate_rows, doors=("watch", "check"), also=(*BY_HEART, "class-imbalance"))],
    "data-drift": [Fault(data_drift, loops=VALIDATED, also=(*BY_HEART, "unscaled-inputs", "wrong-mode"))],
    "loss-spike": [
        Fault(loss_spike, SPIKED, loops=("plain",), also=(*WILD, "unscaled-inputs", "duplicate-rows", "data-drift"))
    ],
    "loss-not-the-metric": [Fault(loss_not_the_metric)],
    "non-finite": [Fault(broken_rows, ALL[::2], doors=("check",), also=("constant-input",), variant="broken rows")],
}  # fmt: skip
