"""What is told of a kind of finding, beside the rule that finds it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One word of the vocabulary, explained.

    Attributes:
        meaning: what it is, in one line.
        measured: what shows it.
        causes, remedies: the usual ones, the likeliest or smallest first.
        sources: rows of the requirements (documents N0–N4), papers, tools with a rule for it.
        sketch: a picture in characters.
    """

    meaning: str
    measured: str
    causes: tuple[str, ...]
    remedies: tuple[str, ...]
    sources: tuple[str, ...]
    sketch: str = ""
