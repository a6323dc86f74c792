"""Data-parallel training under torchrun: every process holds the same population and trains on its part of each batch.

    torchrun --nproc-per-node 2 train.py

    processes = join()                       # None when torchrun did not start this
    feed = ParallelFeed(feed, processes.rank, processes.world)
    loss = population.backward(feed.batch(step))
    loss = reduce_gradient(population, loss, feed.part(step).samples)    # the one all-reduce of a step
    population.update(...)

After the all-reduce all is equal in all processes: weights, optimizer state, statistics of batch norm. A checkpoint so
belongs to no process, and may be continued by any number of them. A member's steps equal those of one process with the
whole batch, to rounding, dropout and noise on inputs included; two things do not: batch norm normalises by the moments
of a process's own part, and mixup mixes within it.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from trainwell.base import RunError
from trainwell.data.batches import Feed, Samples
from trainwell.data.stream import StreamFeed
from trainwell.engine.course import Course
from trainwell.engine.evaluate import Shown, metric, outputs
from trainwell.engine.noise import NoiseStreams
from trainwell.engine.population import Population
from trainwell.engine.watchdog import LOST, Watchdog
from trainwell.ingredients.losses import root_of_mean
from trainwell.networks import Noise

TIMEOUT = 300.0  # seconds that a process waits for another: longer than judging, first compiling or saving takes


@dataclass(frozen=True, eq=False)
class Processes:
    """The processes that train together.

    Attributes:
        rank: which one this is, 0 … world−1. world: how many there are.
        device: where this one computes.
    """

    rank: int
    world: int
    device: torch.device
    watchdog: Watchdog | None = None

    @property
    def writes(self) -> bool:
        """Whether this process is the one that writes files and shows progress."""
        return self.rank == 0

    def leave(self) -> None:
        """End together: to be called by all, when nothing is to be sent any more."""
        if self.watchdog is not None:
            self.watchdog.leave()
        dist.destroy_process_group()


def join(device: str = "auto", *, timeout: float = TIMEOUT) -> Processes | None:
    """Meet the other processes that torchrun started; None without torchrun.

    NCCL where each process has a GPU of its own, else gloo.

    Args:
        device: auto, cpu or cuda.
        timeout: seconds after which a process that does not answer counts as lost.

    Raises:
        RunError: the others do not come.
    """
    if "WORLD_SIZE" not in os.environ or "MASTER_ADDR" not in os.environ:
        return None
    local, here = int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    on_gpu = device != "cpu" and torch.cuda.is_available() and torch.cuda.device_count() >= here
    place = torch.device("cuda", local) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(place)
    with _answers():
        dist.init_process_group("nccl" if on_gpu else "gloo", timeout=timedelta(seconds=timeout))
    # gloo notices a lost process by itself; NCCL waits on the device, where Python can't interrupt it
    watchdog = Watchdog(dist.get_rank(), dist.get_world_size(), timeout) if on_gpu else None
    return Processes(dist.get_rank(), dist.get_world_size(), place, watchdog)


@contextmanager
def _answers() -> Iterator[None]:
    """Inside, a process that is lost is an error of one line."""
    try:
        yield
    except RuntimeError as error:
        raise RunError(LOST) from error


@dataclass(frozen=True)
class Part:
    """A process's part of a batch: samples `start` … `stop`−1 of `whole`.

    Attributes:
        samples: how many of them count. 0 where a batch has fewer samples than there are processes: such a process
            computes the first sample, and weighs nothing.
    """

    start: int
    stop: int
    whole: int
    samples: int

    @classmethod
    def of(cls, whole: int, rank: int, world: int) -> "Part":
        """As even as possible, larger parts first.

        >>> [Part.of(7, rank, 3).samples for rank in range(3)], Part.of(1, 1, 2)
        ([3, 2, 2], Part(start=0, stop=1, whole=1, samples=0))
        """
        each, more = divmod(whole, world)
        start = rank * each + min(rank, more)
        samples = each + (rank < more)
        return cls(start, start + samples, whole, samples) if samples else cls(0, 1, whole, 0)

    @property
    def slice(self) -> slice:
        """Where it stands in the batch."""
        return slice(self.start, self.stop)


class ParallelFeed:
    """A feed of which this process sees its part of every batch. Batch sizes, steps and epochs are those of the whole.

    Args:
        feed: the whole, equal in all processes.
    """

    def __init__(self, feed: Feed | StreamFeed, rank: int, world: int) -> None:
        self.feed, self.rank, self.world = feed, rank, world
        self.samples, self.train, self.validation = feed.samples, feed.train, feed.validation
        self.orders, self.batch_size, self.steps_per_epoch = feed.orders, feed.batch_size, feed.steps_per_epoch

    def part(self, step: int) -> Part:
        """This process's part of the batch of update `step`."""
        start = step % self.steps_per_epoch * self.batch_size
        return Part.of(min(self.batch_size, self.train.shape[1] - start), self.rank, self.world)

    def batch(self, step: int) -> Samples:
        """The samples of this part, in the order of the whole batch."""
        whole, own = self.feed.batch(step), self.part(step).slice
        return Samples(
            whole.x[..., own].contiguous(),
            whole.categories[..., own].contiguous(),
            None if whole.y is None else whole.y[..., own].contiguous(),
        )


