"""Rows of any shape with their targets: what is taken, how it is read, and what is refused in one line."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from trainwell.base import DataError
from trainwell.data.pairs import read_pairs
from trainwell.data.pairs_target import encoded_target, pairs_target

X, Y = torch.arange(24.0).reshape(6, 2, 2), torch.tensor([0, 1, 2, 0, 1, 2])
HOLE = torch.where(torch.arange(24).reshape(6, 2, 2) == 9, torch.nan, X)


class Rows(Dataset[Any]):
    def __init__(self, rows: list[Any]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        return self.rows[index]


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        yield X[0], Y[0]


class Noisy(Rows):
    def __getitem__(self, index: int) -> Any:
        return torch.randn(3), index % 2


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        (X.double(), torch.float32),
        (X.half(), torch.float32),
        (X.to(torch.uint8), torch.uint8),
        (X.to(torch.int32), torch.int32),
        (X.numpy(), torch.float32),
        (X.numpy().astype(np.uint16), torch.int64),
        (X.tolist(), torch.float32),
        (X > 3, torch.bool),
    ],
)
def test_floats_become_torchs_standard_and_whole_numbers_stay(given: Any, dtype: torch.dtype) -> None:
    pairs = read_pairs((given, Y))
    assert pairs.x.dtype == dtype and pairs.x.shape == (6, 2, 2)
    assert pairs.x.double().equal((X > 3).double() if dtype == torch.bool else X.double())


def test_a_dataset_is_read_as_its_rows() -> None:
    for data in (TensorDataset(X, Y), Rows([(x.numpy(), int(y)) for x, y in zip(X, Y, strict=True)])):
        pairs = read_pairs(data)
        assert pairs.x.equal(X) and pairs.y.tolist() == Y.tolist()
    assert read_pairs(Rows([(X[0], "a"), (X[1], "b")])).y.tolist() == ["a", "b"]


def test_what_a_dataset_draws_is_the_same_each_time_and_disturbs_nobody() -> None:
    state = torch.get_rng_state()
    assert read_pairs(Noisy([0, 1])).x.equal(read_pairs(Noisy([0, 1])).x)
    assert torch.get_rng_state().equal(state)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (X, r"^data is a Tensor: give a tuple \(X, y\) of arrays or tensors, or a torch Dataset of \(x, y\) pairs\.$"),
        (None, r"^data is a NoneType: give a tuple"),
        (DataLoader(TensorDataset(X, Y)), r"DataLoader: trainwell makes batches itself, so give its dataset"),
        (Stream(), r"without a length; give a map-style one"),
        (Rows([]), r"Dataset without rows"),
        (Rows([(X[0], 1), X[1]]), r"must give \(x, y\) pairs, but row 2 is a Tensor"),
        (Rows([(X[0], 1, 2)]), r"row 1 is 3 values"),
        (Rows([(X[0], 1), (X[0, 0], 0)]), r"gives x of the shape \(2, 2\) in row 1, but \(2,\) in row 2; pad or cut"),
        ((X, Y[:4]), r"X has 6 rows, but y has 4; each row needs its target"),
        ((HOLE, Y), r"^X: a row holds NaN or infinity, the first is row 3; the module owns the preparation"),
        ((X, [0.5, np.nan, np.inf, 1, 2, 3]), r"^y: 2 rows hold NaN or infinity, the first is row 2; fill it in"),
        ((X, ["a", "b", None, "a", "b", "c"]), r"y is missing in row 3"),
        ((X, torch.zeros(6, 2, 2)), r"y must be \(N,\), or numbers \(N, C\) of several targets, but has the shape"),
        (([["a"]] * 6, Y), r"^X holds <U1, not numbers; encode it before"),
        (([[1.0, 2.0], [3.0]], [0, 1]), r"^X has rows of different shapes; pad or cut them"),
        ((torch.zeros(0, 3), []), r"X must be an array \(N, …\) with rows"),
        ((X.to(torch.complex64), Y), r"give plain dense numbers"),
    ],
)
def test_what_is_no_pair_of_rows_is_refused_in_one_line(data: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_pairs(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("y", "outputs", "task", "classes"),
    [
        ([0, 1, 1, 0], 1, "binary", (0, 1)),
        ([0, 1, 1, 0], 2, "binary", (0, 1)),
        ([0.0, 1.0, 1.0, 0.0], 1, "binary", (0, 1)),
        ([False, True, True, False], 1, "binary", (False, True)),
        (["no", "yes", "no", "yes"], 2, "binary", ("no", "yes")),
        ([5, 7, 7, 5], 2, "binary", (5, 7)),
        ([0, 1, 2, 0, 1, 2], 3, "multiclass", (0, 1, 2)),
        ([0, 2, 2, 0], 4, "multiclass", (0, 1, 2, 3)),
        ([10, 20, 30, 10, 20, 30], 3, "multiclass", (10, 20, 30)),
        ([3, 1, 4, 1, 5, 9], 1, "regression", ()),
        ([0.5, 1.5, 0.5], 1, "regression", ()),
        ([[0, 1], [1, 1], [1, 0]], 2, "multilabel", ("y0", "y1")),
        ([[0.5, 1], [1, 1], [1, 0]], 2, "regression", ()),
    ],
)
def test_the_task_follows_from_the_target_and_the_outputs(
    y: Any, outputs: int, task: str, classes: tuple[Any, ...]
) -> None:
    rows = read_pairs((torch.zeros(len(y), 1), y)).y
    found = pairs_target(rows, outputs)
    assert (found.task, found.classes) == (task, classes)
    encoded = encoded_target(rows, found)
    if task in ("binary", "multiclass"):
        assert [found.classes[i] for i in encoded] == np.asarray(y).tolist()
    else:
        np.testing.assert_array_equal(encoded, np.asarray(y).reshape(len(y), -1))


def test_a_class_without_rows_is_counted_as_that() -> None:
    assert pairs_target(np.array([0, 2, 2, 0]), 4).counts == (2, 0, 2, 0)


@pytest.mark.parametrize(
    ("y", "outputs", "task", "message"),
    [
        (
            [0, 1, 2, 0, 1, 2],
            2,
            "auto",
            r"^y has 3 classes, but the module gives 2 outputs: let its last layer give 3\.$",
        ),
        (
            [0, 1, 2, 0, 1, 2],
            1,
            "multiclass",
            r"gives 1 output: .* give 3; if its numbers are a quantity, name the task",
        ),
        (["a", "b", "a", "b"], 3, "auto", r"y has 2 classes, but the module gives 3 outputs"),
        (
            [0.5, 1.5, 2.5],
            3,
            "auto",
            r"^y has 1 number a row, but the module gives 3 outputs: .* give y as whole numbers",
        ),
        (
            [[0.5, 2], [1, 1]],
            3,
            "auto",
            r"y has 2 numbers a row, but the module gives 3 outputs: let its last layer give 2",
        ),
        ([[0, 1], [1, 0]], 3, "auto", r"y has 2 labels, but the module gives 3 outputs"),
        ([1, 1, 1], 2, "auto", r"^y is constant"),
        ([0, 1, 2, 0, 1, 2], 3, "binary", r"Task binary needs 2 classes, but y has 3"),
        ([0, 0, 0, 1], 2, "auto", r"Each class needs 2 rows or more, but '1' has one"),
        ([0.5, 1.5, 0.5], 2, "multiclass", r"Task multiclass needs classes, but y holds decimal numbers"),
        (["a", "b", "a", "b"], 1, "regression", r"Task regression needs numbers, but y holds words such as 'a'"),
        ([0, 1, 0, 1], 1, "multilabel", r"Task multilabel needs a y \(N, C\) of 0 and 1"),
        ([[0, 1], [1, 0]], 2, "binary", r"Task binary needs one class a row, y \(N,\)"),
        ([0, 1, 0, 1], 1, "bniary", r"^Unknown task 'bniary'. Did you mean 'binary'"),
    ],
)
def test_a_target_that_fits_neither_task_nor_outputs_is_refused(y: Any, outputs: int, task: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        pairs_target(np.asarray(y), outputs, task)


def test_a_test_has_the_classes_of_the_training() -> None:
    found = pairs_target(np.array([0, 1, 2, 0, 1, 2]), 3)
    assert encoded_target(np.array([2, 2]), found).tolist() == [2, 2]
    with pytest.raises(DataError, match="The test's y has the class '7', which the training rows do not have"):
        encoded_target(np.array([0, 7]), found, what="The test's y")
    numbers = pairs_target(np.array([0.5, 1.5, 2.5]), 1)
    with pytest.raises(DataError, match="must have 1 columns of numbers"):
        encoded_target(np.zeros((2, 3)), numbers)
