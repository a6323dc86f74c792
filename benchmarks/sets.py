"""Data sets to measure on: folders with train, test and meta.json, or the bundled ones split here."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from trainwell.base import DataError
from trainwell.data import Table, profile, read_table

BUNDLED = {"iris": "target", "wine": "target", "breast_cancer": "target", "diabetes": "target"}
NETWORKS = ("mlp", "multilayer", "nnet", "mc_dropout", "same network")  # names of published dense networks


@dataclass(frozen=True)
class DataSet:
    """A table with its test part.

    Attributes:
        task: "regression", or "classes" for any kind of classification.
        published: the best published figure of a dense network, in our metric, and whose it is; for information.
    """

    name: str
    train: Path
    test: Path
    target: str
    task: str
    published: dict[str, Any] = field(default_factory=dict)

    @property
    def metric(self) -> str:
        """What is compared."""
        return "rmse" if self.task == "regression" else "accuracy"

    @property
    def higher_is_better(self) -> bool:
        """The direction of the metric."""
        return self.metric == "accuracy"


def sets_in(folder: Path) -> list[DataSet]:
    """Every set of a folder, by name.

    Raises:
        DataError: the folder holds none.
    """
    found = [_read(meta) for meta in sorted(folder.glob("*/meta.json"))]
    if not found:
        raise DataError(f"There is no data set in '{folder}': give a folder of folders with train, test and meta.json.")
    return found


def _read(path: Path) -> DataSet:
    meta = json.loads(path.read_text(encoding="utf-8"))
    task = "regression" if "regression" in meta["task"] else "classes"
    files = [next(path.parent.glob(f"{part}.*")) for part in ("train", "test")]
    return DataSet(path.parent.name, files[0], files[1], meta["target"], task, published(meta, task))


def published(meta: dict[str, Any], task: str) -> dict[str, Any]:
    """The best published dense network.

    >>> published({"published": {"mlp_a": 97.7, "nnet_b": 98.9, "svm": 99.9}}, "classes")
    {'name': 'nnet_b', 'value': 0.989}
    """
    entries = [(name, _figure(value)) for name, value in (meta.get("published") or {}).items()]
    known = [(n, v) for n, v in entries if v is not None and any(word in n.lower() for word in NETWORKS)]
    if not known:
        return {}
    if task == "regression":
        name, value = min(known, key=lambda pair: pair[1])
    else:
        name, value = max(((n, v / 100 if v > 1 else v) for n, v in known), key=lambda pair: pair[1])
    return {"name": name, "value": round(value, 6)}


def _figure(value: Any) -> float | None:
    if isinstance(value, dict):
        value = next((value[key] for key in ("rmse", "mean", "rmse_mean_se") if key in value), None)
    if isinstance(value, list):
        value = value[0]
    return float(value) if isinstance(value, int | float) else None


def bundled(folder: Path) -> Iterator[DataSet]:
    """The bundled sets, a fifth of each set apart for the test, as files in `folder`."""
    for name, target in BUNDLED.items():
        table = read_table(name)
        _, facts = profile(table, [target])
        y = table.frame[target].to_numpy()
        classes = facts.task != "regression"
        rows = train_test_split(np.arange(table.rows), test_size=0.2, random_state=0, stratify=y if classes else None)
        files = [_write(table, np.sort(part), folder / f"{name}-{i}.parquet") for i, part in enumerate(rows)]
        yield DataSet(name, files[0], files[1], target, "classes" if classes else "regression")


def _write(table: Table, rows: np.ndarray, path: Path) -> Path:
    table.frame[rows].write_parquet(path)
    return path
