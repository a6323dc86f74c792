"""The report of a run: one offline HTML file, made from the run directory alone."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from trainwell.base import InputError
from trainwell.base.files import replace_text
from trainwell.report.advice import advice, remedies_told
from trainwell.report.blocks import Prose, Section, Tile, Tone
from trainwell.report.fit import courses, judge_fit
from trainwell.report.healing import healing_told
from trainwell.report.records import Records, read_records
from trainwell.report.sections import SECTIONS, Teller
from trainwell.report.verdict import GUESS, Standing, headline, how_good, standing, what_was_trained
from trainwell.report.words import capital, counted, listed, metric_name, model_title, number, percent, seconds

REPORT = "report.html"
DAMAGED = (ArithmeticError, AttributeError, InputError, LookupError, TypeError, ValueError, pl.exceptions.PolarsError)


@dataclass(frozen=True)
class Verdict:
    """The top of the page."""

    headline: str
    tone: Tone
    tiles: tuple[Tile, ...]
    paragraphs: tuple[str, ...]
    next_steps: tuple[str, ...]


def write_report(run_dir: Path) -> Path:
    """Write `report.html` into a run directory, and give its path.

    Raises:
        RunError: there is no such directory, or no readable result in it.
    """
    path = Path(run_dir) / REPORT
    replace_text(path, render(read_records(Path(run_dir))))
    return path


def render(records: Records) -> str:
    """The page as HTML. It asks for nothing from outside and holds no script."""
    sections, left_out = tell(records)
    page = _environment().get_template("report.html.j2")
    return page.render(
        records=records,
        targets=listed(records.targets),
        verdict=verdict(records),
        sections=sections,
        left_out=left_out,
        style=Markup(files("trainwell.report").joinpath("templates/report.css").read_text(encoding="utf-8")),
    )


def verdict(records: Records) -> Verdict:
    """The verdict; a record too damaged to judge is said to be that."""
    try:
        s, fit = standing(records), judge_fit(records, courses(records))
        words, tone = headline(records, s)
        judged = "" if s is None else " ".join(how_good(records, s))
        course = " ".join(text for text in ("" if s is None else fit.sentence, _found(records)) if text)
        paragraphs = [what_was_trained(records), judged, course, healing_told(records.evidence("healing"))]
        steps = advice(records, s, fit)
        return Verdict(words, _tone(tone), _tiles(records, s), tuple(text for text in paragraphs if text), steps)
    except DAMAGED as fault:
        text = f"This run's record is damaged or of another version ({_named(fault)}), so it cannot be judged."
        return Verdict(text, "bad", (), (), ("Train again, or make the report with the version that wrote the run.",))


def _tone(name: str) -> Tone:
    tones: dict[str, Tone] = {"good": "good", "warn": "warn", "bad": "bad"}
    return tones.get(name, "plain")


def _found(records: Records) -> str:
    found = records.findings
    if found is None:
        return ""
    grave = sorted((f for f in found if f.severity != "info"), key=lambda f: f.severity != "critical")
    if not grave:
        return "The rules found nothing that harms the training." if records.result.get("members") else ""
    return f"The rules found {counted(len(grave), 'thing')} to look at: {listed([f'`{f.kind}`' for f in grave[:5]])}."


def _tiles(records: Records, s: Standing | None) -> tuple[Tile, ...]:
    if s is None:
        return ()
    note = (
        f"95{chr(0x202F)}% interval ± {percent(s.doubt)}"
        if s.doubt == s.doubt
        else f"{number(s.rows)} rows"
        if s.rows
        else ""
    )
    tiles = [Tile(s.told(s.value), f"{capital(s.part)} {metric_name(s.metric)}", note)]
    if s.best_rival:
        words = {"ahead": "beaten", "level": "level", "behind": "not beaten"}[s.against(s.best_rival)]
        tiles.append(
            Tile(s.told(s.others[s.best_rival]), capital(model_title(s.best_rival)), f"best baseline, {words}")
        )
    if GUESS in s.others:
        tiles.append(Tile(s.told(s.others[GUESS]), "Guessing", "without looking at the inputs"))
    spent, trials = (records.result.get("seconds") or {}).get("total"), records.result.get("trials") or 0
    made = f"{counted(trials, 'trial')}, {counted(records.result.get('members') or 0, 'final network')}"
    return (*tiles, Tile(seconds(spent), "Time", made))


def tell(records: Records, sections: dict[str, Teller] = SECTIONS) -> tuple[list[Section], list[str]]:
    """Every section there is something to tell in, and a sentence for what is left out."""
    told: list[Section] = []
    absent: list[str] = []
    for title, teller in sections.items():
        try:
            section = teller(records)
        except DAMAGED as fault:
            why = f"This part's record is damaged or of another version ({_named(fault)}), so it is left out."
            section = Section(title.lower().replace(" ", "-"), title, (Prose(why, "warn"),), "damaged", "warn")
        if section is None:
            absent.append(title)
        else:
            told.append(section)
    nothing = (
        [f"This run has nothing to show of: {listed([name[0].lower() + name[1:] for name in absent])}."]
        if absent
        else []
    )
    return told, [*records.missing, *nothing]


def _named(fault: BaseException) -> str:
    return f"{type(fault).__name__}: {fault}" if str(fault) else type(fault).__name__


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("trainwell.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(prose=prose, drawing=Markup, number=number, remedies=remedies_told, words=_words)
    return environment


def _words(name: Any) -> str:
    return str(name).replace("_", " ").replace("-", " ")


def prose(sentence: str) -> Markup:
    """Escaped text in which `names` are set as code and **leads** in bold.

    >>> print(prose("the column `<b>` is **not** used"))
    the column <code>&lt;b&gt;</code> is <strong>not</strong> used
    """
    parts = str(sentence).split("`")
    if len(parts) % 2 == 0:  # a backtick without a partner is a character like others
        parts[-2:] = ["`".join(parts[-2:])]
    return Markup("").join(Markup("<code>{}</code>").format(p) if i % 2 else _bold(p) for i, p in enumerate(parts))


def _bold(text: str) -> Markup:
    parts = text.split("**")
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup("").join(Markup("<strong>{}</strong>").format(p) if i % 2 else escape(p) for i, p in enumerate(parts))
