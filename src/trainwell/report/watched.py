"""The page of a watched training: verdict, findings with what they mean, curves, layers, what is known of the program.

One offline HTML file, made from the record, the findings and the program alone.
"""

from dataclasses import replace
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from trainwell.diagnosis import KINDS, RULES, explain_text
from trainwell.diagnosis.case import EARLY
from trainwell.report.advice import remedies_told
from trainwell.report.blocks import Block, Cell, Findings, Head, Prose, Section, Table, Tile, Tone, row
from trainwell.report.page import Verdict, prose
from trainwell.report.watched_course import course
from trainwell.report.watched_layers import inside
from trainwell.report.watched_program import Watched, known, unseen
from trainwell.report.words import capital, code, counted, listed, number
from trainwell.version import VERSION

NAMED = 3  # kinds in the headline; the findings below tell all
MOST_STEPS = 4  # things to do that a reader takes in


def render(watched: Watched) -> str:
    """The page as HTML. It asks for nothing from outside and holds no script."""
    kinds = {finding.kind for finding in watched.findings} & set(KINDS)
    return (
        _environment()
        .get_template("watched.html.j2")
        .render(
            verdict=verdict(watched),
            updates=counted(watched.updates, "update"),
            by=watched.program.settings.get("optimizer.name", ""),
            loss=watched.program.loss.kind,
            sections=sections(watched),
            explained={kind: explained(kind) for kind in kinds},
            version=VERSION,
            style=Markup(files("trainwell.report").joinpath("templates/report.css").read_text(encoding="utf-8")),
        )
    )


def sections(watched: Watched) -> list[Section]:
    """The parts below the verdict; those without anything to show are left out."""
    told = [_findings(watched), course(watched), inside(watched), known(watched)]
    return [section for section in told if section is not None]


def verdict(watched: Watched) -> Verdict:
    """The top of the page."""
    paragraphs = (*_seen(watched), *unseen(watched))
    return Verdict(*headline(watched), _tiles(watched), paragraphs, _next(watched))


def headline(watched: Watched) -> tuple[str, Tone]:
    """One sentence: the gravest, causes before what follows from them; that all is well; or that nothing was seen."""
    grave = watched.grave
    if grave:
        critical = any(finding.severity == "critical" for finding in grave)
        causes = sorted((f for f in grave if "caused_by" not in f.evidence), key=lambda f: f.severity != "critical")
        kinds = _named([f.kind for f in causes])
        what = ("ruin" if critical else "cost") + ("s" if len(causes) == 1 else "")
        told = f"{capital(kinds)} {what} this training{'' if critical else ' quality'}"
        rest = [f.kind for f in grave if "caused_by" in f.evidence]
        follow = f"; {_named(rest)} probably follow{'s' if len(rest) == 1 else ''} from it" if rest else ""
        return f"{told}{follow}.", "bad" if critical else "warn"
    if not watched.updates:
        return "Nothing was seen: `w.step(loss)` was never called.", "warn"
    if watched.updates < EARLY:
        return f"Nothing wrong so far, in {counted(watched.updates, 'update')}: too few for most rules.", "plain"
    far = ", as far as could be seen" if watched.program.notes else ""
    return f"All is well{far}: {len(RULES)} rules found no fault in {counted(watched.updates, 'update')}.", "good"


def _named(kinds: list[str]) -> str:
    """Kinds as a phrase, the first few of them."""
    more = [counted(len(kinds) - NAMED, "more fault")] if len(kinds) > NAMED else []
    return listed([*(code(kind) for kind in kinds[:NAMED]), *more])


def _seen(watched: Watched) -> list[str]:
    """What was looked at, and what for."""
    if not watched.updates:
        return []
    parts = [f"the loss of {counted(watched.updates, 'update')}"]
    if watched.looks:
        layers = counted(len(watched.layers), "layer")
        parts.append(f"gradients, updates and activations of {layers} in {number(watched.looks)} of them")
    parts.append(counted(watched.validations, "validation") if watched.validations else "no validation")
    return [f"Looked at: {'; '.join(parts)}. Looked for: {len(RULES)} kinds of fault, listed with the findings."]


