"""Two processes with half of each batch are one process with the whole; and what happens when one is lost.

The file is also the program that the processes run: `python test_parallel.py PROGRAM FOLDER`.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from benchmarks.parallel import ROOT, free_port
from tests.processes import Pair
from trainwell.base import InputError, ProcessError, RunError, Seeds
from trainwell.data.batches import Feed
from trainwell.data.parts import Part, PartFeed
from trainwell.engine import Alone, Course, Edit, Moment, Processes, Saver, Stop, join, load_checkpoint, train
from trainwell.engine.evaluate import judge
from trainwell.engine.parallel import Together
from trainwell.engine.watchdog import LOST, Watchdog
from trainwell.networks.foreign import ModuleBlueprint
from trainwell.testing.members import Case

MEMBERS, SAVED, DIES, LATE = range(3), 10, 13, 40
NOISY = ("dropout", "input_noise", "clip_norm")
EARLY = {"training.patience": 2, "optimizer.learning_rate": 0.02}
CASES = {
    "plain": Case("plain", regularisers=("clip_norm",)),
    "noise, categories, own batches": Case("noise", {}, (4,), own_batches=True, regularisers=NOISY),
    "shared noise": Case("shared", {"schedule.name": "one-cycle"}, regularisers=NOISY),
    "root of a mean": Case("rmse", {"loss.name": "rmse"}),
    "uneven parts": Case("uneven", {"training.batch_size": 7, "schedule.name": "plateau"}),
    "a last batch of one": Case("single", {"training.batch_size": 13}, regularisers=("dropout",)),
    "running average": Case("average", {"regularisation.ema_decay": 0.9}),
    "early stopping": Case("early", EARLY, own_batches=True, regularisers=("dropout",)),
    "classes balanced": Case("balanced", {"loss.balance": 0.7}, own_batches=True),
}
UNEQUAL = {
    "batch norm": Case("norm", {"network.norm": "batch"}, regularisers=("dropout",)),
    "mixup": Case("mixup", regularisers=("mixup",)),
}
OTHERS = ("a module", "changes")
ALL = (*CASES, *OTHERS, *UNEQUAL)


def course_of(name: str, processes: Processes | None = None) -> Course:
    if name == "a module":
        return foreign(processes)
    return {**CASES, **UNEQUAL, "changes": CASES["shared noise"]}[name].course(MEMBERS, processes=processes)


def foreign(processes: Processes | None) -> Course:
    """A user's own module with dropout, computed for all members at once."""
    case = Case("module", regularisers=("input_noise",))
    samples, rows = case.samples(torch.float64), torch.randperm(60, generator=torch.Generator().manual_seed(0))
    samples = type(samples)(samples.x, samples.categories, samples.y, samples_first=True)
    feed = Feed(samples, rows[None, :40], rows[None, 40:], [1], 16)
    blueprint = ModuleBlueprint(
        lambda: nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Dropout(0.2), nn.Linear(16, 3)), samples.x[:4]
    )
    seeds = [Seeds.of(0, k, shared_data=True) for k in MEMBERS]
    plans = [case.plan(k) for k in MEMBERS]
    return Course(blueprint, plans, seeds, feed, [0, 0, 0], processes=processes, dtype=torch.float64)


def send_changes(moment: Moment) -> None:
    """What all processes do."""
    if moment.step == 7:
        moment.send(Edit([1], "dropout", 0.4))
        moment.send(Edit([0], "learning_rate", 3e-3))
    if moment.step == 20:
        moment.send(Stop([2], "culled"))


def lived(name: str, processes: Processes | None = None) -> dict[str, Any]:
    """The whole training: losses by step, weights late in it, and the end."""
    course, losses, late = course_of(name, processes), [], torch.empty(0)
    if processes is not None:
        course.population.theta.mul_(1 + processes.rank)  # process 0 alone has the right ones
    for moment in train(course):
        losses.append(moment.loss)
        if moment.step == LATE:
            late = course.population.theta.clone()
        if name == "changes":
            send_changes(moment)
    kinds = [(outcome.kind, outcome.step, outcome.best_step) for outcome in course.outcomes]
    return {"losses": losses, "late": late, "kinds": kinds, **course.tensors()}


def equal(folder: Path, processes: Processes) -> None:
    """Each case to its end; then what processes agree on; at last one dies."""
    for name in ALL:
        torch.save(lived(name, processes), folder / f"{name} {processes.rank}")
    found = {"judged": judged(processes), "writes": processes.writes, **agreed(processes), **resumed(folder, processes)}
    (folder / f"found {processes.rank}").write_text(json.dumps(found), encoding="utf-8")
    lost(folder, processes, lambda: os.kill(os.getpid(), signal.SIGKILL))


