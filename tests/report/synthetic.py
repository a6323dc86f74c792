"""Synthetic run directories, complete or with parts missing, written by hand as the recipe writes them."""

import copy
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from trainwell.diagnosis import Finding, Remedy, write_findings
from trainwell.engine.record import Record
from trainwell.plan import Plan

EPOCHS, PER_EPOCH = 20, 10
LAYERS = ("hidden.0", "hidden.1", "output")

COLUMNS = [
    {"name": "age", "kind": "number", "why": "whole numbers, 73 distinct", "used": True, "missing": 0, "unique": 73,
     "minimum": 17.0, "maximum": 90.0, "median": 37.0, "outliers": 2, "top": [], "note": ""},
    {"name": "work", "kind": "category", "why": "words, 3 distinct", "used": True, "missing": 12, "unique": 3,
     "minimum": None, "maximum": None, "median": None, "outliers": 0, "top": [["private", 700], ["state", 200]],
     "note": ""},
    {"name": "id", "kind": "identifier", "why": "unique words", "used": False, "missing": 0, "unique": 1000,
     "minimum": None, "maximum": None, "median": None, "outliers": 0, "top": [], "note": "tells rows apart only"},
]  # fmt: skip

CLASS_SCORES = {
    "constant": {"accuracy": 0.75, "balanced_accuracy": 0.5, "f1": 0.0, "log_loss": 0.5623, "roc_auc": 0.5},
    "linear": {"accuracy": 0.83, "balanced_accuracy": 0.74, "f1": 0.64, "log_loss": 0.40, "roc_auc": 0.88},
    "gradient-boosting": {"accuracy": 0.85, "balanced_accuracy": 0.76, "f1": 0.67, "log_loss": 0.36, "roc_auc": 0.90},
}
CLASS_TEST = {"accuracy": 0.92, "balanced_accuracy": 0.87, "f1": 0.82, "log_loss": 0.21, "roc_auc": 0.96}
NUMBER_SCORES = {
    "constant": {"r2": -0.00003, "rmse": 10.0, "mae": 8.0},
    "linear": {"r2": 0.6, "rmse": 6.325, "mae": 5.0},
}
NUMBER_TEST = {"r2": 0.8412, "rmse": 3.985, "mae": 3.1}


