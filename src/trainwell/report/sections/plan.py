"""The whole plan: each value, who chose it, and why."""

from typing import Any

from trainwell.plan import Plan, is_of_tables, paths, unregularised
from trainwell.report.blocks import Cell, Head, Prose, Section, Table, Tone, row
from trainwell.report.records import Records
from trainwell.report.words import counted, listed, number, shortened

BADGES: dict[str, Tone] = {"user": "good", "data": "plain", "search": "plain", "remedy": "warn"}
CHOSEN = {"user": "by you", "data": "from the data", "search": "by the search", "remedy": "by a remedy"}


def plan(records: Records) -> Section | None:
    """Values that somebody or something chose, then standard ones in effect; those without effect are folded away."""
    if records.plan is None:
        return None
    told = [path for path in paths() if not (records.of_module and is_of_tables(path))]
    by = {path: records.plan.origin(path).by for path in told}
    chosen = [path for path in told if by[path] != "default"]
    at_work = [path for path in told if path not in chosen and _in_effect(records.plan, path)]
    idle = [path for path in told if path not in (*chosen, *at_work)]
    counts = [f"{n} {CHOSEN[who]}" for who in CHOSEN if (n := list(by.values()).count(who))]
    lead = (
        f"{counted(len(chosen), 'value')} {'was' if len(chosen) == 1 else 'were'} chosen ({listed(counts)})"
        if chosen
        else "No value was chosen"
    )
    back = "trainwell.fit(…, plan=…)" if records.of_module else "--plan"
    lead += (
        f"; {len(at_work)} are trainwell's standard, and {len(idle)} have no effect on this training. "
        f"All of it is in `plan.yaml`, which `{back}` takes back."
    )
    blocks: list[Any] = [Prose(lead)]
    if chosen:
        blocks.append(_table(records, chosen, title="Chosen"))
    if at_work:
        blocks.append(_table(records, at_work, title="Standard"))
    if idle:
        blocks.append(_table(records, idle, folded=f"The {counted(len(idle), 'value')} without effect"))
    return Section("plan", "The plan", tuple(blocks))


def _in_effect(plan: Plan, path: str) -> bool:
    """Whether a value does anything: it belongs to a chosen ingredient, and is neither empty nor off."""
    value = plan.get(path)
    off = path in (none := unregularised()) and value == none[path]
    return plan.uses(path) and value is not None and value != {} and not off


def _table(records: Records, chosen: list[str], *, folded: str = "", title: str = "") -> Table:
    assert records.plan is not None
    rows = []
    for path in chosen:
        origin = records.plan.origin(path)
        by = Cell(origin.by, badge=BADGES.get(origin.by), muted=origin.by == "default")
        rows.append(
            row(
                Cell(path, code=True),
                Cell(_told(records.plan.get(path)), best=origin.by != "default"),
                by,
                Cell(origin.why, muted=True),
            )
        )
    heads = (Head("Value of"), Head("Is"), Head("Chosen by"), Head("Why"))
    return Table(heads, tuple(rows), folded=folded, title=title)


def _told(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, int | float) else shortened(value if value != {} else "none", 60)
