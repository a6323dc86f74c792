"""A plain PyTorch training of one dense network, watched: what the rules are tried on, independent of our engine.

`train_plainly(setting, seed)` is what a user would write by hand, and gives the `Case` that a rule sees.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import log
from typing import Any

import numpy as np
import torch
from sklearn import datasets
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.base import Outcome, Registry
from trainwell.diagnosis.case import Case
from trainwell.engine.moment import Evaluation, LayerView, Moment
from trainwell.engine.record import Record
from trainwell.ingredients import ACTIVATIONS, INITIALISERS, initialiser_for, schedule_factor
from trainwell.plan import Plan
from trainwell.vitals import observe, sampling

SAMPLE_EVERY = 10  # steps between two looks at the layers


@dataclass(frozen=True)
class Setting:
    """A training to be judged: how it is done, and what was planted in it (nothing, when it is healthy).

    Attributes:
        data: a name of `DATA_SETS`.
        edits: of the standard plan, by path.
        planted: the kind of the fault, or None.
        also: kinds that are as true of it (causes, consequences): a finding of these is not a false alarm.
        input_factor, input_shift: x ← factor·x + shift, after standardising.
        hidden_bias: the first value of all hidden biases.
        output_gain: factor on the first weights of the output.
        train_rows: use this many training rows only.
        label_noise: this share of the training rows gets the target of another row.
        keep_best: restore the weights of the best evaluation at the end, as our engine does.
    """

    name: str
    data: str
    edits: dict[str, Any] = field(default_factory=dict)
    planted: str | None = None
    also: tuple[str, ...] = ()
    input_factor: float = 1.0
    input_shift: float = 0.0
    hidden_bias: float = 0.0
    output_gain: float = 1.0
    train_rows: int | None = None
    label_noise: float = 0.0
    keep_best: bool = True

    @property
    def plan(self) -> Plan:
        """The plan of this training."""
        standard = {"training.epochs": 30, "training.batch_size": 32, "network.width": 32, "schedule.name": "constant"}
        return Plan().edited({**standard, **self.edits}, by="user", why="setting")


@dataclass(frozen=True)
class Rows:
    """x (N, D), y (N,) class numbers or (N, 1) numbers, of the training and the validation part."""

    x: Tensor
    y: Tensor
    validation_x: Tensor
    validation_y: Tensor
    task: str
    outputs: int


def train_plainly(setting: Setting, seed: int) -> Case:
    """Train one network and record it as our engine would."""
    torch.manual_seed(seed)
    plan, rows = setting.plan, prepared(setting, seed)
    network = Network(plan, rows, setting)
    record, outcome = Record(), None
    for moment in moments(network, plan, rows):
        observe(moment, record)
        outcome = ended(record, plan, moment)
        if outcome is not None:
            break
    return Case(
        record,
        member=0,
        plan=plan,
        updates_per_epoch=updates_per_epoch(plan, len(rows.x)),
        chance_loss=chance(rows),
        outcome=outcome if setting.keep_best else None,
        input_scale=scale_of(rows.x),
    )


class Network(nn.Module):
    """Linear → norm → φ → dropout, `depth` times, and a linear output; `signals` holds what each layer handed on, `slopes` its gradient."""

    def __init__(self, plan: Plan, rows: Rows, setting: Setting) -> None:
        super().__init__()
        part, inputs = plan.network, rows.x.shape[1]
        fans = [inputs] + [part.width] * part.depth
        self.linears = [nn.Linear(i, o) for i, o in zip(fans, [*fans[1:], rows.outputs], strict=True)]
        self.layers = nn.ModuleList(self.linears)
        kinds: dict[str, Callable[[int], nn.Module]] = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
        self.norms = nn.ModuleList(
            kinds[part.norm](part.width) if part.norm in kinds else nn.Identity() for _ in fans[1:]
        )
        self.dropout = nn.Dropout(plan.regularisation.dropout)
        self.function, self.residual = ACTIVATIONS[part.activation].function, part.residual
        self.names = [*(f"hidden.{i}" for i in range(part.depth)), "output"]
        self.activations = [part.activation] * part.depth + ["identity"]
        self.signals: list[Tensor] = []
        self.slopes: list[Tensor] = []
        initialise(self, plan, setting)

    def forward(self, x: Tensor) -> Tensor:
        self.signals, h = [], x
        for linear, norm in zip(self.linears, self.norms, strict=False):
            a = self.function(norm(linear(h)))
            self.signals.append(a.detach())
            h = self.dropout(a + h if self.residual and a.shape == h.shape else a)
        z = self.linears[-1](h)
        self.signals.append(z.detach())
        return z

    @property
    def weights(self) -> list[Tensor]:
        """The weight matrix of each layer."""
        return [linear.weight for linear in self.linears]


@torch.no_grad()
def initialise(network: Network, plan: Plan, setting: Setting) -> None:
    """Draw the first weights as the plan says, then plant what the setting says."""
    generator = torch.Generator().manual_seed(torch.initial_seed())
    name = plan.initialiser.name
    for linear in network.linears:
        own = initialiser_for("identity" if linear is network.linears[-1] else plan.network.activation)
        INITIALISERS[own if name == "auto" else name].fill(
            linear.weight, gain=plan.initialiser.gain, generator=generator
        )
        linear.bias.fill_(0.0 if linear is network.linears[-1] else setting.hidden_bias)
    network.linears[-1].weight.mul_(setting.output_gain)


def moments(network: Network, plan: Plan, rows: Rows) -> Iterator[Moment]:
    """The loop, as written by hand: forward, loss, backward, step; validation once an epoch."""
    optimizer = optimizer_of(network, plan)
    size, n, wanted = plan.training.batch_size, len(rows.x), sampling(SAMPLE_EVERY)
    per_epoch = updates_per_epoch(plan, n)
    total, best = plan.training.epochs * per_epoch, torch.tensor(torch.inf)
    for step in range(1, total + 1):
        if (step - 1) % per_epoch == 0:
            order = torch.randperm(n)
        part = order[(step - 1) % per_epoch * size :][:size]  # pyright: ignore[reportPossiblyUnbound]
        before = [weight.detach().clone() for weight in network.weights] if wanted(step) else []
        rate = (
            plan.optimizer.learning_rate
            * schedule_factor([plan.schedule.name], [plan.schedule.warmup], step - 1, total)[0]
        )
        loss = update(network, optimizer, plan, rate, rows.x[part], rows.y[part], rows.task)
        layers = views(network, before) if wanted(step) else None
        moment = Moment(
            step, step / per_epoch, torch.tensor([0]), loss, torch.tensor([rate]), torch.tensor([True]), layers=layers
        )
        if step % per_epoch == 0:
            moment.evaluation = evaluated(network, rows, best)
            best = torch.minimum(best, moment.evaluation.loss)
        yield moment


def updates_per_epoch(plan: Plan, rows: int) -> int:
    """Batches in a pass; a last batch of a single row is left out, for batch norm cannot use it."""
    size = plan.training.batch_size
    return max(1, rows // size if rows % size == 1 else -(-rows // size))


def update(
    network: Network, optimizer: torch.optim.Optimizer, plan: Plan, rate: float, x: Tensor, y: Tensor, task: str
) -> Tensor:
    """One step; gives the loss before it, (1,). The gradients stay as they were before clipping for whoever looks."""
    network.train()
    optimizer.param_groups[0]["lr"] = rate
    optimizer.zero_grad()
    loss = loss_of(network(x), y, task, plan.loss.label_smoothing)
    loss.backward()
    network.slopes = [linear.weight.new_tensor(linear.weight.grad) for linear in network.linears]
    if plan.regularisation.clip_norm is not None:
        nn.utils.clip_grad_norm_(network.parameters(), plan.regularisation.clip_norm)
    optimizer.step()
    return loss.detach().reshape(1)


def views(network: Network, before: list[Tensor]) -> list[LayerView]:
    """The layers as a population of one member shows them."""
    parts = zip(network.names, network.activations, network.weights, network.seen, before, network.signals, strict=True)  # pyright: ignore
    return [LayerView(name, φ, w.detach()[None], g[None], b[None], a[None]) for name, φ, w, g, b, a in parts]


def optimizer_of(network: Network, plan: Plan) -> torch.optim.Optimizer:
    """torch's own optimizer of that name."""
    o, parameters = plan.optimizer, list(network.parameters())
    if o.name in ("sgd", "momentum"):
        γ = o.momentum if o.name == "momentum" else 0.0
        return torch.optim.SGD(parameters, o.learning_rate, momentum=γ, weight_decay=o.weight_decay)
    kind = torch.optim.AdamW if o.name == "adamw" else torch.optim.Adam
    return kind(parameters, o.learning_rate, betas=(o.momentum, o.beta2), eps=o.epsilon, weight_decay=o.weight_decay)


