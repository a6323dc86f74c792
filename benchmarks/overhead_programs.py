"""Trainings for `benchmarks.overhead`: four networks, in a loop as a person writes it and in trainwell's engine.

A training is an iterator: it yields when all is made, then after every few steps, so that trainings can take turns.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

RATE = 1e-3
DIFFERENT = 8  # batches, used in turn
NEVER = 10**9
A_TURN = 5  # steps


class Recurrent(nn.Module):
    """An LSTM over a sequence; its last state decides."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(16, 64, batch_first=True), nn.Linear(64, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])


class Attending(nn.Module):
    """Two layers of a transformer's encoder; the mean over the sequence decides."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.head = nn.Linear(16, 64), nn.Linear(64, 4)
        layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True, dropout=0.1)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.into(x)).mean(1))


def dense() -> nn.Module:
    """5,699 parameters."""
    return nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))


def convolutional() -> nn.Module:
    """Two convolutions with batch norm."""
    first = [nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(32 * 49, 10))


@dataclass(frozen=True)
class Job:
    """A network, what it is fed, and for how many steps."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    classes: int
    batch: int
    steps: int


JOBS = {
    "dense, tiny": Job(dense, (20,), 3, 64, 2000),
    "CNN, small": Job(convolutional, (1, 28, 28), 10, 32, 400),
    "LSTM": Job(Recurrent, (32, 16), 4, 32, 600),
    "transformer, small": Job(Attending, (32, 16), 4, 16, 400),
}


def made(job: Job) -> list[tuple[Tensor, Tensor]]:
    """Batches of numbers drawn from a normal distribution, and classes that depend on them."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(DIFFERENT * job.batch, *job.shape, generator=draw)
    y = (x.flatten(1)[:, :4].sum(1) * 2).long().abs() % job.classes
    return list(zip(x.split(job.batch), y.split(job.batch), strict=True))


def in_own_loop(job: Job, watching: Callable[[nn.Module, Any], Any] | None, steps: int) -> Iterator[None]:
    """Forward, backward, Adam; with `watching`, that is entered first, told each step, and left in the end."""
    torch.manual_seed(0)
    model, batches, loss_fn = job.make(), made(job), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    yield
    with nullcontext() if watching is None else watching(model, optimizer) as w:
        for step in range(steps):
            x, y = batches[step % DIFFERENT]
            optimizer.zero_grad()
            out = model(x)
            loss = loss_fn(out, y)
            loss.backward()
            optimizer.step()
            if w is not None:
                w.step(loss, inputs=x, targets=y, outputs=out)
            if (step + 1) % A_TURN == 0:
                yield


def run(training: Iterator[None]) -> None:
    """To the end."""
    for _ in training:
        pass


def peak() -> float:
    """MiB of memory that this process has held at most."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def tell_memory(name: str, watched: str, steps: str) -> None:
    """In a process of its own: train, and print the peak before the training and after it."""
    torch.set_num_threads(1)
    watching: Any = None
    if watched != "bare":
        import trainwell.adapters  # noqa: PLC0415  what it costs is measured

        watching = trainwell.adapters.watch
    before = peak()
    run(in_own_loop(JOBS[name], watching if watched == "on" else None, int(steps)))
    print(before, peak())


if __name__ == "__main__":
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    tell_memory(*sys.argv[1:])
