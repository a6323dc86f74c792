"""What observation costs: `python -m benchmarks.overhead --json`.

Time of a whole training with observation ÷ without it: `trainwell.watch` at its default cadence around a loop of one's
own (from its call to the end of its context; the dense first looks are in it), and the vitals of `trainwell fit` in
our engine, for four networks. Both train side by side, a few steps of the one and then of the other, so that other
programs on the machine disturb both; a ratio is the median over some such runs. Seconds are those of the processor on
one thread; ratios of the clock stand beside. Peers (the `bench` extra) are rows without a bar, over fewer steps.
Memory: peaks of processes of their own (medians of some), watched over such that have only imported trainwell.
"""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import nn

from benchmarks.harness import Bar, at_most, options, publish
from benchmarks.overhead_peers import PEERS, lacking
from benchmarks.overhead_programs import A_TURN, JOBS, NEVER, RATE, Job, in_own_loop, made, run
from benchmarks.overhead_turns import OFF, ON, compared
from trainwell.adapters import Watch, watch
from trainwell.base import Seeds
from trainwell.data.batches import Feed, Samples
from trainwell.engine import Course, train
from trainwell.engine.moment import never
from trainwell.engine.record import Record
from trainwell.networks import Blueprint, ModuleBlueprint
from trainwell.plan import Plan
from trainwell.vitals import observe, sampling, spacing

TIME, TINY, MEMORY = 1.02, 1.05, 1.02  # asked for; TINY: of the tiny network in a loop of one's own
LOOP, ENGINE = "own loop", "engine"
MEMBERS = 16  # of a population of dense networks in the engine; of the other networks it trains one
TIMES, QUICK_TIMES, QUICK_PART, MEMORY_TIMES = 5, 2, 8, 7
PEER_STEPS, PEER_TIMES = 100, 3  # after some dozens of steps their cost a step stays the same


def in_engine(job: Job, observed: bool, steps: int) -> Iterator[None]:
    """A population in training, shown and noted as the recipe does it."""
    course = course_of(job, steps)
    record, wants = Record(), sampling(spacing(course.total_steps)) if observed else never
    yield
    for moment in train(course, wants_layers=wants):
        if observed and (moment.evaluation is not None or moment.layers is not None or moment.step % 10 == 0):
            observe(moment, record)
        if moment.step % A_TURN == 0:
            yield


def course_of(job: Job, steps: int) -> Course:
    """As `in_own_loop` trains it: the same batches in turn, Adam, no validation."""
    batches = made(job)
    x, y = torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches])
    values = {
        "loss.name": "cross_entropy",
        "network.width": 64,
        "schedule.name": "constant",
        "optimizer.learning_rate": RATE,
        "training.batch_size": job.batch,
        "training.epochs": steps // len(batches),
    }
    plan = Plan().edited(values, by="user", why="")
    flat = len(job.shape) == 1
    blueprint: Any = (
        Blueprint.of(plan, job.shape[0], job.classes) if flat else ModuleBlueprint(job.make, x[: job.batch])
    )
    members = MEMBERS if flat else 1
    seeds = [Seeds.of(0, member, shared_data=True) for member in range(members)]
    samples = Samples(x, torch.zeros(len(x), 0, dtype=torch.int64), y, samples_first=not flat)
    rows = torch.arange(len(x)).unsqueeze(0)
    feed = Feed(samples, rows, rows[:, : job.batch], [seeds[0].order], job.batch)
    course = Course(blueprint, [plan] * members, seeds, feed, [0] * members)
    course.evaluate_every = NEVER
    return course


def time_rows(times: int, part: int) -> list[dict[str, Any]]:
    """Each network, in a loop of one's own and in the engine."""
    rows = []
    for name, job in JOBS.items():
        steps = job.steps // part
        told = {"network": name, "steps": steps}
        own = compared(
            {ON: partial(in_own_loop, job, watch, steps), OFF: partial(in_own_loop, job, None, steps)}, times
        )
        rows.append({**told, "where": LOOP, **own, "µs_of_a_step": 1e6 * own["seconds_without"] / steps})
        rows[-1] |= cost_of_verdict(job, steps)
        engine = compared({ON: partial(in_engine, job, True, steps), OFF: partial(in_engine, job, False, steps)}, times)
        rows.append({**told, "where": ENGINE, **engine, "µs_of_a_step": 1e6 * engine["seconds_without"] / steps})
    return rows


def cost_of_verdict(job: Job, steps: int) -> dict[str, float]:
    """Milliseconds that `findings` takes; it is asked for once or seldom, and not in the ratio."""
    kept: list[Watch] = []

    def keeping(model: nn.Module, optimizer: Any) -> Watch:
        kept.append(watch(model, optimizer))
        return kept[0]

    run(in_own_loop(job, keeping, min(steps, 200)))
    began = time.process_time()
    _ = kept[0].findings
    return {"ms_of_findings": 1e3 * (time.process_time() - began)}


def peer_rows(times: int, part: int) -> list[dict[str, Any]]:
    """Peers around a loop of one's own; where one can't be asked, the reason."""
    rows = []
    for peer, training in PEERS.items():
        told = {"where": LOOP, "peer": peer}
        if reason := lacking(peer):
            rows.append({**told, "reason": reason})
            continue
        for name, job in JOBS.items():
            steps = max(A_TURN, PEER_STEPS // part)
            sides = {ON: partial(training, job, steps), OFF: partial(in_own_loop, job, None, steps)}
            try:
                rows.append({"network": name, "steps": steps, **told, **compared(sides, times)})
            except Exception as error:  # whatever the peer may raise at a network that it does not know
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
                rows.append({"network": name, **told, "reason": reason})
    return rows


def memory_rows(times: int, part: int, names: Sequence[str]) -> list[dict[str, Any]]:
    """Peaks in MiB: watched, with trainwell imported only, and without it."""
    rows = []
    for name in names:
        steps = min(JOBS[name].steps, 300) // part
        peaks = {how: median(_peak(name, how, steps) for _ in range(times)) for how in ("on", "off", "bare")}
        told = {"network": name, "steps": steps, "where": "memory", "ratio": peaks["on"] / peaks["off"]}
        rows.append({**told, "MiB": peaks["on"], "imported": peaks["off"], "without": peaks["bare"]})
    return rows


def _peak(name: str, how: str, steps: int) -> float:
    command = [sys.executable, "-m", "benchmarks.overhead_programs", name, how, str(steps)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return float(done.stdout.split()[-1])


def bars(rows: Sequence[dict[str, Any]]) -> list[Bar]:
    """The figures that were asked for."""
    found = []
    for row in rows:
        if "peer" in row:
            continue
        tiny = row["where"] == LOOP and row["network"] == "dense, tiny"
        most = MEMORY if row["where"] == "memory" else TINY if tiny else TIME
        found.append(at_most(f"{row['network']}, {row['where']}: watched ÷ not", row["ratio"], most))
    return found


def main() -> None:
    """Measure and print."""
    quick = (arguments := options("Time and memory with observation over those without.").parse_args()).quick
    torch.set_num_threads(1)
    times, peaks, part = (QUICK_TIMES, QUICK_TIMES, QUICK_PART) if quick else (TIMES, MEMORY_TIMES, 1)
    rows = time_rows(times, part) + memory_rows(peaks, part, list(JOBS)[:1] if quick else list(JOBS))
    rows += peer_rows(1 if quick else PEER_TIMES, part)
    publish(rows, bars(rows), as_json=arguments.json)


if __name__ == "__main__":
    main()
