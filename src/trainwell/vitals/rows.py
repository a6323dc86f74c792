"""Rows that were trained on and rows that were judged by: how many are alike, and how far apart the two lie."""

from functools import lru_cache
from math import log

import numpy as np
import torch
from torch import Tensor

from trainwell.vitals.scale import Scale
from trainwell.vitals.windows import Windows

FEW_NAMES = 8  # whole numbers in a row, by which rows can't be told apart: pairs of names, the letters before one
FEW_COLUMNS, FEW_NUMBERS, FEW_ROWS = 64, 3, log(4096)
"""Of no more columns than that: different numbers in each, and logarithm of the different rows that can be made of
them, up to which rows are alike by nature (our assumptions)."""

EXPECTED = 8.0
"""Rows trained on that must be missing where so many of them are to be expected, e⁻⁸ by chance."""

MOVES = 0.05
"""Deviations of the middle input, below which one counts as constant (our assumption)."""

OFTEN = 0.3
"""Share of rows that are equal to another one of their batch, from which they are asked whether they hold anything."""

RICH, MANY, SOME = 16, 8, (16, 256)
"""Columns, from which rows of so MANY different numbers are copies where they are equal; SOME rows and columns of a
batch are counted."""

MOST_COLUMNS = 4096
CHANCE = 2.0  # times what is expected by chance, which is no leak
MOST = 65_536  # prints that are remembered
FEW_KINDS = 1 / 512
"""Share of pairs of rows that are equal, from which rows are of few kinds; below, equal ones are copies."""

FINE = 0.9
"""Different numbers in the last input for each different row, from which equal rows are copies, however many: numbers
so fine don't meet by chance."""


class Rows:
    """Prints of rows: one number a row, the same for the same row and else another.

    Attributes:
        doubled: share of rows, batch by batch, that are equal to an earlier one of the batch.
        blank: in the last batch with many of them, share of rows that hold the same number in all places.
        trained: scale of the rows trained on. judged: that of the rows judged by. windows: whether they overlap.
        kept: whether rows of a judgement are known.
    """

    def __init__(self, trained: Scale) -> None:
        self.doubled: list[float] = []
        self.blank = 0.0
        self.trained, self.judged = trained, Scale()
        self._trained: set[int] = set()
        self._judged: list[set[int]] = []  # of each pass
        self.kept, self.windows = False, Windows()
        self._fine = [0, 0]  # batches in which no two rows are equal by nature, and all
        self._names = False  # whether rows are a few whole numbers
        self._pairs = self._equal = 0.0  # of two rows of a batch

    @torch.no_grad()
    def train(self, x: Tensor) -> None:
        """Rows of a batch that was trained on."""
        prints = prints_of(x)
        if prints is None:
            return
        found, count = set(prints), len(prints)
        self.windows.train(x)
        flat = x.detach().flatten(1)
        fine = len(set(flat[:, -1].tolist())) >= FINE * len(found)
        self._fine[0] += x.is_floating_point() and (fine or _rich(flat))
        self._fine[1] += 1
        self._names = not x.is_floating_point() and x[0].numel() <= FEW_COLUMNS
        self.doubled.append(1 - len(found) / count)
        if self.doubled[-1] > OFTEN:
            self.blank = float((flat == flat[:, :1]).all(1).double().mean())
        self._pairs, self._equal = self._pairs + count * (count - 1) / 2, self._equal + count - len(found)
        if len(self._trained) < MOST:
            self._trained |= found

    @torch.no_grad()
    def judge(self, x: Tensor) -> None:
        """Rows of a pass without gradients, after which a judgement may come."""
        if not self.kept and sum(map(len, self._judged)) < MOST and (prints := prints_of(x)) is not None:
            self._judged.append(set(prints))
            self.windows.judge(x)
            if x.is_floating_point():
                self.judged.add(x.detach().flatten(1))

    def forget(self) -> None:
        """The passes were for something else than a judgement."""
        if self._judged and not self.kept:
            self._judged, self.judged = [], Scale()
            self.windows.forget()

    def keep(self) -> None:
        """A judgement came: the rows belong to it, and no more are needed."""
        self.kept = self.kept or bool(self._judged)

    @property
    def leaked(self) -> tuple[float, int]:
        """Share of the rows trained on that were judged by, and how many they are, of those that were seen.

        Less what chance makes of rows of few kinds, and of names: as often as two rows of a batch are equal, any two
        may be. Where the first passes, or the last, hold none of them, rows of the training were looked at on purpose,
        beside others.
        """
        if not self.kept or not self._trained or self._apart_on_purpose():
            return 0.0, 0
        judged = set[int]().union(*self._judged)
        both, alike = len(self._trained & judged), self._equal / max(1.0, self._pairs)
        few = self._names or (alike > FEW_KINDS and self._fine[0] < self._fine[1])
        by_chance = CHANCE * (1 - (1 - min(alike, 1.0)) ** len(judged)) if few else 0.0
        return max(0.0, both / len(self._trained) - by_chance), both

    def _apart_on_purpose(self) -> bool:
        """Whether the passes are of two sets one after the other, and only one of them holds rows trained on."""
        rows = [len(prints) for prints in self._judged]
        known = [len(prints & self._trained) for prints in self._judged]
        share = sum(known) / max(1, sum(rows))
        found = [i for i, count in enumerate(known) if count]
        if not found:
            return False
        before, after = sum(rows[: found[0]]), sum(rows[found[-1] + 1 :])
        return max(before, after) * share >= EXPECTED

    @property
    def furthest(self) -> tuple[float, int]:
        """Of inputs of a table the largest |mean judged − mean trained| over the larger deviation, and its place."""
        if not self.kept or self.judged.rows < 32 or self.trained.rows < 64:
            return 0.0, 0
        (mean, std), (other, spread) = self.trained.moments(), self.judged.moments()
        if mean.shape != other.shape or len(mean) > FEW_COLUMNS:
            return 0.0, 0
        moves = std > MOVES * float(std.median())  # what hardly moves is nothing but its rounding
        far = torch.where(moves, (other - mean).abs() / torch.maximum(std, spread), 0.0)
        return float(far.max()), int(far.argmax())

    @property
    def apart(self) -> float:
        """Median over the inputs of |mean judged − mean trained| in deviations of the rows trained on; 0 if unknown."""
        if not self.kept or self.judged.rows < 8 or self.trained.rows < 32:
            return 0.0
        (mean, std), (other, _) = self.trained.moments(), self.judged.moments()
        if mean.shape != other.shape:
            return 0.0
        moves = std > 1e-6 * mean.abs().clamp_min(1e-6)
        return float(((other - mean).abs() / std)[moves].median()) if bool(moves.any()) else 0.0

    @property
    def stretched(self) -> float:
        """Median over the inputs of how many times larger the deviation of the ones is than that of the others."""
        if not self.kept or self.judged.rows < 32 or self.trained.rows < 64:
            return 1.0
        (_, std), (_, other) = self.trained.moments(), self.judged.moments()
        if std.shape != other.shape:
            return 1.0
        moves = (std > 1e-6) & (other > 1e-6)
        ratio = (other / std)[moves].log().abs()
        return float(ratio.median().exp()) if len(ratio) else 1.0