def judged(processes: Processes) -> list[list[float]]:
    course, found = course_of("noise, categories, own batches", processes), []
    for rows in (20, 19, 1):
        part = course.feed.validation[:, :rows]
        together = processes.judge(course.population, course.feed.samples, part, course.groups)
        for one, other in zip(
            together, judge(course.population, course.feed.samples, part, course.groups), strict=True
        ):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
        found += [figure.tolist() for figure in together]
    return found


def agreed(processes: Processes) -> dict[str, Any]:
    """Decisions, errors of one and of all, other data, and Ctrl-C in process 1."""
    found: dict[str, Any] = {"agreed": processes.agree({"stop": [processes.rank], "why": "clock"})}

    def wrong(ranks: tuple[int, ...], error: type[InputError]) -> int:
        if processes.rank in ranks:
            raise error("The file is missing.")
        return processes.rank

    def told(name: str, attempt: Callable[[], object]) -> None:
        try:
            attempt()
        except InputError as error:
            found[name] = str(error)
            found[f"{name}, told"] = error.tell

    found["own"] = processes.attempt(lambda: wrong((), RunError))
    told("one", lambda: processes.attempt(lambda: wrong((1,), RunError)))
    told("both", lambda: processes.attempt(lambda: wrong((0, 1), RunError)))
    told("other", lambda: Case("other", {"training.batch_size": 16 - processes.rank}).course([0], processes=processes))
    course = course_of("plain", processes)
    try:
        for moment in train(course):
            if moment.step == 3 and processes.rank == 1:
                moment.send(Stop([2], "culled"))
    except ProcessError as error:
        found["changes"] = str(error)
    course = course_of("plain", processes)
    for moment in train(course):
        if moment.step == 5 and processes.rank == 1:
            processes.interrupt()
        if processes.interrupted:
            break
    return {**found, "interrupted": course.population.step, "seconds": processes.seconds}


def resumed(folder: Path, processes: Processes) -> dict[str, Any]:
    """Saved by one process and read by one; all go on."""
    path, first, again = folder / "saved.safetensors", *(course_of("shared noise", processes) for _ in range(2))
    saver = Saver({path: first}, least=0.0, share=1e9)
    for _ in train(first, until=SAVED):
        saver.offer()
    saver.save()
    saver.close()
    if not processes.writes:
        path = folder / "only process 0 sees the folder"
    loaded = Saver({path: again}).load()
    begun = again.population.step
    for _ in train(again):
        pass
    return {"saves": saver.saves > 0, "loaded": loaded, "begun": begun, "end": again.best.theta.tolist()}


def lost(folder: Path, processes: Processes, end: Callable[[], None]) -> None:
    course = course_of("shared noise", processes)
    saver = Saver({folder / "final.safetensors": course})
    for _ in train(course, until=SAVED):
        pass
    saver.save()
    saver.close()
    try:
        for moment in train(course):
            if processes.rank == 1 and moment.step == DIES:
                end()
    except ProcessError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


def hangs(folder: Path, processes: Processes) -> None:
    lost(folder, processes, lambda: os.kill(os.getpid(), signal.SIGSTOP))


PROGRAMS = {"equal": (equal, 60.0), "hangs": (hangs, 2.0)}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory):
    """All programs, running side by side."""
    running: dict[str, Pair] = {}
    for program in PROGRAMS:
        folder = tmp_path_factory.mktemp(program)
        running[program] = Pair(folder, [__file__, program, str(folder)])
    yield running
    for pair in running.values():
        pair.stop()


@pytest.fixture(scope="module")
def ended(pairs: dict[str, Pair]) -> Path:
    """Where the pair that trained to the end left what it found; one of it died then, which the other said."""
    assert pairs["equal"].end(0) == (2, "", LOST + "\n")
    assert pairs["equal"].end(1) == (-signal.SIGKILL, "", "")
    return pairs["equal"].folder


