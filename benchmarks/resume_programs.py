"""The trainings that `benchmarks.resume` kills: what a child process runs in a folder, or goes on with.

Each gives what its end is known by: digests of weights, vitals and trials, and the outcomes in words.
"""

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
import torch

from trainwell.base import Seeds
from trainwell.base.files import replace_file
from trainwell.cli.main import main as trainwell
from trainwell.data.batches import Feed, Samples
from trainwell.engine import Course, Record, train
from trainwell.engine.checkpoint import Saver
from trainwell.networks import Blueprint
from trainwell.plan import Plan
from trainwell.recipe.journal import Journal
from trainwell.search import Entry, halve, ladder
from trainwell.testing.members import Case
from trainwell.vitals import observe, sampling

MEMBERS = 6
STEPS = {"training.epochs": 200}  # 600 updates, an evaluation every ninth
OFTEN = 0.5  # share of the time that may go into checkpoints here, so that kills fall into the writing of one

Program = Callable[[Path, bool], dict[str, str]]  # of a folder, and whether checkpoints are made


def digest(*parts: bytes) -> str:
    """A short name of these bytes."""
    return hashlib.blake2b(b"".join(parts), digest_size=12).hexdigest()


def frame_digest(frame: pl.DataFrame) -> str:
    """A short name of a table, whatever the order of its rows."""
    return digest(frame.sort(frame.columns).write_csv().encode())


def ends_of(courses: Sequence[Course]) -> dict[str, str]:
    """What each course has come to: best weights and figures of every member, and how it ended."""
    known = {}
    for i, course in enumerate(courses):
        known |= {f"{i} {name}": digest(t.numpy().tobytes()) for name, t in course.best.tensors().items()}
        known[f"{i} outcomes"] = str([str(outcome) for outcome in course.outcomes])
    return known


def training(case: Case, folder: Path, saving: bool) -> dict[str, str]:
    """Train one population, watched."""
    torch.set_num_threads(1)
    course, record, vitals = case.course(range(MEMBERS), dtype=torch.float32), Record(), folder / "vitals.parquet"

    def beside() -> Callable[[], None]:
        frame = record.frame()
        return lambda: replace_file(vitals, frame.write_parquet)

    saver = Saver({folder / "course.safetensors": course}, least=0.0, share=OFTEN, beside=beside)
    if saver.load():
        record.extend(pl.read_parquet(vitals).filter(pl.col("step") <= course.population.step))
    for moment in train(course, wants_layers=sampling(100)):
        if moment.evaluation is not None or moment.layers is not None:
            observe(moment, record)
        if saving:
            saver.offer()
    saver.close()
    return {**ends_of([course]), "vitals": frame_digest(record.frame())}


def halving(cases: Sequence[Case], folder: Path, saving: bool) -> dict[str, str]:
    """Successive halving over several populations."""
    torch.set_num_threads(1)
    courses = [case.course(range(9), dtype=torch.float32) for case in cases]
    entries = [Entry(9 * i + m, c.plans[m], c, i, [m]) for i, c in enumerate(courses) for m in range(9)]
    journal = Journal(folder / "journal.json")
    saver = Saver({folder / f"{i}.safetensors": c for i, c in enumerate(courses)}, least=0.0, share=OFTEN)
    saver.load()
    rungs = ladder(len(entries), 3, 3)
    for _ in halve(entries, rungs, monitor="loss", stop=lambda: False, remember=journal.remember):
        if saving:
            saver.offer()
    saver.close()
    return {**ends_of(courses), "trials": str([(e.number, e.rung, e.loss, e.metric) for e in entries])}


def recipe(settings: Mapping[str, str], trials: int, folder: Path, saving: bool) -> dict[str, str]:
    """The whole of `trainwell fit`, or `trainwell resume` where there is something to resume."""
    torch.set_num_threads(1)
    run, table, journal = folder / "run", folder / "table.csv", folder / "run" / "checkpoints" / "journal.json"
    if journal.exists() and "request" in Journal(journal):
        arguments = ["resume", str(run)]
    else:  # killed before it began: 'start it anew'
        shutil.rmtree(run, ignore_errors=True)
        moons(800).write_csv(table)
        chosen = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        asked = ["--target", "label", "--budget", "1h", "--trials", str(trials), "--out", str(run), "--quiet"]
        arguments = ["fit", str(table), *asked, *chosen]
    with open(folder / "said.txt", "ab", buffering=0) as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    code = trainwell(arguments)
    if code:
        sys.exit(code)
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    return {
        "weights": digest((run / "model" / "weights.safetensors").read_bytes()),
        "plan": digest((run / "plan.yaml").read_bytes()),
        "vitals": frame_digest(pl.read_parquet(run / "vitals.parquet")),
        "trials": frame_digest(pl.read_parquet(run / "trials.parquet")),
        "figures": str([result["validation"], result["test"]]),
    }


