"""Two processes with half of each batch are one process with the whole; and what happens when one is lost.

The file is also the program that the processes run: `python test_parallel.py PROGRAM FOLDER`.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]

from trainwell.base import RunError
from trainwell.engine import Course, load_checkpoint, save_checkpoint, train
from trainwell.engine.evaluate import judge
from trainwell.engine.noise import NoiseStreams
from trainwell.engine.parallel import (
    ParallelFeed,
    Part,
    PartNoise,
    Processes,
    agree,
    join,
    judge_together,
    reduce_gradient,
    start_together,
)
from trainwell.engine.watchdog import LOST, Watchdog
from trainwell.testing.members import Case

ROOT = Path(__file__).parents[2]
STEPS, SAVED, DIES = 40, 10, 13
NOISY = ("dropout", "input_noise", "clip_norm")
CASES = {
    "plain": Case("plain", regularisers=("clip_norm",)),
    "noise, categories, own batches": Case("noise", {}, (4,), own_batches=True, regularisers=NOISY),
    "shared noise": Case("shared", regularisers=NOISY),
    "root of a mean": Case("rmse", {"loss.name": "rmse"}),
    "uneven parts": Case("uneven", {"training.batch_size": 7}),
    "a last batch of one": Case("single", {"training.batch_size": 13}, regularisers=("dropout",)),
    "running average": Case("average", {"regularisation.ema_decay": 0.9}),
}
UNEQUAL = {
    "batch norm": Case("norm", {"network.norm": "batch"}, regularisers=("dropout",)),
    "mixup": Case("mixup", regularisers=("mixup",)),
}
ALL = {**CASES, **UNEQUAL}


def advance(course: Course, feed: ParallelFeed, until: int) -> list[list[float]]:
    """The loop's steps in several processes; each step's losses."""
    p, losses = course.population, []
    if isinstance(p._noise, NoiseStreams):
        p._noise = PartNoise(p._noise, feed.part)  # pyright: ignore[reportAttributeAccessIssue]
    while p.step < until:
        batch = feed.batch(p.step).of_members(course.groups)
        rate = p.rates(course.total_steps, feed.steps_per_epoch)
        loss = reduce_gradient(p, p.backward(batch), feed.part(p.step).samples)
        p.update(rate, course.total_steps)
        losses.append(loss.tolist())
    return losses


def shared(course: Course, processes: Processes) -> ParallelFeed:
    return ParallelFeed(course.feed, processes.rank, processes.world)


def equal(folder: Path, processes: Processes) -> None:
    """Each case, from a start that process 0 alone has right, and judged together; then a start that does not agree."""
    found = {}
    for name, case in ALL.items():
        course = case.course(range(3))
        course.population.theta.mul_(1 + processes.rank)
        start_together(course)
        losses = advance(course, shared(course, processes), STEPS)
        torch.save((losses, course.population.theta, course.population.statistics), folder / f"{name} {processes.rank}")
        judged = {}
        for rows in (20, 19, 1):
            part = course.feed.validation[:, :rows]
            together = judge_together(course.population, course.feed.samples, part, course.groups)
            judged[rows] = [figure.tolist() for figure in together]
            alone = judge(course.population, course.feed.samples, part, course.groups)
            for one, other in zip(together, alone, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
        found[name] = judged
    found["agreed"] = agree({"stop": [processes.rank], "why": "clock"})
    found["writes"] = processes.writes
    other = CASES["plain"].course(range(3))
    other.population.step = 5 * processes.rank
    try:
        start_together(other)
    except RunError as error:
        found["apart"] = str(error)
    (folder / f"found {processes.rank}").write_text(json.dumps(found), encoding="utf-8")


def lost(folder: Path, processes: Processes, end: Callable[[], None]) -> None:
    course = CASES["shared noise"].course(range(3))
    feed = shared(course, processes)
    advance(course, feed, SAVED)
    if processes.writes:
        save_checkpoint(course, folder / "final.safetensors")
    began = time.monotonic()
    try:
        advance(course, feed, DIES)
        if processes.rank == 1:
            end()
        advance(course, feed, STEPS)
    except RunError as error:
        print(error, file=sys.stderr)
        (folder / "waited").write_text(str(time.monotonic() - began), encoding="utf-8")
        raise SystemExit(2) from None


def dies(folder: Path, processes: Processes) -> None:
    lost(folder, processes, lambda: os._exit(9))


def hangs(folder: Path, processes: Processes) -> None:
    lost(folder, processes, lambda: os.kill(os.getpid(), signal.SIGSTOP))


PROGRAMS = {"equal": (equal, 60.0), "dies": (dies, 60.0), "hangs": (hangs, 2.0)}


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("localhost", 0))
        return opened.getsockname()[1]


class Pair:
    """Two processes with a program, as torchrun would start them."""

    def __init__(self, program: str, folder: Path) -> None:
        self.folder, port = folder, str(free_port())
        self.started = [
            subprocess.Popen(
                [sys.executable, "-W", "error", __file__, program, str(folder)],
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT / "src"),
                    "OMP_WAIT_POLICY": "PASSIVE",
                    **{"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"},
                    **{"MASTER_ADDR": "localhost", "MASTER_PORT": port},
                },
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(2)
        ]

    def end(self, rank: int) -> tuple[int, str]:
        """Exit code and standard error of a process."""
        _, said = self.started[rank].communicate(timeout=120)
        return self.started[rank].returncode, said


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory):
    """All programs, running side by side."""
    running = {program: Pair(program, tmp_path_factory.mktemp(program)) for program in PROGRAMS}
    yield running
    for pair in running.values():
        for process in pair.started:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def ended(pairs: dict[str, Pair]) -> Path:
    """Where the pair that trained to the end left what it found."""
    for rank in range(2):
        code, said = pairs["equal"].end(rank)
        assert (code, said) == (0, "")
    return pairs["equal"].folder


def alone(case: Case) -> tuple[list[list[float]], Course]:
    course = case.course(range(3))
    return [moment.loss.tolist() for moment in train(course, until=STEPS)], course


@pytest.mark.parametrize("name", CASES)
def test_two_processes_with_half_the_batch_each_are_one_with_the_whole(name: str, ended: Path) -> None:
    losses, course = alone(CASES[name])
    for rank in range(2):
        found, theta, _ = torch.load(ended / f"{name} {rank}")
        torch.testing.assert_close(torch.tensor(found), torch.tensor(losses), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(theta, course.population.theta, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ALL)
def test_weights_and_statistics_stay_bit_identical_in_all_processes(name: str, ended: Path) -> None:
    one, other = (torch.load(ended / f"{name} {rank}") for rank in range(2))
    assert one[0] == other[0] and one[1].equal(other[1]) and one[2].equal(other[2])
    assert torch.isfinite(one[1]).all() and torch.isfinite(one[2]).all()


@pytest.mark.parametrize("name", UNEQUAL)
def test_what_depends_on_the_part_trains_nearly_as_well(name: str, ended: Path) -> None:
    losses, course = alone(UNEQUAL[name])
    found, theta, statistics = torch.load(ended / f"{name} 0")
    last, whole = (torch.tensor(each)[-6:].mean(0) for each in (found, losses))
    assert not theta.equal(course.population.theta)
    assert (last - whole).abs().max() < 0.35 and last.max() < 1.1
    assert statistics.shape == course.population.statistics.shape


def test_all_get_the_same_judgement_and_decisions_and_one_writes(ended: Path) -> None:
    one, other = (json.loads((ended / f"found {rank}").read_text(encoding="utf-8")) for rank in range(2))
    assert (one.pop("writes"), other.pop("writes")) == (True, False)
    assert one["apart"] == (
        "The processes stand at different steps or hold different members (steps 0, 5); "
        "give all of them the same plan and the same checkpoint."
    )
    assert one["agreed"] == {"stop": [0], "why": "clock"} and one == other


def test_when_a_process_dies_the_others_say_so_in_one_line_and_soon(pairs: dict[str, Pair]) -> None:
    code, said = pairs["dies"].end(0)
    assert (code, said) == (2, LOST + "\n")
    assert pairs["dies"].end(1)[0] == 9
    assert float((pairs["dies"].folder / "waited").read_text(encoding="utf-8")) < 10


def test_when_a_process_hangs_the_others_wait_for_no_longer_than_the_timeout(pairs: dict[str, Pair]) -> None:
    code, said = pairs["hangs"].end(0)
    assert (code, said) == (2, LOST + "\n")
    assert 1 < float((pairs["hangs"].folder / "waited").read_text(encoding="utf-8")) < 20


def test_the_last_checkpoint_goes_on_in_fewer_processes(pairs: dict[str, Pair]) -> None:
    pairs["dies"].end(0)
    _, whole = alone(CASES["shared noise"])
    resumed = CASES["shared noise"].course(range(3))
    load_checkpoint(resumed, pairs["dies"].folder / "final.safetensors")
    assert resumed.population.step == SAVED
    for _ in train(resumed, until=STEPS):
        pass
    torch.testing.assert_close(resumed.population.theta, whole.population.theta, rtol=1e-9, atol=1e-9)


def test_without_torchrun_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join() is None


def test_processes_that_do_not_come_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_PORT", str(free_port()))
    with pytest.raises(
        RunError, match=r"^Another process of this training has ended or does not answer; start it again"
    ):
        join("cpu", timeout=0.5)


@pytest.mark.parametrize(("whole", "world"), [(16, 2), (7, 3), (2, 3), (1, 1), (5, 8)])
def test_parts_are_even_and_every_sample_is_in_one(whole: int, world: int) -> None:
    parts = [Part.of(whole, rank, world) for rank in range(world)]
    assert sum(part.samples for part in parts) == whole
    assert [i for part in parts if part.samples for i in range(part.start, part.stop)] == list(range(whole))
    assert max(p.samples for p in parts) - min(p.samples for p in parts) <= 1
    assert all(part.stop > part.start for part in parts), "nobody computes on nothing"


def test_the_parts_of_a_feed_put_together_are_the_batch() -> None:
    course = CASES["noise, categories, own batches"].course(range(3))
    parts = [ParallelFeed(course.feed, rank, 3) for rank in range(3)]
    for step in range(7):
        whole = course.feed.batch(step)
        own = [part.batch(step) for part in parts]
        assert torch.cat([batch.x for batch in own], 2).equal(whole.x)
        assert torch.cat([batch.categories for batch in own], 2).equal(whole.categories)
        ys = [batch.y for batch in own if batch.y is not None]
        assert whole.y is not None and torch.cat(ys, 1).equal(whole.y)
        assert [part.part(step).samples for part in parts] == [batch.x.shape[2] for batch in own]


class Watched:
    """A watchdog of process 0 of two; process 1 is the test, which counts by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        port = free_port()
        self.store: TCPStore | None = TCPStore("localhost", port, None, True, timedelta(seconds=5))
        monkeypatch.setenv("MASTER_ADDR", "localhost")
        monkeypatch.setenv("MASTER_PORT", str(port))
        self.lost = threading.Event()
        self.dog = Watchdog(0, 2, 0.5, lost=self.lost.set)

    def count(self, seconds: float, what: str = "alive") -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.store is not None:
            self.store.add(f"trainwell/0/{what}/1", 1)
            time.sleep(0.05)


