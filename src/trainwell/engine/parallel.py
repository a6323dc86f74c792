"""Data-parallel training under torchrun: every process holds the same population and trains on its part of each batch.

    torchrun --nproc-per-node 2 train.py

    processes = join()                              # the only process, without torchrun
    course = Course(…, feed, …, processes=processes)
    for moment in train(course):                    # each step ends with one all-reduce of G
        …
    processes.leave()

After the all-reduce all is equal in all processes: weights, optimizer state, statistics of batch norm. A checkpoint so
belongs to no process, and may be continued by any number of them. A member's steps equal those of one process with the
whole batch, to rounding, dropout and noise on inputs included; two things do not: batch norm normalises by the moments
of a process's own part, and mixup mixes within it (docs/parallel.md says why).
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from trainwell.base import InputError, ProcessError
from trainwell.data.batches import BatchSource, Samples
from trainwell.data.parts import Part, PartFeed
from trainwell.engine.evaluate import Shown, figures, outputs
from trainwell.engine.population import Population
from trainwell.engine.processes import Alone, Processes, Tensors
from trainwell.engine.watchdog import LOST, Watchdog
from trainwell.ingredients.losses import root_of_mean

MEETING = 300.0  # seconds that a process waits for the others to come
SILENCE = 60.0  # seconds without a sign of life after which a process is lost
PATIENCE = timedelta(days=1)  # that others wait while process 0 works alone: it lives as long as it gives signs
T = TypeVar("T")


class Together:
    """Several processes, one of which this is: see `Processes`.

    Args:
        group: of torch.distributed, all of them.
    """

    def __init__(self, rank: int, world: int, device: torch.device, group: Any, watchdog: Watchdog) -> None:
        self.rank, self.world, self.device = rank, world, device
        self.seconds, self.interrupted, self._began = 0.0, False, time.monotonic()
        self._asked, self._group, self._watchdog = False, group, watchdog

    @property
    def writes(self) -> bool:
        """Process 0 does."""
        return self.rank == 0

    def interrupt(self) -> None:
        """Told to the others at the next tick."""
        self._asked = True

    def tick(self, changes: int = 0, members: int = 0) -> None:
        """One small all-reduce."""
        now = time.monotonic() - self._began if self.writes else 0.0
        mark = 10_000 * (changes % 1000) + members % 10_000
        said = torch.tensor([now, self._asked, mark, mark**2], dtype=torch.float64, device=self.device)
        with _answers():
            dist.all_reduce(said, group=self._group)
        self.seconds, asked, mark, squares = said.tolist()
        self.interrupted = asked > 0
        if mark**2 != self.world * squares:
            raise ProcessError(
                "The processes of this training made different changes in it; send the same ones in all of them, by "
                "figures that are equal in all: losses and evaluations, not layers."
            )

    def feed(self, feed: BatchSource) -> BatchSource:
        """Its part of every batch."""
        return PartFeed(feed, self.rank, self.world)

    def part(self, feed: BatchSource) -> Callable[[int], Part] | None:
        """As even as possible."""
        return PartFeed(feed, self.rank, self.world).part

    def reduce(self, population: Population, loss: Tensor) -> Tensor:
        """The one all-reduce of G."""
        assert population.part is not None
        return reduce_gradient(population, loss, population.part(population.step).samples, self._group)

    def judge(
        self, population: Population, samples: Samples, rows: Tensor, groups: Tensor | None, shown: Shown | None = None
    ) -> tuple[Tensor, Tensor]:
        """Each computes its share of the rows."""
        return judge_together(population, samples, rows, groups, shown, self._group)

    def agree(self, value: T) -> T:
        """Process 0 tells it."""
        box = [value if self.writes else None]
        with _answers():
            dist.broadcast_object_list(box, 0, group=self._group)
        return box[0]  # pyright: ignore[reportReturnType]

    def _gather(self, value: Any) -> list[Any]:
        """Each process's value."""
        values: list[Any] = [None] * self.world
        with _answers():
            dist.all_gather_object(values, value, group=self._group)
        return values

    def attempt(self, make: Callable[[], T]) -> T:
        """The lowest process with an error tells it, and that it is its own unless all have the same."""
        made, error = None, None
        try:
            made = make()
        except InputError as own:
            error = own
        texts = self._gather(None if error is None else str(error))
        if not any(texts):
            return made  # pyright: ignore[reportReturnType]
        teller = next(rank for rank, text in enumerate(texts) if text)
        if error is None or len(set(texts)) > 1:
            error = InputError(f"Process {teller}: {texts[teller]}")
        error.tell = self.rank == teller
        raise error

    def same(self, facts: Mapping[str, str]) -> None:
        """The first difference is told by process 0."""
        everyone = self._gather(dict(facts))
        for name, ours in everyone[0].items():
            for rank, theirs in enumerate(everyone):
                if theirs.get(name) != ours:
                    error = InputError(
                        f"Process {rank} has another {name} than process 0: {theirs.get(name)}, not {ours}; "
                        "start all with the same command, files and versions."
                    )
                    error.tell = self.writes
                    raise error

    def first(self, tensors: Tensors, about: Any) -> tuple[Tensors, Any]:
        """Bit for bit."""
        kinds = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in sorted(tensors.items())}
        kinds, about = self.agree((kinds, about))
        told: Tensors = {}
        with _answers():
            for name, (shape, dtype) in kinds.items():
                like = torch.empty(shape, dtype=dtype, device=self.device)
                told[name] = tensors[name].to(self.device).contiguous() if self.writes else like
                dist.broadcast(told[name], 0, group=self._group)
        return told, about

    def leave(self) -> None:
        """Wait until all have done their part."""
        self._watchdog.calm()
        self.tick()
        self.drop()

    def drop(self) -> None:
        """End without waiting; the others notice it."""
        self._watchdog.stop()
        dist.destroy_process_group()


