"""A table as material: its rows under the preparation that a plan asks for, and dense networks on them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trainwell.data import (
    Facts,
    Preparation,
    PreparationOptions,
    Split,
    Table,
    fit_preparation,
    save_preparation,
    target_array,
)
from trainwell.data.batches import BatchSource, Samples
from trainwell.diagnosis import Finding, Remedy
from trainwell.engine import Ensemble, Networks
from trainwell.engine.checkpoint import checksum
from trainwell.ingredients import Mismatch, check_pairing, gain_for
from trainwell.networks import Blueprint
from trainwell.plan import Plan
from trainwell.recipe.material import Kind, Plain, as_probabilities, as_samples
from trainwell.recipe.table_rows import EncodedRows, Rows
from trainwell.search import DENSE_SPACE, Space

ENOUGH = 1 << 17  # rows that tell the scale of an input


@dataclass
class TableMaterial:
    """A table, the test table if one was given apart, and where the rows are that networks are trained on.

    Where `rows` are streamed from disk, `table` is a sample of them; preparations are fitted on training rows of its
    `split`, and baselines too.
    """

    table: Table
    test: Table | None
    facts: Facts
    split: Split
    rows: Rows
    kind: Kind = "dense"
    test_seconds: float = 0.0
    _preparations: dict[str, Preparation] = field(default_factory=dict)
    _encoded: dict[str, EncodedRows] = field(default_factory=dict)

    @property
    def one_order(self) -> bool:
        """As the rows need it."""
        return self.rows.one_order

    def parts(self, plan: Plan) -> Split:
        """Those of the rows."""
        return self.encoded(plan).parts

    @cached_property
    def apart(self) -> Table | None:
        """Test rows that are not among the samples: the test table, or of streamed rows those of the sample.

        By these the baselines can be judged too, which learn from the sample.
        """
        if self.test is not None or not self.rows.one_order or not len(self.split.test):
            return self.test
        return Table(self.table.frame[self.split.test], self.table.source)

    @property
    def test_target(self) -> np.ndarray | None:
        """The target of the test rows that are apart."""
        return None if self.apart is None else target_array(self.apart, self.facts)

    def preparation(self, plan: Plan) -> Preparation:
        """Fitted on the training rows alone.

        With folds every row outside the test part trains in some fold, so scales and bins are of all of these.
        """
        data = plan.data
        if data.encoding not in self._preparations:
            rows = np.concatenate([self.split.train, self.split.validation]) if data.folds else self.split.train
            options = PreparationOptions(data.encoding, data.bins, data.one_hot_limit)
            self._preparations[data.encoding] = fit_preparation(self.table, self.facts, rows, options)
        return self._preparations[data.encoding]

    def checksum(self) -> str:
        """Of the rows in memory."""
        tables = {"rows": self.table} if self.test is None else {"rows": self.table, "test": self.test}
        hashes = {name: torch.from_numpy(_hashes(table)) for name, table in tables.items()}
        return f"{self.facts.rows:,} rows of {len(self.table.columns)} columns, checksum {checksum(hashes)}"

    def settle(self, folder: Path) -> None:
        """For the rows."""
        self.rows.settle(folder)

    def encoded(self, plan: Plan) -> EncodedRows:
        """All rows as numbers."""
        encoding = plan.data.encoding
        if encoding not in self._encoded:
            preparation, began = self.preparation(plan), time.monotonic()
            self._encoded[encoding] = self.rows.encoded(preparation)
            self.test_seconds = 3 * (time.monotonic() - began) / self.facts.rows  # encoded, predicted, drawn
        return self._encoded[encoding]

    def truth(self, plan: Plan, rows: np.ndarray) -> np.ndarray:
        """The target of these rows."""
        return self.encoded(plan).truth(rows)

    def samples(self, plan: Plan) -> Samples:
        """All rows, encoded."""
        return self.encoded(plan).samples

    def feed(self, plan: Plan, train: np.ndarray, validation: np.ndarray, orders: Sequence[int]) -> BatchSource:
        """Batches of the encoded rows."""
        return self.encoded(plan).feed(plan, train, validation, orders)

    def test_samples(self, plan: Plan) -> Samples:
        """The test rows that are apart, encoded."""
        assert self.apart is not None
        return as_samples(self.preparation(plan).encode(self.apart, with_target=False), self.facts.task)

    def structure(self, plan: Plan, *, bare: bool = False) -> Blueprint:
        """The dense network of a plan on these inputs."""
        p = self.preparation(plan)
        outputs = len(p.classes) if plan.task == "multiclass" else max(1, len(p.targets))
        return Blueprint.of(plan, p.inputs.dense, outputs, p.inputs.cardinalities)

    def space(self, plan: Plan, fixed: tuple[str, ...]) -> Space:
        """Structure and columns of dense networks."""
        return DENSE_SPACE

    def plain(self, plan: Plan) -> Plain:
        """Standardised numbers and category numbers."""
        options = PreparationOptions("plain", plan.data.bins, plan.data.one_hot_limit)
        preparation = fit_preparation(self.table, self.facts, self.split.train, options)
        test = None if self.apart is None else _flat(preparation, self.apart)
        names = (*preparation.input_names, *preparation.embedded_names)
        return Plain(_flat(preparation, self.table), target_array(self.table, self.facts), self.split, test, names)

    def on_original_scale(self, plan: Plan, prediction: np.ndarray) -> np.ndarray:
        """Predictions (N, C) in the target's own units; both classes of a binary task."""
        if self.facts.task == "regression":
            p = self.preparation(plan)
            return prediction * p.target_std + p.target_mean
        return as_probabilities(prediction, self.facts.task)

    def finished(self, networks: Networks) -> Networks:
        """As they are: the preparation knows the target's scale."""
        return networks

    def networks(self, folder: Path) -> Ensemble:
        """Dense networks from their files."""
        return Ensemble.load(folder)

    def described(self, plan: Plan) -> dict[str, Any]:
        """Inputs, and every column."""
        inputs = self.preparation(plan).inputs
        return {
            "inputs": inputs.dense,
            "embeddings": list(inputs.cardinalities),
            "columns": [column.as_dict() for column in self.facts.features],
        }

    def preflight(self, plan: Plan) -> list[Finding]:
        """Ingredients that do not belong together."""
        return [
            Finding(
                mismatch.kind,
                "warning" if mismatch.kind == "symmetric-units" else "info",
                mismatch.message,
                evidence={"activation": plan.network.activation, "initialiser": plan.initialiser.name},
                remedies=(
                    Remedy("matching-initialiser", "the scheme that keeps the variance", {"initialiser.name": "auto"}),
                ),
            )
            for mismatch in mismatches(plan)
        ]

    def input_scale(self, plan: Plan) -> dict[str, float]:
        """Extremes over the encoded inputs."""
        return scale_of(self.samples(plan).x)

    def keep(self, folder: Path) -> dict[str, Any]:
        """Both tables as Parquet."""
        return self.rows.keep(folder, self.test)

    def save(self, folder: Path, plan: Plan) -> None:
        """The preparation."""
        save_preparation(self.preparation(plan), folder)


