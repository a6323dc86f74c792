"""What a run learns from, and what it trains: asked by the stages, answered by a table or by a user's module and data.

Contract: `Material`. Stages, workshop and judging know nothing else of where rows come from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch

from trainwell.data import Encoded, Facts, Split
from trainwell.data.batches import BatchSource, Feed, Samples
from trainwell.diagnosis import Finding
from trainwell.engine import Networks
from trainwell.networks import Structure
from trainwell.plan import Plan
from trainwell.search import Space

Kind = Literal["dense", "module"]


@dataclass(frozen=True)
class Plain:
    """Rows as baselines take them.

    Attributes:
        x: (N, D) numbers; None where there are none. y: their target. parts: which of them train, choose and judge.
        x_test: test rows that were given apart. names: of the D inputs, where they have names.
    """

    x: np.ndarray | None
    y: np.ndarray
    parts: Split
    x_test: np.ndarray | None
    names: tuple[str, ...] = ()


class Material(Protocol):
    """Rows, their target, and the structure of the networks that a plan trains on them."""

    @property
    def kind(self) -> Kind:
        """Whose networks these are: ours, or of the user's module."""
        ...

    @property
    def facts(self) -> Facts:
        """What is known of the rows."""
        ...

    def parts(self, plan: Plan) -> Split:
        """Which of the samples train, choose and judge."""
        ...

    @property
    def one_order(self) -> bool:
        """Whether all members must see the rows in one order, as where these are read from disk."""
        ...

    @property
    def test_target(self) -> np.ndarray | None:
        """The target of test rows that were given apart."""
        ...

    @property
    def test_seconds(self) -> float:
        """Seconds that a test row will take to read and to predict, as far as is known."""
        ...

    def checksum(self) -> str:
        """By which processes that train together know that they have read the same."""
        ...

    def settle(self, folder: Path) -> None:
        """Take the folder in which rows may be kept while the run lasts; before anything is asked of them."""
        ...

    def truth(self, plan: Plan, rows: np.ndarray) -> np.ndarray:
        """The target of these samples, as `target_array` gives it."""
        ...

    def samples(self, plan: Plan) -> Samples:
        """All rows as tensors: on the run's device, or over files."""
        ...

    def feed(self, plan: Plan, train: np.ndarray, validation: np.ndarray, orders: Sequence[int]) -> BatchSource:
        """Batches of these samples, (G, n) and (G, v) of each data group, for the run's device."""
        ...

    def test_samples(self, plan: Plan) -> Samples:
        """Test rows that were given apart, without target."""
        ...

    def structure(self, plan: Plan, *, bare: bool = False) -> Structure:
        """What is trained; `bare`: under nothing that regularises but what the plan says, for sanity checks."""
        ...

    def space(self, plan: Plan, fixed: tuple[str, ...]) -> Space:
        """What a search may vary."""
        ...

    def plain(self, plan: Plan) -> Plain:
        """What baselines learn from."""
        ...

    def on_original_scale(self, plan: Plan, prediction: np.ndarray) -> np.ndarray:
        """Predictions (N, C) in the target's own units; both classes of a binary task."""
        ...

    def finished(self, networks: Networks) -> Networks:
        """Trained networks as they are kept."""
        ...

    def networks(self, folder: Path) -> Networks:
        """Kept networks, read back."""
        ...

    def described(self, plan: Plan) -> dict[str, Any]:
        """What the stage `data` tells about inputs and structure; plain values."""
        ...

    def preflight(self, plan: Plan) -> list[Finding]:
        """What does not fit, before any training."""
        ...

    def input_scale(self, plan: Plan) -> dict[str, float] | None:
        """Extremes of what the first weights are fed (see `diagnosis.Case`); None where inputs are no numbers."""
        ...

    def keep(self, folder: Path) -> dict[str, Any]:
        """Write the rows, so that the run can be resumed; plain values to remember beside them."""
        ...

    def save(self, folder: Path, plan: Plan) -> None:
        """Write what new rows need, beside the networks."""
        ...


def as_samples(encoded: Encoded, task: str, device: torch.device | str = "cpu") -> Samples:
    """Encoded rows as tensors; a binary target becomes one column of 0 and 1."""
    y = None
    if encoded.y is not None:
        y = torch.from_numpy(as_targets(encoded.y, task))
    x, categories = torch.from_numpy(encoded.x), torch.from_numpy(encoded.categories)
    return Samples(x.to(device), categories.to(device), None if y is None else y.to(device))


def as_targets(y: np.ndarray, task: str) -> np.ndarray:
    """Encoded targets as the loss takes them: of a binary target one column of 0 and 1."""
    return y.astype(np.float32)[:, None] if task == "binary" else y


def feed_of(samples: Samples, plan: Plan, train: np.ndarray, validation: np.ndarray, orders: Sequence[int]) -> Feed:
    """Batches of samples that are in memory."""
    train_rows, validation_rows = (torch.from_numpy(part).to(samples.x.device) for part in (train, validation))
    return Feed(
        samples, train_rows, validation_rows, orders, plan.training.batch_size, drop_last=plan.training.drop_last
    )


def as_probabilities(prediction: np.ndarray, task: str) -> np.ndarray:
    """Predictions (N, C) with both classes of a binary task: (N, 2)."""
    one_column = task == "binary" and prediction.shape[1] == 1
    return np.concatenate([1 - prediction, prediction], axis=1) if one_column else prediction
