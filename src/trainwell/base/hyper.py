"""Hyperparameters that an ingredient brings along: range, meaning, what a search draws, once in the family's file."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Between:
    """What a search draws from: the numbers from `low` to `high`, evenly, or with `log` evenly in their logarithm.

    With `share` only that share of the draws has such a number, the others have the value `otherwise`.

    >>> str(Between(0.01, 0.1, log=True, share=0.3))
    '0.01 to 0.1 on a logarithmic scale, or else 0'
    """

    low: float
    high: float
    log: bool = False
    share: float = 1.0
    otherwise: float = 0.0

    @property
    def extremes(self) -> tuple[float, ...]:
        """The outermost values that may be drawn."""
        return (self.low, self.high) if self.share == 1 else (self.low, self.high, self.otherwise)

    def draw(self, rng: np.random.Generator) -> float:
        """A value at random."""
        if self.share < 1 and rng.random() >= self.share:
            return self.otherwise
        if self.log:
            return float(np.exp(rng.uniform(np.log(self.low), np.log(self.high))))
        return float(rng.uniform(self.low, self.high))

    def __str__(self) -> str:
        scale, rest = " on a logarithmic scale" * self.log, f", or else {self.otherwise:g}" * (self.share < 1)
        return f"{self.low:g} to {self.high:g}{scale}{rest}"


class OneOf:
    """What a search draws from: these values, equally likely; one given twice is twice as likely.

    >>> str(OneOf(1, 1, 2))
    '1, 2'
    """

    def __init__(self, *values: Any) -> None:
        self.values = values

    @property
    def extremes(self) -> tuple[Any, ...]:
        """The values that may be drawn, the outermost among them."""
        return self.values

    def draw(self, rng: np.random.Generator) -> Any:
        """A value at random."""
        return self.values[int(rng.integers(len(self.values)))]

    def __str__(self) -> str:
        return ", ".join(dict.fromkeys(str(value) for value in self.values))


Search = Between | OneOf


@dataclass(frozen=True)
class Hyper:
    """A hyperparameter shared by some members of a family. Its standard value stands with each member.

    Attributes:
        doc: the meaning in one line, with its letter in the papers.
        least, above, most, below: the range: ≥, >, ≤, <.
        whole: only whole numbers.
        structural: it decides shapes, so that members of one population share it; else each member has its own.
        search: what is drawn for it; None: it is not searched. searched_by: the members it is searched for, where not
            for all that have it.
    """

    doc: str
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    whole: bool = False
    structural: bool = False
    search: Search | None = None
    searched_by: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert all(self.allows(value) for value in self.search.extremes) if self.search else True, self.doc

    @property
    def range(self) -> str:
        """The range as a person says it.

        >>> Hyper("decay", least=0, below=1).range
        '≥ 0 and < 1'
        """
        bounds = (("≥", self.least), (">", self.above), ("≤", self.most), ("<", self.below))
        parts = [f"{sign} {value:g}" for sign, value in bounds if value is not None]
        return " and ".join((["a whole number"] if self.whole else []) + parts) or "any number"

    def allows(self, value: float) -> bool:
        """Whether a value is in the range.

        >>> Hyper("decay", least=0, below=1).allows(1.0)
        False
        """
        return (
            (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
            and not (self.whole and value != int(value))
        )
