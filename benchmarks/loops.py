"""Training loops for `benchmarks.throughput`: trainwell's engine, a lean loop in torch, the loop of torch's tutorials.

All train the same networks on the same made data. A builder prepares one of them and gives its *burst*: told a number
of steps, it makes at least so many (some can only make whole epochs) and says how many and in how many seconds.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from trainwell.base import Seeds
from trainwell.data.batches import Feed, Samples
from trainwell.engine import Course, train
from trainwell.engine.precision import precision_for
from trainwell.networks import Blueprint
from trainwell.plan import Plan

BATCHES = 64  # in an epoch; what a library does once an epoch is then a small part
UPDATES = 1_000_000  # that ours is told to expect: minutes of training for the smallest case, for which compiling pays
RATE, DECAY = 1e-3, 0.01
NEVER = 10**9
Burst = Callable[[int], tuple[int, float]]


@dataclass(frozen=True)
class Case:
    """A classification with a dense network of two hidden layers, ReLU."""

    inputs: int
    units: int
    outputs: int
    batch: int

    @property
    def name(self) -> str:
        """As in "20-64-64-3"."""
        return f"{self.inputs}-{self.units}-{self.units}-{self.outputs}"

    @property
    def operations(self) -> float:
        """Floating-point operations in the products of one member's step; none gives the slope of the inputs."""
        first, second, last = self.inputs * self.units, self.units**2, self.units * self.outputs
        return 2.0 * self.batch * (2 * first + 3 * second + 3 * last)


@dataclass(frozen=True)
class Job:
    """What a builder prepares: members of a population, or one network, on a device."""

    case: Case
    members: int = 1
    device: str = "cpu"
    precision: str = "auto"  # of our products: float32, bfloat16, or what is faster


def made(job: Job) -> tuple[Tensor, Tensor]:
    """Rows x (N, D) and classes y (N,), resident on the device."""
    draw, case = torch.Generator().manual_seed(0), job.case
    rows = BATCHES * case.batch
    x, y = torch.randn(rows, case.inputs, generator=draw), torch.randint(case.outputs, (rows,), generator=draw)
    return x.to(job.device), y.to(job.device)


def network(case: Case) -> nn.Sequential:
    """The network as a person writes it."""
    hidden = [nn.Linear(case.inputs, case.units), nn.ReLU(), nn.Linear(case.units, case.units), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(case.units, case.outputs))


def ours(job: Job) -> Burst:
    """A population through the public engine, each member with a learning rate of its own; nothing is evaluated."""
    case = job.case
    values = {
        "loss.name": "cross_entropy",
        "network.width": case.units,
        "regularisation.dropout": 0.0,
        "schedule.name": "constant",
        "optimizer.weight_decay": DECAY,
        "training.batch_size": case.batch,
        "training.epochs": -(-UPDATES // BATCHES),
    }
    plan = Plan().edited(values, by="user", why="")
    blueprint = Blueprint.of(plan, case.inputs, case.outputs)
    precision = job.precision
    if precision == "auto":
        precision, _ = precision_for(blueprint, torch.device(job.device))
    plan = plan.edited({"training.precision": precision}, by="data", why="")
    rates = torch.logspace(-4, -2, job.members).tolist() if job.members > 1 else [RATE]
    plans = [plan.edited({"optimizer.learning_rate": rate}, by="search", why="") for rate in rates]
    seeds = [Seeds.of(0, member, shared_data=True) for member in range(job.members)]
    x, y = made(job)
    samples = Samples(x, torch.zeros(len(x), 0, dtype=torch.int64, device=x.device), y)
    rows = torch.arange(len(x), device=x.device).unsqueeze(0)
    feed = Feed(samples, rows, rows[:, : case.batch], [seeds[0].order], case.batch)
    course = Course(blueprint, plans, seeds, feed, [0] * job.members, device=job.device)
    course.evaluate_every = NEVER
    moments = train(course)

    def burst(steps: int) -> tuple[int, float]:
        began = time.perf_counter()
        for _ in range(steps):
            next(moments)
        return steps, _seconds_since(began, job)

    return burst


def lean(job: Job) -> Burst:
    """As little as one can write: fused AdamW, batches by index, nothing kept and nothing looked at."""
    x, y = made(job)
    net, loss = network(job.case).to(job.device), nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=DECAY, fused=True)

    def update(rows: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(net(x[rows]), y[rows]).backward()
        optimizer.step()

    return by_index(update, job)


def lean_graph(job: Job) -> Burst:
    """The lean loop with its whole step, the choice of rows included, captured as one CUDA graph."""
    x, y = made(job)
    net, loss = network(job.case).to(job.device), nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=DECAY, fused=True, capturable=True)
    chosen = torch.arange(job.case.batch, device=job.device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(net(x[chosen]), y[chosen]).backward()
        optimizer.step()

    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):  # what is set up at the first steps must not be captured
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()

    def update(rows: Tensor) -> None:
        chosen.copy_(rows)
        graph.replay()

    return by_index(update, job)


def by_index(update: Callable[[Tensor], None], job: Job) -> Burst:
    """A loop over batches of rows in an order drawn anew each epoch."""
    size, made_steps = job.case.batch, 0
    order = torch.empty(0, dtype=torch.int64)

    def burst(steps: int) -> tuple[int, float]:
        nonlocal made_steps, order
        began = time.perf_counter()
        for _ in range(steps):
            place = made_steps % BATCHES
            if place == 0:
                order = torch.randperm(BATCHES * size, device=job.device)
            update(order[place * size : (place + 1) * size])
            made_steps += 1
        return steps, _seconds_since(began, job)

    return burst


def loader(job: Job) -> Burst:
    """The loop of torch's tutorials: a DataLoader, AdamW as it comes, the loss added up."""
    batches = DataLoader(TensorDataset(*made(job)), batch_size=job.case.batch, shuffle=True)
    net, loss = network(job.case), nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=DECAY)

    def epoch() -> None:
        total = 0.0
        for x, y in batches:
            optimizer.zero_grad()
            value = loss(net(x), y)
            value.backward()
            optimizer.step()
            total += value.item()

    return by_epochs(epoch)


def by_epochs(epoch: Callable[[], object]) -> Burst:
    """Whole epochs, as many as the steps asked for begin."""

    def burst(steps: int) -> tuple[int, float]:
        epochs = -(-steps // BATCHES)
        began = time.perf_counter()
        for _ in range(epochs):
            epoch()
        return epochs * BATCHES, time.perf_counter() - began

    return burst


def product(dtype: torch.dtype) -> Callable[[Job], Burst]:
    """Square products, one a step: what the machine can do."""

    def build(job: Job) -> Burst:
        size = side(job.device)
        a, b = (torch.randn(size, size, device=job.device).to(dtype) for _ in range(2))
        result = torch.empty_like(a)

        def burst(steps: int) -> tuple[int, float]:
            began = time.perf_counter()
            for _ in range(steps):
                torch.mm(a, b, out=result)
            return steps, _seconds_since(began, job)

        return burst

    return build


def side(device: str) -> int:
    """Rows and columns of the square products; large, but quick where products in bfloat16 are slow."""
    return 8192 if device == "cuda" else 2048


def _seconds_since(began: float, job: Job) -> float:
    if job.device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began
