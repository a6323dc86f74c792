"""A run read back from its directory: results, plan, findings, and the networks ready to predict."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from torch import nn

from trainwell.base import RunError
from trainwell.data import Preparation, load_preparation
from trainwell.data.module_inputs import ModuleInputs
from trainwell.diagnosis import Finding, read_findings
from trainwell.engine import Ensemble, ModuleEnsemble, Networks, Record
from trainwell.plan import Plan
from trainwell.recipe.folder import read_json, require_run
from trainwell.recipe.intake import as_table
from trainwell.recipe.kept import Make, check_kind
from trainwell.recipe.material import as_probabilities, as_samples

FORMAT = 1


@dataclass(frozen=True)
class Run:
    """One training and its result.

    Attributes:
        path: the run directory. result: the content of `result.json`. plan: the whole configuration, with reasons.
        findings: what is worth knowing. record: vitals of the final members. trials: one row a trial of the search.
        preparation, ensemble: what predicts; `ensemble` is None when the run was stopped before it had a network. Of
            a user's module the preparation is the form of its inputs.
    """

    path: Path
    result: dict[str, Any]
    plan: Plan
    findings: list[Finding]
    record: Record
    trials: pl.DataFrame
    preparation: Preparation | ModuleInputs
    ensemble: Networks | None

    @property
    def report_path(self) -> Path:
        """The page that tells what happened."""
        return self.path / "report.html"

    @property
    def classes(self) -> tuple[Any, ...]:
        """Labels in the user's own type; () for a regression."""
        return self.preparation.classes

    def predict_proba(self, data: Any) -> np.ndarray:
        """Probabilities (N, C) of the classes, or of each label being 1.

        Raises:
            DataError: the data lacks a column, or a column has another type. RunError: a regression, or no network.
        """
        if self.preparation.task == "regression":
            raise RunError("A regression has no probabilities; use predict.")
        return as_probabilities(self._averaged(data), self.preparation.task)

    def predict(self, data: Any) -> np.ndarray:
        """Labels (N,) in the user's own type; 0/1 (N, C) for several labels; numbers (N,) or (N, C) of a regression."""
        prediction, p = self._averaged(data), self.preparation
        if p.task == "regression":
            values = prediction if isinstance(p, ModuleInputs) else prediction * p.target_std + p.target_mean
            return values[:, 0] if len(p.targets) == 1 else values
        if p.task == "multilabel":
            return (prediction > 0.5).astype(np.int64)
        return np.asarray(p.classes)[as_probabilities(prediction, p.task).argmax(axis=1)]

    def table(self, data: Any, *, proba: bool = False) -> pl.DataFrame:
        """Predictions as a table: a column a target, or with `proba` a column a class."""
        p = self.preparation
        if proba:
            return pl.DataFrame(self.predict_proba(data), schema=[str(c) for c in p.classes], orient="row")
        values = self.predict(data)
        return pl.DataFrame({name: values if values.ndim == 1 else values[:, i] for i, name in enumerate(p.targets)})

    def member(self, index: int) -> nn.Module:
        """One of the averaged networks as a plain `torch.nn.Module`, in evaluation mode.

        Its inputs are those of `preparation`. Of a user's module it is one of their class, and takes and gives what
        theirs does.
        """
        return self._networks().member(index)

    def _networks(self) -> Networks:
        if self.ensemble is None:
            raise RunError(
                f"The run '{self.path}' has no trained network: it was stopped early; "
                f"continue it with {how_to_resume(self.path, self.result)}."
            )
        return self.ensemble

    def _averaged(self, data: Any) -> np.ndarray:
        networks, p = self._networks(), self.preparation
        if isinstance(p, ModuleInputs):
            samples = p.samples(data)
        else:
            samples = as_samples(p.encode(as_table(data), with_target=False), p.task)
        return networks.predict(samples).numpy().astype(np.float64)


def how_to_resume(path: Path, result: Mapping[str, Any]) -> str:
    """What goes on with this run."""
    if result.get("kind") == "module":
        return f"trainwell.resume('{path}', module=make_model)"
    return f"'trainwell resume {path}'"


def load_run(path: Path, *, make: Make | None = None) -> Run:
    """Read a run directory; no code in it is run.

    Args:
        make: builds the module of a run that trained a user's own.

    Raises:
        RunError: not a run, damaged, stopped before there was a result, or written by a newer version.
    """
    require_run(path)
    result = read_json(path / "result.json")
    if result.get("format", 0) > FORMAT:
        raise RunError(
            f"The run '{path}' was written by trainwell {result.get('version')}, which is newer; "
            "upgrade with 'pip install -U trainwell'."
        )
    check_kind(path, result.get("kind", "dense"), make, "load")
    model = path / "model"
    try:
        record = Record.from_frame(pl.read_parquet(path / "vitals.parquet"))
        trials = pl.read_parquet(path / "trials.parquet")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise RunError(
            f"The run '{path}' is incomplete or damaged; continue it with {how_to_resume(path, result)}."
        ) from error
    there = (model / "weights.safetensors").exists()
    if make is None:
        parts = load_preparation(model), Ensemble.load(model) if there else None
    else:
        parts = ModuleInputs.load(model), ModuleEnsemble.load(model, make) if there else None
    return Run(
        path=path,
        result=result,
        plan=Plan.from_yaml(path / "plan.yaml"),
        findings=read_findings(path / "findings.jsonl"),
        record=record,
        trials=trials,
        preparation=parts[0],
        ensemble=parts[1],
    )
