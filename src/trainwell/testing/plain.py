"""A plain PyTorch training of one dense network, watched: what the rules are tried on, independent of our engine.

`train_plainly(setting, seed)` is what a user would write by hand, and gives the `Case` that a rule sees.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.base import Outcome
from trainwell.diagnosis import Case
from trainwell.engine.moment import Evaluation, LayerView, Moment
from trainwell.engine.record import Record
from trainwell.ingredients import ACTIVATIONS, INITIALISERS, Clock, factors, initialiser_for
from trainwell.plan import Plan
from trainwell.testing.settings import Rows, Setting, chance, prepared, scale_of
from trainwell.vitals import observe, sampling

SAMPLE_EVERY = 10  # steps between two looks at the layers


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
    """Linear → norm → φ → dropout, `depth` times, and a linear output.

    `signals` holds what each layer handed on, `slopes` the gradient of its weights.
    """

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
        φ = ACTIVATIONS[part.activation]
        h = {key: torch.tensor(value) for key, value in φ.standard.items()}
        self.function, self.residual = lambda z: φ.function(z, h), part.residual
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
    order = torch.arange(n)
    for step, rate in enumerate(rates(plan, total, per_epoch), start=1):
        if (step - 1) % per_epoch == 0:
            order = torch.randperm(n)
        part = order[(step - 1) % per_epoch * size :][:size]
        before = [weight.detach().clone() for weight in network.weights] if wanted(step) else []
        loss = update(network, optimizer, plan, rate, rows.x[part], rows.y[part], rows.task)
        layers = views(network, before) if wanted(step) else None
        moment = Moment(
            step, step / per_epoch, torch.tensor([0]), loss, torch.tensor([rate]), torch.tensor([True]), layers=layers
        )
        if step % per_epoch == 0:
            moment.evaluation = evaluated(network, rows, best)
            best = torch.minimum(best, moment.evaluation.loss)
        yield moment


def rates(plan: Plan, total: int, per_epoch: int) -> list[float]:
    """The scheduled rate of each update."""
    warmup = torch.tensor([[plan.schedule.warmup]], dtype=torch.float64)
    shape = factors([plan.schedule.name], Clock(torch.arange(total), total, per_epoch), {}, warmup)
    return (plan.optimizer.learning_rate * shape[0]).tolist()


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
    loss = loss_of(network(x), y, task, plan.effective("loss.label_smoothing") or 0.0)
    loss.backward()
    network.slopes = [w.grad.detach().clone() for w in network.weights if w.grad is not None]
    if plan.get("regularisation.clip_norm") is not None:
        nn.utils.clip_grad_norm_(network.parameters(), plan.get("regularisation.clip_norm"))
    optimizer.step()
    return loss.detach().reshape(1)


def views(network: Network, before: list[Tensor]) -> list[LayerView]:
    """The layers as a population of one member shows them."""
    n = network
    parts = zip(n.names, n.activations, n.weights, n.slopes, before, n.signals, strict=True)
    return [LayerView(name, φ, w.detach()[None], g[None], b[None], a[None]) for name, φ, w, g, b, a in parts]


def optimizer_of(network: Network, plan: Plan) -> torch.optim.Optimizer:
    """torch's own optimizer of that name."""
    o, parameters = plan.optimizer, list(network.parameters())
    if o.name in ("sgd", "momentum"):
        γ = plan.effective("optimizer.momentum") if o.name == "momentum" else 0.0
        return torch.optim.SGD(parameters, o.learning_rate, momentum=γ, weight_decay=o.weight_decay)
    kind = torch.optim.AdamW if o.name == "adamw" else torch.optim.Adam
    β1, β2, ε = (plan.effective(f"optimizer.{name}") for name in ("momentum", "beta2", "epsilon"))
    return kind(parameters, o.learning_rate, betas=(β1, β2), eps=ε, weight_decay=o.weight_decay)


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
