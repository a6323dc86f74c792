import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks import overhead, overhead_peers, overhead_programs, overhead_turns
from benchmarks.overhead import ENGINE, LOOP, bars, cost_of_verdict, in_engine, memory_rows, peer_rows, time_rows
from benchmarks.overhead_peers import lacking
from benchmarks.overhead_programs import JOBS, Job, in_own_loop, made, peak, run
from benchmarks.overhead_turns import OFF, ON, Stopwatch, compared, side_by_side
from trainwell.adapters import watch
from trainwell.vitals import gathered

SMALL = Job(lambda: nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)), (4,), 3, 6, 16)


def test_the_four_networks_that_were_asked_for_learn_from_their_batches() -> None:
    assert list(JOBS) == ["dense, tiny", "CNN, small", "LSTM", "transformer, small"]
    for job in JOBS.values():
        x, y = made(job)[0]
        assert x.shape == (job.batch, *job.shape) and job.make()(x).shape == (job.batch, job.classes)
        assert 1 < len(set(y.tolist())) <= job.classes


def test_a_loop_tells_its_watch_of_every_step_and_leaves_it() -> None:
    kept: list[Any] = []

    def watching(model: nn.Module, optimizer: Any) -> Any:
        kept.append(watch(model, optimizer))
        return kept[0]

    training = in_own_loop(SMALL, watching, 12)
    next(training)
    assert kept == [], "what is made before the first turn is not counted; to be watched is"
    assert len(list(training)) == 2, "a turn ends after five steps and after ten"
    assert kept[0].record.series("loss", member=0)[0].tolist() == list(range(1, 13))
    assert kept[0].case(over=False).program.over, "the context has ended"


def test_the_engine_makes_the_steps_and_notes_what_the_recipe_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(overhead, "observe", lambda moment, record: seen.append(moment.step))
    for job in (SMALL, Job(overhead_programs.convolutional, (1, 28, 28), 10, 4, 16)):
        seen.clear()
        run(in_engine(job, False, 16))
        assert seen == []
        run(in_engine(job, True, 16))
        assert seen == [1, 4, 10, 16], "layers at powers of four, the loss at each tenth"


def test_trainings_take_turns_in_changing_order_until_each_has_ended() -> None:
    order: list[str] = []

    def training(name: str, turns: int) -> Iterator[None]:
        for turn in range(turns):
            order.append(f"{name}{turn}")
            yield

    side_by_side({"a": lambda: training("a", 4), "b": lambda: training("b", 2)})
    assert order == ["a0", "b0", "a1", "b1", "a2", "a3"]
    order.clear()
    side_by_side({"a": lambda: training("a", 4), "b": lambda: training("b", 4)})
    assert order == ["a0", "b0", "a1", "b1", "b2", "a2", "a3", "b3"]


def test_to_a_watch_the_turns_of_others_take_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now, told = [0.0], list[float]()
    monkeypatch.setattr(overhead_turns.time, "perf_counter", lambda: now[0])

    def watched() -> Iterator[None]:
        for _ in range(3):
            yield
            now[0] += 1.0
            told.append(gathered.perf_counter())

    def other() -> Iterator[None]:
        for _ in range(3):
            yield
            now[0] += 100.0

    spent = side_by_side({ON: watched, OFF: other})
    assert told == [1.0, 2.0, 3.0] and spent[ON][1] == 3.0 and spent[OFF][1] == 300.0
    stopped = Stopwatch()
    now[0] += 7.0
    assert stopped() == 0.0


def test_ratios_are_taken_within_a_run_and_who_begins_alternates(monkeypatch: pytest.MonkeyPatch) -> None:
    begins: list[str] = []

    def measured(trainings: dict[str, Any]) -> dict[str, tuple[float, float]]:
        begins.append(next(iter(trainings)))
        slow = 10.0 if len(begins) > 3 else 1.0  # all is slow in the third run
        return {ON: (1.5 * slow, slow), OFF: (slow, slow)}

    monkeypatch.setattr(overhead_turns, "side_by_side", measured)
    row = compared({ON: lambda: iter(()), OFF: lambda: iter(())}, 3)
    assert begins == [ON, OFF, ON, OFF], "the first, which sets up what is set up once, is not counted"
    assert row["ratio"] == row["quarter"] == pytest.approx(1.5)
    assert row["of_the_clock"] == 1.0 and row["seconds_without"] == 1.0 and row["runs"] == 3


