"""The whole plan: each value, who chose it, and why."""

from typing import Any

from trainwell.plan import paths
from trainwell.report.blocks import Cell, Head, Prose, Section, Table, Tone, row
from trainwell.report.records import Records
from trainwell.report.words import counted, listed, number, shortened

BADGES: dict[str, Tone] = {"user": "good", "data": "plain", "search": "plain", "remedy": "warn"}
CHOSEN = {"user": "by you", "data": "from the data", "search": "by the search", "remedy": "by a remedy"}


def plan(records: Records) -> Section | None:
    """Values that somebody or something chose, then the standard ones."""
    if records.plan is None:
        return None
    chosen = [p for p in paths() if records.plan.origin(p).by != "default"]
    standard = [p for p in paths() if p not in chosen]
    counts = [f"{n} {CHOSEN[by]}" for by in CHOSEN if (n := sum(records.plan.origin(p).by == by for p in chosen))]
    lead = (
        f"{counted(len(chosen), 'value')} {'was' if len(chosen) == 1 else 'were'} chosen ({listed(counts)})"
        if chosen
        else "No value was chosen"
    )
    lead += f"; {len(standard)} keep trainwell's standard. All of it is in `plan.yaml`, which `--plan` takes back."
    blocks: list[Any] = [Prose(lead)]
    if chosen:
        blocks.append(_table(records, chosen, ""))
    if standard:
        blocks.append(_table(records, standard, f"The {len(standard)} standard values"))
    return Section("plan", "The plan", tuple(blocks))


def _table(records: Records, chosen: list[str], folded: str) -> Table:
    assert records.plan is not None
    rows = []
    for path in chosen:
        origin = records.plan.origin(path)
        by = Cell(origin.by, badge=BADGES.get(origin.by), muted=origin.by == "default")
        rows.append(
            row(
                Cell(path, code=True),
                Cell(_told(records.plan.get(path)), best=not folded),
                by,
                Cell(origin.why, muted=True),
            )
        )
    return Table((Head("Value of"), Head("Is"), Head("Chosen by"), Head("Why")), tuple(rows), folded=folded)


def _told(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, int | float) else shortened(value if value != {} else "none", 60)
