import importlib.metadata
import json
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch

from benchmarks import contest, loops, peers, throughput
from benchmarks.contest import Entrant, compete
from benchmarks.loops import BATCHES, Case, Job
from benchmarks.peers import WAYS, Way
from benchmarks.throughput import AIMS, ALL, CASES, EVERY, GPU_AIMS, ONE, OTHERS, bars, measure, on_gpu, told

SMALL = Case(3, 4, 2, 5)
HERE = ("ours", "lean", "DataLoader loop", "scikit-learn")  # that need nothing beside trainwell's own packages


def row(case: Case, name: str, µs: float | None, members: int = 1) -> dict[str, Any]:
    """A row as `told` makes it, as far as bars look at it."""
    return {"size": case.name, "name": name, "members": members, **({} if µs is None else {"µs": µs, "bursts": [µs]})}


def test_a_case_is_named_by_its_layers_and_counts_the_operations_of_its_products() -> None:
    case = CASES[3]
    assert case.name == "784-256-256-10"
    weights = (784 * 256, 256 * 256, 256 * 10)
    assert case.operations == 6 * 128 * sum(weights) - 2 * 128 * weights[0], "inputs need no slope"


def test_the_networks_of_all_have_the_same_tensors() -> None:
    case = CASES[0]
    blueprint = loops.Blueprint.of(
        loops.Plan().edited({"network.width": case.units}, by="user", why=""), case.inputs, case.outputs
    )
    assert blueprint.layout.size == sum(p.numel() for p in loops.network(case).parameters()) == 5_699


def test_made_rows_are_the_same_for_everyone_and_fill_the_batches_of_an_epoch() -> None:
    (x, y), (again, _) = loops.made(Job(SMALL)), loops.made(Job(SMALL, members=3))
    assert x.shape == (BATCHES * 5, 3) and set(y.tolist()) == {0, 1}
    assert torch.equal(x, again)


@pytest.mark.parametrize("name", HERE)
def test_a_burst_says_how_many_steps_it_made_and_in_how_many_seconds(name: str) -> None:
    burst = WAYS[name].build(Job(SMALL, members=2 if name == "ours" else 1))
    by_epochs = name not in ("ours", "lean")
    steps, seconds = burst(BATCHES + 1)
    assert steps == (2 * BATCHES if by_epochs else BATCHES + 1)
    assert 0 < seconds < 60


@pytest.mark.filterwarnings("ignore")  # theirs, about each other
@pytest.mark.parametrize("name", throughput.OPTIONAL)
def test_an_optional_library_trains_where_it_is_installed(name: str) -> None:
    if WAYS[name].missing():
        pytest.skip(f"{name} is {WAYS[name].missing()}")
    steps, seconds = WAYS[name].build(Job(SMALL))(BATCHES)
    assert steps == BATCHES and seconds > 0


def test_the_lean_loop_learns_from_every_batch_once_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    burst = loops.by_index(lambda rows: seen.extend(rows.tolist()), Job(SMALL))
    assert burst(3)[0] == 3 and burst(BATCHES - 3)[0] == BATCHES - 3
    assert sorted(seen) == list(range(BATCHES * 5)) and seen != sorted(seen)


def test_members_of_ours_have_rates_of_their_own_and_are_never_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    courses: list[Any] = []

    def train(course: Any) -> Any:
        courses.append(course)
        return iter([None] * 9)

    monkeypatch.setattr(loops, "train", train)
    loops.ours(Job(SMALL, members=3))
    rates = courses[0].population.columns["learning_rate"].flatten()
    assert rates.tolist() == pytest.approx([1e-4, 1e-3, 1e-2])
    assert courses[0].total_steps < courses[0].evaluate_every
    assert {plan.schedule.name for plan in courses[0].plans} == {"constant"}
    assert courses[0].population._noise.at(0, torch.zeros(1, 3, 5), 3) is None, "no dropout"


def test_a_product_counts_one_step_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "side", lambda device: 8)
    assert WAYS["float32"].build(Job(SMALL))(3)[0] == 3


