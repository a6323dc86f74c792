"""Become one with the data (row P4): what came in, how it is used, how it is split."""

from trainwell.data import Facts
from trainwell.recipe.stages.result import Result
from trainwell.recipe.workshop import Workshop


def describe_data(ws: Workshop) -> Result:
    """The profile of the rows, their split, and the inputs that the network will see."""
    facts, plan = ws.facts, ws.plan
    ws.progress(0.5, _told(facts))
    if ws.material.one_order and ws.processes.writes:
        ws.material.samples(plan)  # written by one process
    ws.processes.tick()
    train, validation = ws.fold_rows()
    evidence = {
        "rows": facts.rows,
        "train": int(train.shape[1]),
        "validation": int(validation.shape[1]),
        "test": ws.test_rows,
        "folds": plan.data.folds,
        **ws.material.described(plan),
        "parameters": ws.material.structure(plan).layout.size,
        "targets": list(facts.targets),
        "task": facts.task,
        "why_task": facts.why_task,
        "classes": {str(c): n for c, n in zip(facts.classes, facts.class_counts, strict=True)},
        "duplicates": facts.duplicates,
        "notes": list(facts.notes),
    }
    return Result(None, evidence)


def _told(facts: Facts) -> str:
    columns = f", {len(facts.used)} of {len(facts.features)} columns used" if facts.features else ""
    return f"{facts.rows} rows{columns}"
