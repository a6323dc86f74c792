"""What an experiment is: a short script that gives numbers, drawings and one sentence on what to see.

Contract: an `Experiment` runs in seconds, needs nothing from outside, has fixed seeds and gives a `Result`. What a
document prints stands beside what trainwell finds, as text, so that its rounding is seen.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from trainwell.report.blocks import Figure
from trainwell.report.canvas import Key
from trainwell.report.scales import MINUS
from trainwell.report.words import is_number, number

DIGITS = 6  # significant ones, of a table
PRINTED = "as printed"  # the name of a row that tells what the document prints
Value = float | list[float] | str


@dataclass(frozen=True)
class Result:
    """What an experiment found.

    Attributes:
        numbers: by what they are; a list has a number for each of `heads`.
        figures: drawings with their captions.
        sentence: what to see.
        misprints: where a document is misprinted, has rounded, or leaves something open.
        printed: what the document prints for some of the numbers, digit by digit.
        heads: what the numbers of a list belong to.
        legend: of the drawings that have none of their own.
    """

    numbers: Mapping[str, Value]
    figures: tuple[Figure, ...]
    sentence: str
    misprints: tuple[str, ...] = ()
    printed: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    heads: tuple[str, ...] = ()
    legend: tuple[Key, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; what is not finite is null."""
        numbers = {name: _plain(value) for name, value in self.numbers.items()}
        told = {name: list(text) if isinstance(text, tuple) else text for name, text in self.printed.items()}
        return {
            "numbers": numbers,
            "heads": list(self.heads),
            "printed": told,
            "sentence": self.sentence,
            "misprints": list(self.misprints),
        }

    def tables(self) -> list["Rows"]:
        """The numbers as text: single ones, and lists under their heads; below each what the document prints."""
        lists = {name: value for name, value in self.numbers.items() if isinstance(value, list)}
        single: dict[str, Value] = {name: value for name, value in self.numbers.items() if name not in lists}
        parts = [Rows((), self._rows(single)), Rows(self.heads, self._rows(lists))]
        return [part for part in parts if part.rows]

    def _rows(self, numbers: Mapping[str, Value]) -> tuple[tuple[str, ...], ...]:
        rows: list[tuple[str, ...]] = []
        for name, value in numbers.items():
            rows.append((name, *(number(v, DIGITS) for v in (value if isinstance(value, list) else [value]))))
            if name in self.printed:
                told = self.printed[name]
                texts = told if isinstance(told, tuple) else (told,)
                rows.append((PRINTED, *(text.replace("-", MINUS) for text in texts)))
        return tuple(rows)


@dataclass(frozen=True)
class Rows:
    """Rows of text, each with its name first; `heads` stand over the others, if they have any."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Experiment:
    """One experiment by its function, and the rows that it shows."""

    run: Callable[[], Result]
    rows: tuple[str, ...]

    @property
    def doc(self) -> str:
        """What it shows, in one line."""
        return (self.run.__doc__ or "").strip()


def _plain(value: Value) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value if isinstance(value, str) or is_number(value) else None
