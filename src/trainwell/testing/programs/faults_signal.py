"""Faults of signals and first weights: gradients that fade or explode, units that are dead, saturated or equal."""

from collections.abc import Callable
from math import sqrt

import torch
from torch import Tensor, nn

from trainwell.testing.programs.fault import CLASSES, SLOW, WILD, Fault
from trainwell.testing.programs.loops import Job, job
from trainwell.testing.programs.materials import Material
from trainwell.testing.programs.networks import (
    Recurrent,
    RecurrentHead,
    dense,
    last_linear,
    linears,
    network,
    written,
)  # fmt: skip


def init(model: nn.Module, draw: Callable[[Tensor], Tensor]) -> None:
    """Draw the weights of all linear and convolution layers anew, as `model.apply(init_weights)` does."""
    for layer in linears(model):
        draw(layer.get_parameter("weight"))


def vanishing_gradient(m: Material, i: int) -> Job:
    """Stacks of sigmoid units, and of tanh units with tiny weights."""
    if i % 3 == 2:
        model = network(m, 8, act=nn.Tanh)
        init(model, lambda w: nn.init.normal_(w, std=0.3 / sqrt(w[0].numel())))
        return job(m, model, optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9))
    model, rate = network(m, 8 + i % 3 * 2, act=nn.Sigmoid), 0.1 if m.task == "multiclass" else 0.01
    return job(m, model, optimizer=torch.optim.SGD(model.parameters(), lr=rate) if i % 2 else None)


class ReluRnn(nn.Module):
    """A plain recurrent layer of ReLU units, and a linear output."""

    def __init__(self, m: Material, bound: float) -> None:
        super().__init__()
        self.rnn = nn.RNN(m.inputs, 24, nonlinearity="relu", batch_first=True)
        self.out = nn.Linear(24, m.outputs)
        for weights in self.rnn.parameters():
            nn.init.uniform_(weights, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.rnn(x)[0][:, -1])


def exploding_gradient(m: Material, i: int) -> Job:
    """Weights from `torch.randn`, and recurrent weights that grow with every step."""
    if m.architecture == "recurrent":
        return job(m, ReluRnn(m, 0.8 if m.name == "wave steps" else 1.0), 1e-3)
    model = network(m, 6)
    init(model, nn.init.normal_ if i % 2 else lambda w: nn.init.normal_(w, std=3 * sqrt(2 / w[0].numel())))
    return job(m, model, 1e-3)


def growing_activations(m: Material, i: int) -> Job:
    """First weights twice as large as ReLU units want them, eight layers deep."""
    model = network(m, 8)
    init(model, lambda w: nn.init.normal_(w, std=(2.0, 2.5)[i % 2] * sqrt(2 / w[0].numel())))
    return job(m, model, 5e-4)


def shrinking_activations(m: Material, i: int) -> Job:
    """Weights from N(0, 0.01), six layers deep."""
    model = network(m, 6, act=nn.Tanh if i % 2 else nn.ReLU)
    init(model, lambda w: nn.init.normal_(w, std=0.01))
    return job(m, model, optimizer=torch.optim.SGD(model.parameters(), lr=0.05) if i % 3 else None)


def dead_units(m: Material, i: int) -> Job:
    """Biases so low, or weights so negative, that ReLU units never fire."""
    model = network(m, 3)
    hidden = linears(model)[:-1]
    for layer in hidden:
        if i % 3 == 2 and layer is not hidden[0]:
            nn.init.uniform_(layer.get_parameter("weight"), -1, 0)
        elif i % 3 < 2:
            nn.init.constant_(layer.get_parameter("bias"), (-10.0, -15.0)[i % 3])
    return job(m, model)


def saturated_units(m: Material, i: int) -> Job:
    """Weights so large that tanh and sigmoid units sit at their bounds."""
    if m.architecture == "recurrent":
        model = Recurrent(m.inputs, m.outputs, kind="rnn")
        for weights in model.rnn.parameters():
            nn.init.normal_(weights, std=5.0)
        return job(m, model)
    model = network(m, 2, act=nn.Sigmoid if i % 2 else nn.Tanh)
    for layer in linears(model)[:-1]:
        nn.init.normal_(layer.get_parameter("weight"), std=8.0 if i % 2 else 4.0)
    return job(m, model)


def symmetric_units(m: Material, i: int) -> Job:
    """All weights alike: zeros, ones, or a constant."""
    model = network(m) if i % 2 else written(m)
    value = (0.0, 1.0, 0.1)[i % 3]
    for weights in model.parameters():
        nn.init.constant_(weights, value if weights.dim() > 1 else 0.0)
    return job(m, model)


def initial_loss_off(m: Material, i: int) -> Job:
    """Output weights or biases far too large, or numbers to predict that were left as they are."""
    model = written(m) if i % 2 else network(m)
    made = job(m, model)
    with torch.no_grad():
        if m.task == "regression":
            made.y, made.test_y = 30 * m.y + 150, 30 * m.test_y + 150
        elif i % 3 == 2:
            last_linear(model).bias.normal_(std=40.0)
        else:
            last_linear(model).weight.mul_(300)
    return made


