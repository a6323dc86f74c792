"""What a section of the page consists of: plain frozen values. The template knows how each kind looks.

Contract: a block says what is shown, never how it looks. Text may mark names in backticks; it is escaped when the page
is made. Figures are SVG, and safe already.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from trainwell.diagnosis import Finding

Tone = Literal["plain", "muted", "good", "warn", "bad"]
State = Literal["passed", "failed", "done", "skipped", "not run"]


@dataclass(frozen=True)
class Prose:
    """A paragraph."""

    kind: ClassVar[str] = "prose"
    text: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class Points:
    """A list of sentences; `ordered` ones have numbers."""

    kind: ClassVar[str] = "points"
    items: tuple[str, ...]
    title: str = ""
    ordered: bool = False


@dataclass(frozen=True)
class Tile:
    """One large figure with what it is."""

    value: str
    label: str
    note: str = ""
    tone: Tone = "plain"


@dataclass(frozen=True)
class Tiles:
    """Large figures in a row."""

    kind: ClassVar[str] = "tiles"
    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class Figure:
    """A drawing with its caption. `width`: how many stand in a row: two halves, three thirds, four small ones."""

    svg: str
    caption: str = ""
    width: Literal["half", "third", "small"] = "half"


@dataclass(frozen=True)
class Gallery:
    """Figures side by side, as many as fit, under one legend (swatch and text) if they share one."""

    kind: ClassVar[str] = "gallery"
    figures: tuple[Figure, ...]
    title: str = ""
    legend: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Cell:
    """One field of a table. `best` is set in bold; `badge` as a coloured word; `hint` shows when pointed at."""

    text: str
    best: bool = False
    badge: Tone | None = None
    muted: bool = False
    code: bool = False
    hint: str = ""


@dataclass(frozen=True)
class Head:
    """A column of a table; `note` stands small beside its name, as a direction or a unit."""

    text: str
    figures: bool = False
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of cells. `strong`: rows set off from the others. `folded`: shown after a click, under this summary."""

    kind: ClassVar[str] = "table"
    heads: tuple[Head, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    strong: frozenset[int] = frozenset()
    folded: str = ""
    title: str = ""


@dataclass(frozen=True)
class Check:
    """One line of a check list, with the drawing that shows it."""

    name: str
    state: State
    sentence: str
    figure: Figure | None = None


@dataclass(frozen=True)
class Checks:
    """A check list."""

    kind: ClassVar[str] = "checks"
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Findings:
    """Findings, each with its evidence and remedies."""

    kind: ClassVar[str] = "findings"
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Pairs:
    """Names and their values."""

    kind: ClassVar[str] = "pairs"
    pairs: tuple[tuple[str, str], ...]
    title: str = ""


Block = Prose | Points | Tiles | Gallery | Table | Checks | Findings | Pairs


@dataclass(frozen=True)
class Section:
    """A part of the page. `mark`: a word or figure beside its name in the contents."""

    key: str
    title: str
    blocks: tuple[Block, ...]
    mark: str = ""
    tone: Tone = "plain"


def row(*cells: Cell | str) -> tuple[Cell, ...]:
    """A row of a table; text stands for a plain cell."""
    return tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in cells)
