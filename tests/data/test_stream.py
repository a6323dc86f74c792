"""Data larger than memory gives the same kind of batches: every row once an epoch, in an order that needs no past."""

import threading
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from trainwell.base import DataError, InputError
from trainwell.data import Encoded, PreparationOptions, Table, fit_preparation, profile
from trainwell.data.arrays import Arrays, to_arrays
from trainwell.data.batches import Feed, Samples
from trainwell.data.stream import Shuffle, StreamFeed
from trainwell.data.table import table_from_frame
from trainwell.engine import train
from trainwell.testing.members import Case

N = 200


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> Arrays:
    """Rows whose inputs, categories and class all say their number."""
    folder, number = tmp_path_factory.mktemp("arrays"), np.arange(N)
    np.save(folder / "x.npy", np.stack([number, -number, 2 * number], 1).astype(np.float32))
    np.save(folder / "categories.npy", np.stack([number, number + 1], 1))
    np.save(folder / "y.npy", number)
    return Arrays.open(folder)


def part(n: int, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """(1, n) training rows, spread over a part of all rows, and all others."""
    draw = torch.Generator().manual_seed(seed)
    rows = torch.randperm(max(n, int(N * share)), generator=draw)[:n]
    rest = torch.tensor(sorted(set(range(N)) - set(rows.tolist())))
    return rows.unsqueeze(0), rest.unsqueeze(0)


def stream(
    arrays: Arrays, n: int = 90, size: int = 8, *, share: float = 0.5, block: int = 6, blocks: int = 3, seed: int = 0
) -> StreamFeed:
    train, validation = part(n, share, seed)
    return StreamFeed(arrays, train, validation, [5], size, block=block, window=block * blocks)


def seen(feed: StreamFeed | Feed, epoch: int) -> list[int]:
    """The row numbers of an epoch, in order; each sample is whole."""
    numbers = []
    for step in range(epoch * feed.steps_per_epoch, (epoch + 1) * feed.steps_per_epoch):
        batch = feed.batch(step)
        assert batch.y is not None and batch.x.shape == (1, 3, batch.y.shape[1])
        assert batch.x[:, 0].equal(batch.y.float()) and batch.x[:, 2].equal(2 * batch.y.float())
        assert batch.categories[:, 0].equal(batch.y) and batch.categories[:, 1].equal(batch.y + 1)
        numbers += batch.y.flatten().tolist()
    return numbers


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(data=st.data(), epoch=st.integers(0, 3), share=st.sampled_from([0.05, 0.5, 1.0]), seed=st.integers(0, 9))
def test_every_row_comes_once_an_epoch_whatever_the_sizes(
    arrays: Arrays, data: st.DataObject, epoch: int, share: float, seed: int
) -> None:
    n = data.draw(st.integers(1, N - 1))
    size, block, blocks = data.draw(st.integers(1, n)), data.draw(st.integers(1, 40)), data.draw(st.integers(1, 6))
    feed = stream(arrays, n, size, share=share, block=block, blocks=blocks, seed=seed)
    assert sorted(seen(feed, epoch)) == sorted(feed.train.flatten().tolist())


@pytest.mark.parametrize("shuffle", ["blocks", "rows"])
def test_a_batch_depends_on_its_step_alone_not_on_what_was_asked_before(arrays: Arrays, shuffle: Shuffle) -> None:
    rows, rest = part(70, 1.0, 1)

    def fresh() -> StreamFeed:
        return StreamFeed(arrays, rows, rest, [5], 9, shuffle=shuffle, block=5, window=20)

    used = fresh()
    for step in [0, 1, 2, 3, 17, 4, 40, 41, 42, 43, 44, 8, 7, 7, 0, 31]:
        batch, other = used.batch(step), fresh().batch(step)
        assert batch.y is not None and other.y is not None
        assert batch.y.equal(other.y) and batch.x.equal(other.x) and batch.categories.equal(other.categories)


def test_single_rows_come_in_the_order_of_a_feed_in_memory_bit_for_bit(arrays: Arrays) -> None:
    rows, rest = part(75, 1.0, 2)
    train, validation = torch.cat([rows, rows.flip(1)]), torch.cat([rest, rest])
    given = StreamFeed(arrays, train, validation, [3, 4], 8, shuffle="rows")
    whole = Samples(arrays.samples.x.clone(), arrays.samples.categories.clone(), arrays.samples.y)
    plain = Feed(whole, train, validation, [3, 4], 8)
    for step in range(2 * plain.steps_per_epoch):
        one, other = given.batch(step), plain.batch(step)
        assert one.x.equal(other.x) and one.categories.equal(other.categories)
        assert one.y is not None and other.y is not None and one.y.equal(other.y)


def test_rows_are_shuffled_within_windows_of_random_blocks_and_anew_each_epoch(arrays: Arrays) -> None:
    feed = StreamFeed(
        arrays, torch.arange(120).unsqueeze(0), torch.arange(120, 130).unsqueeze(0), [1], 8, block=6, window=24
    )
    epochs = [seen(feed, epoch) for epoch in range(4)]
    assert len({tuple(order) for order in epochs}) == 4
    for order in epochs:
        for start in range(0, 120, 24):
            window = order[start : start + 24]
            assert len({row // 6 for row in window}) == 4 and window != sorted(window)
    firsts = {frozenset(row // 6 for row in order[:24]) for order in epochs}
    assert len(firsts) == 4, "each epoch puts other blocks together"


def test_in_the_long_run_each_row_comes_equally_often_at_each_place(arrays: Arrays) -> None:
    feed = StreamFeed(arrays, torch.arange(8).unsqueeze(0), torch.arange(8, 9).unsqueeze(0), [1], 1, block=2, window=4)
    places = torch.zeros(8, 8)
    for epoch in range(400):
        for place, row in enumerate(seen(feed, epoch)):
            places[place, row] += 1
    assert (places - 50).abs().max() < 28  # 50 expected, standard deviation 6.6, 64 places


def test_data_within_one_window_are_shuffled_as_a_whole(arrays: Arrays) -> None:
    feed = StreamFeed(arrays, torch.arange(60).unsqueeze(0), torch.arange(60, 70).unsqueeze(0), [1], 60, block=5)
    order = seen(feed, 0)
    assert all(len({row // 5 for row in order[start : start + 5]}) > 1 for start in range(0, 60, 5))


def test_a_groups_batches_do_not_depend_on_the_other_groups(arrays: Arrays) -> None:
    a, b = part(40, 1.0, 1)[0], part(40, 1.0, 2)[0]
    rest = torch.arange(10).unsqueeze(0)
    together = StreamFeed(arrays, torch.cat([a, b]), torch.cat([rest, rest]), [7, 8], 6, block=5, window=10)
    alone = StreamFeed(arrays, b, rest, [8], 6, block=5, window=10)
    for step in range(15):
        here, there = together.batch(step), alone.batch(step)
        assert here.x.shape[0] == 2 and here.x[1].equal(there.x[0])
        assert here.y is not None and there.y is not None and here.y[1].equal(there.y[0])


def test_the_next_window_is_read_by_another_thread_while_the_present_one_is_used(
    arrays: Arrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed, by, began = stream(arrays), set(), threading.Event()
    read = Arrays.read

    def noting(self: Arrays, name: str, start: int, into: np.ndarray) -> None:
        by.add(threading.current_thread().name)
        began.set()
        read(self, name, start, into)

    feed.batch(0)
    feed.batch(1)
    monkeypatch.setattr(Arrays, "read", noting)
    began.clear()
    feed.batch(3)  # of the second window: the third is begun
    assert began.wait(10) and threading.main_thread().name not in by


@pytest.mark.parametrize("shuffle", ["blocks", "rows"])
def test_a_course_trains_from_files_as_from_memory(tmp_path: Path, shuffle: Shuffle) -> None:
    case = Case("stream", cardinalities=(4,))
    inside, outside = case.course(range(3)), case.course(range(3))
    s = inside.feed.samples
    assert s.y is not None
    for name in ("x", "categories", "y"):
        np.save(tmp_path / f"{name}.npy", getattr(s, name).numpy())
    feed = inside.feed
    streamed = StreamFeed(
        Arrays.open(tmp_path), feed.train, feed.validation, feed.orders, feed.batch_size, shuffle=shuffle
    )
    outside.feed = streamed  # pyright: ignore[reportAttributeAccessIssue]
    for course in (inside, outside):
        for _ in train(course):
            pass
    assert (outside.best.loss - inside.best.loss).abs().max() < 0.2  # another order, the same rows
    if shuffle == "rows":
        assert inside.population.theta.equal(outside.population.theta) and inside.best.loss.equal(outside.best.loss)


def test_several_numbers_a_row_are_laid_out_as_by_a_feed(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(20, dtype=np.float32).reshape(10, 2))
    np.save(tmp_path / "y.npy", np.arange(30, dtype=np.float32).reshape(10, 3))
    arrays = Arrays.open(tmp_path)
    feed = StreamFeed(arrays, torch.arange(8).unsqueeze(0), torch.tensor([[8, 9]]), [1], 4, block=2, window=4)
    batch = feed.batch(0)
    assert batch.x.shape == (1, 2, 4) and batch.categories.shape == (1, 0, 4)
    assert batch.y is not None and batch.y.shape == (1, 3, 4)
    assert batch.y[0, 0].equal(batch.x[0, 0] / 2 * 3)
    assert feed.samples.take(feed.validation[0]).x[0, 0].tolist() == [16, 18]


@pytest.mark.parametrize(("block", "window"), [(0, 4), (5, 12), (6, 3)])
def test_a_window_that_is_not_made_of_blocks_is_refused(arrays: Arrays, block: int, window: int) -> None:
    with pytest.raises(
        InputError, match=f"^window must be a whole number of blocks of at least 1 row, but is {window} of"
    ):
        StreamFeed(arrays, *part(20, 1, 0), [1], 4, block=block, window=window)


def test_an_unknown_way_to_shuffle_and_a_batch_too_large_are_refused(arrays: Arrays) -> None:
    with pytest.raises(InputError, match=r"^shuffle must be 'blocks' or 'rows', but is 'all'\.$"):
        StreamFeed(arrays, *part(20, 1, 0), [1], 4, shuffle="all")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"^batch_size must be from 1 to the 20 training rows, but is 21\.$"):
        StreamFeed(arrays, *part(20, 1, 0), [1], 21)


def mixed(rows: int) -> pl.DataFrame:
    draw = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "age": draw.normal(40, 10, rows),
            "town": draw.choice([f"town {i}" for i in range(40)], rows),
            "useless": draw.normal(size=rows),
            "ill": draw.choice(["no", "yes"], rows),
        }
    )


def test_parquet_becomes_the_arrays_that_encoding_at_once_would_give(tmp_path: Path) -> None:
    frame = mixed(500)
    frame[:300].write_parquet(tmp_path / "a.parquet", row_group_size=70)
    frame[300:].write_parquet(tmp_path / "b.parquet", row_group_size=90)
    table, facts = profile(table_from_frame(frame[:400].drop("useless"), "head"), ["ill"])
    preparation = fit_preparation(table, facts, np.arange(table.rows), PreparationOptions("plain", 8, 10))
    sizes = []

    def encode(piece: Table) -> Encoded:
        sizes.append(piece.rows)
        assert piece.columns == ("age", "town", "ill")
        return preparation.encode(piece, with_target=True)

    files = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    arrays = to_arrays(files, tmp_path / "out", encode, columns=["age", "town", "ill"], rows=128)
    whole = preparation.encode(table_from_frame(frame, "whole"), with_target=True)
    assert sizes == [128, 128, 128, 116] and whole.y is not None
    assert np.array_equal(arrays.samples.x.numpy(), whole.x)
    assert np.array_equal(arrays.samples.categories.numpy(), whole.categories) and whole.categories.shape[1] == 1
    assert arrays.samples.y is not None and np.array_equal(arrays.samples.y.numpy(), whole.y)
    assert arrays.row_bytes == sum(a[0].nbytes for a in (whole.x, whole.categories, whole.y))


def numbers(piece: Table) -> Encoded:
    x = piece.frame.select("age").to_numpy().astype(np.float32)
    return Encoded(x, np.zeros((piece.rows, 0), np.int64), None)


def test_a_second_writing_replaces_the_first_and_leaves_nothing_of_it(tmp_path: Path) -> None:
    frame = mixed(50)
    frame.write_parquet(tmp_path / "a.parquet")
    np.save(tmp_path / "y.npy", np.arange(7))
    arrays = to_arrays(tmp_path / "a.parquet", tmp_path, numbers)
    assert arrays.samples.y is None and arrays.samples.categories.shape == (50, 0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.parquet", "arrays.json", "x.npy"]


def test_a_writing_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    mixed(50).write_parquet(tmp_path / "a.parquet")
    to_arrays(tmp_path / "a.parquet", tmp_path, numbers)

    def fails(piece: Table) -> Encoded:
        if len(done):
            raise DataError("a target of no known class")
        done.append(piece)
        return numbers(piece)

    done: list[Table] = []
    with pytest.raises(DataError, match=r"^a target of no known class$"):
        to_arrays(tmp_path / "a.parquet", tmp_path, fails, rows=20)
    assert Arrays.open(tmp_path).samples.count == 50


def test_parquet_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("age,town", encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.parquet' can't be read as Parquet or written to"):
        to_arrays(tmp_path / "a.parquet", tmp_path / "out", numbers)
    mixed(10).clear().write_parquet(tmp_path / "empty.parquet")
    with pytest.raises(DataError, match="has no rows"):
        to_arrays(tmp_path / "empty.parquet", tmp_path / "out", numbers)


def test_damaged_missing_and_uneven_arrays_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.npy' is missing or damaged; write it with numpy\.save\.$"):
        Arrays.open(tmp_path)
    np.save(tmp_path / "x.npy", np.zeros((5, 2), order="F"))
    with pytest.raises(DataError, match=r"x\.npy' must hold numbers, row after row; write it with numpy\.save\.$"):
        Arrays.open(tmp_path)
    np.save(tmp_path / "x.npy", np.zeros((5, 2)))
    np.save(tmp_path / "y.npy", np.zeros(4))
    with pytest.raises(DataError, match=r"differ in rows \(\{'x': 5, 'y': 4\}\); write them again\.$"):
        Arrays.open(tmp_path)
    np.save(tmp_path / "y.npy", np.zeros(5))
    arrays = Arrays.open(tmp_path)
    (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-8])
    with pytest.raises(DataError, match=r"x\.npy' has become shorter while it was read; write it again\.$"):
        arrays.read("x", 3, np.empty((2, 2)))
