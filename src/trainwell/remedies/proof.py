"""Whether a remedy helped: trainings that got it against their untouched twins, seed by seed.

Contract: the i-th of both lists shares everything but the remedy: rows, their order, first weights, noise. Scores are
larger when better. Two statistics may show a gain, both beyond `smallest` and beyond what the rows may favour:

- *Student's paired test*: the mean gain is beyond t · s / √n, with t a quantile (`STUDENT`) of Student's distribution
  with n − 1 degrees of freedom and s the deviation of the gains (Student 1908, Biometrika 6).
- *Complete separation*: the worst treated training is better than the best untouched one. That is the extreme of Mann
  and Whitney's rank test (1947), of probability 1 / C(2n, n) where there is no effect: 0.004 for five seeds. For three
  it is 0.05, too often; there the gap must also be three times what the treated ones lie apart (simulated: 0.002), and
  a quarter of it for more (0.001). It doesn't mind how bad the bad ones are, which a deviation does.

A cure looks up to three times: at three seeds, at three of another chain of changes, and at five of the better chain.
So the levels of one look are far below one in a hundred; `tests/remedies/test_proof.py` simulates all together.

A failed training (NaN) is worse than any that ended.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

STUDENT = (math.inf, 318.309, 22.327, 5.841, 4.604, 4.032, 3.707, 3.499, 3.355, 3.250, 3.169)
"""Quantiles by degrees of freedom: 99.9 % for up to three seeds, at which most looks are taken, 99.5 % for more; beyond
ten the last one serves, which errs towards no verdict."""
ROWS = 3.0
"""Deviations over samples of rows (`rows`) and of treated trainings, which a gain must exceed: all seeds are judged by
one set of rows, and what these happen to favour is no noise between seeds."""
FEWEST_SEPARATED, ENOUGH_SEPARATED = 3, 5  # seeds: of two a sixth is separated by chance
GAP, NARROW_GAP = 3.0, 0.25  # times the range of the treated ones, for fewer than enough seeds, and from there on


@dataclass(frozen=True)
class Proof:
    """What the comparison showed.

    Attributes:
        helped: whether the gain is beyond the noise and the smallest gain that counts.
        before, after: mean score of the untouched twins and of the treated ones, failed ones at the floor.
        gain: their difference.
        needed: the gain that Student's test asks for; infinite with one seed.
        seeds: pairs compared.
        failed: how many untouched and how many treated trainings failed.
        why: one sentence.
    """

    helped: bool
    before: float
    after: float
    gain: float
    needed: float
    seeds: int
    failed: tuple[int, int]
    why: str

    def verified(self) -> dict[str, Any]:
        """What goes into `Remedy.verified`; plain values."""
        return {
            "before": self.before,
            "after": self.after,
            "helped": self.helped,
            "seeds": self.seeds,
            "needed": self.needed if math.isfinite(self.needed) else None,
            "why": self.why,
        }


def proven(
    untouched: Sequence[float],
    treated: Sequence[float],
    *,
    smallest: float = 0.0,
    worst: float | None = None,
    rows: float = 0.0,
) -> Proof:
    """Compare twins.

    Args:
        untouched, treated: scores, larger is better, NaN for a failed training; the i-th of both is one seed.
        smallest: the smallest gain that counts, in units of the score.
        worst: the score at which a failed training counts, as 0 for an accuracy; by default below all others.
        rows: the deviation of the mean gain over samples of the rows judged by; see `row_noise`.

    >>> proven([0.50, 0.52, 0.48], [0.90, 0.91, 0.92]).helped
    True
    >>> proven([0.90, 0.92, 0.91], [0.91, 0.90, 0.92]).helped
    False
    """
    assert len(untouched) == len(treated) and len(treated) > 0, "twins come in pairs"
    floor = _floor([*untouched, *treated], smallest) if worst is None else worst
    a, b = ([score if math.isfinite(score) else floor for score in scores] for scores in (untouched, treated))
    n, gain = len(a), _mean(b) - _mean(a)
    needed = _needed([after - before for before, after in zip(a, b, strict=True)])
    separated = _separated(a, b, smallest)
    luck = ROWS * math.sqrt(rows**2 + _variance(b) / n)
    if gain <= luck:
        separated, needed = False, max(needed, luck)
    helped = gain > 0 and gain >= smallest and (gain > needed or separated)
    failed = sum(not math.isfinite(s) for s in untouched), sum(not math.isfinite(s) for s in treated)
    return Proof(helped, _mean(a), _mean(b), gain, needed, n, failed, _why(helped, gain, smallest, needed, separated))


def promising(untouched: Sequence[float], treated: Sequence[float], *, smallest: float = 0.0) -> bool:
    """Whether more seeds could still show a gain: the mean gain counts, and most seeds gained."""
    proof = proven(untouched, treated, smallest=smallest)
    won = sum(after > before or math.isnan(before) for before, after in zip(untouched, treated, strict=True))
    return not proof.helped and proof.gain >= smallest and proof.gain > 0 and won * 2 > len(treated)


def row_noise(gains: Sequence[tuple[int, float]]) -> float:
    """The deviation of a mean gain over samples of rows.

    Args:
        gains: of each seed the part that it is judged by, and the variance of its gain over samples of that part.

    >>> round(row_noise([(0, 0.09), (1, 0.09), (2, 0.09)]), 4)
    0.1732
    >>> round(row_noise([(0, 0.09), (0, 0.09)]), 4)  # the same rows twice tell no more about rows
    0.3
    """
    parts: dict[int, list[float]] = {}
    for part, variance in gains:
        parts.setdefault(part, []).append(variance)
    return math.sqrt(sum((len(v) / len(gains)) ** 2 * _mean(v) for v in parts.values()))


def _floor(scores: Sequence[float], smallest: float) -> float:
    """As far below the lowest score as the highest is above it, and at least twice the smallest gain."""
    ended = [score for score in scores if math.isfinite(score)]
    return min(ended) - max(max(ended) - min(ended), 2 * smallest, 1e-9) if ended else 0.0


def _separated(untouched: Sequence[float], treated: Sequence[float], smallest: float) -> bool:
    gap, spread = min(treated) - max(untouched), max(treated) - min(treated)
    wide = gap > spread * (NARROW_GAP if len(treated) >= ENOUGH_SEPARATED else GAP)
    return len(treated) >= FEWEST_SEPARATED and wide and gap > 0 and gap >= smallest


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _needed(gains: Sequence[float]) -> float:
    n = len(gains)
    return math.inf if n < 2 else STUDENT[min(n - 1, len(STUDENT) - 1)] * math.sqrt(_variance(gains) / n)


def _variance(values: Sequence[float]) -> float:
    mean = _mean(values)
    return math.fsum((value - mean) ** 2 for value in values) / max(1, len(values) - 1)


def _why(helped: bool, gain: float, smallest: float, needed: float, separated: bool) -> str:
    if not helped and gain < max(smallest, 1e-12):
        return f"a gain of {gain:.3g} is below {smallest:.3g}, the smallest that counts"
    if not helped:
        return f"a gain of {gain:.3g} is within the noise, which asks for {needed:.3g}"
    if gain > needed:
        return f"a gain of {gain:.3g}, where the noise asks for {needed:.3g}"
    return f"a gain of {gain:.3g}: every training with it is better than every one without"
