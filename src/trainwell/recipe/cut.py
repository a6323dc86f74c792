"""How a file that does not fit into memory is cut up: which rows are used, and which are looked at as a whole."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from trainwell.base.streams import stream
from trainwell.data import Facts
from trainwell.data.blocks import Blocks
from trainwell.data.scan import Scan

SHARE = 16  # of the allowed memory one such part each: the sample, a piece being encoded, a window of a feed, …
SAMPLE_BLOCKS = 64  # the sample comes from so many places of the file
FEWEST_ROWS = 2_000  # of a sample; fewer tell too little about the columns
LARGEST_BLOCK = 1 << 16  # rows


@dataclass(frozen=True)
class Cut:
    """How a file is cut up; plain values that are remembered with the run, for all else follows from them.

    Attributes:
        path, size, changed: the file, and by what it is known again.
        allowed: bytes of memory by which the sizes below were chosen.
        share: of the blocks that are used at all (the budget may not last for more); sample: of those, in the sample.
        block, piece: rows of a block, and of what is encoded at once.
        rows: with targets; dropped: without. counts: rows of each class.
        train: places of rows that train in any case.
        notes: what the user should know.
    """

    path: str
    size: int
    changed: int
    seed: int
    allowed: int
    share: float
    sample: float
    block: int
    piece: int
    rows: int = 0
    dropped: int = 0
    counts: tuple[int, ...] = ()
    train: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, scan: Scan, path: Path, *, share: float, allowed: int, seed: int) -> "Cut":
        """Sizes by the memory that is allowed."""
        fitting = max(1, int(allowed / SHARE / scan.row_bytes))
        sample = min(1.0, max(FEWEST_ROWS, fitting) / max(1.0, scan.rows * share))
        block = int(np.clip(scan.rows * share * sample // SAMPLE_BLOCKS, 8, LARGEST_BLOCK))
        about = path.stat()
        piece = max(1, fitting // block) * block
        return cls(str(path.absolute()), about.st_size, about.st_mtime_ns, seed, allowed, share, sample, block, piece)

    @property
    def used(self) -> Blocks:
        """The blocks that are used."""
        return Blocks(self.block, self.share, _offset(self.seed, "used"))

    @property
    def sampled(self) -> Blocks:
        """Those of them that are looked at as a whole."""
        return self.used.part(self.sample, _offset(self.seed, "sample"))

    def facts(self, facts: Facts) -> Facts:
        """The facts of the sample with the figures of the whole."""
        counts = self.counts or facts.class_counts
        notes = (*self.notes, *facts.notes)
        return replace(facts, rows=self.rows, dropped=self.dropped, class_counts=counts, notes=notes)

    def as_dict(self) -> dict[str, Any]:
        """For the journal."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Cut":
        """From the journal."""
        plain: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return cls(**plain)


def _offset(seed: int, purpose: str) -> float:
    return float(stream(seed, "blocks", purpose).random())
