"""Trained members together: their averaged prediction, and their files (safetensors and JSON, no pickle).

Contract: `Networks`. Dense ones are an `Ensemble`, those of a user's module a `ModuleEnsemble`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trainwell.base import RunError
from trainwell.data.batches import Samples
from trainwell.engine.columns import signal_hypers
from trainwell.engine.course import Course
from trainwell.engine.evaluate import LARGEST_SIGNAL, predictions
from trainwell.ingredients import ACTIVATIONS
from trainwell.networks import Blueprint, DenseNetwork


class Networks(Protocol):
    """Trained networks whose predictions are averaged (row B10)."""

    def __len__(self) -> int: ...

    def member(self, index: int) -> nn.Module:
        """One of them as a plain module, in evaluation mode."""
        ...

    def member_predictions(self, samples: Samples) -> Tensor:
        """Each one's predictions (M, N, C): probabilities, or numbers."""
        ...

    def predict(self, samples: Samples) -> Tensor:
        """The mean of their predictions (N, C) in float64."""
        ...

    def save(self, folder: Path) -> None:
        """Write `weights.safetensors` and `blueprint.json`."""
        ...


@dataclass(frozen=True)
class Ensemble:
    """Networks of one blueprint whose predictions are averaged (row B10).

    Attributes:
        theta (M, P), statistics (M, S): the members.
        output: the activation that makes predictions of outputs: softmax, sigmoid or identity.
        hypers: of each member, what its signals depend on: the activation's hyperparameters, and dropout.
    """

    blueprint: Blueprint
    theta: Tensor
    statistics: Tensor
    output: str
    hypers: tuple[dict[str, float], ...]

    @classmethod
    def of(cls, course: Course, members: Sequence[int]) -> "Ensemble":
        """The best weights of these members of a course."""
        rows = torch.tensor(list(members), device=course.best.theta.device)
        hypers = tuple(signal_hypers(course.plans[m]) for m in members)
        best = course.best
        return cls(
            course.blueprint,
            best.theta[rows].cpu(),
            best.statistics[rows].cpu(),
            course.population.loss.output,
            hypers,
        )

    def __len__(self) -> int:
        return self.theta.shape[0]

    def member(self, index: int) -> DenseNetwork:
        """One member as a plain `torch.nn.Module`."""
        weights = {name: view[index] for name, view in self.blueprint.layout.views(self.theta).items()}
        statistics = {name: view[index] for name, view in self.blueprint.statistics.views(self.statistics).items()}
        return DenseNetwork.from_rows(self.blueprint, weights, statistics, self.hypers[index])

    @torch.no_grad()
    def member_predictions(self, samples: Samples) -> Tensor:
        """Each member's predictions (M, N, C): probabilities, or numbers in standardised units."""
        weights = self.blueprint.layout.views(self.theta)
        statistics = self.blueprint.statistics.views(self.statistics)
        columns = {
            name: torch.tensor([[own[name]] for own in self.hypers], dtype=self.theta.dtype)
            for name in (self.hypers[0] if self.hypers else ())
        }
        widest = max(self.blueprint.width, *self.blueprint.fan_ins)
        size = max(1, LARGEST_SIGNAL // (len(self) * widest))
        parts = []
        for start in range(0, max(1, samples.count), size):
            rows = torch.arange(start, min(start + size, samples.count))
            batch = Samples(samples.x, samples.categories).take(rows)
            z = self.blueprint.forward(weights, statistics, batch.x, batch.categories, hypers=columns, training=False)
            parts.append(predictions(z, self.output).transpose(1, 2))
        return torch.cat(parts, dim=1)

    def predict(self, samples: Samples) -> Tensor:
        """The mean of the members' predictions (N, C); probabilities are averaged, not outputs before softmax.

        In float64: a row's prediction then does not depend, beyond 1e-12, on the rows predicted beside it.
        """
        wide = replace(self, theta=self.theta.double(), statistics=self.statistics.double())
        return wide.member_predictions(Samples(samples.x.double(), samples.categories)).mean(dim=0)

    def save(self, folder: Path) -> None:
        """Write `weights.safetensors` and `blueprint.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(
            {"theta": self.theta.contiguous(), "statistics": self.statistics.contiguous()},
            folder / "weights.safetensors",
        )
        about = {
            "format": 1,
            "kind": "dense",
            "output": self.output,
            "hypers": list(self.hypers),
            **self.blueprint.as_dict(),
        }
        (folder / "blueprint.json").write_text(json.dumps(about, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Ensemble":
        """Read what `save` wrote.

        Raises:
            RunError: a file is missing, damaged or of a newer version.
        """
        try:
            about = json.loads((folder / "blueprint.json").read_text(encoding="utf-8"))
            if about.pop("format") != 1 or about.pop("kind") != "dense":
                raise RunError(
                    f"The model in '{folder}' was written by a newer trainwell; "
                    "upgrade with 'pip install -U trainwell'."
                )
            output, hypers = about.pop("output"), tuple(about.pop("hypers"))
            blueprint = Blueprint(**{**about, "cardinalities": tuple(about["cardinalities"])})
            tensors = load_file(folder / "weights.safetensors")
            theta, statistics = tensors["theta"], tensors["statistics"]
            sizes = (blueprint.layout.size, blueprint.statistics.size)
            known = blueprint.activation in ACTIVATIONS and output in (*ACTIVATIONS, "softmax")
            if not known or [theta.shape, statistics.shape] != [(len(hypers), size) for size in sizes]:
                raise RunError(
                    f"The model in '{folder}' is damaged: its weights do not fit its blueprint; train it again."
                )
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            if isinstance(error, RunError):
                raise
            raise RunError(
                f"The model in '{folder}' is incomplete or damaged; train it again or resume the run."
            ) from error
        return cls(blueprint, theta, statistics, output, hypers)