def test_a_package_that_is_absent_or_refused_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    way = Way(peers.lean, "no-such-package-here")
    assert way.missing() == "not installed" and way.versions() == {}
    monkeypatch.setattr(peers, "version", lambda package: "2.6.2")
    assert WAYS["Lightning"].missing() == "version 2.6.2 is refused"
    monkeypatch.setattr(peers, "version", lambda package: "2.6.1")
    assert WAYS["Lightning"].missing() is None and WAYS["Lightning"].versions() == {"version": "2.6.1"}


class Clockwork:
    """A pipe to a process that needs a known time for a step; it remembers what it was told."""

    def __init__(self, seconds: float, failure: str | None = None) -> None:
        self.seconds, self.failure, self.told, self.closed = seconds, failure, [], False

    def send(self, order: Any) -> None:
        self.told.append(order)

    def recv(self) -> Any:
        if self.failure == "gone":
            raise EOFError
        order = self.told[-1]
        return self.failure or (True if isinstance(order, Job) else (order, order * self.seconds))

    def close(self) -> None:
        self.closed = True


def clockwork(entrant: Entrant, pipes: list[Clockwork]) -> Entrant:
    """The entrant with such pipes instead of processes."""
    entrant._pipes = list[Any](pipes)
    return entrant


def test_processes_count_at_the_pace_of_the_slowest_and_members_share_a_step() -> None:
    two = clockwork(Entrant("lean", "lean", processes=2), [Clockwork(0.01), Clockwork(0.03)])
    many = clockwork(Entrant("ours", "ours", members=64), [Clockwork(0.64)])
    compete([two, many], Job(SMALL), rounds=3, seconds=1.2)
    assert two.median == pytest.approx(0.015) and len(two.figures) == 3
    assert many.median == pytest.approx(0.01)
    assert two.steps == 40 and many.steps == 16, "as many as fit into the seconds, but never less than the least"
    assert many._pipes[0].told[0] == Job(SMALL, members=64)  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("failure", ["OutOfMemoryError: too much", "gone"])
def test_who_fails_is_noted_and_the_others_go_on(failure: str) -> None:
    broken = clockwork(Entrant("lean", "lean"), [Clockwork(0.01, failure)])
    well = clockwork(Entrant("ours", "ours"), [Clockwork(0.01)])
    compete([broken, well], Job(SMALL), rounds=2, seconds=0.1)
    assert broken.median is None
    assert broken.note == ("its process has ended" if failure == "gone" else failure)
    assert well.median == pytest.approx(0.01)
    first, second = told(SMALL, [broken, well], "cpu")
    assert first["note"] == broken.note and "µs" not in first and second["µs"] == pytest.approx(1e4)


def test_a_process_serves_jobs_and_bursts_and_tells_failures_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    orders = [7, Job(SMALL), 7, None]
    answers: list[Any] = []

    class Pipe:
        recv = staticmethod(lambda: orders.pop(0))
        send = staticmethod(answers.append)

    monkeypatch.setattr(contest.os, "dup2", lambda source, target: None)
    pipe: Any = Pipe()
    contest.serve(pipe, "lean", threads=1)
    assert answers[0].startswith("AssertionError") and answers[1] is True
    assert answers[2][0] == 7 and answers[2][1] > 0


def test_shares_are_of_the_products_of_the_same_run() -> None:
    ours = replace(Entrant("ours", "ours", members=64), figures=[1e-3, 3e-3, 2e-3])
    square = replace(Entrant("product, float32", "float32"), figures=[0.5])
    first, second = told(SMALL, [ours, square], "cpu")
    assert (first["µs"], first["from"], first["to"]) == pytest.approx((2e3, 1e3, 3e3))
    assert second["gflops"] == pytest.approx(2 * 2048**3 / 0.5 / 1e9) and "share_float32" not in second
    assert first["gflops"] == pytest.approx(SMALL.operations / 2e-3 / 1e9)
    assert first["share_float32"] == pytest.approx(first["gflops"] / second["gflops"])


