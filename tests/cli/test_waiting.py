import os
from pathlib import Path

import pytest

from trainwell.cli import waiting
from trainwell.cli.waiting import OWN, SPINS, settle_waiting, used_by_others


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*OWN, "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "")  # so that what is set meanwhile is undone
        monkeypatch.delenv(name)


def others(monkeypatch: pytest.MonkeyPatch, cores: float) -> None:
    monkeypatch.setattr(waiting, "used_by_others", lambda system: cores)


def chosen() -> dict[str, str]:
    return {name: os.environ[name] for name in OWN if name in os.environ}


@pytest.mark.parametrize(
    ("cores", "expected"), [(0.0, {"GOMP_SPINCOUNT": SPINS}), (0.9, {"OMP_WAIT_POLICY": "PASSIVE"})]
)
def test_threads_spin_only_where_the_machine_is_free(
    cores: float, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    others(monkeypatch, cores)
    settle_waiting()
    assert chosen() == expected


def test_processes_of_one_training_do_not_spin(monkeypatch: pytest.MonkeyPatch) -> None:
    others(monkeypatch, 0.0)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    settle_waiting()
    assert chosen() == {"OMP_WAIT_POLICY": "PASSIVE"}


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    others(monkeypatch, 0.9)
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    settle_waiting()
    assert chosen() == {"GOMP_SPINCOUNT": "7"}


def test_what_others_use_is_what_the_system_counts_less_the_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = os.sysconf("SC_CLK_TCK")

    def count(seconds: float) -> None:
        user = round(seconds * ticks)
        (tmp_path / "stat").write_text(f"cpu  {user} 0 0 900 50 0 0 0 0 0\ncpu0 1 2 3\n", encoding="ascii")

    count(10.0)
    monkeypatch.setattr(waiting.time, "sleep", lambda seconds: count(10.6))
    clock = iter([100.0, 100.5])
    monkeypatch.setattr(waiting.time, "perf_counter", lambda: next(clock))
    own = iter([3.0, 3.1])
    monkeypatch.setattr(waiting.time, "process_time", lambda: next(own))
    assert used_by_others(tmp_path) == pytest.approx((0.6 - 0.1) / 0.5, abs=2 / ticks / 0.5)


@pytest.mark.parametrize("content", [None, "", "cpu 1 2", "cpu a b c d e f g h"])
def test_where_it_cannot_be_told_others_are_taken_to_compute(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "stat").write_text(content, encoding="ascii")
    assert used_by_others(tmp_path) == float("inf")
