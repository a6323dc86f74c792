import mmap
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import streaming
from benchmarks.streaming import BATCH, FULL, MIB, QUICK, TIMES, WARM, feed_of, make, measure, repeated, taken, watched
from trainwell.data.arrays import Arrays
from trainwell.data.batches import Feed
from trainwell.data.stream import StreamFeed

linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
ROWS = 20_000  # an epoch is longer than the warm-up


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("made")
    make(made, ROWS * (4 * streaming.INPUTS + 8))
    return made


def test_the_made_rows_can_be_learned_and_use_all_classes(folder: Path) -> None:
    samples = Arrays.open(folder).samples
    assert samples.x.shape == (ROWS, streaming.INPUTS) and samples.y is not None
    assert samples.x.abs().max() <= 0.5 and set(samples.y.tolist()) == set(range(streaming.CLASSES))


def test_all_ways_feed_the_same_rows(folder: Path) -> None:
    feeds = [feed_of(way, folder, 100 * MIB) for way in ("memory", "rows", "blocks")]
    assert [type(feed) for feed in feeds] == [Feed, StreamFeed, StreamFeed]
    assert all(feed.train.equal(feeds[0].train) and feed.batch_size == BATCH for feed in feeds)
    x, other = feeds[0].batch(3).x, feeds[1].batch(3).x
    assert x.equal(other) and feeds[2].batch(3).x.shape == x.shape


@linux
def test_memory_that_is_taken_and_given_back_is_seen() -> None:
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    pages = mmap.mmap(-1, 64 * MIB, flags=private)  # the C library may keep what is freed, the system does not
    pages.write(b"1" * 64 * MIB)
    with watched(0.005) as largest:  # its first look is taken at once
        pages.close()
        after = taken("RssAnon")
    assert largest[0] - after > 50 * MIB


@linux
def test_a_way_is_run_within_its_limit_and_says_what_it_took(folder: Path) -> None:
    got = streaming.process("blocks", folder, 1, 5, 400 * MIB)
    assert got["steps"] <= 5 and got["steps_a_second"] > 0 and 0 < got["grown_mib"] < 400
    refused = streaming.process("memory", folder, 1, 5, 1 * MIB)
    assert set(refused) == {"failed"} and "\n" not in refused["failed"]


def test_streaming_is_held_against_memory_and_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    speed, made = {"memory": 10.0, "blocks": 7.0, "rows": 3.0}, []
    taken_turns: list[str] = []

    def process(way: str, folder: Path, members: int, steps: int, limit: int) -> dict[str, Any]:
        if way == "memory" and limit:
            return {"failed": "no memory"}
        assert (limit == 0) == (way == "memory")
        taken_turns.append(way)
        return {"steps": steps, "steps_a_second": speed[way], "grown_mib": 90.0}

    monkeypatch.setattr(streaming, "process", process)
    monkeypatch.setattr(streaming, "make", lambda folder, size: made.append(size))
    rows, bars = measure(100 * MIB, [(2, 5, ("blocks", "rows")), (3, 4, ("blocks",))], 2)
    assert made == [TIMES * 100 * MIB]
    assert [(row["way"], row["members"]) for row in rows[1:]] == [
        ("memory", 2),
        ("blocks", 2),
        ("rows", 2),
        ("memory", 3),
        ("blocks", 3),
    ]
    assert taken_turns == ["memory", "blocks", "rows"] * 2 + ["memory", "blocks"] * 2
    assert rows[3]["of_memory"] == pytest.approx(0.3) and rows[3]["runs"] == 2
    assert [(bar.value, bar.target, bar.met) for bar in bars] == [
        (0.7, 0.6, True),
        (90.0, 100.0, True),
        (0.7, 0.6, True),
        (90.0, 100.0, True),
        (1.0, 1.0, True),
    ]


def test_of_several_runs_the_median_speed_and_the_largest_memory_count_and_a_failure_fails_all() -> None:
    runs = [{"steps_a_second": speed, "grown_mib": speed} for speed in (3.0, 9.0, 4.0)]
    assert repeated(runs) == {"steps_a_second": 4.0, "grown_mib": 9.0, "runs": 3}
    assert repeated([*runs, {"failed": "no memory"}]) == {"failed": "no memory"}


def test_a_streamed_run_that_fails_meets_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "make", lambda folder, size: None)
    fine = {"steps": 5, "steps_a_second": 1.0, "grown_mib": 900.0}
    monkeypatch.setattr(streaming, "process", lambda way, f, m, s, limit: {"failed": "no"} if limit else fine)
    _, bars = measure(100 * MIB, [(1, 5, ("blocks",))], 1)
    assert [bar.met for bar in bars] == [False, False, True]


@pytest.mark.parametrize(("limit", "populations", "repeats"), [FULL, QUICK])
def test_the_steps_asked_for_are_fewer_than_an_epoch(limit: int, populations: list[Any], repeats: int) -> None:
    rows = TIMES * limit // (4 * streaming.INPUTS + 8) - 2000
    assert repeats >= 1 and all(WARM + steps < rows // BATCH for _, steps, _ in populations)
