"""How good the trained networks are: `python -m benchmarks.quality --data DIR --budget 60s --json`.

Over every set in DIR, the test metric of `trainwell fit` (as a person calls it, in a process of its own) beside
scikit-learn's models on the same files. Accuracy for classes, root mean squared error for numbers. A set that was
measured stands in the results file and is not measured again, so a run may be stopped and called again. Without --data,
or with --quick: the bundled sets and 5 seconds each.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import Bar, at_least, at_most, options, publish
from benchmarks.rivals import MLPS, scores
from benchmarks.sets import DataSet, bundled, sets_in
from trainwell.base import InputError
from trainwell.recipe import parse_budget
from trainwell.version import VERSION

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "quality.jsonl"
FIT = (sys.executable, "-m", "trainwell", "fit")
QUICK_BUDGET, BUDGET = "5s", "60s"
BEATEN, ADULT, IN_TIME = 0.8, 0.853, 1.1  # the figures that were asked for
KEY = ("set", "budget", "seed", "version")


@dataclass(frozen=True)
class Setup:
    """How every set is measured."""

    budget: str
    seed: int
    results: Path
    fit: tuple[str, ...] = FIT
    fresh: bool = False


def main(arguments: Sequence[str] | None = None, fit: tuple[str, ...] = FIT) -> dict[str, Any]:
    """Measure what is not yet in the results file, print all, and give the outcome."""
    parser = options("Test metrics beside scikit-learn's models.")
    parser.add_argument("--data", type=Path, help="folder of folders with train, test and meta.json")
    parser.add_argument("--budget", help=f"of each training; standard {BUDGET}, bundled sets {QUICK_BUDGET}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS, help="file of results, one set a line")
    parser.add_argument("--only", action="append", metavar="NAME", help="measure this set; may be given again")
    parser.add_argument("--fresh", action="store_true", help="measure again what stands in the results file")
    asked = parser.parse_args(arguments)
    small = asked.quick or asked.data is None
    setup = Setup(asked.budget or (QUICK_BUDGET if small else BUDGET), asked.seed, asked.out, fit, asked.fresh)
    try:
        parse_budget(setup.budget)
        with tempfile.TemporaryDirectory() as scratch:
            sets = list(bundled(Path(scratch))) if small or asked.data is None else sets_in(asked.data)
            rows = [row_of(data, setup) for data in sets if not asked.only or data.name in asked.only]
    except InputError as error:
        parser.error(str(error))
    if not rows:
        parser.error(f"no set is named {' or '.join(asked.only)}; known: {', '.join(data.name for data in sets)}")
    ties = [row["set"] for row in rows if row["against_mlp"] == "tie"]
    if ties:
        print(f"Ties with scikit-learn's network: {', '.join(ties)}.", file=sys.stderr)
    return publish(rows, bars(rows, setup.budget), as_json=asked.json)


def row_of(data: DataSet, setup: Setup) -> dict[str, Any]:
    """A set's row: from the results file, or else measured and added to it."""
    key = {"set": data.name, "budget": setup.budget, "seed": setup.seed, "version": VERSION}
    known = None if setup.fresh else find(setup.results, key)
    if known is not None:
        print(f"{data.name}: taken from the results file; --fresh measures again", file=sys.stderr)
        return known
    ours = train(data, setup)
    row = compared(data, key, ours, scores(data))
    print(f"{data.name}: {row['ours']} in {row['seconds']:.1f} s ({row['against_mlp']})", file=sys.stderr)
    if ours["value"] is not None:  # a training that failed is to be tried again
        setup.results.parent.mkdir(parents=True, exist_ok=True)
        with setup.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return row


def find(results: Path, key: dict[str, Any]) -> dict[str, Any] | None:
    """The newest row of a results file with this key; half a line, left by a kill, is passed over."""
    found = None
    for line in results.read_text(encoding="utf-8").splitlines() if results.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if all(row.get(name) == key[name] for name in KEY):
            found = row
    return found


def train(data: DataSet, setup: Setup) -> dict[str, Any]:
    """Our test metric, wall seconds of the whole call, and what went wrong, if anything did."""
    task = ["--task", "regression"] if data.task == "regression" else []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])}
    with tempfile.TemporaryDirectory() as scratch:
        call = [*setup.fit, str(data.train), "--target", data.target, *task, "--test", str(data.test)]
        call += ["--budget", setup.budget, "--seed", str(setup.seed), "--out", f"{scratch}/run", "--json", "--quiet"]
        began = time.monotonic()
        done = subprocess.run(call, capture_output=True, text=True, env=environment, check=False)
        seconds = time.monotonic() - began
    try:
        value = float(json.loads(done.stdout)["test"][data.metric])
    except (ValueError, KeyError, TypeError):
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return {"value": None, "seconds": seconds, "error": lines[-1]}
    return {"value": value, "seconds": seconds, "error": None}


def compared(data: DataSet, key: dict[str, Any], ours: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
    """The row of a set: our figure, the rivals' by name, and how it stands against scikit-learn's network."""
    figures = {name: found[data.metric] for name, found in others.items()}
    mlps = [figures[name] for name in MLPS if figures.get(name) is not None]
    mlp = (max if data.higher_is_better else min)(mlps) if mlps else None
    guess = figures.get("mean", figures.get("majority"))
    return {
        **key,
        "metric": data.metric,
        "ours": ours["value"],
        "mlp": mlp,
        "against_mlp": relation(ours["value"], mlp, data.higher_is_better),
        "guess": guess,
        "linear": figures["linear"],
        "boosting": figures["boosting"],
        "published_mlp": data.published.get("value"),
        "seconds": ours["seconds"],
        "error": ours["error"],
        "mlps": {name: figures[name] for name in MLPS if name in figures},
        "rival_seconds": {name: found["seconds"] for name, found in others.items()},
        "published": data.published,
    }


def relation(ours: float | None, other: float | None, higher: bool) -> str:
    """ "win" when strictly better, "tie" when equal, else "loss"; a rival that could not be fitted is beaten.

    >>> relation(0.9, 0.8, True), relation(0.9, 0.8, False), relation(0.9, 0.9, True), relation(None, 0.9, True)
    ('win', 'loss', 'tie', 'loss')
    """
    if ours is None:
        return "loss"
    if other is None:
        return "win"
    return "tie" if ours == other else "win" if (ours > other) == higher else "loss"


def bars(rows: Sequence[dict[str, Any]], budget: str) -> list[Bar]:
    """Share of strict wins, accuracy on Adult where it was measured, and the longest training over its budget."""
    wins = sum(row["against_mlp"] == "win" for row in rows) / len(rows)
    found = [at_least("share of sets where ours beats scikit-learn's MLP", wins, BEATEN)]
    found += [at_least("accuracy on adult", row["ours"] or 0.0, ADULT) for row in rows if row["set"] == "adult"]
    slowest = max(row["seconds"] for row in rows) / parse_budget(budget)
    return [*found, at_most("longest time over its budget", slowest, IN_TIME)]


if __name__ == "__main__":
    main()