def loss_of(z: Tensor, y: Tensor, task: str, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy, binary cross-entropy or squared error, by the task."""
    if task == "multiclass":
        return F.cross_entropy(z, y, label_smoothing=smoothing)
    if task == "binary":
        target = y.to(z.dtype).reshape(-1, 1) * (1 - smoothing) + smoothing / 2
        return F.binary_cross_entropy_with_logits(z, target)
    return F.mse_loss(z, y)


@torch.no_grad()
def evaluated(network: Network, rows: Rows, best: Tensor) -> Evaluation:
    """Loss and metric on the validation part, loss on the training part."""
    network.eval()
    z = network(rows.validation_x)
    loss = loss_of(z, rows.validation_y, rows.task).reshape(1)
    train_loss = loss_of(network(rows.x), rows.y, rows.task).reshape(1)
    return Evaluation(loss, metric_of(z, rows.validation_y, rows.task).reshape(1), train_loss, loss < best)


def metric_of(z: Tensor, y: Tensor, task: str) -> Tensor:
    """Accuracy, or R²."""
    if task == "regression":
        return 1 - (z - y).square().mean() / y.var(correction=0)
    chosen = z.argmax(1) if task == "multiclass" else (z[:, 0] > 0).long()
    return (chosen == y).to(z.dtype).mean()


def ended(record: Record, plan: Plan, moment: Moment) -> Outcome | None:
    """How the training ended, if it did at this evaluation: diverged, out of patience, or through all its epochs."""
    if moment.evaluation is None:
        return None
    steps, losses = record.series("validation_loss", member=0)
    best = int(np.nanargmin(np.append(losses, np.inf)))
    best_step = int(steps[best]) if best < len(steps) else 0
    if not (torch.isfinite(moment.loss).all() and torch.isfinite(moment.evaluation.loss).all()):
        return Outcome("diverged", moment.step, best_step)
    if len(steps) - 1 - best >= plan.training.patience:
        return Outcome("stopped-early", moment.step, best_step)
    return Outcome("finished", moment.step, best_step) if moment.epoch >= plan.training.epochs else None


def chance(rows: Rows) -> float:
    """Loss of the best constant prediction."""
    if rows.task == "regression":
        return float(rows.y.var(correction=0))
    shares = np.bincount(rows.y.numpy()) / len(rows.y)
    return float(-sum(p * log(p) for p in shares if p > 0))


def scale_of(x: Tensor) -> dict[str, float]:
    """The scale of the inputs that the network is fed."""
    std = x.std(0, correction=0)
    return {
        "largest_mean": float(x.mean(0).abs().max()),
        "largest_std": float(std.max()),
        "smallest_std": float(std.min()),
    }


def prepared(setting: Setting, seed: int) -> Rows:
    """Load, split 3 : 1, standardise by the training part, then scale the inputs as the setting says."""
    x, y, task = DATA_SETS[setting.data]()
    draw = np.random.default_rng(seed)
    order = draw.permutation(len(x))
    held, kept = order[: len(x) // 4], order[len(x) // 4 :][: setting.train_rows]
    mean, std = x[kept].mean(0), x[kept].std(0)
    x = (x - mean) / np.where(std > 0, std, 1.0) * setting.input_factor + setting.input_shift
    y = (
        ((y - y[kept].mean()) / y[kept].std()).reshape(-1, 1).astype(np.float32)
        if task == "regression"
        else y.astype(np.int64)
    )
    noisy = kept[: round(setting.label_noise * len(kept))]
    y[noisy] = y[draw.permutation(noisy)]
    outputs = int(y.max()) + 1 if task == "multiclass" else 1
    parts = (x[kept].astype(np.float32), y[kept], x[held].astype(np.float32), y[held])
    return Rows(*(torch.from_numpy(np.ascontiguousarray(part)) for part in parts), task=task, outputs=outputs)


Arrays = tuple[np.ndarray, np.ndarray, str]


def bundled(load: Callable[..., Any], task: str) -> Callable[[], Arrays]:
    """A data set of scikit-learn's."""
    return lambda: (*load(return_X_y=True), task)


DATA_SETS: Registry[Callable[[], Arrays]] = Registry(
    "data set",
    {
        "iris": bundled(datasets.load_iris, "multiclass"),
        "wine": bundled(datasets.load_wine, "multiclass"),
        "digits": bundled(datasets.load_digits, "multiclass"),
        "breast_cancer": bundled(datasets.load_breast_cancer, "binary"),
        "diabetes": bundled(datasets.load_diabetes, "regression"),
        "moons": lambda: (*datasets.make_moons(500, noise=0.2, random_state=0), "binary"),
        "circles": lambda: (*datasets.make_circles(500, noise=0.1, factor=0.5, random_state=0), "binary"),
        "friedman": lambda: (*datasets.make_friedman1(600, noise=1.0, random_state=0), "regression"),
        "classes": lambda: (
            *datasets.make_classification(800, 20, n_informative=8, n_classes=4, flip_y=0.05, random_state=0),
            "multiclass",
        ),
    },
)
