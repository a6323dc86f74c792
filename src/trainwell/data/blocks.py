"""Blocks of neighbouring rows, evenly spaced over a file: what is read of it, and what is looked at first."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Places:
    """Single rows, by their places in the file, ascending: as `Blocks` of one row."""

    rows: tuple[int, ...]
    size: int = 1

    def runs(self, first: int, rows: int, most: int) -> Iterator[tuple[int, int]]:
        """Each of them that is among `rows` rows from `first` on, as a range."""
        yield from ((row, row + 1) for row in self.rows if first <= row < first + rows)


@dataclass(frozen=True)
class Blocks:
    """Which blocks of `size` rows are taken: an evenly spaced `share` of all blocks, or of those of `among`.

    Attributes:
        offset: from [0, 1), where the even spacing starts.
    """

    size: int
    share: float = 1.0
    offset: float = 0.0
    among: "Blocks | None" = None

    def part(self, share: float, offset: float) -> "Blocks":
        """An evenly spaced share of these blocks."""
        return Blocks(self.size, share, offset, self)

    def taken(self, blocks: np.ndarray) -> np.ndarray:
        """(n,) whether each of these blocks, by number, is taken.

        >>> Blocks(10, 0.4).taken(np.arange(10)).astype(int).tolist()
        [0, 0, 1, 0, 1, 0, 0, 1, 0, 1]
        """
        among = np.ones(len(blocks), bool) if self.among is None else self.among.taken(blocks)
        place = blocks if self.among is None else self.among._before(blocks)
        return among & (self._passed(place + 1) > self._passed(place))

    def _before(self, blocks: np.ndarray) -> np.ndarray:
        """How many taken blocks come before each."""
        return self._passed(blocks if self.among is None else self.among._before(blocks))

    def _passed(self, places: np.ndarray) -> np.ndarray:
        return np.floor(places * self.share + self.offset).astype(np.int64)

    def runs(self, first: int, rows: int, most: int) -> Iterator[tuple[int, int]]:
        """Ranges of taken neighbouring rows, at most `most` long (or one block), among `rows` rows from `first` on.

        `first` is where a block starts.

        >>> list(Blocks(10, 0.4).runs(0, 48, 100)), list(Blocks(10).runs(0, 48, 20))
        ([(20, 30), (40, 48)], [(0, 20), (20, 40), (40, 48)])
        """
        blocks = np.arange(first // self.size, -(-(first + rows) // self.size))
        blocks = blocks[self.taken(blocks)]
        if not len(blocks):
            return
        longest = max(1, most // self.size)
        for run in np.split(blocks, np.flatnonzero(np.diff(blocks) != 1) + 1):
            for start in range(0, len(run), longest):
                piece = run[start : start + longest]
                yield int(piece[0]) * self.size, min((int(piece[-1]) + 1) * self.size, first + rows)
