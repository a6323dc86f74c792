"""Whether a stop loses nothing: `python -m benchmarks.resume --json`.

Trainings under many plans, and whole runs of `trainwell fit`, are killed (SIGKILL) at random moments, once or several
times, resumed, and their ends compared bit for bit with those of an undisturbed run without checkpoints: weights,
outcomes, vitals, trials. And what share of a training's time its checkpoints take.
"""

import json
import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from multiprocessing.connection import wait
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.harness import Bar, at_least, at_most, options, publish
from benchmarks.resume_programs import PLANS, WHOLE, child, cost

KILLS = (1, 1, 2, 3)  # in one training, drawn from these
LONGEST = 300.0  # seconds that a child may take
RECIPE_EVERY = 4  # every fourth training is a whole run of the recipe
SERVER = multiprocessing.get_context("forkserver")  # imports torch once; a fork of a process with threads would hang
ALONE = threading.Lock()  # `start` reads how other children ended, which can be read once: another thread then gets 255
SERVER.set_forkserver_preload(["benchmarks.resume_programs"])


def in_child(name: str, folder: Path, *, saving: bool = True, killed_after: float | None = None) -> tuple[bool, float]:
    """Run, or go on, in a process of its own; whether it was killed, and the seconds since it began.

    Raises:
        RuntimeError: the child failed by itself, or takes too long.
    """
    here, there = SERVER.Pipe(duplex=False)
    process = SERVER.Process(target=child, args=(name, folder, saving, there))
    with ALONE:
        process.start()
    there.close()
    here.poll(LONGEST)
    began = time.perf_counter()
    wait([process.sentinel], LONGEST if killed_after is None else killed_after)
    with ALONE:
        late = killed_after is None and process.exitcode is None
        process.kill()
        process.join()
    killed = process.exitcode == -signal.SIGKILL
    if late or not (killed or process.exitcode == 0):
        said = folder / "said.txt"
        reason = said.read_text(encoding="utf-8")[-2000:] if said.exists() else ""
        raise RuntimeError(f"The training '{name}' took too long or failed, with {process.exitcode}: {reason}")
    return killed, time.perf_counter() - began


@dataclass(frozen=True)
class Trial:
    """One training: kills, those after a first checkpoint, those in the writing of a file; what differs at its end."""

    plan: str
    kills: int
    held: int
    torn: int
    differs: tuple[str, ...]


def end_of(folder: Path) -> dict[str, str]:
    """What a training that has ended is known by."""
    return json.loads((folder / "end.json").read_text(encoding="utf-8"))


def undisturbed(name: str) -> tuple[dict[str, str], float]:
    """The end of a run without checkpoints, and the seconds of one with them."""
    with TemporaryDirectory() as first, TemporaryDirectory() as second:
        in_child(name, Path(first), saving=False)
        _, seconds = in_child(name, Path(second))
        return end_of(Path(first)), seconds


def killed(name: str, number: int, known: tuple[dict[str, str], float]) -> Trial:
    """Kill a training at random moments, resume it, and compare its end with the one that is known."""
    (end, seconds), draw = known, random.Random(f"{name} {number}")
    wanted, kills, held, torn = draw.choice(KILLS), 0, 0, 0
    mine: dict[str, str] = {}
    while kills == 0:  # a kill that came too late is drawn again
        with TemporaryDirectory() as place:
            folder, ended = Path(place), False
            while not ended:
                moment = draw.uniform(0, seconds) if kills < wanted else None
                try:
                    was_killed, _ = in_child(name, folder, killed_after=moment)
                except RuntimeError as error:
                    return Trial(name, kills, held, torn, (str(error),))
                kills, ended = kills + was_killed, not was_killed
                held += was_killed and any("model" not in path.parts for path in folder.rglob("*.safetensors"))
                torn += was_killed and any(folder.rglob("*.partial"))
            mine = end_of(folder)
    return Trial(name, kills, held, torn, tuple(key for key in {**end, **mine} if end.get(key) != mine.get(key)))


def schedule(trials: int) -> list[str]:
    """Which plan each trial has: all in turn, and in between now and then the whole recipe."""
    plans, whole = cycle(PLANS), cycle(WHOLE)
    return [next(whole) if i % RECIPE_EVERY == 1 else next(plans) for i in range(trials)]


def kill_all(names: Sequence[str]) -> list[Trial]:
    """All trials, as many at once as there are cores."""
    with ThreadPoolExecutor(max(1, (os.cpu_count() or 1))) as pool:
        different = list(dict.fromkeys(names))
        known = dict(zip(different, pool.map(undisturbed, different), strict=True))
        jobs = [pool.submit(killed, name, i, known[name]) for i, name in enumerate(names)]
        return [job.result() for job in jobs]


def cost_row(seconds: float, members: int) -> dict[str, Any]:
    """The cost of checkpoints, measured in a process of its own with nothing beside it."""
    here, there = SERVER.Pipe(duplex=False)
    process = SERVER.Process(target=cost, args=(seconds, members, there))
    process.start()
    there.close()
    row = here.recv()
    process.join()
    return row


def rows_of(trials: Iterable[Trial]) -> list[dict[str, Any]]:
    """A row a plan."""
    by_plan: dict[str, list[Trial]] = {}
    for trial in trials:
        by_plan.setdefault(trial.plan, []).append(trial)
    return [
        {
            "plan": plan,
            "trials": len(mine),
            "kills": sum(t.kills for t in mine),
            "killed_after_a_checkpoint": sum(t.held for t in mine),
            "killed_while_writing": sum(t.torn for t in mine),
            "identical": sum(not t.differs for t in mine),
            "differs": sorted({key for t in mine for key in t.differs}),
        }
        for plan, mine in by_plan.items()
    ]


def measure(trials: int, seconds: float, members: int) -> tuple[list[dict[str, Any]], list[Bar]]:
    """Rows and bars."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ["TRAINWELL_SAVE_EVERY"] = "0.05"  # of the recipe's stages; the fork server reads it once
    row = cost_row(seconds, members)
    done = kill_all(schedule(trials))
    same = sum(not trial.differs for trial in done)
    bars = [
        at_least(f"ends as undisturbed, of {trials} killed", same, trials),
        at_most("share of the time in checkpoints", row["time_share"], 0.02),
    ]
    return [*rows_of(done), row], bars


def main() -> None:
    """Measure and print."""
    arguments = options("Kills at random moments, and the cost of checkpoints.").parse_args()
    trials, seconds, members = (10, 8.0, 8) if arguments.quick else (200, 40.0, 64)
    publish(*measure(trials, seconds, members), as_json=arguments.json)


if __name__ == "__main__":
    main()