def mismatches(plan: Plan) -> list[Mismatch]:
    """Choices of a complete plan that do not belong together (row A11)."""
    network, first = plan.network, plan.initialiser
    gain = first.gain * (gain_for(network.activation) if first.activation_gain else 1.0)
    scheme = first.name if network.depth else "auto"
    return check_pairing(network.activation, scheme, "identity", plan.loss.name, plan.task, gain=gain)


def scale_of(x: torch.Tensor) -> dict[str, float]:
    """Extremes of means and deviations over the inputs (N, D), of many rows as many as tell it."""
    x = x[:: max(1, len(x) // ENOUGH)]
    if not x.shape[1]:
        return {"largest_mean": 0.0, "largest_std": 1.0, "smallest_std": 1.0}
    mean, std = x.mean(dim=0).abs(), x.std(dim=0, correction=0)
    return {"largest_mean": float(mean.max()), "largest_std": float(std.max()), "smallest_std": float(std.min())}


def _flat(preparation: Preparation, table: Table) -> np.ndarray:
    encoded = preparation.encode(table, with_target=False)
    return np.concatenate([encoded.x, encoded.categories.astype(np.float32)], axis=1)


def _hashes(table: Table) -> np.ndarray:
    """A number for each row; as signed ones, which torch has."""
    return table.frame.hash_rows().to_numpy(writable=True).view(np.int64)
