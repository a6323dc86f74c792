"""An experiment as one offline HTML file, in the look of the report."""

from functools import cache
from importlib.resources import files
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from trainwell.base import InputError
from trainwell.base.files import replace_text
from trainwell.lab.experiment import PRINTED, Experiment, Result, Rows
from trainwell.report.advice import remedies_told
from trainwell.report.blocks import Block, Cell, Gallery, Head, Points, Section, Table
from trainwell.report.canvas import swatches
from trainwell.report.page import prose
from trainwell.report.words import number
from trainwell.version import VERSION


def write_page(folder: Path, name: str, experiment: Experiment, result: Result) -> Path:
    """Write `folder`/NAME.html, and give its path. The folder is made.

    Raises:
        InputError: the folder can't be made or written in.
    """
    path = folder / f"{name}.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_text(path, render(name, experiment, result))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"--out '{folder}' can't be written in: {reason}. Name another folder.") from error
    return path


def render(name: str, experiment: Experiment, result: Result) -> str:
    """The page as HTML. It asks for nothing from outside and holds no script."""
    return (
        _environment()
        .get_template("experiment.html.j2")
        .render(
            name=name,
            meaning=experiment.doc.split("\n")[0],
            sentence=result.sentence,
            rows=", ".join(experiment.rows),
            sections=sections(result),
            version=VERSION,
            style=Markup(files("trainwell.report").joinpath("templates/report.css").read_text(encoding="utf-8")),
        )
    )


def sections(result: Result) -> list[Section]:
    """The parts of the page: drawings, numbers, misprints."""
    tables = tuple(_table(rows) for rows in result.tables())
    parts: list[tuple[str, str, tuple[Block, ...]]] = [
        ("figures", "To look at", tuple(_galleries(result)) if result.figures else ()),
        ("numbers", "Numbers", tables),
        ("misprints", "Where the document differs", (Points(result.misprints),) if result.misprints else ()),
    ]
    return [Section(key, title, blocks) for key, title, blocks in parts if blocks]


def _table(rows: Rows) -> Table:
    wide = max(len(row) for row in rows.rows)
    heads = ("", *rows.heads, *[""] * wide)[:wide]
    cells = [
        tuple(Cell(text, muted=row[0] == PRINTED) for text in (*row, *[""] * (wide - len(row)))) for row in rows.rows
    ]
    return Table(tuple(Head(text, figures=i > 0) for i, text in enumerate(heads)), tuple(cells))


def _galleries(result: Result) -> list[Gallery]:
    """Figures of one width stand in one gallery; the first has the legend."""
    widths = list(dict.fromkeys(figure.width for figure in result.figures))
    groups = [tuple(figure for figure in result.figures if figure.width == width) for width in widths]
    return [Gallery(group, legend=() if i else swatches(result.legend)) for i, group in enumerate(groups)]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("trainwell.lab"), PackageLoader("trainwell.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # all that the report's blocks ask for
    environment.filters.update(prose=prose, drawing=Markup, number=number, remedies=remedies_told, words=str)
    return environment