def layers_out_of_step(m: Material, i: int) -> Job:
    """Groups of parameters whose rates are worlds apart."""
    model = network(m, 3)
    last = list(last_linear(model).parameters())
    others = [p for p in model.parameters() if all(p is not q for q in last)]
    groups = [{"params": others, "lr": 1e-8}, {"params": last, "lr": 5e-3}]
    return job(m, model, optimizer=torch.optim.Adam(groups) if i % 3 else torch.optim.RMSprop(groups))


class SqrtRelu(nn.Module):
    """√max(z, 0): right everywhere, but the chain rule multiplies infinity by 0 below 0."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sqrt(x * (x > 0))


class SqrtInput(nn.Module):
    """Square roots of the inputs, some of which are negative."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(torch.sqrt(x))


def log_of_softmax(out: Tensor, y: Tensor) -> Tensor:
    """A cross-entropy by hand, of a low temperature: 0 · log 0 where the network is sure."""
    p, hit = torch.softmax(out / 0.005, dim=1), nn.functional.one_hot(y, out.shape[1])
    return -(hit * torch.log(p) + (1 - hit) * torch.log(1 - p)).sum(1).mean()


def relative_error(out: Tensor, y: Tensor) -> Tensor:
    """Errors in logarithms, of numbers of which half are negative."""
    return (torch.log(out) - torch.log(y)).square().mean()


def non_finite(m: Material, i: int) -> Job:
    """Logarithms of 0, roots of 0 and below, scaling by a deviation of 0, a rate of a million."""
    model = network(m, 3)
    made = job(m, model)
    if i % 5 == 0:
        made.loss_fn = log_of_softmax if m.task == "multiclass" else relative_error
    elif i % 5 == 1:
        return job(m, SqrtInput(model))
    elif i % 5 == 2:
        return job(m, network(m, 3, act=SqrtRelu))
    elif i % 5 == 3:
        x = m.x.clone()
        x.view(len(x), -1)[:, 3] = 0  # a sensor that was off
        made.x = (x - x.mean(0)) / x.std(0)
    else:
        return job(m, model, optimizer=torch.optim.SGD(model.parameters(), lr=1e6))
    return made


def with_norm(m: Material, i: int) -> Job:
    """Layers with a bias right before a batch norm; else healthy."""
    if m.architecture == "recurrent":
        body = nn.Sequential(nn.Linear(24, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, m.outputs))
        return job(m, RecurrentHead(m.inputs, body))
    if m.architecture == "dense":
        hidden = [nn.Linear(m.inputs, 32), nn.BatchNorm1d(32), nn.ReLU()]
        return job(m, nn.Sequential(*hidden, *dense(32, m.outputs, 1)))
    flat = m.x.dim() == 4
    conv, norm = (nn.Conv2d, nn.BatchNorm2d) if flat else (nn.Conv1d, nn.BatchNorm1d)
    flatten = nn.Sequential(nn.Flatten(), nn.Linear(512 if flat else 160, m.outputs))
    return job(m, nn.Sequential(conv(m.inputs, 8, 3, padding=1), norm(8), nn.ReLU(), flatten))


BOTH = ("watch", "check")
FADING = (*SLOW, "shrinking-activations", "vanishing-gradient", "saturated-units", "dead-units", "layers-out-of-step")

SIGNAL_FAULTS: dict[str, list[Fault]] = {
    "vanishing-gradient": [Fault(vanishing_gradient, doors=BOTH, also=FADING)],
    "exploding-gradient": [Fault(exploding_gradient, doors=BOTH, also=(*WILD, *SLOW, "overfitting"))],
    "growing-activations": [Fault(growing_activations, doors=BOTH, also=(*WILD, *SLOW, "overfitting"))],
    "shrinking-activations": [Fault(shrinking_activations, doors=BOTH, also=FADING)],
    "dead-units": [Fault(dead_units, doors=BOTH, also=(*FADING, "initial-loss-off", "parameters-not-updated"))],
    "saturated-units": [
        Fault(saturated_units, doors=BOTH, also=(*FADING, "initial-loss-off", "overfitting", "exploding-gradient"))
    ],
    "symmetric-units": [
        Fault(symmetric_units, doors=BOTH, also=(*FADING, *WILD, "parameters-not-updated", "weights-collapse"))
    ],
    "initial-loss-off": [Fault(initial_loss_off, doors=BOTH, also=(*WILD, *SLOW))],
    "layers-out-of-step": [
        Fault(layers_out_of_step, also=(*SLOW, "parameters-not-updated", "learning-rate-too-small", "overfitting"))
    ],
    "non-finite": [Fault(non_finite, also=(*WILD, *SLOW, "unscaled-inputs", "constant-input", "loss-output-mismatch"))],
    "bias-before-norm": [Fault(with_norm, materials=CLASSES, doors=BOTH)],
}
