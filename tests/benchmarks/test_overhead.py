import json
import sys
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks import overhead, overhead_programs
from benchmarks.overhead import ENGINE, LOOP, bars, cost_of_verdict, in_engine, memory_rows, paired, time_rows
from benchmarks.overhead_programs import JOBS, Job, in_own_loop, made, peak
from trainwell.adapters import watch

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

    spent, clock = in_own_loop(SMALL, watching, 12)
    assert 0 < spent and 0 < clock
    assert kept[0].record.series("loss", member=0)[0].tolist() == list(range(1, 13))
    assert kept[0].case(over=False).program.over, "the context has ended"


def test_the_engine_makes_the_steps_and_notes_what_the_recipe_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(overhead, "observe", lambda moment, record: seen.append(moment.step))
    for job in (SMALL, Job(overhead_programs.convolutional, (1, 28, 28), 10, 4, 16)):
        seen.clear()
        assert min(in_engine(job, False, 16)) > 0 and seen == []
        assert min(in_engine(job, True, 16)) > 0 and seen == list(range(1, 17)), "all sixteen: fewer than 64"


def test_ratios_are_taken_within_a_pair_and_who_comes_first_alternates() -> None:
    order: list[bool] = []

    def run(observed: bool) -> tuple[float, float]:
        order.append(observed)
        slow = 10.0 if len(order) > 6 else 1.0  # all is slow in the third pair
        return slow * (1.5 if observed else 1.0), slow

    row = paired(run, 3)
    assert order == [True, False, True, False, False, True, True, False]
    assert row["ratio"] == row["quarter"] == pytest.approx(1.5)
    assert row["of_the_clock"] == 1.0 and row["seconds_without"] == 1.0 and row["pairs"] == 3


def test_each_network_has_a_row_for_either_loop_and_the_bars_are_those_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(overhead, "JOBS", {"dense, tiny": SMALL, "other": SMALL})
    rows = time_rows(pairs=2, part=1)
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
    held = {"on": 303.0, "off": 300.0, "bare": 200.0}
    monkeypatch.setattr(overhead, "_peak", lambda name, how, steps: held[how])
    row = memory_rows(part=1, times=3)[0]
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


def test_the_whole_is_printed_as_one_object(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    row = {"network": "LSTM", "where": LOOP, "ratio": 1.01}
    monkeypatch.setattr(overhead, "time_rows", lambda pairs, part: [row])
    monkeypatch.setattr(overhead, "memory_rows", lambda part, times: [])
    monkeypatch.setattr(sys, "argv", ["overhead", "--json", "--quick"])
    overhead.main()
    printed = json.loads(capsys.readouterr().out)
    assert printed["rows"] == [row] and printed["bars"][0]["met"]