def started_together() -> bool:
    """Whether torchrun has started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "MASTER_ADDR" in os.environ


def join(device: str = "auto", *, meeting: float = MEETING, silence: float = SILENCE) -> Processes:
    """Meet the other processes that torchrun started; without torchrun this one is `Alone`.

    NCCL where each process has a GPU of its own, else gloo, each with its share of the machine's cores.

    Args:
        device: auto, cpu or cuda.
        meeting: seconds to wait for the others. silence: seconds after which a process that gives no sign of life is
            lost; one whose connection breaks is lost at once.

    Raises:
        ProcessError: the others do not come. InputError: there are fewer GPUs than processes.
    """
    if not started_together():
        return Alone()
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    place = _place(device, int(os.environ.get("LOCAL_RANK", "0")), here)
    if place.type == "cuda":
        torch.cuda.set_device(place)
    torch.set_num_threads(_threads(here))
    try:
        dist.init_process_group("nccl" if place.type == "cuda" else "gloo", timeout=timedelta(seconds=meeting))
        rank, world = dist.get_rank(), dist.get_world_size()
        return Together(rank, world, place, dist.new_group(timeout=PATIENCE), Watchdog(rank, world, silence))
    except RuntimeError as error:
        raise ProcessError(
            f"The other processes of this training did not come within {meeting:g} seconds; start all of them with "
            "torchrun, and the same number of processes on every machine."
        ) from error


@contextmanager
def joined(device: str = "auto") -> Iterator[Processes]:
    """`join`, and leave at the end; after an error, of which the program ends, without waiting for the others."""
    processes = join(device)
    if not isinstance(processes, Together):
        yield processes
        return
    with _ended_by_torchrun():
        try:
            yield processes
            processes.leave()
        except BaseException:
            processes.drop()
            raise


@contextmanager
def _ended_by_torchrun() -> Iterator[None]:
    """Inside, SIGTERM is an error: so torchrun ends all when one has failed. After another error it is not heard."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _ended)
    try:
        yield
    except BaseException:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise
    signal.signal(signal.SIGTERM, before)


def _ended(number: int, frame: FrameType | None) -> None:
    raise ProcessError(
        "torchrun has ended this process, as it does when another one fails or it is stopped itself; go on from the "
        "last checkpoint with 'trainwell resume RUN'."
    )


def _place(device: str, local: int, here: int) -> torch.device:
    """The GPU of the process `local` of those `here` on this machine, or the CPU."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.startswith("cuda") and gpus < here:
        raise InputError(f"{here} processes on this machine need {here} GPUs, but there are {gpus}; use --device cpu.")
    return torch.device("cpu") if device == "cpu" or gpus < here else torch.device("cuda", local)


def _threads(here: int) -> int:
    """The share of this machine's cores that one of the processes `here` takes, or what the user has set."""
    given = os.environ.get("OMP_NUM_THREADS", "1")  # 1 is what torchrun sets where the user has set nothing
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(given) if given.isdecimal() and given not in ("0", "1") else max(1, cores // here)


@contextmanager
def _answers() -> Iterator[None]:
    """Inside, a process that is lost is an error of one line."""
    try:
        yield
    except RuntimeError as error:
        raise ProcessError(LOST) from error


@torch.no_grad()
def reduce_gradient(population: Population, loss: Tensor, samples: int, group: Any = None) -> Tensor:
    """Make G the gradient over the whole batch, in one all-reduce; give the losses (K,) of the whole batch.

    Means are weighted by the samples of each process, and a root of a mean is taken of the whole. In the same tensor
    (K, P + S + 2) go the losses and the running statistics of batch norm: equal everywhere after each step, their means
    are those of the whole batch, and their variances the mean of those within the parts.

    Args:
        loss: what `population.backward` gave on this process's part. samples: those that count in it.
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
        dist.all_reduce(whole, group=group)
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
    population: Population,
    samples: Samples,
    rows: Tensor,
    groups: Tensor | None,
    shown: Shown | None = None,
    group: Any = None,
) -> tuple[Tensor, Tensor]:
    """As `evaluate.judge`, each process computing its share of the rows; all get the figures of process 0.

    The outputs are gathered, not the figures: C numbers a row are little beside the work for them, and each figure has
    one formula.
    """
    rank, world, count = dist.get_rank(), dist.get_world_size(), rows.shape[-1]
    each = -(-count // world)
    own = torch.arange(rank * each, (rank + 1) * each, device=rows.device)
    own = own.clamp(max=count - 1)  # equal shares: the last row again
    z = outputs(population, samples, rows[..., own], groups, shown).contiguous()
    shares = [torch.empty_like(z) for _ in range(world)]
    with _answers():
        dist.all_gather(shares, z, group=group)
    both = torch.stack(figures(population, torch.cat(shares, dim=2)[..., :count], samples, rows, groups))
    with _answers():
        dist.broadcast(both, 0, group=group)
    return both[0], both[1]
