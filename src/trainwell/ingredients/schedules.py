"""The learning rate over time, as a factor on its peak.

Contract: a schedule is a function of the progress s ∈ [0, 1) of the run (updates made over updates planned) to a factor
in [0, 1]; warm-up multiplies it. Every step of a run can be computed beforehand.
"""

from collections.abc import Callable, Sequence
from math import cos, pi

from trainwell.base import Registry

Schedule = Callable[[float], float]


def constant(s: float) -> float:
    """1 throughout (row S1)."""
    return 1.0


def cosine(s: float) -> float:
    """½(1 + cos πs), from 1 to 0 (row S6; Loshchilov & Hutter 2017)."""
    return 0.5 * (1 + cos(pi * s))


def one_cycle(s: float) -> float:
    """From 1/25 up to 1 over the first 30 %, then down to 4e-6, both cosines (row S6; Smith 2018; torch's values)."""
    rise, start, end = 0.3, 1 / 25, 1 / 25 / 1e4
    low, part = (start, s / rise) if s < rise else (end, 1 - (s - rise) / (1 - rise))
    return low + (1 - low) * 0.5 * (1 - cos(pi * part))


def schedule_factor(names: Sequence[str], warmups: Sequence[float], step: int, total: int) -> list[float]:
    """The factor of each member at update `step` = 0 … `total` − 1.

    Warm-up raises it linearly over the first share w of the run: at step t by (t + 1)/(w·total).

    >>> schedule_factor(["constant", "cosine"], [0.2, 0.0], step=4, total=100)
    [0.25, 0.996057350657239]
    """
    s = step / total
    shape = {name: SCHEDULES[name](s) for name in set(names)}
    return [
        shape[name] * min(1.0, (step + 1) / (w * total) if w else 1.0) for name, w in zip(names, warmups, strict=True)
    ]


SCHEDULES: Registry[Schedule] = Registry("schedule", {"constant": constant, "cosine": cosine, "one-cycle": one_cycle})
