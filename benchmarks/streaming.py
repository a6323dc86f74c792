"""Training on data larger than memory: `python -m benchmarks.streaming --json`.

A made data set in files, 4 times what the process may take. Each way to feed it is a process of its own, which makes
the same steps; the streamed ones under a limit that the system enforces (RLIMIT_DATA: an allocation above it fails),
with the files dropped from the system's cache first. That the limit bites is shown by the in-memory way under it.

Then the whole way, `fit` of a Parquet file whose table takes 4 times the limit: looked through, encoded to disk,
checked and trained for an epoch, all within the limit.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from benchmarks.harness import Bar, at_least, at_most, options, publish
from trainwell.base import Seeds
from trainwell.data.arrays import Arrays
from trainwell.data.batches import Feed, Samples
from trainwell.data.stream import StreamFeed
from trainwell.engine import Course, train
from trainwell.networks import Blueprint
from trainwell.plan import Plan
from trainwell.recipe import Request, Run, run_recipe

ROOT = Path(__file__).parents[1]
INPUTS, CLASSES, BATCH, MIB = 400, 10, 512, 1 << 20
TIMES = 4  # the data set, in limits
SHARE = 0.6  # of the in-memory speed
WARM = 20  # steps before the clock starts
BOTH = ("blocks", "rows")
GROUP = 4096  # rows of a row group of the Parquet file
EPOCH = {"training.epochs": "1", "ensemble.members": "1", "network.width": "64", "data.folds": "0"}
FULL = 400 * MIB, [(1, 500, BOTH), (16, 60, ("blocks",))], 3
QUICK = 200 * MIB, [(4, 200, ("blocks",))], 1


def make(folder: Path, size: int) -> None:
    """Write x.npy and y.npy of about `size` bytes; classes follow from x."""
    rows, draw = size // (4 * INPUTS + 8), np.random.default_rng(0)
    weights = draw.normal(size=(INPUTS, CLASSES)).astype(np.float32)
    x = np.lib.format.open_memmap(folder / "x.npy", mode="w+", dtype=np.float32, shape=(rows, INPUTS))
    y = np.empty(rows, np.int64)
    for start in range(0, rows, 65_536):
        piece = draw.random((min(65_536, rows - start), INPUTS), dtype=np.float32) - 0.5
        x[start : start + len(piece)], y[start : start + len(piece)] = piece, (piece @ weights).argmax(1)
    x.flush()
    np.save(folder / "y.npy", y)


def make_table(path: Path, size: int) -> None:
    """Write a Parquet file whose table takes about `size` bytes."""
    draw, weights = np.random.default_rng(0), np.random.default_rng(1).normal(size=INPUTS)
    parts = [path.with_name(f"part-{i}.parquet") for i in range(max(1, size // (8 * INPUTS * GROUP * 8)))]
    for part in parts:
        x = draw.random((8 * GROUP, INPUTS)) - 0.5
        frame = pl.DataFrame(x, schema=[f"x{i}" for i in range(INPUTS)])
        frame.with_columns(y=pl.Series(np.where(x @ weights > 0, "up", "down"))).write_parquet(part)
    pl.scan_parquet(parts).sink_parquet(path, row_group_size=GROUP)
    for part in parts:
        part.unlink()


def forget(folder: Path) -> None:
    """Drop the files from the system's cache, where the system has a call for that."""
    for path in [*folder.glob("*.npy"), *folder.glob("*.parquet")]:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def taken(field: str) -> int:
    """Bytes that the process takes, as /proc says: "RssAnon" resident and its own, "VmData" asked for."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


@contextmanager
def watched(every: float = 0.02) -> Iterator[list[int]]:
    """A list that holds the largest RssAnon seen since."""
    largest, done = [taken("RssAnon")], threading.Event()

    def look() -> None:
        while not done.wait(every):
            largest[0] = max(largest[0], taken("RssAnon"))

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    yield largest
    done.set()
    watcher.join()


def feed_of(way: str, folder: Path, limit: int) -> Feed | StreamFeed:
    """The training rows, all but the last 2,000, in memory or streamed."""
    arrays = Arrays.open(folder)
    rows = torch.arange(arrays.samples.count)
    parts = rows[None, :-2000], rows[None, -2000:], [1], BATCH
    if way == "memory":
        y = arrays.samples.y
        return Feed(
            Samples(arrays.samples.x.clone(), arrays.samples.categories, None if y is None else y.clone()), *parts
        )
    if way == "rows":
        return StreamFeed(arrays, *parts, shuffle="rows")
    block = MIB // arrays.row_bytes
    return StreamFeed(arrays, *parts, block=block, window=block * max(8, min(64, limit // (6 * MIB))))


def course_of(members: int, feed: Feed | StreamFeed) -> Course:
    """A population on the feed; judged at the end of an epoch."""
    values = {
        "loss.name": "cross_entropy",
        "training.batch_size": BATCH,
        "training.epochs": 1,
        "network.width": 128,
        "training.patience": 1000,
    }
    plans = [
        Plan().edited({**values, "optimizer.learning_rate": 1e-3 * (1 + k)}, by="user", why="bench")
        for k in range(members)
    ]
    seeds = [Seeds.of(0, k, shared_data=True) for k in range(members)]
    given: Any = feed
    course = Course(Blueprint.of(plans[0], INPUTS, CLASSES), plans, seeds, given, [0] * members)
    course.evaluate_every = course.total_steps
    return course


def run(way: str, folder: Path, members: int, steps: int, limit: int) -> dict[str, Any]:
    """Train in this process; `limit` bytes above what it takes at the start are allowed, 0 for no limit."""
    torch.set_num_threads(max(1, os.cpu_count() or 1))
    few = torch.arange(BATCH)
    tiny = Feed(
        Samples(torch.zeros(BATCH, INPUTS), torch.zeros(BATCH, 0), few % CLASSES), few[None], few[None], [1], BATCH
    )
    for _ in train(course_of(members, tiny)):  # what comes late, threads and code, is there before the limit
        pass
    before = taken("RssAnon")
    if limit:
        most = taken("VmData") + limit
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    try:
        with watched() as largest:
            course = course_of(members, feed_of(way, folder, limit))
            began = time.perf_counter()
            for moment in train(course, until=WARM + steps):
                if moment.step == WARM:
                    began = time.perf_counter()
            seconds = time.perf_counter() - began
    except (MemoryError, RuntimeError) as error:
        return {"failed": " ".join(str(error).split())[:120] or type(error).__name__}
    made = course.population.step - WARM
    judged = float(course.best.metric.max())
    return {
        "steps": made,
        "steps_a_second": made / seconds,
        "grown_mib": (largest[0] - before) / MIB,
        "accuracy": judged,
    }


def fitted(path: Path, limit: int) -> dict[str, Any]:
    """`fit` of the file in this process, `limit` bytes above what it takes after a first small one."""
    folder = path.parent
    make_table(folder / "small.parquet", 0)
    os.environ["TRAINWELL_MEMORY"] = "100MiB"  # the small one is streamed as well
    _fit(folder / "small.parquet", folder / "small")
    del os.environ["TRAINWELL_MEMORY"]
    before, most = taken("RssAnon"), taken("VmData") + limit
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    with watched() as largest:
        run = _fit(path, folder / "run")
    notes, rows = run.result["stages"][0]["evidence"]["notes"], run.result["stages"][0]["evidence"]["train"]
    return {
        "rows": rows,
        "seconds": run.result["seconds"]["total"],
        "grown_mib": (largest[0] - before) / MIB,
        "accuracy": run.result["test"]["accuracy"],
        "streamed": any("streamed from disk" in note for note in notes),
    }


def _fit(path: Path, out: Path) -> Run:
    return run_recipe(Request(path, ("y",), settings=EPOCH, budget=3600.0, trials=0, out=out))


def process(way: str, folder: Path, members: int, steps: int, limit: int) -> dict[str, Any]:
    """`run` in a fresh process, the files not in the system's cache."""
    forget(folder)
    command = [
        sys.executable,
        "-m",
        "benchmarks.streaming",
        "--one",
        way,
        str(folder),
        *map(str, (members, steps, limit)),
    ]
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment)
    if done.returncode:  # polars ends the process where an allocation fails
        return {"failed": f"the process ended with {done.returncode}"}
    return json.loads(done.stdout.splitlines()[-1])