def moons(rows: int) -> pl.DataFrame:
    """Two interleaved half circles, and a category that helps a little."""
    draw = np.random.default_rng(0)
    y, t = draw.integers(0, 2, rows), draw.uniform(0, np.pi, rows)
    x = np.where(y == 0, np.cos(t), 1 - np.cos(t)) + draw.normal(0, 0.15, rows)
    z = np.where(y == 0, np.sin(t), 0.5 - np.sin(t)) + draw.normal(0, 0.15, rows)
    colour = np.where(draw.random(rows) < 0.7, np.where(y == 0, "red", "blue"), "green")
    return pl.DataFrame({"x": x, "z": z, "colour": colour, "label": np.where(y == 0, "down", "up")})


def _trained(edits: Mapping[str, Any], *regularisers: str, **more: Any) -> Program:
    return partial(training, Case("resume", {**STEPS, **edits}, regularisers=regularisers, **more))


BATCH_NORM = {"network.norm": "batch"}
RECIPE = {"training.epochs": "50", "ensemble.members": "3", "training.batch_size": "32", "network.width": "32"}
PLANS: dict[str, Program] = {
    "early stopping": _trained({"training.patience": 6}, own_batches=True),
    "dropout": _trained({}, "dropout", cardinalities=(4,)),
    "batch norm": _trained(BATCH_NORM, own_batches=True),
    "one-cycle": _trained({"schedule.name": "one-cycle"}),
    "restarts": _trained({"schedule.name": "restarts"}),
    "plateau": _trained({"schedule.name": "plateau", "schedule.plateau_patience": 2}),
    "running average": _trained(BATCH_NORM, "ema_decay", "swa_start"),
    "mixup, noise": _trained({}, "mixup", "input_noise", own_batches=True),
    "clipping, max norm": _trained({"optimizer.name": "momentum"}, "clip_norm", "clip_adaptive", "max_norm"),
    "schedule_free": _trained({"optimizer.name": "schedule_free"}),
    "muon": _trained({"optimizer.name": "muon"}),
    "some diverge": _trained({"optimizer.name": "sgd", "optimizer.learning_rate": 30.0, "loss.name": "mse"}),
    "halving": partial(
        halving, [Case("narrow", {**STEPS, **BATCH_NORM}), Case("wide", {**STEPS, "network.width": 24})]
    ),
}
WHOLE: dict[str, Program] = {
    "fit: search": partial(recipe, {**RECIPE, "data.folds": "0"}, 9),
    "fit: folds, batch norm": partial(recipe, {**RECIPE, "data.folds": "2", "network.norm": "batch"}, 4),
}


def child(name: str, folder: Path, saving: bool, begun: Any) -> None:
    """What a child process does: say that it begins, run, and leave what its end is known by."""
    begun.send(True)
    end = {**PLANS, **WHOLE}[name](folder, saving)
    replace_file(folder / "end.json", lambda path: path.write_text(json.dumps(end), encoding="utf-8"))


def cost(seconds: float, members: int, told: Any) -> None:
    """Train members 64-128-128-10 on batches of 64 for some seconds, with checkpoints as often as is standard."""
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(4096, 64, generator=draw), torch.randint(10, (4096,), generator=draw)
    edits = {"network.width": 128, "loss.name": "cross_entropy", "training.batch_size": 64, "training.epochs": 10_000}
    plan = Plan().edited({**edits, "training.patience": 10_000}, by="user", why="benchmark")
    seeds = [Seeds.of(0, member, shared_data=True) for member in range(members)]
    rows = torch.arange(4096)
    samples = Samples(x, torch.zeros(4096, 0, dtype=torch.int64), y)
    feed = Feed(samples, rows[None, :3584], rows[None, 3584:], [seeds[0].order], 64)
    course = Course(Blueprint.of(plan, 64, 10, ()), [plan] * members, seeds, feed, [0] * members)
    with TemporaryDirectory() as folder:
        saver = Saver({Path(folder) / "course.safetensors": course})
        began = time.perf_counter()
        for _ in train(course):
            saver.offer()
            if time.perf_counter() - began > seconds:
                break
        wall = time.perf_counter() - began
        saver.close()
        told.send(
            {
                "plan": f"{members} members 64-128-128-10",
                "seconds": wall,
                "saves": saver.saves,
                "paused_share": saver.paused / wall,
                "time_share": (saver.paused + saver.written) / wall,
                "longest_pause_s": saver.longest_pause,
                "mib": sum(t.nbytes for t in course.tensors().values()) / 2**20,
            }
        )