def test_the_watchdog_is_still_while_the_other_counts_and_barks_when_it_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = Watched(monkeypatch)
    watched.count(1.2)
    assert not watched.lost.is_set()
    assert watched.lost.wait(5)


def test_a_process_that_left_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    watched.count(0.1, "left")
    assert not watched.lost.wait(1.2)
    watched.dog.leave()
    assert watched.store is not None and watched.store.add("trainwell/0/left/0", 0) == 1


def test_the_watchdog_barks_when_the_store_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    watched.count(0.2)
    watched.store = None
    assert watched.lost.wait(5)


def test_a_lost_process_ends_the_program_even_where_its_main_thread_hangs(tmp_path: Path) -> None:
    code = "import threading, time; from trainwell.engine.watchdog import end_process\n"
    code += "threading.Timer(0.1, end_process).start(); time.sleep(60)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (1, f"trainwell: error: {LOST}\n")


def program() -> None:
    """One process of a pair."""
    torch.set_num_threads(1)
    run, timeout = PROGRAMS[sys.argv[1]]
    processes = join("cpu", timeout=timeout)
    assert processes is not None and processes.watchdog is None and processes.device.type == "cpu"
    run(Path(sys.argv[2]), processes)
    processes.leave()


if __name__ == "__main__":
    program()
