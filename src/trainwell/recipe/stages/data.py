"""Become one with the data (row P4): what came in, how it is used, how it is split, and what is odd about it."""

import numpy as np
from torch import Tensor

from trainwell.data import Facts
from trainwell.diagnosis.finding import Finding
from trainwell.diagnosis.rules_data import data_findings
from trainwell.recipe.stages.result import Result
from trainwell.recipe.workshop import Workshop

SHARE = 0.02
"""Of the budget, for models of the data; Adult takes a third of that in a minute."""

NUMBERS_A_SECOND = 1_000_000
"""Numbers in the rows that are looked at, by the budget: all of Adult and of MNIST in a minute."""

Arrays = tuple[np.ndarray, np.ndarray]  # x (N, …), y (N,) or (N, C)


def describe_data(ws: Workshop) -> Result:
    """The profile of the rows, their split, the inputs that the network will see, and findings about them."""
    facts, plan = ws.facts, ws.plan
    ws.progress(0.2, _told(facts))
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
    ws.progress(0.5, _told(facts))
    found = _findings(ws) if ws.processes.writes else []
    return Result(None, evidence, {"findings": [finding.as_dict() for finding in found]})


def _findings(ws: Workshop) -> list[Finding]:
    """What the rules on data say of the rows as baselines take them, or of the module's inputs."""
    given, apart = ws.material.plain(ws.plan), ws.material.test_target
    x, x_test = given.x, given.x_test
    if x is None:
        x = _as_array(ws.material.samples(ws.plan).x)
        x_test = None if apart is None else _as_array(ws.material.test_samples(ws.plan).x)
    if x.dtype.kind == "c":
        return []
    parts = {"train": given.parts.train, "validation": given.parts.validation, "test": given.parts.test}
    pairs = {part: (x[rows], given.y[rows]) for part, rows in parts.items() if len(rows)}
    if apart is not None and x_test is not None:
        pairs["test"] = x_test, apart
    step = max(1, int(sum(x.size for x, _ in pairs.values()) / (NUMBERS_A_SECOND * ws.clock.budget)))
    some = {part: (x[::step], y[::step]) for part, (x, y) in pairs.items()}
    return data_findings(
        *some["train"],
        ws.facts.task,
        names=given.names,
        classes=ws.facts.classes,
        test=some.get("test"),
        validation=some.get("validation"),
        constant=tuple(column.name for column in ws.facts.features if not column.used and column.unique < 2),
        drawn=("validation", "test") if apart is None else ("validation",),
        seconds=SHARE * ws.clock.budget,
        seed=ws.plan.seed,
    )


def _as_array(x: Tensor) -> np.ndarray:
    """A tensor of any type as numpy has it."""
    x = x.cpu()
    return (x.float() if x.is_floating_point() and x.itemsize < 4 else x).numpy()


def _told(facts: Facts) -> str:
    columns = f", {len(facts.used)} of {len(facts.features)} columns used" if facts.features else ""
    return f"{facts.rows} rows{columns}"
