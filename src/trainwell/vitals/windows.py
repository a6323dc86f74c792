"""Windows cut from longer series: whether those judged by overlap those trained on.

Of each window trained on two numbers in a row are kept, from its middle. A window judged by that holds the same two, to
the last digit, at another place was cut from the same stretch of the same series.
"""

import torch
from torch import Tensor

SHORTEST, LONGEST, MOST_ROWS, MOST_PAIRS = 8, 512, 512, 4096
"""Steps that a window must have, and that are looked at; windows judged by, and trained on, that are remembered."""

FEWEST = 64
"""Windows of either kind that tell it (our assumption)."""

DIFFERENT = 0.9
"""Share of the numbers in the middles that must differ: of steps on a few levels the same come again."""


class Windows:
    """What is kept of both kinds."""

    def __init__(self) -> None:
        self._pairs: list[Tensor] = []
        self._judged: list[Tensor] = []
        self._trained_rows = self._judged_rows = 0

    @torch.no_grad()
    def train(self, x: Tensor) -> None:
        """Windows of a batch that was trained on."""
        series = series_of(x)
        if series is not None and self._trained_rows < MOST_PAIRS:
            middle = series.shape[1] // 2
            self._pairs.append(series[:, middle : middle + 2].clone())
            self._trained_rows += len(series)

    @torch.no_grad()
    def judge(self, x: Tensor) -> None:
        """Windows of a pass without gradients."""
        series = series_of(x)
        if series is not None and self._judged_rows < MOST_ROWS:
            self._judged.append(series[: MOST_ROWS - self._judged_rows].clone())
            self._judged_rows += len(self._judged[-1])

    def forget(self) -> None:
        """The passes were for something else than a judgement."""
        self._judged, self._judged_rows = [], 0

    @property
    def overlapping(self) -> float:
        """Share of the windows judged by that hold the middle of one trained on, at another place; 0 if unknown."""
        alike = len({len(part[0]) for part in self._judged}) == 1
        if not alike or min(self._trained_rows, self._judged_rows) < FEWEST:
            return 0.0
        trained, judged = torch.cat(self._pairs), torch.cat(self._judged)
        pairs = {(one, other) for one, other in trained.tolist()}
        known = {pair for pair in pairs if pair[0] != pair[1]}  # the same again: padding, or nothing that moves
        if len({first for first, _ in known}) < DIFFERENT * len(pairs) or len(known) < FEWEST:
            return 0.0
        begins = torch.isin(judged[:, :-1], trained[:, 0])  # most numbers begin no pair: they are not looked up
        begins[:, judged.shape[1] // 2] = False
        places, numbers = begins.nonzero().tolist(), judged.tolist()
        return len({i for i, j in places if (numbers[i][j], numbers[i][j + 1]) in known}) / len(judged)


def series_of(x: Tensor) -> Tensor | None:
    """Windows (B, T), or the first channel of (B, T, C) and (B, C, T), their first LONGEST steps; None of others."""
    if x.dim() not in (2, 3) or not x.is_floating_point() or len(x) < 2:
        return None
    x = x.detach()
    if x.dim() == 3:
        x = x[:, :, 0] if x.shape[1] >= x.shape[2] else x[:, 0]
    return x[:, :LONGEST] if x.shape[1] >= SHORTEST else None
