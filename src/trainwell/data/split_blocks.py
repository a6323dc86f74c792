"""The split of rows that are never in memory together: each block of neighbours by itself, as by `split_rows`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainwell.base import DataError, stream_seed
from trainwell.data.kinds import Task
from trainwell.data.split import Split, split_rows

TRAIN, VALIDATION, TEST = range(3)


@dataclass(frozen=True)
class BlockSplit:
    """Which part a row is of follows from the seed, its block, and the targets of its block alone.

    Attributes:
        block: rows of a block. task: of the targets. validation_size, test_size: shares, as of `split_rows`.
        train: places of rows that train in any case, such as the only ones of a class.
    """

    block: int
    task: Task
    validation_size: float
    test_size: float
    seed: int
    train: Sequence[int] = ()

    def parts(self, y: np.ndarray, places: np.ndarray) -> np.ndarray:
        """(N,) 0 train, 1 validation, 2 test, of rows in whole blocks.

        Args:
            y: a `target_array` of the rows. places: (N,) where they stand in the file, ascending within a block.
        """
        codes = np.zeros(len(places), np.int8)
        blocks = places // self.block
        for rows in np.split(np.arange(len(places)), np.flatnonzero(np.diff(blocks)) + 1):
            if len(rows):
                split = self._split(y[rows], int(blocks[rows[0]]))
                codes[rows[split.validation]], codes[rows[split.test]] = VALIDATION, TEST
        codes[np.isin(places, self.train)] = TRAIN
        return codes

    def _split(self, y: np.ndarray, block: int) -> Split:
        seed = stream_seed(self.seed, "block", block)
        try:
            return split_rows(
                y, task=self.task, validation_size=self.validation_size, test_size=self.test_size, seed=seed
            )
        except DataError:  # too few rows, as in the last block: they train
            none = np.zeros(0, np.int64)
            return Split(np.arange(len(y)), none, none)
