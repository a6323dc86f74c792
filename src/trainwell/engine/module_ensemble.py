"""Trained members of a user's module together: their tensors by name; the code stays with the user."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trainwell.base import RunError
from trainwell.data.batches import Samples
from trainwell.engine.columns import signal_hypers
from trainwell.engine.course import Course
from trainwell.engine.ensemble import Ensemble, Networks
from trainwell.engine.evaluate import predictions
from trainwell.ingredients import ACTIVATIONS
from trainwell.networks import ModuleBlueprint
from trainwell.networks.foreign import built
from trainwell.networks.layer_rules import DROPOUTS
from trainwell.networks.trial import as_outputs

CHUNK = 512  # samples predicted at once
Make = Callable[[], nn.Module]


@dataclass(frozen=True)
class ModuleEnsemble:
    """Networks of a user's class whose predictions are averaged.

    Attributes:
        make: builds the module. tensors: by their names in it, (M, …): parameters, and buffers that differ.
        output: the activation that makes predictions of outputs: softmax, sigmoid or identity.
        rates: of dropout of each member, where it is the plan's; else None.
    """

    make: Make
    tensors: Mapping[str, Tensor]
    output: str
    rates: tuple[float | None, ...]

    @classmethod
    def of(cls, course: Course, members: Sequence[int]) -> "ModuleEnsemble":
        """The best weights of these members of a course."""
        blueprint: ModuleBlueprint = course.blueprint
        rows = torch.tensor(list(members), device=course.best.theta.device)
        tensors = blueprint.named(course.best.theta[rows].cpu(), course.best.statistics[rows].cpu())
        rates = [None if blueprint.own_rates else signal_hypers(course.plans[m])["dropout"] for m in members]
        return cls(blueprint.make, tensors, course.population.loss.output, tuple(rates))

    def __len__(self) -> int:
        return len(self.rates)

    def member(self, index: int) -> nn.Module:
        """One member as a plain module of the user's class, in evaluation mode.

        Raises:
            RunError: `make` builds another structure than the one that was trained.
        """
        module, rate = built(self.make, 0), self.rates[index]
        own = {name: tensor[index] for name, tensor in self.tensors.items()}
        lacking = [name for name, _ in module.named_parameters() if name not in own]
        try:
            spare = module.load_state_dict(own, strict=False).unexpected_keys
        except RuntimeError as error:  # a tensor of another shape
            raise RunError(_misfit(str(error).splitlines()[-1].strip().rstrip("."))) from error
        if lacking or spare:
            what = f"its '{lacking[0]}' was not in the run" if lacking else f"it has no '{spare[0]}'"
            raise RunError(_misfit(what))
        for layer in module.modules():
            if rate is not None and isinstance(layer, DROPOUTS):
                layer.p = rate
        return module.to(next(t.dtype for t in own.values() if t.is_floating_point())).eval()

    @torch.no_grad()
    def member_predictions(self, samples: Samples) -> Tensor:
        """Each member's predictions (M, N, C): probabilities, or numbers."""
        return torch.stack([self._of_one(self.member(m), samples.x) for m in range(len(self))])

    def _of_one(self, module: nn.Module, x: Tensor) -> Tensor:
        parts = [x[start : start + CHUNK] for start in range(0, max(1, len(x)), CHUNK)]
        z = torch.cat([as_outputs(module(part)[None], len(part)) for part in parts], dim=2)  # (1, C, N)
        return predictions(z, self.output)[0].T

    def predict(self, samples: Samples) -> Tensor:
        """The mean of the members' predictions (N, C), in float64."""
        return self.member_predictions(samples).double().mean(dim=0)

    def save(self, folder: Path) -> None:
        """Write `weights.safetensors` and `blueprint.json`; no code."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: t.contiguous() for name, t in self.tensors.items()}, folder / "weights.safetensors")
        about = {"format": 1, "kind": "module", "output": self.output, "rates": list(self.rates)}
        (folder / "blueprint.json").write_text(json.dumps(about, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, make: Make) -> "ModuleEnsemble":
        """Read what `save` wrote.

        Raises:
            RunError: a file is missing or damaged, or `make` builds another structure.
        """
        try:
            about = json.loads((folder / "blueprint.json").read_text(encoding="utf-8"))
            output, rates, tensors = about["output"], tuple(about["rates"]), load_file(folder / "weights.safetensors")
            if about["kind"] != "module" or output not in (*ACTIVATIONS, "softmax"):
                raise ValueError(output)
            if not rates or any(len(tensor) != len(rates) for tensor in tensors.values()):
                raise ValueError("members")
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise RunError(
                f"The model in '{folder}' is incomplete or damaged; train it again or resume the run."
            ) from error
        ensemble = cls(make, tensors, output, rates)
        ensemble.member(0)
        return ensemble


def ensemble_of(course: Course, members: Sequence[int]) -> Networks:
    """The best weights of these members, of whatever structure they are."""
    kind = ModuleEnsemble if isinstance(course.blueprint, ModuleBlueprint) else Ensemble
    return kind.of(course, members)


def _misfit(what: str) -> str:
    return f"The module does not fit the run's networks: {what}. Give the factory that the run was trained with."