def stages(task: str, scores: Mapping[str, Any], test: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The nine stages with plausible evidence."""
    classes = task == "binary"
    metric = "accuracy" if classes else "r2"
    evidence: dict[str, tuple[bool | None, dict[str, Any]]] = {
        "data": (None, {
            "rows": 1000, "train": 640, "validation": 160, "test": 200, "folds": 0, "inputs": 40, "embeddings": [],
            "parameters": 1234, "targets": ["income"], "task": task, "why_task": "'income' has 2 distinct values",
            "classes": {"<=50K": 750, ">50K": 250} if classes else {}, "columns": COLUMNS, "duplicates": 3,
            "notes": ["3 of 1,000 rows equal an earlier row."]}),
        "baselines": (None, {"metric": metric, "scores": scores, "best": "linear", "judged_on": "test", "rows": 800,
                             "seconds": dict.fromkeys(scores, 0.5)}),
        "initial-loss": (True, {"loss": 0.7, "chance": 0.6931, "ratio": 1.01, "loss_with_regularisation": 1.9}),
        "gradient-check": (True, {"worst_relative_error": 3.2e-8, "median_relative_error": 4e-10, "tolerance": 1e-5,
                                  "coordinates": 48}),
        "overfit-batch": (True, {"samples": 32, "steps": 60, "loss_first": 0.69, "loss_last": 0.004, "score": 1.0,
                                 "threshold": 0.0139, "curve": [[20, 0.2], [40, 0.03], [60, 0.004]]}),
        "rate-range": (True, {"rates": [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0], "losses": [0.69, 0.66, 0.4, 0.3, 0.9, None],
                              "loss_at_start": 0.7, "low": 1e-4, "high": 1e-2, "suggested": 5e-3}),
        "search": (True, {"trials": 9, "structures": 3, "rungs": [{"epochs": 5, "members": 9, "best": 0.4},
                                                                  {"epochs": 15, "members": 3, "best": 0.3}],
                          "best": {"optimizer.learning_rate": 0.004}, "best_validation": {"loss": 0.3, "metric": 0.9}}),
        "final": (True, {"members": 3, "epochs": [20.0, 20.0, 20.0], "best_epochs": [20.0, 20.0, 20.0],
                         "outcomes": ["trained for all its epochs"] * 3, "parameters": 1234,
                         "validation": {metric: 0.91}, "single_member": {metric: 0.90}}),
        "test": (True, {"metrics": test, "rows": 200, **_details(classes)}),
    }  # fmt: skip
    return [{"name": name, "passed": passed, "evidence": found} for name, (passed, found) in evidence.items()]


def _details(classes: bool) -> dict[str, Any]:
    if not classes:
        points = [[float(i), float(i + 3 * math.sin(i))] for i in range(60)]
        return {"scatter": points, "residual_std": [2.1]}
    return {
        "labels": ["<=50K", ">50K"],
        "confusion": [[140, 10], [6, 44]],
        "roc": [[0.0, 0.0], [0.02, 0.6], [0.1, 0.9], [1.0, 1.0]],
        "reliability": [[0.05, 0.04, 120], [0.5, 0.45, 30], [0.95, 0.97, 50]],
    }


def result(task: str = "binary") -> dict[str, Any]:
    """The content of a complete `result.json`."""
    classes = task == "binary"
    scores, test = (CLASS_SCORES, CLASS_TEST) if classes else (NUMBER_SCORES, NUMBER_TEST)
    metric = "accuracy" if classes else "r2"
    seconds = {"data": 0.1, "baselines": 1.0, "search": 20.0, "final": 25.0, "test": 0.2, "total": 47.0}
    return copy.deepcopy(
        {
            "task": task,
            "targets": ["income"],
            "metric": {"name": metric, "value": test[metric], "higher_is_better": True},
            "validation": {metric: 0.91},
            "test": test,
            "baselines": scores,
            "members": 3,
            "trials": 9,
            "seconds": seconds,
            "seed": 0,
            "version": "0.1.0",
            "format": 1,
            "source": "people.csv",
            "budget": 60.0,
            "interrupted": False,
            "stages": stages(task, scores, test),
            "environment": {"python": "3.11.7", "torch": "2.13.0", "device": "cpu", "threads": "2"},
        }
    )


def record(train: Sequence[float], validation: Sequence[float], members: int = 3) -> Record:
    """Curves by epoch, the same for all members, with a few signals of the layers."""
    made, who = Record(), list(range(members))
    for epoch, (a, b) in enumerate(zip(train, validation, strict=True), start=1):
        step = epoch * PER_EPOCH
        values = {
            "loss": a,
            "train_loss": a,
            "validation_loss": b,
            "validation_metric": 1 - b,
            "learning_rate": 0.01 / epoch,
        }
        for signal, value in values.items():
            made.add(step, "", signal, who, [value * (1 + 0.01 * m) for m in who])
        for depth, layer in enumerate(LAYERS):
            for signal, value in {"gradient-norm": 0.1 * 2**depth, "update-ratio": 1e-3, "dead-fraction": 0.1}.items():
                made.add(step, layer, signal, who, [value / epoch] * members)
    return made


def healthy() -> Record:
    """Both losses fall and level out."""
    train = [0.3 + 0.4 * math.exp(-e / 2) for e in range(EPOCHS)]
    return record(train, [v + 0.02 for v in train])


def trials() -> pl.DataFrame:
    """Nine trials, one of them diverged."""
    rows = range(9)
    return pl.DataFrame(
        {
            "trial": list(rows),
            "structure": [i // 3 for i in rows],
            "rung": [1 if i < 3 else 0 for i in rows],
            "epochs": [15.0 if i < 3 else 5.0 for i in rows],
            "outcome": ["finished"] * 3 + ["culled"] * 5 + ["diverged"],
            "validation_loss": [0.3 + 0.02 * i for i in range(8)] + [math.inf],
            "validation_metric": [0.9 - 0.01 * i for i in rows],
            "network.activation": ["relu", "gelu", "silu"] * 3,
            "network.residual": [bool(i % 2) for i in rows],
            "optimizer.learning_rate": [10 ** (-4 + 0.4 * i) for i in rows],
            "optimizer.weight_decay": [0.0, 0.0, *[10 ** (-4 + 0.3 * i) for i in range(7)]],
            "regularisation.dropout": [0.05 * i for i in rows],
        }
    )


def overfitting() -> Finding:
    """A finding with everything a finding can have."""
    return Finding(
        "overfitting",
        "warning",
        "From step 40 on the network learned the training rows by heart.",
        layer="hidden.0",
        member=1,
        step=40,
        evidence={"measured": 1.9, "threshold": 1.25, "figure": "validation loss over its best"},
        remedies=(
            Remedy("dropout", "units cannot rely on one another", {"regularisation.dropout": 0.3}),
            Remedy("more-data", "collect more rows", None, {"before": 0.8, "after": 0.9, "helped": True}),
        ),
    )


def plan() -> Plan:
    """A complete plan with values of every author."""
    made = Plan(task="binary").edited({"training.batch_size": 64}, by="user", why="--set")
    made = made.edited({"network.width": 64}, by="data", why="1000 rows")
    made = made.edited({"optimizer.learning_rate": 0.004}, by="search", why="best validation of the search")
    return made.edited({"regularisation.dropout": 0.3}, by="remedy", why="overfitting")


def write_run(
    folder: Path,
    content: Mapping[str, Any],
    *,
    findings: Sequence[Finding] | None = (),
    vitals: Record | None = None,
    table: pl.DataFrame | None = None,
) -> Path:
    """Write a run directory; what is None is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(content), encoding="utf-8")
    plan().to_yaml(folder / "plan.yaml")
    if findings is not None:
        write_findings(folder / "findings.jsonl", findings)
    if vitals is not None:
        vitals.write(folder / "vitals.parquet")
    if table is not None:
        table.write_parquet(folder / "trials.parquet")
    return folder


def complete_run(folder: Path, task: str = "binary", **changes: Any) -> Path:
    """A finished run; `changes` replace top-level parts of its result."""
    return write_run(folder, {**result(task), **changes}, vitals=healthy(), table=trials())


def stopped_after(content: dict[str, Any], name: str) -> dict[str, Any]:
    """The result of a run that Ctrl-C ended after this stage."""
    names = [stage["name"] for stage in content["stages"]]
    kept = content["stages"][: names.index(name) + 1]
    lost = [
        {"name": n, "passed": None, "evidence": {"why": "interrupted before this stage"}} for n in names[len(kept) :]
    ]
    nothing = {"test": {}, "validation": {}, "members": 0, "trials": 0, "interrupted": True}
    baselines = content["baselines"] if "baselines" in names[: len(kept)] else {}
    return {**content, **nothing, "baselines": baselines, "stages": [*kept, *lost]}
