from collections.abc import Sequence
import numpy as np
from trainwell.data.facts import Facts
from trainwell.data.table import Table


def target_array(table: Table, facts: Facts) -> np.ndarray:
    """For splitting: class indices (N,) int64; multi-label (N, C); regression (N, C) float64 on the original scale."""
    raise NotImplementedError


def drop_missing_targets(table: Table, targets: Sequence[str]) -> tuple[Table, int]:
    """The table without the rows that lack a target, and how many those were (for a test file)."""
    raise NotImplementedError
