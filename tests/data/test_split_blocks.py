"""A split by blocks is the same however the rows are cut into pieces, and in proportion like any other."""

import numpy as np
import pytest

from trainwell.data.split_blocks import TEST, TRAIN, VALIDATION, BlockSplit

N = 4000
PLACES = np.arange(N)
Y = np.random.default_rng(0).choice(3, N, p=[0.6, 0.3, 0.1])
SPLIT = BlockSplit(100, "multiclass", 0.25, 0.2, seed=1)


def test_parts_have_their_shares_and_classes_in_proportion() -> None:
    parts = SPLIT.parts(Y, PLACES)
    assert [(parts == part).sum() for part in (TRAIN, VALIDATION, TEST)] == pytest.approx([2400, 800, 800], abs=20)
    for part in (TRAIN, VALIDATION, TEST):
        shares = np.bincount(Y[parts == part], minlength=3) / (parts == part).sum()
        assert shares == pytest.approx(np.bincount(Y) / N, abs=0.01)


def test_a_block_is_split_alike_alone_and_among_others() -> None:
    whole = SPLIT.parts(Y, PLACES)
    for rows in (PLACES[:700], PLACES[300:400], np.concatenate([PLACES[500:600], PLACES[1200:1500]])):
        assert np.array_equal(SPLIT.parts(Y[rows], rows), whole[rows])


def test_rows_that_are_lacking_do_not_change_other_blocks() -> None:
    kept = np.delete(PLACES, np.arange(210, 260))
    whole, less = SPLIT.parts(Y, PLACES), SPLIT.parts(Y[kept], kept)
    others = (kept < 200) | (kept >= 300)
    assert np.array_equal(less[others], whole[kept][others])


def test_the_seed_decides() -> None:
    other = BlockSplit(100, "multiclass", 0.25, 0.2, seed=2)
    assert not np.array_equal(other.parts(Y, PLACES), SPLIT.parts(Y, PLACES))
    assert len({tuple(SPLIT.parts(Y[:100], PLACES[:100] + 100 * block)) for block in range(5)}) == 5


def test_rows_that_must_train_do() -> None:
    held = np.flatnonzero(SPLIT.parts(Y, PLACES) != TRAIN)[:9]
    again = BlockSplit(100, "multiclass", 0.25, 0.2, seed=1, train=tuple(held.tolist())).parts(Y, PLACES)
    assert (again[held] == TRAIN).all() and (again == SPLIT.parts(Y, PLACES)).sum() == N - 9


@pytest.mark.parametrize("task", ["regression", "multilabel"])
def test_other_targets_are_split_too(task: str) -> None:
    y = np.random.default_rng(0).normal(size=(N, 2))
    y = (y > 0).astype(np.int64) if task == "multilabel" else y
    parts = BlockSplit(100, task, 0.25, 0.2, 1).parts(y, PLACES)  # pyright: ignore[reportArgumentType]
    assert [(parts == part).mean() for part in (TRAIN, VALIDATION, TEST)] == pytest.approx([0.6, 0.2, 0.2], abs=0.01)
    assert y[parts == TEST].mean() == pytest.approx(y.mean(), abs=0.03)


def test_the_few_rows_of_a_last_block_train() -> None:
    places = np.arange(200, 202)
    assert SPLIT.parts(Y[places], places).tolist() == [TRAIN, TRAIN]
    assert SPLIT.parts(Y[:0], PLACES[:0]).tolist() == []