def test_each_network_has_a_row_for_either_loop_and_the_bars_are_those_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(overhead, "JOBS", {"dense, tiny": SMALL, "other": SMALL})
    rows = time_rows(times=2, part=1)
    assert [(row["network"], row["where"]) for row in rows] == [
        (name, where) for name in ("dense, tiny", "other") for where in (LOOP, ENGINE)
    ]
    assert all(row["µs_of_a_step"] == pytest.approx(1e6 * row["seconds_without"] / 16) for row in rows)
    memory = {"network": "other", "where": "memory", "ratio": 1.03}
    found = {bar.name: bar for bar in bars([*rows, memory])}
    assert [bar.target for bar in found.values()] == [1.05, 1.02, 1.02, 1.02, 1.02]
    assert not found["other, memory: watched ÷ not"].met


def test_what_findings_cost_is_told_beside() -> None:
    assert 0 < cost_of_verdict(SMALL, 16)["ms_of_findings"] < 10_000


def test_memory_is_that_of_processes_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    held = {"on": iter((399.0, 303.0, 302.0)), "off": iter((300.0, 300.0, 301.0)), "bare": iter((200.0,) * 3)}
    monkeypatch.setattr(overhead, "_peak", lambda name, how, steps: next(held[how]))
    row = memory_rows(times=3, part=1, names=["LSTM"])[0]
    assert row["ratio"] == pytest.approx(1.01) and row["without"] == 200


def test_a_peak_grows_with_what_is_held_and_a_process_tells_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    before = peak()
    kept = torch.ones(64 * 2**18)  # 64 MiB
    assert peak() - before > 32 or before > 600, "unless more was held before"
    del kept
    overhead_programs.tell_memory("dense, tiny", "on", "3")
    first, last = map(float, capsys.readouterr().out.split())
    assert 0 < first <= last


def test_a_process_of_its_own_holds_less_without_trainwell() -> None:
    assert overhead._peak("dense, tiny", "bare", 3) < overhead._peak("dense, tiny", "off", 3)


def test_a_peer_has_a_row_for_each_network_or_the_reason_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def picky(job: Job, steps: int) -> Iterator[None]:
        if len(job.shape) > 1:
            raise TypeError("only rows\nof a table")
        return in_own_loop(job, None, steps)

    picture = Job(overhead_programs.convolutional, (1, 28, 28), 10, 2, 16)
    monkeypatch.setattr(overhead, "JOBS", {"dense, tiny": SMALL, "CNN, small": picture})
    monkeypatch.setattr(overhead, "PEERS", {"torch": picky, "no-such-peer": picky})
    fine, refused, absent = peer_rows(times=1, part=20)
    assert fine["network"] == "dense, tiny" and 0 < fine["ratio"] and fine["peer"] == "torch"
    assert refused["reason"] == "TypeError: only rows" and "ratio" not in refused
    assert absent["reason"].startswith("PackageNotFoundError") and "network" not in absent


@pytest.mark.parametrize("peer", list(overhead_peers.PEERS))
def test_peers_train_to_the_end_where_they_are_installed(peer: str) -> None:
    if reason := lacking(peer):
        pytest.skip(reason)
    run(overhead_peers.PEERS[peer](SMALL, 5))


def test_the_whole_is_printed_as_one_object(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    row = {"network": "LSTM", "where": LOOP, "ratio": 1.01}
    monkeypatch.setattr(overhead, "time_rows", lambda times, part: [row])
    monkeypatch.setattr(overhead, "memory_rows", lambda times, part, names: [])
    monkeypatch.setattr(overhead, "peer_rows", lambda times, part: [{**row, "peer": "another", "ratio": 9.0}])
    monkeypatch.setattr(sys, "argv", ["overhead", "--json", "--quick"])
    overhead.main()
    printed = json.loads(capsys.readouterr().out)
    assert printed["rows"][0] == row and len(printed["rows"]) == 2
    assert len(printed["bars"]) == 1 and printed["bars"][0]["met"], "a peer has no bar"