class PartNoise:
    """`NoiseStreams` of a part: numbers belong to samples by their place in the whole batch, whoever computes them.

    The numbers of the whole batch are drawn in each process.
    """

    def __init__(self, streams: NoiseStreams, part: Callable[[int], Part]) -> None:
        self._streams, self._part = streams, part

    def at(self, step: int, x: Tensor, inputs: int, rows: slice | None = None) -> Noise | None:
        """As `NoiseStreams.at`, for the part x (K or 1, D, b) of a batch."""
        part = self._part(step)
        noise = self._streams.at(step, x.new_empty(1, 0, part.whole), inputs, rows)
        if noise is None:
            return None
        inputs_of_part = None if noise.inputs is None else (noise.inputs[0][..., part.slice], noise.inputs[1])
        mixup = None
        if noise.mixup is not None:  # the order of the whole batch, of which only the own samples stand here
            mixup = noise.mixup[0][..., part.slice].argsort(dim=-1), noise.mixup[1]

        def uniform(layer: str, units: int, samples: int) -> Tensor:
            return noise.uniform(layer, units, part.whole)[..., part.slice]

        return Noise(uniform, noise.dropout, inputs_of_part, mixup)


@torch.no_grad()
def reduce_gradient(population: Population, loss: Tensor, samples: int) -> Tensor:
    """Make G the gradient over the whole batch, in one all-reduce; give the losses (K,) of the whole batch.

    Means are weighted by the samples of each process, and a root of a mean is taken of the whole. In the same tensor
    (K, P + S + 2) go the losses and the running statistics of batch norm: equal everywhere after each step, their means
    are those of the whole batch, and their variances the mean of those within the parts.

    Args:
        loss: what `population.backward` gave on this process's part. samples: those that count in it.

    Raises:
        RunError: another process is lost.
    """
    g, s, root = population.gradient, population.statistics, population.loss.total is root_of_mean
    p, width = g.shape[1], g.shape[1] + s.shape[1]
    one = loss.unsqueeze(1)
    slope = samples * one if root else samples  # the mean's gradient is 2 √mean · the root's
    whole = torch.empty(len(g), width + 2, dtype=g.dtype, device=g.device)
    torch.mul(g, slope, out=whole[:, :p])
    torch.mul(s, samples, out=whole[:, p:width])
    whole[:, width : width + 1] = samples * (one.square() if root else one)
    whole[:, width + 1] = samples
    with _answers():
        dist.all_reduce(whole)
    count = whole[:, width + 1 :]
    one = whole[:, width : width + 1] / count
    one = one.sqrt() if root else one
    torch.div(whole[:, :p], count * one if root else count, out=g)
    if root:
        g.masked_fill_(one == 0, 0.0)  # no error at all: as `root_of_mean`
    torch.div(whole[:, p:width], count, out=s)
    return one.squeeze(1)


@torch.no_grad()
def judge_together(
    population: Population, samples: Samples, rows: Tensor, groups: Tensor | None, shown: Shown | None = None
) -> tuple[Tensor, Tensor]:
    """As `evaluate.judge`, each process computing its share of the rows; all get the figures of process 0."""
    assert samples.y is not None
    rank, world, count = dist.get_rank(), dist.get_world_size(), rows.shape[-1]
    each = -(-count // world)
    own = torch.arange(rank * each, (rank + 1) * each, device=rows.device).clamp(
        max=count - 1
    )  # equal shares: the last row again
    z = outputs(population, samples, rows[..., own], groups, shown).contiguous()
    shares = [torch.empty_like(z) for _ in range(world)]
    with _answers():
        dist.all_gather(shares, z)
    z = torch.cat(shares, dim=2)[..., :count]
    y = samples.y[rows] if samples.y.dim() == 1 else samples.y[rows].transpose(1, 2)
    y = y if groups is None else y[groups]
    losses = population.loss.total(population.losses(z, y, smooth=False))
    figures = torch.stack([losses, metric(z, y, population.loss.output)])
    with _answers():
        dist.broadcast(figures, 0)
    return figures[0], figures[1]


def agree(value: Any) -> Any:
    """The plain value that process 0 has: for decisions that depend on a clock, a person, or a file.

    Raises:
        RunError: another process is lost.
    """
    box = [value]
    with _answers():
        dist.broadcast_object_list(box, 0)
    return box[0]


def start_together(course: Course) -> None:
    """Take over process 0's state, bit for bit: to be called by all, before the first step and after a resume.

    Raises:
        RunError: the processes stand at different steps: they did not load the same checkpoint; or one is lost.
    """
    population, tensors = course.population, course.tensors()
    mine = population.step, population.members.tolist(), {name: tuple(t.shape) for name, t in tensors.items()}
    all_of: list[Any] = [None] * dist.get_world_size()
    with _answers():
        dist.all_gather_object(all_of, mine)
    if any(each != mine for each in all_of):
        steps = ", ".join(str(each[0]) for each in all_of)
        raise RunError(
            f"The processes stand at different steps or hold different members (steps {steps}); "
            "give all of them the same plan and the same checkpoint."
        )
    with _answers():
        for name, tensor in sorted(tensors.items()):
            if name != "step":
                dist.broadcast(tensor, 0)
