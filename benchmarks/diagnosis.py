"""How far a diagnosis can be trusted: `python -m benchmarks.diagnosis [--json] [--quick] [--without-cure]`.

Programs with planted faults and healthy ones (`trainwell.testing.programs`), each under several seeds, watched or
checked: recall, precision, false alarms, step of detection. Then sick trainings are given to `trainwell.cure`: what
share of the known fix's gain they recover on rows that nobody saw, and at what cost. Findings of severity warning or
critical count.
"""

import multiprocessing
import os
import statistics
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from math import isnan, nan
from typing import Any

import torch

from benchmarks.harness import Bar, at_least, at_most, options, publish
from trainwell.testing.programs import Program, healthy, sick
from trainwell.testing.programs.cure_cases import CASES
from trainwell.testing.programs.cures import CureCase, Cured, cured

SEEDS, CURE_SEEDS = (0, 1, 2), (100, 101)
ADVICE = frozenset(
    {"bias-before-norm", "loss-not-the-metric", "loss-spike", "loss-sums", "missing-regularisation", "plateau"}
)  # no fault by themselves, so that they are told as an information: a mention at any severity counts as found
NEAR = 0.02  # accuracy or R²: a change that costs no more than this on held-out rows is no harm, but noise
QUICK = 14  # every so many programs in the reduced version


@dataclass(frozen=True)
class Verdict:
    """What was said of one run of one program.

    Attributes:
        kinds: of findings of severity warning or critical; of advice, at any severity.
        step: of the planted finding, where it has one.
        sound: whether a healthy program did as well as it should.
        error: what was raised instead, or None.
    """

    program: str
    planted: str | None
    also: tuple[str, ...]
    door: str
    architecture: str
    seed: int
    kinds: tuple[str, ...]
    messages: tuple[str, ...] = ()
    step: int | None = None
    sound: bool = True
    error: str | None = None
    seconds: float = 0.0

    @property
    def found(self) -> bool:
        """Whether the planted kind was named."""
        return self.planted in self.kinds

    @property
    def right(self) -> int:
        """How many findings are true of it."""
        return sum(kind == self.planted or kind in self.also for kind in self.kinds)


@cache
def programs() -> dict[str, Program]:
    """By name."""
    return {program.name: program for program in [*sick(), *healthy()]}


def judged(name: str, seed: int) -> Verdict:
    """Run one program; what it raises is part of the verdict."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # shapes that broadcast warn, as they do for a user
    program, began = programs()[name], time.perf_counter()
    told = (program.planted, program.also, program.door, program.architecture, seed)
    try:
        end = program.end(seed)
    except Exception as error:  # whatever the watched code raises
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        return Verdict(name, *told, (), error=reason, seconds=time.perf_counter() - began)
    grave = [f for f in end.findings if f.severity != "info" or f.kind in ADVICE & {program.planted}]
    steps = [f.step for f in grave if f.kind == program.planted and f.step is not None]
    return Verdict(
        name, *told, tuple(f.kind for f in grave), tuple(f.message for f in grave), min(steps, default=None),
        end.sound, None, time.perf_counter() - began,
    )  # fmt: skip


def healed(name: str, seed: int) -> Cured:
    """Cure one case; what it raises is part of the outcome."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    case = next(case for case in CASES if case.name == name)
    try:
        return cured(case, seed)
    except Exception as error:  # whatever the cure raises
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        return Cured(name, seed, nan, None, nan, nan, (), reason)


def all_of(job: Callable[[str, int], Any], names: Iterable[str], seeds: Sequence[int]) -> list[Any]:
    """A job for each name and seed, as many at once as there are cores."""
    todo = [(name, seed) for name in names for seed in seeds]
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.diagnosis"])
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        return list(pool.map(job, *zip(*todo, strict=True), chunksize=4))


def share(hits: Sequence[bool]) -> float:
    """The share of true ones; NaN of none."""
    return sum(hits) / len(hits) if hits else nan


def kind_rows(verdicts: Iterable[Verdict]) -> list[dict[str, Any]]:
    """A row a kind: how often it was planted and found, when, what else was said, and where it was missed."""
    by_kind: dict[str, list[Verdict]] = defaultdict(list)
    for v in verdicts:
        if v.planted is not None:
            by_kind[v.planted].append(v)
    return [
        {
            "kind": kind,
            "runs": len(mine),
            "recall": share([v.found for v in mine]),
            "found_or_true": share([v.right > 0 for v in mine]),
            "median_step": statistics.median(steps)
            if (steps := [v.step for v in mine if v.step is not None])
            else None,
            "wrong": sum(len(v.kinds) - v.right for v in mine),
            "missed": [f"{v.program}, seed {v.seed}: {v.error or ', '.join(v.kinds)}" for v in mine if not v.found],
            "said_wrongly": [
                f"{v.program}, seed {v.seed}: {kind}: {message}"
                for v in mine
                for kind, message in zip(v.kinds, v.messages, strict=True)
                if kind != v.planted and kind not in v.also
            ],
        }
        for kind, mine in sorted(by_kind.items())
    ]


