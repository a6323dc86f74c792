"""Become one with the data (row P4): what came in, how it is used, how it is split."""

from trainwell.recipe.stages.result import Result
from trainwell.recipe.workshop import Workshop


def describe_data(ws: Workshop) -> Result:
    """The profile of the table, its split, and the inputs that the network will see."""
    facts, plan = ws.facts, ws.plan
    ws.progress(0.5, f"{facts.rows} rows, {len(facts.used)} of {len(facts.features)} columns used")
    material = ws.material(plan)
    train, validation = ws.fold_rows()
    evidence = {
        "rows": facts.rows,
        "train": int(train.shape[1]),
        "validation": int(validation.shape[1]),
        "test": len(ws.split.test) if ws.test_table is None else ws.test_table.rows,
        "folds": plan.data.folds,
        "inputs": material.preparation.inputs.dense,
        "embeddings": list(material.preparation.inputs.cardinalities),
        "parameters": material.blueprint(plan).layout.size,
        "targets": list(facts.targets),
        "task": facts.task,
        "why_task": facts.why_task,
        "classes": {str(c): n for c, n in zip(facts.classes, facts.class_counts, strict=True)},
        "columns": [column.as_dict() for column in facts.features],
        "duplicates": facts.duplicates,
        "notes": list(facts.notes),
    }
    return Result(None, evidence)
