"""The rows of a user's training: inputs and targets in the form in which the user's own loop gets them."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from trainwell.base import DataError
from trainwell.base.streams import stream
from trainwell.data.pairs import HOW, as_inputs
from trainwell.data.split import stratified_order

FEWEST = 8  # rows: fewer cannot be trained on and judged by
BINS = 5  # strata of a target of numbers


@dataclass(frozen=True, eq=False)
class Rows:
    """x (N, …) and y (N, …): shapes and kinds of numbers as given, decimal ones in torch's standard type."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def at(self, places: Tensor) -> "Rows":
        """These rows."""
        return replace(self, x=self.x[places], y=self.y[places])


def read_rows(data: Any, what: str = "data") -> Rows:
    """The rows of a pair (X, y) of tensors or arrays, or of a map-style Dataset.

    Raises:
        DataError: something else, other lengths, too few rows, no numbers, NaN.
    """
    if isinstance(data, DataLoader):
        raise DataError(f"{what} is a DataLoader: the batches are made here, so give its dataset.")
    if isinstance(data, Dataset):
        data = _collected(data, what)
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise DataError(f"{what} is a {type(data).__name__}: {HOW}.")
    x, y = as_inputs(data[0]), _targets(data[1], what)
    if len(x) != len(y):
        raise DataError(f"{what}: X has {len(x):,} rows, but y has {len(y):,}; each row needs its target.")
    if len(x) < FEWEST:
        raise DataError(f"{what} has {len(x)} rows, but {FEWEST} are the fewest to train and judge on; give more.")
    return Rows(x, y)


def _targets(values: Any, what: str) -> Tensor:
    try:
        y = values.detach().cpu() if isinstance(values, Tensor) else torch.as_tensor(np.asarray(values))
    except (TypeError, ValueError) as error:
        raise DataError(f"{what}: y must be numbers of one shape a row; encode words as whole numbers.") from error
    if y.dim() < 1:
        raise DataError(f"{what}: y must have a target a row, (N,) or (N, C), but is a single number.")
    if y.is_floating_point() and not torch.isfinite(y).all():
        raise DataError(f"{what}: y holds NaN or infinity; fill it in or remove those rows.")
    return y.to(torch.get_default_dtype()) if y.is_floating_point() else y


def _collected(data: Dataset[Any], what: str) -> tuple[Tensor, Tensor]:
    length = getattr(data, "__len__", None)
    if isinstance(data, IterableDataset) or length is None:
        raise DataError(f"{what} is a Dataset without a length; give a map-style one, with __len__ and __getitem__.")
    try:
        pairs = [(torch.as_tensor(x), torch.as_tensor(y)) for x, y in (data[i] for i in range(length()))]
        return torch.stack([x for x, _ in pairs]), torch.stack([y for _, y in pairs])
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{what}: the Dataset must give pairs (x, y) of numbers of one shape; {HOW}.") from error


def split(rows: Rows, held_out: float, seed: int) -> tuple[Rows, Rows]:
    """A part to train on and one to judge by, with classes (or the quantiles of a number) in proportion."""
    order = stratified_order(_strata(rows.y), stream(seed, "cure", "split"))
    n = max(1, round(held_out * len(rows)))
    return rows.at(torch.from_numpy(np.sort(order[n:]))), rows.at(torch.from_numpy(np.sort(order[:n])))


def folded(rows: Rows, parts: int, seed: int) -> list[tuple[Rows, Rows]]:
    """Disjoint parts to judge by, as many as asked for, each with the rest to train on; classes in proportion."""
    order = stratified_order(_strata(rows.y), stream(seed, "cure", "folds"))
    pieces = [np.sort(piece) for piece in np.array_split(order, parts)]
    rest = [np.sort(np.concatenate([p for p in pieces if p is not piece])) for piece in pieces]
    return [
        (rows.at(torch.from_numpy(kept)), rows.at(torch.from_numpy(piece)))
        for kept, piece in zip(rest, pieces, strict=True)
    ]


def together(a: Rows, b: Rows) -> Rows:
    """The rows of both."""
    return Rows(torch.cat([a.x, b.x]), torch.cat([a.y, b.y]))


def _strata(y: Tensor) -> np.ndarray:
    flat = y.reshape(len(y), -1).double().numpy()
    _, codes = np.unique(flat, axis=0, return_inverse=True)
    if codes.max() < max(2, len(y) // BINS):
        return codes.reshape(-1).astype(np.int64)
    level = flat.mean(axis=1)
    return np.searchsorted(np.quantile(level, np.linspace(0, 1, BINS + 1)[1:-1]), level, side="right")
