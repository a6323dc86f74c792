"""What training together costs: `python -m benchmarks.parallel --json`.

64 networks at once, by one process on all cores and by two (gloo) on half of them each, the same batches. Beside the
time of a step stand the two reductions in it: of G, and of what the processes tell each other (clock, Ctrl-C, changes).
They are measured by themselves, right after one another, so that nobody waits for the other's computing.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.harness import options, publish
from trainwell.base import Seeds
from trainwell.data.batches import Feed, Samples
from trainwell.engine import Course, Processes, joined, train
from trainwell.networks import Blueprint
from trainwell.plan import Plan

ROOT = Path(__file__).parents[1]
_ports = iter(range(10_000 + os.getpid() * 17 % 20_000, 32_000))  # each program begins elsewhere
WORLD, MEMBERS, WARM = 2, 64, 10
SIZES = {"20-64-64-3": (20, 64, 3, 64), "64-128-128-10": (64, 128, 10, 256)}  # inputs, width, classes, batch
FULL, QUICK = 200, 40  # steps


def course_of(shape: str, processes: Processes) -> Course:
    """A population on noise; judged at its end."""
    inputs, width, classes, batch = SIZES[shape]
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(4096, inputs, generator=draw), torch.randint(classes, (4096,), generator=draw)
    rows = torch.arange(4096)
    samples = Samples(x, torch.zeros(4096, 0, dtype=torch.int64), y)
    feed = Feed(samples, rows[None, :4000], rows[None, 4000:], [1], batch)
    values = {"loss.name": "cross_entropy", "network.width": width, "training.batch_size": batch}
    plan = Plan().edited({**values, "training.epochs": 100, "training.patience": 1000}, by="user", why="bench")
    seeds = [Seeds.of(0, k, shared_data=True) for k in range(MEMBERS)]
    blueprint = Blueprint.of(plan, inputs, classes)
    course = Course(blueprint, [plan] * MEMBERS, seeds, feed, [0] * MEMBERS, processes=processes)
    course.evaluate_every = course.total_steps
    return course


def milliseconds(repeat: Callable[[], object], times: int) -> float:
    """Of one call."""
    began = time.perf_counter()
    for _ in range(times):
        repeat()
    return (time.perf_counter() - began) / times * 1e3


def measure(shape: str, steps: int) -> dict[str, Any]:
    """In this process, with the others if there are any."""
    with joined("cpu") as processes:
        course = course_of(shape, processes)
        moments = train(course, until=WARM + steps)
        for _ in range(WARM):
            next(moments)
        step = milliseconds(lambda: next(moments), steps)
        p, threads = course.population, torch.get_num_threads()
        row = {"shape": shape, "members": MEMBERS, "processes": processes.world, "threads_each": threads}
        row |= {"g_mib": p.gradient.nbytes / 2**20, "step_ms": step}
        if processes.world > 1:
            reducing = milliseconds(lambda: processes.reduce(p, torch.zeros(len(p))), steps)
            told = milliseconds(processes.tick, steps)
            row |= {"reduce_ms": reducing, "tell_ms": told, "reductions_of_step": (reducing + told) / step}
    return row


def free_port() -> int:
    """A port below those that the system gives to whoever opens a connection, so that it is free in a second too."""
    for port in _ports:
        with socket.socket() as opened:
            try:
                opened.bind(("localhost", port))
            except OSError:
                continue
            return port
    raise OSError("no port is free")


def start(
    arguments: Sequence[str], rank: int, world: int, port: int, folder: Path, **pipes: Any
) -> "subprocess.Popen[str]":
    """Python with these arguments, in this folder, as process `rank` of `world`, as torchrun would start it."""
    own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world, "MASTER_PORT": port}
    environment = {
        "OMP_WAIT_POLICY": "PASSIVE",
        **os.environ,
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
        "MASTER_ADDR": "localhost",
        **{name: str(value) for name, value in own.items()},
    }
    command = [sys.executable, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder, env=environment, **pipes)


def together(shape: str, steps: int, world: int) -> dict[str, Any]:
    """What process 0 of `world` measured.

    Raises:
        RuntimeError: one of them failed.
    """
    port, arguments = free_port(), ["-m", "benchmarks.parallel", "--one", shape, str(steps)]
    started = [start(arguments, rank, world, port, ROOT) for rank in range(world)]
    said = [each.communicate()[0] for each in started]
    if any(each.returncode for each in started):
        raise RuntimeError("a process of the benchmark failed; its error stands above")
    return json.loads(said[0].splitlines()[-1])


def main() -> None:
    """Measure as the options say; with `--one`, one population in this process."""
    parser = options(__doc__ or "")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.one[0], int(given.one[1]))))
        return
    rows = []
    for shape in SIZES:
        alone, pair = (together(shape, QUICK if given.quick else FULL, world) for world in (1, WORLD))
        rows += [alone, {**pair, "of_alone": pair["step_ms"] / alone["step_ms"]}]
    publish(rows, [], as_json=given.json)


if __name__ == "__main__":
    main()