def test_the_aims_are_those_that_were_asked_for() -> None:
    asked = {(aim.members, aim.rivals): aim.times for aim in (*AIMS, *GPU_AIMS)}
    assert asked[64, (ALL,)] == (5, 3, 2, 2) and asked[1, (ONE, EVERY)] == (1, 1, 1, 1)
    assert all(asked[64, (name,)] == (8, 8) for name in OTHERS)
    assert asked[256, (throughput.GRAPH,)] == (30, 30)


def test_a_bar_holds_the_best_rival_against_ours_with_as_many_members() -> None:
    case = CASES[0]
    rows = [row(case, "ours", 50, members=64), row(case, "ours", 200), row(case, ALL, 240)]
    rows += [row(case, ONE, 190), row(case, EVERY, 300), row(case, "Keras", 500), row(case, "skorch", None)]
    found = {bar.name: bar for bar in bars(rows, [case], AIMS)}
    assert found["20-64-64-3, 64 members: lean, all cores ÷ ours"].value == pytest.approx(4.8)
    assert found["20-64-64-3, 1 members: lean, the best ÷ ours"].value == pytest.approx(0.95)
    assert found["20-64-64-3, 64 members: Keras ÷ ours"].met and len(found) == 3, "who is not there has no bar"


def test_a_bar_is_the_median_of_the_quotients_of_each_round() -> None:
    rows = [row(CASES[0], "ours", 2, members=64), row(CASES[0], ALL, 12)]
    rows[0]["bursts"], rows[1]["bursts"] = [1, 10, 2], [6, 60, 100]  # all was slow in the second round
    (bar,) = bars(rows, CASES[:1], AIMS[:1])
    assert bar.value == 6


def test_a_bar_that_needs_its_rival_is_failed_without_it() -> None:
    (bar,) = bars([row(CASES[0], "ours", 50, members=64)], CASES[:1], AIMS[:1])
    assert bar.value == 0 and not bar.met


def test_on_a_gpu_populations_compete_with_a_captured_loop() -> None:
    entrants = on_gpu((1, 256))
    assert [e.members for e in entrants if e.name == "ours"] == [1, 256]
    assert throughput.GRAPH in [e.name for e in entrants]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("name", ["ours", "lean", "lean_graph"])
def test_on_a_gpu_bursts_run_there(name: str) -> None:
    assert WAYS[name].build(Job(SMALL, device="cuda"))(BATCHES + 1)[0] == BATCHES + 1


def test_processes_of_their_own_give_figures_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    context = contest.multiprocessing.get_context("spawn")
    process = context.Process

    def keeping(*arguments: Any, **named: Any) -> Any:
        started.append(process(*arguments, **named))
        return started[-1]

    monkeypatch.setattr(context, "Process", keeping)
    (found,) = measure([SMALL], [Entrant("lean", "lean", processes=2, threads=1)], rounds=1, seconds=0.0)
    assert found["µs"] > 0 and found["processes"] == 2
    assert len(started) == 2
    for one in started:
        one.join(timeout=30)
        assert one.exitcode == 0


def test_the_whole_is_printed_as_one_object(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    calls: list[Any] = []

    def measured(cases: Any, entrants: Any, **settings: Any) -> list[dict[str, Any]]:
        calls.append(([e.name for e in entrants], settings))
        return [row(case, "ours", 1.0, members=64) for case in cases]

    monkeypatch.setattr(throughput, "measure", measured)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["throughput", "--json", "--quick"])
    throughput.main()
    printed = json.loads(capsys.readouterr().out)
    assert [r["size"] for r in printed["rows"]] == [case.name for case in CASES[:2]]
    assert not set(throughput.OPTIONAL) & set(calls[0][0]), "the quick one is without optional libraries"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    throughput.main()
    printed = json.loads(capsys.readouterr().out)
    assert {r["device"] for r in printed["rows"]} == {"cpu", "cuda"} and calls[-1][1]["device"] == "cuda"
    assert any("256 members" in bar["name"] for bar in printed["bars"])


def test_versions_come_from_the_packages_themselves() -> None:
    assert WAYS["scikit-learn"].versions() == {"version": importlib.metadata.version("scikit-learn")}