def group_rows(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """Recall and false alarms by door and by architecture."""
    rows = []
    for attribute in ("door", "architecture"):
        for value in sorted({getattr(v, attribute) for v in verdicts if v.planted is not None}):
            mine = [v for v in verdicts if getattr(v, attribute) == value]
            well = [v for v in mine if v.planted is None and v.sound]
            rows.append(
                {
                    "group": f"{attribute}: {value}",
                    "runs": len(mine),
                    "recall": share([v.found for v in mine if v.planted is not None]),
                    "false_alarms": share([bool(v.kinds) for v in well]),
                }
            )
    return rows


def healthy_row(verdicts: Iterable[Verdict]) -> dict[str, Any]:
    """Healthy programs: how many were sound, and of how many of these something was said."""
    well = [v for v in verdicts if v.planted is None]
    sound = [v for v in well if v.sound and v.error is None]
    alarms = [v for v in sound if v.kinds]
    return {
        "healthy": "all",
        "runs": len(sound),
        "programs": len({v.program for v in sound}),
        "left_out_as_not_sound": sum(not v.sound for v in well),
        "false_alarms": len(alarms),
        "false_alarm_share": len(alarms) / len(sound) if sound else nan,
        "not_sound": [f"{v.program}, seed {v.seed}" for v in well if not v.sound],
        "alarms": [f"{v.program}, seed {v.seed}: {' '.join(f'[{k}]' for k in v.kinds)} {' '.join(v.messages)}"
                   for v in alarms],
    }  # fmt: skip


def diagnosis_bars(verdicts: Sequence[Verdict]) -> list[Bar]:
    """Recall, precision and silence against what was asked for."""
    kinds, well = kind_rows(verdicts), healthy_row(verdicts)
    ill = [v for v in verdicts if v.planted is not None]
    said = sum(len(v.kinds) for v in ill)
    return [
        at_least("recall", share([v.found for v in ill]), 0.9),
        at_least("recall of the worst kind", min((row["recall"] for row in kinds), default=nan), 0.9),
        at_least("kinds with a recall of 0.9", share([row["recall"] >= 0.9 for row in kinds]), 1.0),
        at_least("precision on sick programs", sum(v.right for v in ill) / said if said else nan, 0.85),
        at_most("false alarms on healthy programs", well["false_alarm_share"], 0.02),
        at_least("sound healthy programs", well["programs"], 100 if len(verdicts) > 500 else 1),
        at_most("programs that raised", sum(v.error is not None for v in verdicts), 0),
    ]


def cure_rows(outcomes: Sequence[Cured]) -> list[dict[str, Any]]:
    """A row a case: means over seeds; the share recovered is that of these means, since single runs are noisy."""
    rows = []
    for name in dict.fromkeys(o.name for o in outcomes):
        mine = [o for o in outcomes if o.name == name]
        went = [o for o in mine if o.error is None]
        mean = lambda values: statistics.mean(values) if values else nan
        before, after = mean([o.before for o in went]), mean([o.after for o in went])
        fixed = mean([o.fixed for o in went if o.fixed is not None])
        rows.append(
            {
                "case": name,
                "before": before,
                "after": after,
                "fixed": fixed,
                "recovered": (after - before) / (fixed - before) if fixed != before else nan,
                "cost": mean([o.cost for o in went]),
                "harmful": sum(bool(o.changes) and o.after < o.before - NEAR for o in went),
                "changes": [", ".join(o.changes) for o in went],
                "errors": [o.error for o in mine if o.error is not None],
            }
        )
    return rows


def cure_bars(rows: Sequence[dict[str, Any]], cases: Sequence[CureCase] = CASES) -> list[Bar]:
    """Gain, cost and harm against what was asked for; a case that raised recovers nothing."""
    sick_cases = {case.name for case in cases if case.fix is not None}
    ill = [row for row in rows if row["case"] in sick_cases]
    costs = [row["cost"] for row in rows if not isnan(row["cost"])]
    return [
        at_least("cases that recover 95 % of the fix's gain", share([row["recovered"] >= 0.95 for row in ill]), 0.9),
        at_most("mean cost of a cure, in trainings", statistics.mean(costs) if costs else nan, 20),
        at_most("harmful acceptances on held-out rows and seeds", sum(row["harmful"] for row in rows), 0),
        at_most("cures that raised", sum(len(row["errors"]) for row in rows), 0),
    ]


def sample(names: Sequence[str], every: int) -> list[str]:
    """Every so many."""
    return list(names)[::every]


def without_nan(row: dict[str, Any]) -> dict[str, Any]:
    """The row with None where there is no figure, as strict JSON wants it."""
    return {name: None if isinstance(value, float) and isnan(value) else value for name, value in row.items()}


def measure(quick: bool, cure: bool, given: Sequence[int] = SEEDS) -> tuple[list[dict[str, Any]], list[Bar]]:
    """Rows and bars."""
    every, seeds = (QUICK, given[:1]) if quick else (1, given)
    verdicts = all_of(judged, sample(list(programs()), every), seeds)
    rows = [*kind_rows(verdicts), *group_rows(verdicts), healthy_row(verdicts)]
    bars = diagnosis_bars(verdicts)
    if cure:
        cases = sample([case.name for case in CASES], 2 * every if quick else 1)
        healing = cure_rows(all_of(healed, cases, CURE_SEEDS[: len(seeds)]))
        rows, bars = [*rows, *healing], [*bars, *cure_bars(healing)]
    return [without_nan(row) for row in rows], bars


def main() -> None:
    """Measure and print."""
    parser = options("Recall, precision and silence of the diagnosis, and what a cure recovers.")
    parser.add_argument("--without-cure", action="store_true", help="leave the cures out, which take longest")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS), help="of the programs")
    arguments = parser.parse_args()
    publish(*measure(arguments.quick, not arguments.without_cure, arguments.seeds), as_json=arguments.json)


if __name__ == "__main__":
    main()