def _tiles(watched: Watched) -> tuple[Tile, ...]:
    if not watched.updates:
        return ()
    _, losses = watched.record.series("loss", member=0)
    first, last = float(losses[0]), float(losses[-1])
    tiles = [
        Tile(number(watched.updates), "Updates", f"{counted(watched.looks, 'look')} at the layers"),
        Tile(_figure(last), "Last training loss", f"the first: {_figure(first)}"),
    ]
    _, held = watched.record.series("validation_loss", member=0)
    if len(held):
        finite = [float(v) for v in held if v - v == 0]
        tiles.append(
            Tile(
                _figure(float(held[-1])),
                "Last validation loss",
                f"the best: {_figure(min(finite, default=float('nan')))}",
            )
        )
    note = ", ".join(f"{n} {name}" for name in ("critical", "warning", "info") if (n := watched.count(name)))
    return (*tiles, Tile(number(len(watched.findings)), "Findings", note or "none"))


def _figure(value: float) -> str:
    return "not finite" if value - value != 0 else number(value)


def _next(watched: Watched) -> tuple[str, ...]:
    """The first remedy of each cause, or of each finding where all follow from others; then what would show more."""
    causes = [f for f in watched.grave if "caused_by" not in f.evidence] or list(watched.grave)
    steps = [f"Against {code(f.kind)}: {remedies_told(f)[0]}" for f in causes if f.remedies]
    if not watched.updates:
        steps.append("Call `w.step(loss)` after each `optimizer.step()`.")
    elif not watched.validations:
        steps.append(
            "Call `w.validate(loss=…)` after each judgement on validation rows: overfitting shows nowhere else."
        )
    if watched.updates and watched.program.targets is None:
        steps.append("Give `inputs=`, `targets=` and `outputs=` to `w.step`: more rules can judge then.")
    return tuple(steps[:MOST_STEPS]) or ("Nothing needs to be done.",)


def _findings(watched: Watched) -> Section:
    found = watched.findings
    if not found:
        tone: Tone = "good" if watched.updates >= EARLY else "muted"
        text = "No rule found anything." if watched.updates else "Nothing was judged."
        blocks = (Prose(text, tone), _looked_for()) if watched.updates else (Prose(text, tone),)
        return Section("findings", "Findings", blocks, "none" if watched.updates else "", tone)
    lead = "Causes come before what may follow from them; what is only worth knowing comes last."
    tones: dict[str, Tone] = {"critical": "bad", "warning": "warn"}
    told = Findings(tuple(replace(finding, member=None) for finding in found))  # there is one network only
    told_of: tuple[Block, ...] = (*((Prose(lead, "muted"),) if len(found) > 1 else ()), told, _looked_for())
    return Section("findings", "Findings", told_of, str(len(found)), tones.get(watched.worst, "plain"))


def _looked_for() -> Table:
    """All kinds that rules search for in a training, from cause to symptom."""
    rows = tuple(row(Cell(kind, code=True), KINDS[kind].meaning) for kind in RULES)
    return Table(
        (Head("Kind"), Head("What it is")), rows, folded=f"The {len(RULES)} kinds of fault that were looked for"
    )


def explained(kind: str) -> Markup:
    """The page that `trainwell explain` prints, as HTML.

    >>> print(explained("loss-spike")[:3])
    <p>
    """
    parts = explain_text(kind).strip("\n").split("\n\n")[1:]  # the first is its heading
    return Markup("\n").join(_part(part) for part in parts)


def _part(part: str) -> Markup:
    if part.startswith("    "):
        return Markup("<pre>{}</pre>").format("\n".join(line[4:] for line in part.split("\n")))
    head, _, body = part.partition("\n") if part.startswith("## ") else ("", "", part)
    title = Markup("<h4>{}</h4>").format(head.removeprefix("## ")) if head else Markup("")
    if body.startswith("- "):
        items = body.removeprefix("- ").replace("\n  ", " ").split("\n- ")
        return title + Markup("<ul>{}</ul>").format(
            Markup("").join(Markup("<li>{}</li>").format(prose(i)) for i in items)
        )
    return title + Markup("<p>{}</p>").format(prose(body.replace("\n", " ")))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("trainwell.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # all that the report's blocks ask for
    environment.filters.update(prose=prose, drawing=Markup, number=number, remedies=remedies_told, words=_words)
    return environment


def _words(name: str) -> str:
    return name.replace("_", " ")
