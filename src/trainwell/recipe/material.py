"""What a run learns from, and what it trains: asked by the stages, answered by a table or by a user's module and data.

Contract: `Material`. Stages, workshop and judging know nothing else of where rows come from.
"""

from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch

from trainwell.data import Encoded, Facts
from trainwell.data.batches import Samples
from trainwell.diagnosis import Finding
from trainwell.engine import Networks
from trainwell.networks import Structure
from trainwell.plan import Plan
from trainwell.search import Space

Kind = Literal["dense", "module"]


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

    @property
    def target(self) -> np.ndarray:
        """The target of all rows, as `target_array` gives it."""
        ...

    @property
    def test_target(self) -> np.ndarray | None:
        """The target of test rows that were given apart."""
        ...

    @property
    def test_seconds(self) -> float:
        """Seconds that a test row will take to read and to predict, as far as is known."""
        ...

    def samples(self, plan: Plan) -> Samples:
        """All rows as tensors on the run's device."""
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

    def plain_inputs(self, plan: Plan, train: np.ndarray) -> tuple[np.ndarray, np.ndarray | None] | None:
        """(N, D) numbers for the baselines, of all rows and of test rows given apart; None where there are none."""
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
        y = torch.from_numpy(encoded.y)
        y = y.to(torch.float32).unsqueeze(1) if task == "binary" else y
    x, categories = torch.from_numpy(encoded.x), torch.from_numpy(encoded.categories)
    return Samples(x.to(device), categories.to(device), None if y is None else y.to(device))


def as_probabilities(prediction: np.ndarray, task: str) -> np.ndarray:
    """Predictions (N, C) with both classes of a binary task: (N, 2)."""
    one_column = task == "binary" and prediction.shape[1] == 1
    return np.concatenate([1 - prediction, prediction], axis=1) if one_column else prediction
