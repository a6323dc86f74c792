"""Where the rows of a table are, for a `TableMaterial`: in memory, or, in `streamed_rows.py`, on disk.

Contract: `Rows`, and what they are once a preparation is known, `EncodedRows`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from trainwell.data import Facts, Preparation, Split, Table, target_array
from trainwell.data.batches import BatchSource, Feed, Samples
from trainwell.plan import Plan
from trainwell.recipe.material import as_samples, feed_of


class EncodedRows(Protocol):
    """Rows under one preparation; see `Material`."""

    @property
    def samples(self) -> Samples:
        """All rows."""
        ...

    @property
    def parts(self) -> Split:
        """Which of them train, choose and judge."""
        ...

    def truth(self, rows: np.ndarray) -> np.ndarray:
        """The target of these samples."""
        ...

    def feed(self, plan: Plan, train: np.ndarray, validation: np.ndarray, orders: Sequence[int]) -> BatchSource:
        """Batches of these samples."""
        ...


class Rows(Protocol):
    """Rows before they are encoded; see `Material`."""

    @property
    def one_order(self) -> bool:
        """Whether all members must see them in one order."""
        ...

    def settle(self, folder: Path) -> None:
        """Take the folder in which rows may be kept."""
        ...

    def keep(self, folder: Path, test: Table | None) -> dict[str, Any]:
        """Write what a resumed run begins with."""
        ...

    def encoded(self, preparation: Preparation) -> EncodedRows:
        """All rows as numbers."""
        ...


@dataclass(frozen=True)
class HeldRows:
    """A table in memory; `given` are the rows that it was made of, as they came, out of `whole`."""

    table: Table
    facts: Facts
    split: Split
    device: torch.device
    given: Table
    whole: int
    one_order: bool = False

    def settle(self, folder: Path) -> None:
        """Nothing is kept."""

    def keep(self, folder: Path, test: Table | None) -> dict[str, Any]:
        """Both tables as Parquet."""
        return {**write_tables(folder, self.given, test), "rows": self.whole}

    def encoded(self, preparation: Preparation) -> "HeldSamples":
        """All rows as tensors on the device."""
        encoded = preparation.encode(self.table, with_target=True)
        samples = as_samples(encoded, self.facts.task, self.device)
        return HeldSamples(samples, self.split, target_array(self.table, self.facts))


@dataclass(frozen=True)
class HeldSamples:
    """Rows as tensors, and their target as it came."""

    samples: Samples
    parts: Split
    target: np.ndarray

    def truth(self, rows: np.ndarray) -> np.ndarray:
        """The target of these rows."""
        return self.target[rows]

    def feed(self, plan: Plan, train: np.ndarray, validation: np.ndarray, orders: Sequence[int]) -> Feed:
        """Batches of the rows."""
        return feed_of(self.samples, plan, train, validation, orders)


def write_tables(folder: Path, data: Table, test: Table | None) -> dict[str, Any]:
    """Write what a run learns from, and tests by, as Parquet; where they came from."""
    data.frame.write_parquet(folder / "data.parquet")
    if test is not None:
        test.frame.write_parquet(folder / "test.parquet")
    return {"source": data.source, "test_source": None if test is None else test.source}
