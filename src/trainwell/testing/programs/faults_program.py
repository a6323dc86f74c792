"""Mistakes in the program: losses that do not fit outputs, shapes that broadcast, parameters that never move, modes."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.testing.programs.fault import CLASSES, SLOW, WILD, Fault
from trainwell.testing.programs.loops import Job, job
from trainwell.testing.programs.materials import Material
from trainwell.testing.programs.networks import Recurrent, dense, last_linear, linears, network, written


def loss_output_mismatch(m: Material, i: int) -> Job:
    """NLL of logits or of probabilities, cross-entropy after ReLU, numbers of any sign from sigmoid, ReLU or tanh."""
    model = network(m) if i % 2 else written(m)
    if m.task == "regression":
        bounded = (nn.ReLU(), nn.Sigmoid(), nn.Softplus())[i % 3]
        return job(m, nn.Sequential(model, bounded))
    ends = (None, nn.Softmax(dim=1), nn.ReLU(), None, nn.Softmax(dim=1))
    end = ends[i % 5]
    made = job(m, model if end is None else nn.Sequential(model, end))
    if not isinstance(end, nn.ReLU):
        made.loss_fn = nn.NLLLoss() if i % 2 else F.nll_loss
    return made


def loss_sums(m: Material, i: int) -> Job:
    """A sum over the rows of a batch, with the rate of a mean."""
    model = network(m)
    made = job(m, model, optimizer=torch.optim.SGD(model.parameters(), lr=0.05))
    made.loss_fn = nn.CrossEntropyLoss(reduction="sum") if m.task == "multiclass" else nn.MSELoss(reduction="sum")
    return made


def missing_activation(m: Material, i: int) -> Job:
    """Linear layers and convolutions that follow one another."""
    return job(m, network(m, 4, act=nn.Identity))


class OneUnit(nn.Module):
    """Softmax over a single output: always 1."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.softmax = nn.Softmax(dim=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.softmax(self.body(x))


def one_unit_softmax(m: Material, i: int) -> Job:
    """A binary classifier whose one output goes through a softmax."""
    bodies = {
        "dense": lambda: dense(m.inputs, 1),
        "convolutional": lambda: nn.Sequential(nn.Conv1d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 1)),
        "recurrent": lambda: Recurrent(m.inputs, 1),
    }
    made = job(m, OneUnit(bodies[m.architecture]()))
    made.y, made.test_y = (m.y > 0).float().unsqueeze(1), (m.test_y > 0).float().unsqueeze(1)
    made.loss_fn = nn.BCELoss()
    return made


