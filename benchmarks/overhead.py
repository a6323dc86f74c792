"""What observation costs: `python -m benchmarks.overhead --json`.

Time of a whole training with observation ÷ without it: `trainwell.watch` at its default cadence around a loop of one's
own (from its call to the end of its context; the dense first looks are in it), and the vitals of `trainwell fit` in
our engine, for four networks. Runs with and without take turns; a ratio is the median over the pairs. Seconds are those
of the processor on one thread, which other programs on the machine disturb least; ratios of the clock stand beside.
Memory: peaks of processes of their own, one that is watched and one that has only imported trainwell.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median, quantiles
from typing import Any

import torch
from torch import nn

from benchmarks.harness import Bar, at_most, options, publish
from benchmarks.overhead_programs import JOBS, NEVER, RATE, Job, Spent, in_own_loop, made
from trainwell.adapters import Watch, watch
from trainwell.base import Seeds
from trainwell.data.batches import Feed, Samples
from trainwell.engine import Course, train
from trainwell.engine.moment import never
from trainwell.engine.record import Record
from trainwell.networks import Blueprint, ModuleBlueprint
from trainwell.plan import Plan
from trainwell.vitals import observe, sampling

TIME, TINY, MEMORY = 1.02, 1.05, 1.02  # asked for; TINY: of the tiny network in a loop of one's own
LOOP, ENGINE = "own loop", "engine"
MEMBERS = 16  # of a population of dense networks in the engine; of the other networks it trains one
PAIRS, QUICK_PAIRS, QUICK_PART = 9, 3, 8


def in_engine(job: Job, observed: bool, steps: int) -> Spent:
    """A population in training, shown and noted as the recipe does it."""
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
    record, wants = Record(), sampling(max(1, course.total_steps // 64)) if observed else never
    began = time.process_time(), time.perf_counter()
    for moment in train(course, wants_layers=wants):
        if observed and (moment.evaluation is not None or moment.layers is not None or moment.step % 10 == 0):
            observe(moment, record)
    return time.process_time() - began[0], time.perf_counter() - began[1]


def paired(run: Callable[[bool], Spent], pairs: int) -> dict[str, Any]:
    """Ratios of runs with and without, of which now the one and now the other comes first."""
    for observed in (True, False):  # what is set up once is not counted
        run(observed)
    ratios, clocks, plain = [], [], []
    for pair in range(pairs):
        spent = {observed: run(observed) for observed in ((False, True) if pair % 2 else (True, False))}
        ratios.append(spent[True][0] / spent[False][0])
        clocks.append(spent[True][1] / spent[False][1])
        plain.append(spent[False][0])
    low, _, high = quantiles(ratios, n=4)
    row = {"ratio": median(ratios), "quarter": low, "three_quarters": high, "of_the_clock": median(clocks)}
    return {**row, "seconds_without": median(plain), "pairs": pairs}


def time_rows(pairs: int, part: int) -> list[dict[str, Any]]:
    """Each network, in a loop of one's own and in the engine."""
    rows = []
    for name, job in JOBS.items():
        steps = job.steps // part
        told = {"network": name, "steps": steps}
        own = paired(lambda on, job=job, steps=steps: in_own_loop(job, watch if on else None, steps), pairs)
        rows.append({**told, "where": LOOP, **own, "µs_of_a_step": 1e6 * own["seconds_without"] / steps})
        rows[-1] |= cost_of_verdict(job, steps)
        engine = paired(lambda on, job=job, steps=steps: in_engine(job, on, steps), pairs)
        rows.append({**told, "where": ENGINE, **engine, "µs_of_a_step": 1e6 * engine["seconds_without"] / steps})
    return rows


def cost_of_verdict(job: Job, steps: int) -> dict[str, float]:
    """Milliseconds that `findings` takes; it is asked for once or seldom, and not in the ratio."""
    kept: list[Watch] = []

    def keeping(model: nn.Module, optimizer: Any) -> Watch:
        kept.append(watch(model, optimizer))
        return kept[0]

    in_own_loop(job, keeping, min(steps, 200))
    began = time.process_time()
    _ = kept[0].findings
    return {"ms_of_findings": 1e3 * (time.process_time() - began)}


def memory_rows(part: int, times: int) -> list[dict[str, Any]]:
    """Peaks in MiB: watched, with trainwell imported only, and without it."""
    rows = []
    for name, job in JOBS.items():
        steps = min(job.steps, 500) // part
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
        tiny = row["where"] == LOOP and row["network"] == "dense, tiny"
        most = MEMORY if row["where"] == "memory" else TINY if tiny else TIME
        found.append(at_most(f"{row['network']}, {row['where']}: watched ÷ not", row["ratio"], most))
    return found


def main() -> None:
    """Measure and print."""
    quick = (arguments := options("Time and memory with observation over those without.").parse_args()).quick
    torch.set_num_threads(1)
    pairs, part = (QUICK_PAIRS, QUICK_PART) if quick else (PAIRS, 1)
    rows = time_rows(pairs, part) + memory_rows(part, 1 if quick else 3)
    publish(rows, bars(rows), as_json=arguments.json)


if __name__ == "__main__":
    main()
