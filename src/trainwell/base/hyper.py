"""Hyperparameters that an ingredient brings along: their range and meaning, written once in the family's file."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Hyper:
    """A hyperparameter shared by some members of a family. Its standard value stands with each member.

    Attributes:
        doc: the meaning in one line, with its letter in the papers.
        least, above, most, below: the range: ≥, >, ≤, <.
        whole: only whole numbers.
        structural: it decides shapes, so that members of one population share it; else each member has its own.
    """

    doc: str
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    whole: bool = False
    structural: bool = False

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
