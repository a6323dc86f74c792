import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from trainwell.base import DataError
from trainwell.data import fold_rows, split_rows

RANDOM = np.random.default_rng(0)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(2, 60), min_size=2, max_size=8), st.integers(0, 99), st.sampled_from([0.1, 0.2, 0.35]))
def test_parts_are_disjoint_complete_and_in_proportion(counts: list[int], seed: int, share: float) -> None:
    y = np.repeat(np.arange(len(counts)), counts)
    split = split_rows(y, task="multiclass", validation_size=share, test_size=share, seed=seed)
    parts = (split.train, split.validation, split.test)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(y)))
    assert set(y[split.train]) == set(y)
    for part in parts:
        for label, count in enumerate(counts):
            expected = len(part) * count / len(y)
            assert abs((y[part] == label).sum() - expected) <= 1 + len(counts) / 2


def test_sizes_are_shares_of_all_rows_and_of_what_is_left() -> None:
    split = split_rows(np.zeros(1000, int), task="multiclass", validation_size=0.25, test_size=0.2, seed=0)
    assert [len(part) for part in (split.train, split.validation, split.test)] == [600, 200, 200]
    assert len(split_rows(np.zeros(10, int), task="binary", validation_size=0.2, test_size=0, seed=0).test) == 0


def test_a_number_has_the_same_spread_in_each_part() -> None:
    y = RANDOM.lognormal(size=(500, 1))
    split = split_rows(y, task="regression", validation_size=0.2, test_size=0.2, seed=0)
    deciles = np.quantile(y, np.linspace(0, 1, 11)[1:-1])
    for part in (split.validation, split.test):
        shares = np.bincount(np.searchsorted(deciles, y[part, 0]), minlength=10) / len(part)
        assert np.abs(shares - 0.1).max() < 0.03


def test_combinations_of_labels_are_kept_in_proportion() -> None:
    y = RANDOM.integers(0, 2, (400, 3))
    split = split_rows(y, task="multilabel", validation_size=0.2, test_size=0.2, seed=0)
    codes = y @ [1, 2, 4]
    for part in (split.train, split.validation, split.test):
        expected = len(part) * np.bincount(codes, minlength=8) / 400
        assert np.abs(np.bincount(codes[part], minlength=8) - expected).max() < 4


def test_the_seed_alone_decides() -> None:
    y = RANDOM.integers(0, 3, 200)
    a, b, c = (split_rows(y, task="multiclass", validation_size=0.2, test_size=0.2, seed=s) for s in (1, 1, 2))
    assert np.array_equal(a.train, b.train) and np.array_equal(a.validation, b.validation)
    assert not np.array_equal(a.validation, c.validation)


def test_which_rows_of_a_class_are_held_out_is_chance() -> None:
    y = np.zeros(50, int)
    held = [split_rows(y, task="binary", validation_size=0.2, test_size=0, seed=s).validation for s in range(200)]
    times = np.bincount(np.concatenate(held), minlength=50)
    assert times.min() > 15 and times.max() < 70  # 40 expected, standard deviation 5.7


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 7), st.integers(20, 90), st.integers(0, 9))
def test_folds_have_one_size_and_disjoint_held_out_parts(folds: int, rows: int, seed: int) -> None:
    y = np.random.default_rng(seed).integers(0, 3, rows + 10)
    chosen = np.arange(5, rows + 5)
    train, held_out = fold_rows(y, chosen, folds, task="multiclass", seed=seed)
    assert held_out.shape == (folds, rows // folds)
    assert train.shape == (folds, rows - rows // folds)
    assert len(np.unique(held_out)) == held_out.size
    for i in range(folds):
        assert np.array_equal(np.sort(np.concatenate([train[i], held_out[i]])), chosen)


def test_folds_are_stratified() -> None:
    y = np.repeat([0, 1, 2], [100, 50, 10])
    held_out = fold_rows(y, np.arange(160), 5, task="multiclass", seed=0)[1]
    assert all(np.abs(np.bincount(y[rows], minlength=3) - [20, 10, 2]).max() <= 1 for rows in held_out)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda y: split_rows(y, task="binary", validation_size=1.2, test_size=0, seed=0),
            "validation_size must be a share",
        ),
        (
            lambda y: split_rows(y, task="binary", validation_size=0.2, test_size=-1, seed=0),
            "test_size must be a share",
        ),
        (lambda y: split_rows(y[:2], task="binary", validation_size=0.2, test_size=0.2, seed=0), "2 rows are too few"),
        (lambda y: fold_rows(y, np.arange(4), 5, task="binary", seed=0), "from 2 to the 4 rows, but are 5"),
    ],
)
def test_impossible_parts_are_refused(call, message: str) -> None:
    with pytest.raises(DataError, match=message):
        call(np.array([0, 1, 0, 1]))
