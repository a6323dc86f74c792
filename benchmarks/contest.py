"""Speeds measured side by side: each entrant in processes of its own, taking turns in short bursts.

What disturbs the machine for a while then disturbs all of them, and nobody's threads, imports or memory are another's.
"""

import contextlib
import multiprocessing
import os
import statistics
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from benchmarks.loops import Burst, Job
from benchmarks.peers import WAYS

WARM_UP = 8  # steps before the first that counts
MOST = 2_000  # steps of a burst
GONE = "its process has ended"
PATIENCE = 10  # seconds to wait for a process's end


def cores() -> int:
    """Cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def serve(pipe: Connection, way: str, threads: int) -> None:
    """Work off what comes through the pipe: a `Job` is prepared, a number of steps is a burst; failures are text."""
    os.dup2(2, 1)  # standard output belongs to the benchmark's own report
    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    burst: Burst | None = None
    while (order := pipe.recv()) is not None:
        try:
            if isinstance(order, Job):
                burst = None  # the last job's memory first
                burst = WAYS[way].build(order)
                pipe.send(True)
            else:
                assert burst is not None
                pipe.send(burst(order))
        except Exception as error:  # whatever a foreign library may raise
            pipe.send(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")


@dataclass
class Entrant:
    """One who takes part: some processes of one way, all busy at once.

    Attributes:
        name: as reported.
        way: in `WAYS`.
        members: networks that one process trains at once.
        processes, threads: how many, and the threads of each.
        least: steps of the shortest burst.
        figures: seconds for one member's step, of each burst.
        note: why there are none.
    """

    name: str
    way: str
    members: int = 1
    processes: int = 1
    threads: int = field(default_factory=cores)
    least: int = 16
    figures: list[float] = field(default_factory=list)
    note: str | None = None
    steps: int = 0
    _pipes: list[Connection] = field(default_factory=list)
    _running: list[BaseProcess] = field(default_factory=list)

    def begin(self, job: Job) -> None:
        """Start preparing; the processes are started at the first job."""
        self.figures, self.note = [], WAYS[self.way].missing()
        if self.note is None and not self._pipes:
            self._pipes = [self._process() for _ in range(self.processes)]
        self._tell(job)

    def _process(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=serve, args=(there, self.way, self.threads), daemon=True)
        process.start()
        self._running.append(process)
        there.close()
        return here

    def ready(self) -> None:
        """Wait until all is prepared."""
        self._answers()

    def warm_up(self, seconds: float) -> None:
        """Make the first steps, and choose how many steps a burst of about these seconds has."""
        self._burst(min(WARM_UP, self.least))
        taken = self._burst(self.least)
        if taken is not None:
            self.steps = min(MOST, max(self.least, round(seconds / (taken * self.members * self.processes))))

    def turn(self) -> None:
        """One burst that counts."""
        taken = self._burst(self.steps)
        if taken is not None:
            self.figures.append(taken)

    def _burst(self, steps: int) -> float | None:
        """Seconds for one member's step: the slowest process's, shared among all members."""
        if self.note is not None:
            return None
        self._tell(steps)
        answers = self._answers()
        return None if self.note else max(s / n for n, s in answers) / (self.processes * self.members)

    def _tell(self, order: Job | int) -> None:
        for pipe in self._pipes:
            try:
                pipe.send(order)
            except OSError:
                self.note = GONE

    def _answers(self) -> list[Any]:
        """One from each process; a failure is noted."""
        answers = []
        for pipe in self._pipes:
            try:
                answers.append(pipe.recv())
            except (EOFError, OSError):
                answers.append(GONE)
        failures = [answer for answer in answers if isinstance(answer, str)]
        self.note = self.note or next(iter(failures), None)
        return answers

    def end(self) -> None:
        """Let the processes end, and wait a while for them."""
        for pipe in self._pipes:
            with contextlib.suppress(OSError):  # it has ended already
                pipe.send(None)
            pipe.close()
        for process in self._running:
            process.join(PATIENCE)
        self._pipes, self._running = [], []

    @property
    def median(self) -> float | None:
        """Seconds for one member's step."""
        return statistics.median(self.figures) if self.figures and self.note is None else None


def compete(entrants: Sequence[Entrant], job: Job, rounds: int, seconds: float) -> None:
    """Measure all on one case; results are in each entrant's `figures`."""
    for entrant in entrants:
        entrant.begin(Job(job.case, entrant.members, job.device))
    for entrant in entrants:
        entrant.ready()
    for entrant in entrants:
        entrant.warm_up(seconds)
    for _ in range(rounds):
        for entrant in entrants:
            entrant.turn()
