"""What a user's module takes and what its predictions mean: kept beside the networks, for rows to come."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainwell.base import DataError, RunError
from trainwell.data.batches import Samples
from trainwell.data.facts import Label
from trainwell.data.kinds import Task
from trainwell.data.pairs import as_inputs

FILE = "preparation.json"


@dataclass(frozen=True)
class ModuleInputs:
    """The form of a sample, and the target's.

    Attributes:
        shape: of one sample's x. dtype: its type, as in "float32". targets, classes: as in `Facts`.
    """

    shape: tuple[int, ...]
    dtype: str
    task: Task
    targets: tuple[str, ...]
    classes: tuple[Label, ...]

    def samples(self, x: Any) -> Samples:
        """Rows to predict.

        Raises:
            DataError: no numbers, another shape, or numbers where there were whole ones.
        """
        tensor = as_inputs(x)
        if tuple(tensor.shape[1:]) != self.shape:
            wanted, given = told_shape(("N", *self.shape)), told_shape(tensor.shape)
            raise DataError(f"X must be {wanted} as in training, but is {given}.")
        if dtype_of(tensor) != self.dtype and (tensor.is_floating_point() or "float" in self.dtype):
            raise DataError(f"X must be {self.dtype} as in training, but is {dtype_of(tensor)}.")
        return as_rows(tensor.to(getattr(torch, self.dtype)))

    def save(self, folder: Path) -> None:
        """Write `preparation.json`."""
        text = json.dumps({"version": 1, "kind": "module", **self.__dict__}, ensure_ascii=False, indent=1)
        (folder / FILE).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "ModuleInputs":
        """Read what `save` wrote.

        Raises:
            RunError: not there, or damaged.
        """
        try:
            values = json.loads((folder / FILE).read_text(encoding="utf-8"))
            shape, targets, classes = (tuple(values[name]) for name in ("shape", "targets", "classes"))
            return cls(shape, str(values["dtype"]), values["task"], targets, classes)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"'{folder / FILE}' is damaged or not there; copy the run again.") from error


def as_rows(x: Tensor, y: Tensor | None = None) -> Samples:
    """Samples as a user's module takes them."""
    return Samples(x, torch.zeros(len(x), 0, device=x.device), y, samples_first=True)


def dtype_of(x: Tensor) -> str:
    """A tensor's type by its name, as in "float32"."""
    return str(x.dtype).removeprefix("torch.")


def told_shape(shape: Sequence[Any]) -> str:
    """A shape as people write it.

    >>> told_shape(("N", 8, 8)), told_shape((5,))
    ('(N, 8, 8)', '(5,)')
    """
    return f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"


def as_target_tensor(target: np.ndarray, task: Task, outputs: int) -> Tensor:
    """A target as losses want it: class numbers (N,), or numbers (N, C); two classes on one output are one column."""
    tensor = torch.from_numpy(target)
    if task == "multiclass" or (task == "binary" and outputs > 1):
        return tensor
    return tensor.to(torch.float32).reshape(len(target), -1)
