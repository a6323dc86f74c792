"""Blocks of rows: evenly spaced, as many as asked for, the same whatever is asked in one go."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from trainwell.data.blocks import Blocks, Places

shares = st.floats(0.01, 1.0)
offsets = st.floats(0.0, 0.999)


@given(shares, offsets, st.integers(1, 300))
def test_a_share_of_the_blocks_is_taken_evenly_spaced(share: float, offset: float, count: int) -> None:
    taken = np.flatnonzero(Blocks(4, share, offset).taken(np.arange(count)))
    assert abs(len(taken) - share * count) <= 1
    if len(taken) > 1:
        assert np.diff(taken).min() >= int(1 / share) - 1 and np.diff(taken).max() <= int(1 / share) + 2


@given(shares, offsets, shares, offsets)
def test_a_part_is_taken_of_the_blocks_and_of_no_others(a: float, b: float, c: float, d: float) -> None:
    whole = Blocks(4, a, b)
    taken, part = (blocks.taken(np.arange(500)) for blocks in (whole, whole.part(c, d)))
    assert not (part & ~taken).any() and abs(part.sum() - c * taken.sum()) <= 1


@given(shares, offsets, st.integers(1, 200), st.integers(1, 60))
def test_runs_hold_the_taken_rows_in_order_and_end_at_blocks(share: float, offset: float, rows: int, most: int) -> None:
    blocks = Blocks(7, share, offset)
    runs = list(blocks.runs(0, rows, most))
    covered = [row for start, stop in runs for row in range(start, stop)]
    assert covered == [row for row in range(rows) if blocks.taken(np.array([row // 7]))[0]]
    assert all(start % 7 == 0 and (stop % 7 == 0 or stop == rows) for start, stop in runs)
    assert all(stop - start <= max(7, most) for start, stop in runs)


def test_runs_of_a_stretch_are_those_of_the_whole_that_lie_in_it() -> None:
    blocks = Blocks(5, 0.5, 0.3)
    halves = [*blocks.runs(0, 50, 5), *blocks.runs(50, 48, 5)]
    assert halves == list(blocks.runs(0, 98, 5))


@pytest.mark.parametrize(("first", "expected"), [(0, [(3, 4), (8, 9)]), (5, [(8, 9), (12, 13)])])
def test_single_rows_are_runs_of_their_own(first: int, expected: list[tuple[int, int]]) -> None:
    assert list(Places((3, 8, 12)).runs(first, 10, 100)) == expected