def found_by(folder: Path, rank: int) -> dict[str, Any]:
    return json.loads((folder / f"found {rank}").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", [*CASES, *OTHERS])
def test_two_processes_with_half_the_batch_each_are_one_with_the_whole(name: str, ended: Path) -> None:
    whole = lived(name)
    assert whole["late"].numel()
    for rank in range(2):
        part = torch.load(ended / f"{name} {rank}")
        assert part.keys() == whole.keys() and part["kinds"] == whole["kinds"]
        for key in whole.keys() - {"kinds"}:
            torch.testing.assert_close(
                part[key], whole[key], rtol=1e-9, atol=1e-9, msg=lambda m, key=key: f"{key}: {m}"
            )


def test_members_that_stop_early_do_so_at_the_same_step(ended: Path) -> None:
    kinds = torch.load(ended / "early stopping 1")["kinds"]
    assert "stopped-early" in {kind for kind, _, _ in kinds} and len({step for _, step, _ in kinds}) > 1
    assert {kind for kind, _, _ in torch.load(ended / "changes 1")["kinds"]} == {"finished", "culled"}


@pytest.mark.parametrize("name", ALL)
def test_all_stays_bit_identical_in_all_processes(name: str, ended: Path) -> None:
    one, other = (torch.load(ended / f"{name} {rank}") for rank in range(2))
    for key in one.keys() - {"kinds"}:
        here, there = (
            torch.cat([t.flatten() for t in ([x[key]] if isinstance(x[key], Tensor) else x[key])]) for x in (one, other)
        )
        assert here.equal(there), key
        assert torch.isfinite(here).all()


@pytest.mark.parametrize("name", UNEQUAL)
def test_what_depends_on_the_part_trains_nearly_as_well(name: str, ended: Path) -> None:
    whole, part = lived(name), torch.load(ended / f"{name} 0")
    last, last_whole = (torch.stack(each["losses"][-6:]).mean(0) for each in (part, whole))
    assert not part["late"].equal(whole["late"])
    assert (last - last_whole).abs().max() < 0.35 and last.max() < 1.1
    assert part["statistics"].shape == whole["statistics"].shape


def test_all_get_the_same_judgement_and_decisions_and_one_writes(ended: Path) -> None:
    one, other = (found_by(ended, rank) for rank in range(2))
    assert (one["writes"], other["writes"]) == (True, False)
    assert (one["own"], other["own"]) == (0, 1)
    for key in ("judged", "agreed", "seconds", "interrupted"):
        assert one[key] == other[key]
    assert one["agreed"] == {"stop": [0], "why": "clock"} and one["interrupted"] == 6 and one["seconds"] > 0


def test_changes_that_are_not_made_in_all_processes_are_refused_by_all(ended: Path) -> None:
    one, other = (found_by(ended, rank)["changes"] for rank in range(2))
    assert one == other and one.startswith("The processes of this training made different changes in it; send the same")


def test_an_error_is_raised_by_all_and_told_by_one(ended: Path) -> None:
    one, other = (found_by(ended, rank) for rank in range(2))
    assert one["one"] == other["one"] == "Process 1: The file is missing."
    assert one["both"] == other["both"] == "The file is missing."
    assert (one["one, told"], other["one, told"]) == (False, True)
    assert (one["both, told"], other["both, told"]) == (True, False)
    assert (
        one["other"]
        == other["other"]
        == (
            "Process 1 has another feed than process 0: 1·40 training rows in batches of 15, not 1·40 training rows in "
            "batches of 16; start all with the same command, files and versions."
        )
    )


def test_one_process_saves_and_reads_and_all_go_on(ended: Path) -> None:
    one, other = (found_by(ended, rank) for rank in range(2))
    assert (one["saves"], other["saves"]) == (True, False)
    assert one["loaded"] and other["loaded"] and one["begun"] == other["begun"] == SAVED
    whole = lived("shared noise")["best.theta"]
    for found in (one, other):
        torch.testing.assert_close(torch.tensor(found["end"], dtype=torch.float64), whole, rtol=1e-9, atol=1e-9)


def test_when_a_process_hangs_the_others_do_not_wait_for_ever(pairs: dict[str, Pair]) -> None:
    code, _, said = pairs["hangs"].end(0)
    assert (code, said) == (1, f"trainwell: error: {LOST}\n")


def test_the_last_checkpoint_before_a_death_goes_on_in_one_process(ended: Path) -> None:
    whole, alone = lived("shared noise"), course_of("shared noise")
    load_checkpoint(alone, ended / "final.safetensors")
    assert alone.population.step == SAVED
    for _ in train(alone):
        pass
    torch.testing.assert_close(alone.best.theta, whole["best.theta"], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("world", [None, "1"])
def test_without_torchrun_a_process_is_alone(world: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    if world is not None:
        monkeypatch.setenv("WORLD_SIZE", world)
    assert isinstance(join(), Alone)


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a process whose partner does not come."""
    names = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}
    for name, value in {**names, "MASTER_PORT": str(free_port())}.items():
        monkeypatch.setenv(name, value)


def test_processes_that_do_not_come_are_named(two: None) -> None:
    with pytest.raises(ProcessError, match=r"did not come within 0\.5 seconds; start all of them with torchrun"):
        join("cpu", meeting=0.5)


def test_more_processes_than_gpus_are_refused_where_gpus_are_asked_for(
    two: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(
        InputError, match=r"^2 processes on this machine need 2 GPUs, but there are 1; use --device cpu"
    ):
        join("cuda")


@pytest.mark.parametrize(("whole", "world"), [(16, 2), (7, 3), (2, 3), (1, 1), (5, 8)])
def test_parts_are_even_and_every_sample_is_in_one(whole: int, world: int) -> None:
    parts = [Part.of(whole, rank, world) for rank in range(world)]
    assert sum(part.samples for part in parts) == whole
    assert [i for part in parts if part.samples for i in range(part.start, part.stop)] == list(range(whole))
    assert max(p.samples for p in parts) - min(p.samples for p in parts) <= 1
    assert all(part.stop > part.start for part in parts), "nobody computes on nothing"


@pytest.mark.parametrize("name", ["noise, categories, own batches", "a module"])
def test_the_parts_of_a_feed_put_together_are_the_batch(name: str) -> None:
    course = course_of(name)
    parts, axis = [PartFeed(course.feed, rank, 3) for rank in range(3)], 1 if name == "a module" else 2
    for step in range(7):
        whole = course.feed.batch(step)
        own = [part.batch(step) for part in parts]
        assert torch.cat([batch.x for batch in own], axis).equal(whole.x)
        assert torch.cat([batch.categories for batch in own], axis).equal(whole.categories)
        ys = [batch.y for batch in own if batch.y is not None]
        assert whole.y is not None and torch.cat(ys, 1).equal(whole.y)
        assert [part.part(step).samples for part in parts] == [batch.x.shape[axis] for batch in own]


class Watched:
    """A watchdog of process 0 of two; process 1 is the test, which counts by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        port = free_port()
        store = dist.TCPStore("localhost", port, None, True, timedelta(seconds=5))  # pyright: ignore[reportPrivateImportUsage]
        self.store: Any = store
        monkeypatch.setenv("MASTER_ADDR", "localhost")
        monkeypatch.setenv("MASTER_PORT", str(port))
        self.lost = threading.Event()
        self.dog = Watchdog(0, 2, 0.5, lost=self.lost.set)

    def count(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.store.add("trainwell/0/alive/1", 1)
            time.sleep(0.05)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch):
    made = Watched(monkeypatch)
    yield made
    made.dog.stop()


def test_the_watchdog_is_still_while_the_other_counts_and_barks_when_it_does_not(watched: Watched) -> None:
    watched.count(1.2)
    assert not watched.lost.is_set()
    assert watched.lost.wait(5)


def test_a_process_that_has_done_its_part_goes_on_counting_and_misses_nobody(watched: Watched) -> None:
    watched.dog.calm()
    before = watched.store.add("trainwell/0/alive/0", 0)
    assert not watched.lost.wait(1.2)
    assert watched.store.add("trainwell/0/alive/0", 0) > before


def test_the_watchdog_barks_when_the_store_is_gone(watched: Watched) -> None:
    watched.count(0.2)
    watched.store = None
    assert watched.lost.wait(5)


def test_a_program_that_ends_while_the_watchdog_asks_the_store_keeps_its_exit_code() -> None:
    """Eight of them that never pause: without a stop at the end, one comes back into a Python that is gone."""
    code = f"""
import os, time, torch.distributed as dist
from datetime import timedelta
from trainwell.engine import watchdog
os.environ.update(MASTER_ADDR="localhost", MASTER_PORT="{free_port()}")
store = dist.TCPStore("localhost", int(os.environ["MASTER_PORT"]), None, True, timedelta(seconds=60), False)
watchdog.timedelta = lambda seconds: timedelta(seconds=60)
dogs = [watchdog.Watchdog(0, 1, 1e-7) for _ in range(8)]
time.sleep(0.2)
raise SystemExit(2)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (2, "")


def test_a_lost_process_ends_the_program_even_where_its_main_thread_hangs(tmp_path: Path) -> None:
    code = "import threading, time; from trainwell.engine.watchdog import end_process\n"
    code += "threading.Timer(0.1, end_process).start(); time.sleep(60)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (1, f"trainwell: error: {LOST}\n")


def program() -> None:
    """One process of a pair."""
    run, silence = PROGRAMS[sys.argv[1]]
    processes = join("cpu", silence=silence)
    assert isinstance(processes, Together) and processes.device.type == "cpu"
    torch.set_num_threads(1)
    run(Path(sys.argv[2]), processes)
    processes.leave()


if __name__ == "__main__":
    program()
