"""Windows of series: those that overlap are found, of rows and of steps on few levels nothing is said."""

import numpy as np
import pytest
import torch

from trainwell.vitals.rows import Rows
from trainwell.vitals.scale import Scale
from trainwell.vitals.windows import Windows, series_of

DRAW = np.random.default_rng(0)
SERIES = [DRAW.standard_normal(200).cumsum() for _ in range(6)]


def cut(series: list[np.ndarray], length: int = 24) -> torch.Tensor:
    return torch.tensor(
        np.stack([s[i : i + length] for s in series for i in range(len(s) - length)]), dtype=torch.float32
    )


def overlapping(trained: torch.Tensor, judged: torch.Tensor, seen: int = 300) -> float:
    windows = Windows()
    for part in trained[:seen].split(50):
        windows.train(part)
    for part in judged.split(100):
        windows.judge(part)
    return windows.overlapping


def shuffled(x: torch.Tensor) -> torch.Tensor:
    return x[torch.from_numpy(np.random.default_rng(1).permutation(len(x)))]


@pytest.mark.parametrize("shape", [lambda x: x, lambda x: x[:, None], lambda x: torch.stack([x, 0 * x], 2)])
def test_windows_split_at_random_overlap_and_those_of_other_series_do_not(shape) -> None:
    every = shuffled(cut(SERIES))
    assert overlapping(shape(every[:800]), shape(every[800:])) > 0.9
    assert overlapping(shape(shuffled(cut(SERIES[:4]))), shape(cut(SERIES[4:]))) == 0.0


def test_of_series_split_by_time_only_those_at_the_border_do() -> None:
    before, after = [s[:140] for s in SERIES], [s[116:] for s in SERIES]
    assert 0 < overlapping(cut(before), cut(after), seen=10_000) < 0.4


def test_rows_of_a_table_copies_steps_on_few_levels_and_padding_are_no_windows_of_one_series() -> None:
    table = torch.randn(400, 12)
    assert overlapping(table[:300], table[100:]) == 0.0  # the same rows: told otherwise
    levels = shuffled(cut([np.round(2 * s) for s in SERIES]))
    assert overlapping(levels[:800], levels[800:]) == 0.0
    padded = shuffled(cut(SERIES))
    padded[:, 8:] = 0.0
    assert overlapping(padded[:800], padded[800:]) == 0.0
    sets = torch.randn(600, 40) * (torch.arange(40) < torch.randint(10, 40, (600, 1)))  # padded at their ends
    assert overlapping(sets[:300], sets[300:]) == 0.0
    assert series_of(torch.zeros(4, 3)) is None and series_of(torch.zeros(4, 20, dtype=torch.int64)) is None
    assert series_of(torch.zeros(4, 3, 8, 8)) is None
    few = shuffled(cut(SERIES[:1]))
    assert overlapping(few[:40], few[40:]) == 0.0


def leak_of(x: torch.Tensor) -> tuple[float, int]:
    order = torch.from_numpy(np.random.default_rng(2).permutation(len(x)))
    rows = Rows(Scale())
    for part in x[order[: 3 * len(x) // 4]].split(64):
        rows.train(part)
    rows.judge(x[order[3 * len(x) // 4 :]])
    rows.keep()
    return rows.leaked


def test_fine_rows_that_were_copied_often_before_the_split_are_a_leak() -> None:
    rare, common = torch.randn(40, 30), torch.randn(600, 30)
    copied = torch.cat([common, rare.repeat(12, 1)])
    share, both = leak_of(copied)
    assert share > 0.05 and both > 20
    narrow = copied[:, :12].clone()
    narrow[:, -1] = 0.0  # it can't be told whether rows are few by nature
    assert leak_of(narrow)[0] == 0.0
    assert leak_of(common)[0] == 0.0
