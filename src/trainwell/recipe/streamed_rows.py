"""A table that does not fit into memory: encoded once into arrays on disk, and read from there.

What is looked at as a whole (kinds of columns, scales, baselines) is a sample of blocks of the file.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from trainwell.base import DataError, RunError
from trainwell.data import Encoded, Facts, Preparation, Split, Table, target_array
from trainwell.data.arrays import Arrays, write_arrays
from trainwell.data.batches import BatchSource, Samples
from trainwell.data.room import told
from trainwell.data.scan import Scan, open_scan
from trainwell.data.split_blocks import TEST, TRAIN, VALIDATION, BlockSplit
from trainwell.data.stream import WINDOW_BLOCKS, StreamFeed
from trainwell.data.target import with_target
from trainwell.plan import Plan
from trainwell.recipe.cut import SHARE, Cut
from trainwell.recipe.material import as_targets
from trainwell.recipe.table_rows import write_tables

ARRAYS = "arrays"  # folder of the encoded rows
LARGEST_WINDOW = 64 << 20  # bytes
PAGE = 4096  # bytes that are read together at the least
JUDGED = 1_000, 500_000  # rows that validate, and that test: what fits between these bounds
MEMBERS = 16  # whose outputs on the judged rows are in memory together
MARK = "trainwell: part"  # the column of a kept sample that says which part a row is of


@dataclass
class StreamedRows:
    """Rows of a file, known by a sample of them.

    Attributes:
        sample, split: some rows with targets, and their parts. cut: how the file is cut up.
        blocks: which part each of its rows is of. folder: where the arrays are kept.
    """

    sample: Table
    facts: Facts
    split: Split
    device: torch.device
    cut: Cut
    blocks: BlockSplit
    folder: Path | None = None
    one_order: bool = True

    def settle(self, folder: Path) -> None:
        """Where the arrays are kept."""
        self.folder = folder / ARRAYS

    def keep(self, folder: Path, test: Table | None) -> dict[str, Any]:
        """The sample as Parquet, with the part that each row is of, and how the file is cut up."""
        codes = np.zeros(self.sample.rows, np.int8)
        codes[self.split.validation], codes[self.split.test] = VALIDATION, TEST
        marked = Table(self.sample.frame.with_columns(pl.Series(MARK, codes)), self.sample.source)
        return {**write_tables(folder, marked, test), "cut": self.cut.as_dict()}

    def encoded(self, preparation: Preparation) -> "StreamedArrays":
        """All rows, from the arrays of the folder if they are whole, else written anew.

        Raises:
            DataError: a row can't be encoded. RunError: the file has changed or gone, or the disk is full.
        """
        assert self.folder is not None
        try:
            arrays = Arrays.open(self.folder, verify=True)
        except DataError:
            shutil.rmtree(self.folder, ignore_errors=True)
            arrays = self._written(preparation, self.folder)
        return StreamedArrays(arrays, preparation, self.cut.allowed // SHARE, self.device)

    def _written(self, preparation: Preparation, folder: Path) -> Arrays:
        scan = self._scan()
        inputs = preparation.inputs
        needed = self.cut.rows * (4 * inputs.dense + 8 * len(inputs.cardinalities) + 8 * len(self.facts.targets))
        free = shutil.disk_usage(folder.parent).free
        if needed > free:
            raise RunError(
                f"The encoded rows take {told(needed)} on disk, and '{folder.parent}' has {told(free)}; make room and "
                "resume the run, or choose another --out."
            )
        try:
            return write_arrays(self._pieces(scan, preparation), folder)
        except OSError as error:
            raise RunError(
                f"The encoded rows can't be written to '{folder}': {(error.strerror or str(error)).lower()}; make room "
                "and resume the run."
            ) from error

    def _scan(self) -> Scan:
        path = Path(self.cut.path)
        about = path.stat() if path.is_file() else None
        scan = open_scan(path)
        if about is None or scan is None or (about.st_size, about.st_mtime_ns) != (self.cut.size, self.cut.changed):
            what = "is gone" if about is None else "has changed"
            raise RunError(f"The data '{path.name}' {what} since the run began; start it anew with 'trainwell fit'.")
        return scan

    def _pieces(self, scan: Scan, preparation: Preparation) -> Iterator[list[Encoded]]:
        """Pieces of the file as numbers: training, validation and test rows."""
        cut, targets = self.cut, self.facts.targets
        for place, raw in scan.pieces(cut.used, cut.piece):
            table = scan.table(raw, place, self.sample.frame)
            present = with_target(table, targets)
            kept = Table(table.frame.filter(present), table.source, table.first_row)
            features, y = preparation.encode(table, with_target=False), preparation.encode_target(kept)
            y = as_targets(y, self.facts.task)
            codes = self.blocks.parts(target_array(kept, self.facts), place + np.flatnonzero(present))
            rows = [np.flatnonzero(present)[codes == part] for part in (TRAIN, VALIDATION, TEST)]
            yield [
                Encoded(features.x[own], features.categories[own], y[codes == part]) for part, own in enumerate(rows)
            ]


@dataclass
class StreamedArrays:
    """Encoded rows on disk; `room`: bytes that windows of a feed, or rows that are judged, may take."""

    arrays: Arrays
    preparation: Preparation
    room: int
    device: torch.device
    _feed: tuple[tuple[Any, ...], StreamFeed] | None = None

    @property
    def samples(self) -> Samples:
        """All rows, over memory maps."""
        return self.arrays.samples

    @property
    def parts(self) -> Split:
        """All rows that train; of those that choose and judge as many, evenly spaced, as fit."""
        bounds = np.cumsum([0, *self.arrays.parts])
        outputs = max(len(self.preparation.classes), len(self.preparation.targets))
        row = 8 * (MEMBERS * outputs + 2 * self.samples.x.shape[1])
        most = int(np.clip(self.room / row, *JUDGED))
        train, *judged = (np.arange(a, b) for a, b in zip(bounds[:-1], bounds[1:], strict=True))
        validation, test = (
            rows[np.linspace(0, len(rows) - 1, min(len(rows), most)).astype(np.int64)] for rows in judged
        )
        return Split(train, validation, test)

    def truth(self, rows: np.ndarray) -> np.ndarray:
        """The target of these rows."""
        y, p = self.samples.y, self.preparation
        assert y is not None
        values = y[torch.from_numpy(rows)].numpy()
        if p.task == "regression":
            return values.astype(np.float64) * p.target_std + p.target_mean
        return (values[:, 0] if p.task == "binary" else values).astype(np.int64)

    def feed(self, plan: Plan, train: np.ndarray, validation: np.ndarray, orders: Sequence[int]) -> BatchSource:
        """Batches through windows of blocks; the last feed is given again where it fits, for its windows are large."""
        size, drop_last = plan.training.batch_size, plan.training.drop_last
        key = (train.shape, int(train.sum()), *orders, size, drop_last)
        if self._feed is None or self._feed[0] != key:
            window = min(LARGEST_WINDOW, self.room)
            block = max(1, max(PAGE, window // WINDOW_BLOCKS) // self.arrays.row_bytes)
            rows = torch.from_numpy(train), torch.from_numpy(validation)
            how: dict[str, Any] = {"drop_last": drop_last, "block": block, "device": self.device}
            self._feed = key, StreamFeed(self.arrays, rows[0], rows[1], orders, size, **how)
        return self._feed[1]