class WithSoftmax(nn.Module):
    """Any network, with probabilities as its output."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return F.softmax(self.body(x), dim=1)


def double_softmax(m: Material, i: int) -> Job:
    """Probabilities into a loss that expects logits; a sigmoid before BCE-with-logits."""
    model = network(m) if i % 2 else written(m)
    if i % 3 == 2:
        made = job(m, nn.Sequential(model, nn.Sigmoid()))
        made.y, made.test_y = F.one_hot(m.y, m.outputs).float(), F.one_hot(m.test_y, m.outputs).float()
        made.loss_fn = nn.BCEWithLogitsLoss()
        return made
    made = job(m, WithSoftmax(model) if i % 2 else nn.Sequential(model, nn.Softmax(dim=1)))
    if i % 2:
        made.loss_fn = F.cross_entropy
    return made


def squared_error(out: Tensor, y: Tensor) -> Tensor:
    """Written by hand."""
    return ((out - y) ** 2).mean()


def target_shape_mismatch(m: Material, i: int) -> Job:
    """(B, 1) against (B,)."""
    made = job(m, network(m) if i % 2 else written(m))
    made.y, made.test_y = m.y.squeeze(1), m.test_y.squeeze(1)
    if i % 2:
        made.loss_fn = squared_error
    return made


class InAList(nn.Module):
    """Hidden layers kept in a plain list, which `parameters()` does not see."""

    def __init__(self, m: Material) -> None:
        super().__init__()
        size = m.x[0].numel()
        self.hidden = [nn.Linear(size, 32), nn.Linear(32, 32)]
        self.out = nn.Linear(32, m.outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for layer in self.hidden:
            x = F.relu(layer(x))
        return self.out(x)


class Detached(nn.Module):
    """A body cut off from its head: `detach`, or `no_grad` around it."""

    def __init__(self, body: nn.Module, end: nn.Module, way: str) -> None:
        super().__init__()
        self.body, self.end, self.way = body, end, way

    def forward(self, x: Tensor) -> Tensor:
        if self.way == "detach":
            return self.end(torch.relu(self.body(x)).detach())
        with torch.no_grad():
            h = torch.relu(self.body(x))
        return self.end(h)


def cut(m: Material, way: str) -> Detached:
    """The network for this material with 24 features in the middle."""
    body: nn.Module
    if m.architecture == "recurrent":
        body = Recurrent(m.inputs, 24)
    elif m.architecture == "dense":
        body = dense(m.inputs, 24)
    else:
        conv = nn.Conv2d if m.x.dim() == 4 else nn.Conv1d
        flat = 8 * m.x[0].numel()
        body = nn.Sequential(conv(m.inputs, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(flat, 24))
    return Detached(body, nn.Linear(24, m.outputs), way)


def parameters_not_updated(m: Material, i: int) -> Job:
    """Another last layer after the optimizer was made, cut graphs, frozen layers in the optimizer, lists of layers."""
    way = ("replaced", "detach", "frozen", "no_grad", "no step", "list")[(i + i // 6) % 6]
    if way in ("detach", "no_grad"):
        return job(m, cut(m, way))
    if way == "list":
        return job(m, InAList(m))
    model = network(m, 3)
    made = job(m, model)
    if way == "frozen":
        for layer in linears(model)[:-1]:
            for weights in layer.parameters():
                weights.requires_grad = False
    elif way == "no step":
        made.loop = "no step"
    else:
        last = last_linear(model)
        new = nn.Linear(last.in_features, last.out_features)
        parent = model.head if isinstance(getattr(model, "head", None), nn.Sequential) else model
        assert isinstance(parent, nn.Sequential)
        parent[-1] = new
    return made


def never_reached(m: Material, i: int) -> Job:
    """What a single batch shows of it: cut graphs, layers of which the optimizer does not know."""
    return parameters_not_updated(m, (1, 0, 3, 5, 2)[i % 5])


def gradients_accumulate(m: Material, i: int) -> Job:
    """No `zero_grad` in the loop."""
    model = network(m) if i % 2 else written(m)
    made = job(m, model, optimizer=torch.optim.SGD(model.parameters(), lr=0.02) if i % 2 else None)
    made.loop = ("no zero", "no zero, validated", "zero once an epoch")[i % 3]
    return made


def with_dropout(m: Material, p: float = 0.4) -> nn.Module:
    """A network with dropout, which has two modes."""
    return network(m, 3, 48 if m.architecture == "dense" else 0, act=lambda: nn.Sequential(nn.ReLU(), nn.Dropout(p)))


def wrong_mode(m: Material, i: int) -> Job:
    """`eval()` in the validation and never `train()` again, validation in training mode, or `eval()` from the start."""
    made = job(m, with_dropout(m))
    made.loop = ("eval left on", "judged in training mode", "eval from the start")[i % 3]
    return made


TWO = ("breast_cancer", "waves", "wave steps")
BOTH = ("watch", "check")
UNLEARNED = (*SLOW, "learning-rate-too-small", "vanishing-gradient")
MISFIT = (*SLOW, *WILD, "double-softmax", "loss-output-mismatch", "vanishing-gradient")

PROGRAM_FAULTS: dict[str, list[Fault]] = {
    "loss-output-mismatch": [
        Fault(loss_output_mismatch, doors=BOTH, also=MISFIT),
        Fault(one_unit_softmax, TWO, doors=BOTH, also=(*MISFIT, "parameters-not-updated"), variant="1-unit softmax"),
    ],
    "loss-sums": [Fault(loss_sums, doors=BOTH, also=(*WILD, *SLOW, "vanishing-gradient", "overfitting"))],
    "missing-activation": [Fault(missing_activation, doors=BOTH, also=SLOW)],
    "double-softmax": [Fault(double_softmax, CLASSES, doors=BOTH, also=(*SLOW, "loss-output-mismatch"))],
    "target-shape-mismatch": [
        Fault(
            target_shape_mismatch,
            ("friedman", "diabetes", "ink", "height", "next value", "adding"),
            doors=BOTH,
            also=SLOW,
        )
    ],
    "parameters-not-updated": [
        Fault(parameters_not_updated, doors=("watch",), also=(*UNLEARNED, "layers-out-of-step")),
        Fault(never_reached, ("digits", "images", "rows", "friedman", "height", "adding"), doors=("check",),
              also=(*UNLEARNED, "layers-out-of-step")),
    ],
    "gradients-accumulate": [Fault(gradients_accumulate, also=(*WILD, *SLOW, "vanishing-gradient"))],
    "wrong-mode": [Fault(wrong_mode, also=("overfitting", "missing-regularisation"))],
}  # fmt: skip
