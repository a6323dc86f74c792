"""The data as it came in: size, split, target, and each column with its kind and use."""

from collections.abc import Mapping
from typing import Any

from trainwell.report.blocks import Block, Cell, Figure, Gallery, Head, Pairs, Points, Section, Table, row
from trainwell.report.figures import bars
from trainwell.report.records import Records
from trainwell.report.sections.checks import split_told
from trainwell.report.sections.module import module_blocks
from trainwell.report.words import counted, is_number, number, percent, shortened

MOST_COLUMNS = 200  # rows of the table; the others are named by their count
MOST_CLASSES = 20


def data(records: Records) -> Section | None:
    """The profile."""
    e = records.evidence("data")
    if not e:
        return None
    blocks: list[Block] = [Pairs(tuple(_pairs(records, e)))]
    if e.get("notes"):
        blocks.append(Points(tuple(str(note) for note in e["notes"]), "Worth knowing"))
    if classes := _classes(e):
        blocks.append(Gallery((classes,)))
    if e.get("columns"):
        blocks.append(_table(e["columns"]))
    blocks += module_blocks(e)
    return Section("data", "The data and your module" if e.get("module") else "The data", tuple(blocks))


def _pairs(records: Records, e: Mapping[str, Any]) -> list[tuple[str, str]]:
    source = records.result.get("source")
    pairs = [("Source", str(source))] if source else []
    pairs.append(("Rows", number(e.get("rows"))))
    pairs.append(("Split", split_told(e)))
    pairs.append(("Task", f"{e.get('task', '–')}{f': {why}' if (why := e.get('why_task')) else ''}"))
    if is_number(e.get("inputs")):
        embedded = f" and {counted(len(e['embeddings']), 'embedding')}" if e.get("embeddings") else ""
        pairs.append(("Inputs of the network", f"{number(e['inputs'])}{embedded}"))
    if e.get("module") and e.get("inputs"):
        pairs.append(("Each input", str(e["inputs"])))
    if is_number(e.get("duplicates")):
        pairs.append(("Duplicate rows", number(e["duplicates"])))
    return pairs


def _classes(e: Mapping[str, Any]) -> Figure | None:
    classes = {str(name): n for name, n in (e.get("classes") or {}).items() if is_number(n)}
    total = sum(classes.values())
    if not total:
        return None
    shown = sorted(classes, key=lambda name: -classes[name])[:MOST_CLASSES]
    texts = [f"{number(classes[name])} ({percent(classes[name] / total)})" for name in shown]
    drawing = bars(
        shown,
        [float(classes[n]) for n in shown],
        label="Rows of each class",
        texts=texts,
        colours=["other"] * len(shown),
    )
    more = f" The {MOST_CLASSES} most frequent of {len(classes)}." if len(classes) > len(shown) else ""
    return Figure(drawing, f"Rows of each class.{more}")


def _table(columns: list[Mapping[str, Any]]) -> Table:
    titles = (
        Head("Column"),
        Head("Kind"),
        Head("Used"),
        Head("Missing", True),
        Head("Distinct", True),
        Head("Values"),
        Head("Why this kind"),
    )
    rows = tuple(_column(c) for c in columns[:MOST_COLUMNS])
    more = f"{len(columns) - MOST_COLUMNS} more columns are not listed." if len(columns) > MOST_COLUMNS else ""
    folded = f"The {counted(len(columns), 'column')}" if len(columns) > 40 else ""
    return Table(titles, rows, more, folded=folded, title="Columns")


def _column(c: Mapping[str, Any]) -> tuple[Cell, ...]:
    used = bool(c.get("used", True))
    note = str(c.get("note") or "")
    missing = c.get("missing") or 0
    return row(
        Cell(shortened(c.get("name", "?"), 40), hint=str(c.get("name", "")), muted=not used),
        str(c.get("kind", "–")),
        Cell("used" if used else "not used", badge="plain" if used else "warn", hint=note),
        Cell(number(missing) if missing else "–", muted=not missing),
        number(c.get("unique")),
        Cell(_values(c)),
        Cell(". ".join(part for part in (str(c.get("why") or ""), note) if part), muted=True),
    )


def _values(c: Mapping[str, Any]) -> str:
    if c.get("top"):
        told = [f"{shortened(name, 16)} ({number(count)})" for name, count in c["top"][:3]]
        return ", ".join(told)
    if is_number(c.get("minimum")):
        text = f"{number(c['minimum'])} … {number(c['maximum'])}, median {number(c.get('median'))}"
        return text + (f", {counted(c['outliers'], 'outlier')}" if c.get("outliers") else "")
    return ""
