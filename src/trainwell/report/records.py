"""What a run directory holds, read once: plain values for the sections. Missing parts are named, not fatal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from trainwell.base import RunError
from trainwell.diagnosis import Finding, read_findings
from trainwell.engine.record import Record
from trainwell.plan import Plan
from trainwell.recipe.folder import read_json
from trainwell.recipe.metrics import HIGHER_IS_BETTER


@dataclass(frozen=True)
class Records:
    """A run, as recorded.

    Attributes:
        name: of the run directory. path: as the user wrote it, for commands to copy.
        findings: None when they were not recorded, which is not the same as none.
        missing: one sentence for each part that could not be read.
    """

    name: str
    result: Mapping[str, Any]
    plan: Plan | None = None
    findings: tuple[Finding, ...] | None = None
    vitals: Record = field(default_factory=Record)
    trials: pl.DataFrame = field(default_factory=pl.DataFrame)
    missing: tuple[str, ...] = ()
    path: str = ""

    @property
    def place(self) -> str:
        """What a command names the run by: its path, or the name where there is no directory."""
        return self.path or self.name

    @property
    def task(self) -> str:
        """The task, or "" in a damaged record."""
        return str(self.result.get("task", ""))

    @property
    def of_module(self) -> bool:
        """Whether the networks are of the user's own class."""
        return self.result.get("kind") == "module"

    @property
    def targets(self) -> list[str]:
        """Names of the columns that are predicted."""
        return [
            str(name) for name in self.result.get("targets") or self.evidence("data").get("targets") or ["the target"]
        ]

    @property
    def metric(self) -> str:
        """The name of the main metric."""
        return str((self.result.get("metric") or {}).get("name", ""))

    def higher_is_better(self, metric: str) -> bool | None:
        """The direction of a metric; None when it is not known."""
        main = self.result.get("metric") or {}
        return main.get("higher_is_better") if metric == main.get("name") else HIGHER_IS_BETTER.get(metric)

    @property
    def stages(self) -> list[Mapping[str, Any]]:
        """Records of the stages that were reached, in their order."""
        kept = self.result.get("stages")
        return [s for s in kept if isinstance(s, Mapping) and "name" in s] if isinstance(kept, list) else []

    def stage(self, name: str) -> Mapping[str, Any] | None:
        """The record of a stage; None when it was not reached."""
        return next((stage for stage in self.stages if stage["name"] == name), None)

    def evidence(self, name: str) -> Mapping[str, Any]:
        """What a stage measured; empty when it was not reached."""
        return (self.stage(name) or {}).get("evidence") or {}

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the run."""
        return bool(self.result.get("interrupted"))


def read_records(run_dir: Path) -> Records:
    """Read a run directory.

    Raises:
        RunError: there is no such directory, or no readable result in it.
    """
    if not run_dir.is_dir():
        raise RunError(f"There is no run directory '{run_dir}'; give the folder that 'trainwell fit' printed.")
    result, missing = read_json(run_dir / "result.json"), []
    readers = {
        "plan.yaml": Plan.from_yaml,
        "findings.jsonl": read_findings,
        "vitals.parquet": _vitals,
        "trials.parquet": pl.read_parquet,
    }
    parts: dict[str, Any] = {}
    for file, read in readers.items():
        try:
            parts[file] = read(run_dir / file) if (run_dir / file).exists() else None
        except (RunError, ValueError, OSError, pl.exceptions.PolarsError) as error:
            parts[file] = None
            missing.append(f"`{file}` could not be read ({type(error).__name__}), so what it holds is left out.")
        else:
            if parts[file] is None:
                missing.append(f"`{file}` is not there, so what it holds is left out.")
    findings = parts["findings.jsonl"]
    return Records(
        name=run_dir.resolve().name,
        result=result,
        plan=parts["plan.yaml"],
        findings=None if findings is None else tuple(findings),
        vitals=parts["vitals.parquet"] or Record(),
        trials=pl.DataFrame() if parts["trials.parquet"] is None else parts["trials.parquet"],
        missing=tuple(missing),
        path=str(run_dir),
    )


def _vitals(path: Path) -> Record:
    return Record.from_frame(pl.read_parquet(path))
