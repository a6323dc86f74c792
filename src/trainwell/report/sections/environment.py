"""Where the time went, and on what the run was made."""

from trainwell.report.blocks import Block, Figure, Gallery, Pairs, Section
from trainwell.report.figures import bars
from trainwell.report.records import Records
from trainwell.report.words import is_number, percent, seconds, stage_name

TOTAL = "total"


def environment(records: Records) -> Section | None:
    """Seconds of each stage, the versions, and how to repeat the run."""
    spent = {str(n): float(v) for n, v in (records.result.get("seconds") or {}).items() if is_number(v)}
    total, budget = spent.pop(TOTAL, sum(spent.values())), records.result.get("budget")
    blocks: list[Block] = []
    if spent:
        drawing = bars(
            [stage_name(n) for n in spent],
            list(spent.values()),
            label="Seconds of each stage",
            texts=[seconds(v) for v in spent.values()],
        )
        of = f" of a budget of {seconds(budget)} ({percent(total / budget)})" if is_number(budget) and budget else ""
        blocks.append(Gallery((Figure(drawing, f"{seconds(total)} in all{of}."),)))
    pairs = [("trainwell", str(records.result["version"]))] if records.result.get("version") else []
    pairs += [(str(name), str(value)) for name, value in (records.result.get("environment") or {}).items()]
    if records.result.get("seed") is not None:
        pairs.append(("seed", str(records.result["seed"])))
    if pairs:
        blocks.append(Pairs(tuple(pairs)))
    return Section("environment", "Time and machine", tuple(blocks)) if blocks else None