def repeated(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """One row of several runs of a way: the median speed, the largest memory; or the first failure."""
    failed = [run for run in runs if "failed" in run]
    if failed:
        return failed[0]
    median = statistics.median(run["steps_a_second"] for run in runs)
    return {**runs[0], "steps_a_second": median, "grown_mib": max(run["grown_mib"] for run in runs), "runs": len(runs)}


def measure(
    limit: int, populations: list[tuple[int, int, tuple[str, ...]]], repeats: int
) -> tuple[list[dict[str, Any]], list[Bar]]:
    """Each population, given as members, steps and ways to feed it beside that from memory; the ways take turns."""
    rows, bars = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, TIMES * limit)
        about = {"data_mib": TIMES * limit // MIB, "limit_mib": limit // MIB}
        refused = process("memory", folder, 1, 1, limit)
        rows.append({"way": "memory, under the limit", "members": 1, **about, **refused})
        for members, steps, ways in populations:
            runs: dict[str, list[dict[str, Any]]] = {way: [] for way in ("memory", *ways)}
            for _ in range(repeats):
                for way, made in runs.items():
                    made.append(process(way, folder, members, steps, 0 if way == "memory" else limit))
            of = {way: repeated(made) for way, made in runs.items()}
            for way, got in of.items():
                share = got.get("steps_a_second", 0.0) / of["memory"]["steps_a_second"]
                rows.append({"way": way, "members": members, **about, **got, "of_memory": share})
            bars.append(at_least(f"streamed ÷ in memory, {members} members", _of(rows, members, "of_memory"), SHARE))
            grown = _of(rows, members, "grown_mib")
            bars.append(at_most(f"memory taken, MiB, {members} members", grown, limit / MIB))
        bars.append(at_least("the limit refuses the data in memory", float("failed" in refused), 1.0))
    return rows, bars


def measure_fit(limit: int) -> tuple[list[dict[str, Any]], list[Bar]]:
    """The whole way, on a table of 4 limits."""
    with tempfile.TemporaryDirectory() as name:
        make_table(Path(name) / "table.parquet", TIMES * limit)
        got = process("fit", Path(name), 1, 0, limit)
    row = {"way": "fit", "members": 1, "data_mib": TIMES * limit // MIB, "limit_mib": limit // MIB, **got}
    ended = float(got.get("streamed", False) and got["accuracy"] > 0.8)
    bars = [at_least("fit ends within the limit, and has learnt", ended, 1.0)]
    return [row], [*bars, at_most("memory taken by fit, MiB", got.get("grown_mib", float("inf")), limit / MIB)]


def _of(rows: list[dict[str, Any]], members: int, figure: str) -> float:
    """A figure of the row that streams by blocks; a run that failed has none."""
    row = next(row for row in rows if (row["way"], row["members"]) == ("blocks", members))
    return row.get(figure, float("inf"))


def main() -> None:
    """Measure as the options say; with `--one`, one way in this process."""
    parser = options(__doc__ or "")
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        way, folder, *sizes = given.one
        members, steps, limit = map(int, sizes)
        of = fitted(Path(folder) / "table.parquet", limit) if way == "fit" else None
        print(json.dumps(of or run(way, Path(folder), members, steps, limit)))
        return
    rows, bars = measure(*(QUICK if given.quick else FULL))
    whole, ended = ([], []) if given.quick else measure_fit(FULL[0])
    publish([*rows, *whole], [*bars, *ended], as_json=given.json)


if __name__ == "__main__":
    main()
