"""Whether products in bfloat16 cost quality: `python -m benchmarks.precision --data DIR --json`.

The same networks (8 of one plan, the same seeds, the same epochs, no search) are trained in float32 and in bfloat16 on
every set of DIR that is named with --only, else on all, and judged on its test part: accuracy, or the share of the
variance that is explained. Without --data, or with --quick, the bundled sets.
"""

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import trainwell
from benchmarks.harness import Bar, at_least, options, publish
from benchmarks.sets import DataSet, bundled, sets_in
from trainwell.engine.precision import PRECISIONS

SETTINGS = {"training.epochs": 12, "ensemble.members": 8, "network.width": 256, "data.folds": 0}
METRIC = {"regression": "r2", "classes": "accuracy"}
LOST, LOST_MOST = 0.002, 0.02  # of the metric: over all sets, and on one


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure as the options say."""
    parser = options("Test metrics in float32 and in bfloat16.")
    parser.add_argument("--data", type=Path, help="folder of folders with train, test and meta.json")
    parser.add_argument("--only", action="append", metavar="NAME", help="measure this set; may be given again")
    parser.add_argument("--seeds", type=int, default=2)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        folder: Path | None = None if asked.quick else asked.data
        sets = list(bundled(Path(scratch))) if folder is None else sets_in(folder)
        named = [data for data in sets if not asked.only or data.name in asked.only]
        rows = [row_of(data, Path(scratch), asked.seeds) for data in named]
    return publish(rows, bars(rows), as_json=asked.json)


def row_of(data: DataSet, scratch: Path, seeds: int) -> dict[str, Any]:
    """The metric and the seconds of the final training in both; means over seeds."""
    got: dict[str, list[tuple[float, float]]] = {precision: [] for precision in PRECISIONS}
    for seed in range(seeds):
        for precision in PRECISIONS:
            out = scratch / f"{data.name}-{precision}-{seed}"
            got[precision].append(_fit(data, out, precision, seed))
    metric = {precision: statistics.mean(m for m, _ in all_) for precision, all_ in got.items()}
    seconds = {precision: statistics.median(s for _, s in all_) for precision, all_ in got.items()}
    half, whole = got["bfloat16"], got["float32"]
    return {
        "set": data.name,
        "metric": METRIC[data.task],
        **metric,
        "gained": metric["bfloat16"] - metric["float32"],
        "between_seeds": max(m for m, _ in whole) - min(m for m, _ in whole),
        "speed": seconds["float32"] / seconds["bfloat16"],
        "seeds": len(half),
    }


def _fit(data: DataSet, out: Path, precision: str, seed: int) -> tuple[float, float]:
    run = trainwell.fit(
        data.train,
        data.target,
        test=data.test,
        budget=600,
        trials=0,
        seed=seed,
        settings={**SETTINGS, "training.precision": precision},
        out=out,
        quiet=True,
    )
    return run.result["test"][METRIC[data.task]], run.result["seconds"]["final"]


def bars(rows: Sequence[dict[str, Any]]) -> list[Bar]:
    """Over all sets, and on the worst."""
    gained = [row["gained"] for row in rows]
    return [
        at_least("metric gained by bfloat16, mean of all sets", statistics.mean(gained), -LOST),
        at_least("metric gained by bfloat16, worst set", min(gained), -LOST_MOST),
    ]


if __name__ == "__main__":
    main()