def prints_of(x: Tensor) -> list[int] | None:
    """A number for each row (B, …), the same at any place of any batch; None where rows can't be told apart."""
    if x.dim() < 2 or len(x) < 2 or x.is_complex():
        return None
    if not x.is_floating_point() and x[0].numel() <= FEW_NAMES:
        return None  # names of things, as of a user and an item: the same ones come again
    flat = x.detach().flatten(1)[:, :MOST_COLUMNS].double()
    if _few_kinds(flat):
        return None
    if not bool(flat.isfinite().all()):
        return None
    bits = (flat + 0.0).view(torch.int64)  # 0 and -0 are one number
    return ((bits ^ (bits >> 29)) * _weights(flat.shape[1], flat.device)).sum(1).tolist()


def _rich(flat: Tensor) -> bool:
    """Whether rows hold many different numbers: two of them are not equal by chance, however few those of a column."""
    some = flat[: SOME[0], : SOME[1]].sort(1).values
    return some.shape[1] >= RICH and int(((some.diff(dim=1) != 0).sum(1) + 1).median()) >= MANY


def _few_kinds(flat: Tensor) -> bool:
    """Whether rows may be alike by nature: a few columns of names, or so few different numbers in all columns."""
    if flat.shape[1] > FEW_COLUMNS:
        return False
    of_one = len(set(flat[:, -1].tolist()))
    if of_one > FEW_NUMBERS and 2 * of_one >= len(flat):  # as it mostly is; spares the sort
        return False
    differ = (flat.sort(0).values.diff(dim=0) != 0).sum(0) + 1
    most = int(differ.max())
    return most <= FEW_NUMBERS or (2 * most < len(flat) and float(differ.double().log().sum()) < FEW_ROWS)


@lru_cache(maxsize=4)
def _weights(columns: int, device: torch.device) -> Tensor:
    """Odd numbers (columns,): sums of their products, modulo 2⁶⁴, don't depend on the order as those of reals do."""
    drawn = np.random.Generator(np.random.Philox(0)).integers(-(2**62), 2**62, columns)
    return torch.from_numpy(2 * drawn + 1).to(device)
