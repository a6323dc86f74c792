"""What one member's training step costs: `python -m benchmarks.throughput --json`.

µs for each member and step (forward, backward, AdamW; batches drawn and reshuffled), of populations and of one member
in trainwell's engine, beside a lean loop in torch and the libraries of the extra `bench`. All take turns in bursts of
steps within one run; medians over the bursts, and for the bars, of the quotients in each round of bursts. Beside it,
the share of what square products reach on this machine.

On a GPU: populations from 1 to 4096 beside a lean loop whose step is one CUDA graph.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

from benchmarks.contest import Entrant, compete, cores
from benchmarks.harness import Bar, at_least, options, publish
from benchmarks.loops import Case, Job, side
from benchmarks.peers import WAYS

CASES = (Case(20, 64, 3, 64), Case(64, 128, 10, 64), Case(100, 256, 2, 256), Case(784, 256, 10, 128))
OPTIONAL = ("skorch", "Keras", "Lightning")
POPULATIONS = (1, 4, 16, 64, 256, 1024, 4096)  # on a GPU
ALL, ONE, EVERY, GRAPH = "lean, all cores", "lean, 1 thread", "lean, all threads", "lean, CUDA graph"
ROUNDS, SECONDS = 7, 0.4
WAITING = "OMP_WAIT_POLICY"  # changes what several threads reach: told where it is set
QUICK_ROUNDS, QUICK_SECONDS = 3, 0.2


@dataclass(frozen=True)
class Aim:
    """A bar: the rivals' best ÷ ours is at least `times`, at this many members, in the first cases."""

    members: int
    rivals: tuple[str, ...]
    times: tuple[float, ...]  # by case
    needed: bool = True  # False: without the rival there is no bar


OTHERS = ("DataLoader loop", "scikit-learn", *OPTIONAL)
AIMS = (
    Aim(64, (ALL,), (5.0, 3.0, 2.0, 2.0)),
    *(Aim(64, (name,), (8.0, 8.0), needed=False) for name in OTHERS),
    Aim(1, (ONE, EVERY), (1.0, 1.0, 1.0, 1.0)),
)
GPU_AIMS = (Aim(256, (GRAPH,), (30.0, 30.0)),)


def on_processor(optional: bool) -> list[Entrant]:
    """Who takes part on a CPU."""
    return [
        Entrant("ours", "ours", members=64),
        Entrant(ALL, "lean", processes=cores(), threads=1),
        Entrant("ours", "ours"),
        Entrant(ONE, "lean", threads=1),
        Entrant(EVERY, "lean"),
        Entrant("DataLoader loop", "DataLoader loop"),
        Entrant("scikit-learn", "scikit-learn"),
        *(Entrant(name, name) for name in OPTIONAL if optional),
        Entrant("product, float32", "float32", least=1),
        *(Entrant("product, bfloat16", "bfloat16", least=1) for _ in range(optional)),
    ]


def on_gpu(populations: Sequence[int]) -> list[Entrant]:
    """Who takes part on a GPU."""
    return [
        *(Entrant("ours", "ours", members=members) for members in populations),
        Entrant(GRAPH, "lean_graph"),
        Entrant("lean", "lean"),
        Entrant("product, float32", "float32"),
        Entrant("product, bfloat16", "bfloat16"),
    ]


def told(case: Case, entrants: Sequence[Entrant], device: str) -> list[dict[str, Any]]:
    """A row for each entrant: µs for a member's step, GFLOP/s reached, share of the products' GFLOP/s."""
    square = 2.0 * side(device) ** 3
    peaks = {e.way: square / e.median for e in entrants if e.way in ("float32", "bfloat16") and e.median}
    waiting = {WAITING: os.environ[WAITING]} if WAITING in os.environ else {}
    rows = []
    for e in entrants:
        row: dict[str, Any] = {"size": case.name, "batch": case.batch, "name": e.name, "members": e.members}
        row |= {"processes": e.processes, "threads": e.threads, **waiting, **WAYS[e.way].versions()}
        if e.median is None:
            rows.append({**row, "note": e.note})
            continue
        row |= {"µs": 1e6 * e.median, "from": 1e6 * min(e.figures), "to": 1e6 * max(e.figures)}
        row["bursts"] = [1e6 * seconds for seconds in e.figures]
        reached = peaks[e.way] if e.way in peaks else case.operations / e.median
        row["gflops"] = reached / 1e9
        if e.way not in peaks:
            row |= {f"share_{way}": reached / peak for way, peak in peaks.items()}
        rows.append(row)
    return rows


def bars(rows: Sequence[dict[str, Any]], cases: Sequence[Case], aims: Sequence[Aim]) -> list[Bar]:
    """The bars on these rows. A rival that did not run has none, unless the aim needs it: that one is failed."""
    found = []
    for aim in aims:
        for case, times in zip(cases, aim.times, strict=False):
            here = [row for row in rows if row["size"] == case.name and "µs" in row]
            own = [row["bursts"] for row in here if row["name"] == "ours" and row["members"] == aim.members]
            rivals = [row["bursts"] for row in here if row["name"] in aim.rivals]
            if rivals or aim.needed:
                quotients = [[r / o for r, o in zip(rival, own[0], strict=True)] for rival in rivals if own]
                ratio = min((median(q) for q in quotients), default=0.0)
                against = aim.rivals[0] if len(aim.rivals) == 1 else "lean, the best"
                found.append(at_least(f"{case.name}, {aim.members} members: {against} ÷ ours", ratio, times))
    return found


def measure(
    cases: Sequence[Case], entrants: Sequence[Entrant], *, rounds: int, seconds: float, device: str = "cpu"
) -> list[dict[str, Any]]:
    """All entrants on each case."""
    rows = []
    try:
        for case in cases:
            compete(entrants, Job(case, device=device), rounds, seconds)
            rows += told(case, entrants, device)
    finally:
        for entrant in entrants:
            entrant.end()
    return rows


def main() -> None:
    """Measure and print."""
    arguments = options("µs for each member and step.").parse_args()
    quick, gpu = arguments.quick, torch.cuda.is_available()
    cases = CASES[:2] if quick else CASES
    rounds, seconds = (QUICK_ROUNDS, QUICK_SECONDS) if quick else (ROUNDS, SECONDS)
    rows = measure(cases, on_processor(optional=not quick), rounds=rounds, seconds=seconds)
    found = bars(rows, cases, AIMS)
    if gpu:
        populations = POPULATIONS[::2] if quick else POPULATIONS
        more = measure(cases, on_gpu(populations), rounds=rounds, seconds=seconds, device="cuda")
        found += bars(more, cases, GPU_AIMS)
        rows = [{"device": "cpu", **row} for row in rows] + [{"device": "cuda", **row} for row in more]
    publish(rows, found, as_json=arguments.json)


if __name__ == "__main__":
    main()
