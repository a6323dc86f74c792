"""A user's module and its rows as material: the structure is theirs, and so is the preparation of the inputs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from trainwell.data import Facts, Split
from trainwell.data.batches import BatchSource, Samples
from trainwell.data.module_inputs import ModuleInputs, as_rows, as_target_tensor, dtype_of, told_shape
from trainwell.data.pairs import Pairs
from trainwell.diagnosis import Finding, Remedy
from trainwell.engine import ModuleEnsemble, Networks
from trainwell.engine.checkpoint import checksum
from trainwell.ingredients import ACTIVATIONS, LOSSES, check_pairing
from trainwell.networks import ModuleBlueprint, first_inputs, output_function
from trainwell.plan import Plan
from trainwell.recipe.material import Kind, Plain, as_probabilities, feed_of
from trainwell.recipe.table_material import scale_of
from trainwell.search import Space, module_space


@dataclass(frozen=True)
class TargetScale:
    """Mean and deviation of a regression's targets (C,), and the linear layer into which they are worked at the end."""

    layer: str
    mean: np.ndarray
    std: np.ndarray


@dataclass
class ModuleMaterial:
    """A factory of modules, and rows.

    Attributes:
        target, test_target: as `target_array` gives them.
        blueprint: of the module. bare: the same with dropout at the plan's rate, where the module's rates are its own.
        looked_at: some training rows, by which the module's inputs and outputs are judged.
        dropout: whose the rates of its layers of dropout are: the plan's, its own, or none.
        scale: the targets' scale during the training; None: they are as the user gave them.
    """

    make: Callable[[], nn.Module]
    pairs: Pairs
    test: Pairs | None
    facts: Facts
    target: np.ndarray
    test_target: np.ndarray | None
    split: Split
    blueprint: ModuleBlueprint
    bare: ModuleBlueprint
    looked_at: torch.Tensor
    dropout: Literal["plan", "own", "none"]
    scale: TargetScale | None
    device: torch.device
    test_seconds: float = 0.0
    kind: Kind = "module"
    one_order: bool = False
    _samples: list[Samples] = field(default_factory=list)

    def parts(self, plan: Plan) -> Split:
        """Those of the rows."""
        return self.split

    def checksum(self) -> str:
        """Of the rows; of the module, a course compares the parameters."""
        rows = {"x": self.pairs.x, "y": torch.from_numpy(self.target)}
        if self.test is not None and self.test_target is not None:
            rows |= {"test.x": self.test.x, "test.y": torch.from_numpy(self.test_target)}
        return f"{len(self.pairs.x):,} rows, checksum {checksum(rows)}"

    def settle(self, folder: Path) -> None:
        """Nothing: the rows are in memory."""

    def truth(self, plan: Plan, rows: np.ndarray) -> np.ndarray:
        """The target of these rows."""
        return self.target[rows]

    def feed(self, plan: Plan, train: np.ndarray, validation: np.ndarray, orders: Sequence[int]) -> BatchSource:
        """Batches of the rows."""
        return feed_of(self.samples(plan), plan, train, validation, orders)

    def samples(self, plan: Plan) -> Samples:
        """All rows, whatever the plan."""
        if not self._samples:
            y = self.target if self.scale is None else (self.target - self.scale.mean) / self.scale.std
            y = as_target_tensor(y, self.facts.task, self.blueprint.outputs)
            self._samples.append(as_rows(self.pairs.x.to(self.device), y.to(self.device)))
        return self._samples[0]

    def test_samples(self, plan: Plan) -> Samples:
        """Test rows that were given apart."""
        assert self.test is not None
        return as_rows(self.test.x)

    def structure(self, plan: Plan, *, bare: bool = False) -> ModuleBlueprint:
        """The module's, whatever the plan."""
        return self.bare if bare else self.blueprint

    def space(self, plan: Plan, fixed: tuple[str, ...]) -> Space:
        """What a module permits to vary; batches stay below half the rows."""
        largest = len(self.split.train) // 2 / plan.training.batch_size
        return module_space(dropout=self.dropout == "plan", largest=largest, fixed=fixed)

    def plain(self, plan: Plan) -> Plain:
        """The rows, where they are plain numbers (N, D)."""
        if self.pairs.x.dim() != 2 or not self.pairs.x.is_floating_point():
            return Plain(None, self.target, self.split, None)
        return Plain(self.pairs.x.numpy(), self.target, self.split, None if self.test is None else self.test.x.numpy())

    def on_original_scale(self, plan: Plan, prediction: np.ndarray) -> np.ndarray:
        """Both classes of a binary task; finished networks predict numbers in the target's own units."""
        return as_probabilities(prediction, self.facts.task)

    def finished(self, networks: Networks) -> Networks:
        """With the targets' scale worked into the last layer, so that the modules give the user's units."""
        if self.scale is None:
            return networks
        assert isinstance(networks, ModuleEnsemble)
        weight, bias = (f"{self.scale.layer}.{part}".removeprefix(".") for part in ("weight", "bias"))
        old, std = networks.tensors, torch.from_numpy(self.scale.std).float()
        mean = torch.from_numpy(self.scale.mean).float()
        scaled = {weight: old[weight] * std[:, None], bias: old[bias] * std + mean}
        return replace(networks, tensors={**old, **scaled})

    def networks(self, folder: Path) -> ModuleEnsemble:
        """The user's modules with the weights of their files."""
        return ModuleEnsemble.load(folder, self.make)

    def described(self, plan: Plan) -> dict[str, Any]:
        """The module, and how its members are computed."""
        x, module = self.pairs.x, self.blueprint.fresh(0)
        about = {
            "class": type(module).__name__,
            "layers": str(module)[:4000],
            "way": self.blueprint.way,
            "why": self.blueprint.why,
            "outputs": self.blueprint.outputs,
            "scaled_into": None if self.scale is None else self.scale.layer or type(module).__name__,
            "dropout": self.dropout,
        }
        return {"inputs": f"{told_shape(x.shape[1:])} {dtype_of(x)}" if x.dim() > 1 else dtype_of(x), "module": about}

    def preflight(self, plan: Plan) -> list[Finding]:
        """Outputs that the loss does not expect, and classes that no row has."""
        return [*self._of_outputs(plan), *self._of_classes()]

    def _of_outputs(self, plan: Plan) -> list[Finding]:
        output = output_function(self.blueprint.untrained, self.looked_at)
        if LOSSES[plan.loss.name].output == "identity" and output in ACTIVATIONS:
            low, high = ACTIVATIONS[output].range
            if low <= self.target.min() and self.target.max() <= high:
                return []
        task = "multiclass" if LOSSES[plan.loss.name].output == "softmax" else self.facts.task
        return [
            Finding(
                mismatch.kind,
                "warning",
                mismatch.message,
                evidence={"output": output, "loss": plan.loss.name},
                remedies=(Remedy("raw-outputs", f"let forward end before the {output}: losses take raw outputs"),),
            )
            for mismatch in check_pairing("relu", "auto", output, plan.loss.name, task)
        ]

    def _of_classes(self) -> list[Finding]:
        absent = [str(c) for c, n in zip(self.facts.classes, self.facts.class_counts, strict=True) if not n]
        if not absent or self.facts.task == "multilabel":
            return []
        outputs, more = self.blueprint.outputs, ", …" * (len(absent) > 6)
        some = f"class{'es' * (len(absent) > 1)} {', '.join(absent[:6])}{more}"
        return [
            Finding(
                "loss-output-mismatch",
                "warning",
                f"The module has {outputs} outputs, but there are no rows of {some}: is its last layer too wide?",
                evidence={"outputs": float(outputs), "classes in y": float(outputs - len(absent))},
                remedies=(Remedy("fewer-outputs", "let the last layer give one output a class"),),
            )
        ]

    def input_scale(self, plan: Plan) -> dict[str, float] | None:
        """Of what reaches the first weights, behind whatever preparation the module has."""
        fed = first_inputs(self.blueprint.untrained, self.looked_at)
        return None if fed is None else scale_of(fed)

    def keep(self, folder: Path) -> dict[str, Any]:
        """The rows as tensors, words as their numbers; and the tensors of the module by name, to know it again."""
        tensors: dict[str, torch.Tensor] = {}
        labels: dict[str, list[str]] = {}
        for prefix, pairs in (("", self.pairs), ("test.", self.test)):
            if pairs is None:
                continue
            codes = pairs.y
            if codes.dtype.kind == "U":
                known, codes = np.unique(codes, return_inverse=True)
                labels[f"{prefix}y"] = known.tolist()
            y = torch.from_numpy(np.ascontiguousarray(codes))
            tensors |= {f"{prefix}x": pairs.x.contiguous(), f"{prefix}y": y}
        save_file(tensors, folder / "data.safetensors")
        parts = [[slot.name, *slot.shape] for slot in self.blueprint.layout.slots]
        return {"source": self.pairs.source, "labels": labels, "parameters": parts}

    def save(self, folder: Path, plan: Plan) -> None:
        """The form of inputs and target."""
        x, facts = self.pairs.x, self.facts
        ModuleInputs(tuple(x.shape[1:]), dtype_of(x), facts.task, facts.targets, facts.classes).save(folder)
