"""Inputs of any shape and their targets, as a user of a module of their own gives them: arrays, tensors, a Dataset.

Contract: `read_pairs` checks and gives `Pairs`; nothing is scaled or filled in, since the module owns its preparation.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from trainwell.base import DataError

HOW = "give a tuple (X, y) of arrays or tensors, or a torch Dataset of (x, y) pairs"


@dataclass(frozen=True, eq=False)
class Pairs:
    """Rows: x (N, …) in the type in which the module is given it, y (N,) or (N, C) as the user gave it."""

    x: Tensor
    y: np.ndarray
    source: str


def read_pairs(data: Any, *, what: str = "data") -> Pairs:
    """The rows of a tuple (X, y) or of a map-style Dataset, all in memory.

    Args:
        what: the argument's name, for messages.

    Raises:
        DataError: something else, other lengths, no numbers, NaN, or rows of different shapes.
    """
    if isinstance(data, DataLoader):
        raise DataError(f"{what} is a DataLoader: trainwell makes batches itself, so give its dataset.")
    if isinstance(data, tuple | list) and len(data) == 2 and not isinstance(data[0], tuple):
        x, y, source = data[0], data[1], "the given arrays"
    elif isinstance(data, Dataset):
        x, y = _read(data, what)
        source = f"the given {type(data).__name__}"
    else:
        raise DataError(f"{what} is a {type(data).__name__}: {HOW}.")
    x, y = as_inputs(x), _as_target(y)
    if len(x) != len(y):
        raise DataError(f"{what}: X has {len(x):,} rows, but y has {len(y):,}; each row needs its target.")
    return Pairs(x, y, source)


def as_inputs(x: Any) -> Tensor:
    """X (N, …) as a tensor: floats in torch's standard type, whole numbers and truth values as they are.

    Raises:
        DataError: no numbers, no rows, or not finite.
    """
    array = _numbers(x, "X")
    if array.dim() < 1 or not len(array):
        raise DataError(f"X must be an array (N, …) with rows, but has the shape {tuple(array.shape)}.")
    if array.is_floating_point():
        array = array.to(torch.get_default_dtype())
        _refuse_nan(array, "X", "the module owns the preparation of its inputs, so fill it in before")
    return array


def _as_target(y: Any) -> np.ndarray:
    """y (N,), or (N, C) of several targets; a single column is taken as (N,).

    Raises:
        DataError: another shape, or NaN.
    """
    wordy = not isinstance(y, Tensor) and np.asarray(y).dtype.kind in "OUS"
    array = np.asarray(y) if wordy else _numbers(y, "y").numpy()
    array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if array.ndim not in (1, 2) or (wordy and array.ndim == 2):
        raise DataError(f"y must be (N,), or numbers (N, C) of several targets, but has the shape {array.shape}.")
    if array.dtype.kind == "f":
        _refuse_nan(torch.from_numpy(array), "y", "fill it in or remove the row")
    if wordy:
        missing = [i for i, label in enumerate(array.tolist()) if label is None or label != label]
        if missing:
            raise DataError(f"y is missing in row {missing[0] + 1}; fill it in or remove the row.")
        return np.array([str(label) for label in array.tolist()])
    return array if array.dtype.kind == "b" else array.astype(np.float64 if array.dtype.kind == "f" else np.int64)


def _numbers(values: Any, name: str) -> Tensor:
    if isinstance(values, Tensor):
        if values.is_complex() or values.layout != torch.strided or values.is_quantized:
            raise DataError(f"{name} is a tensor of {values.dtype}, {values.layout}: give plain dense numbers.")
        plain = values.detach().cpu()
        return plain.float() if plain.dtype in (torch.float16, torch.bfloat16) else plain
    try:
        array = np.asarray(values)
    except ValueError as error:  # lists of different lengths
        raise DataError(f"{name} has rows of different shapes; pad or cut them to one.") from error
    if array.dtype.kind not in "fiub":
        raise DataError(f"{name} holds {array.dtype}, not numbers; encode it before (words as whole numbers).")
    array = array.astype(array.dtype.newbyteorder("="))
    array = array.astype(np.int64) if array.dtype in (np.uint16, np.uint32, np.uint64) else array
    array = array.astype(np.float64) if array.dtype == np.longdouble else array
    return torch.from_numpy(np.ascontiguousarray(array))


def _refuse_nan(array: Tensor, name: str, how: str) -> None:
    wrong = ~torch.isfinite(array.reshape(len(array), -1)).all(dim=1)
    if wrong.any():
        rows = f"{int(wrong.sum()):,} rows hold" if wrong.sum() > 1 else "a row holds"
        raise DataError(f"{name}: {rows} NaN or infinity, the first is row {int(wrong.nonzero()[0]) + 1}; {how}.")


def _read(data: Dataset[Any], what: str) -> tuple[Any, Any]:
    """All rows of a dataset, once: what it draws at random is drawn here and stays."""
    length = getattr(data, "__len__", None)
    if isinstance(data, IterableDataset) or length is None:
        raise DataError(f"{what} is a Dataset without a length; give a map-style one, with __len__ and __getitem__.")
    if not length():
        raise DataError(f"{what} is a Dataset without rows.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        rows = [data[i] for i in range(length())]
    for i, row in enumerate(rows):
        if not isinstance(row, tuple | list) or len(row) != 2:
            given = f"{len(row)} values" if isinstance(row, tuple | list) else f"a {type(row).__name__}"
            raise DataError(f"{what}: the Dataset must give (x, y) pairs, but row {i + 1} is {given}.")
    return _stacked([x for x, _ in rows], "x"), _stacked([y for _, y in rows], "y")


def _stacked(values: Iterable[Any], name: str) -> Any:
    values = list(values)
    if name == "y" and isinstance(values[0], str):
        return values
    tensors = [value if isinstance(value, Tensor) else _numbers(value, name) for value in values]
    shapes = [tuple(tensor.shape) for tensor in tensors]
    odd = next((i for i, shape in enumerate(shapes) if shape != shapes[0]), None)
    if odd is not None:
        raise DataError(
            f"The Dataset gives {name} of the shape {shapes[0]} in row 1, but {shapes[odd]} in row {odd + 1}; "
            "pad or cut all rows to one shape."
        )
    return torch.stack([tensor.detach().cpu() for tensor in tensors])
