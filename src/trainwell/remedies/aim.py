"""What a training is for: classes, labels or numbers; how well outputs meet it; which outputs mean "yes".

Contract: `aim_of` reads the task from targets and outputs; `Aim.score` is the default metric, larger is better.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from trainwell.data.target import FEW_INTEGERS

Task = Literal["classes", "labels", "numbers", "sequence"]
Loss = Callable[[Tensor, Tensor], Tensor]
WORST_R2 = -1.0
"""A worse R² counts as this: how far beyond all bounds a training went is no news, and would drown every mean."""
YES = torch.linspace(-8, 8, 321)  # outputs tried in search of the one that both answers cost the same


@dataclass(frozen=True, eq=False)
class Aim:
    """The task of a target.

    Attributes:
        labels: of classes, the values that stand for them, ascending; empty for numbers.
        one_hot: whether y (N, C) has a column a class.
        smallest: the smallest gain of the default metric that counts; a hundredth of its span.
    """

    task: Task
    labels: Tensor
    one_hot: bool = False
    smallest: float = 0.01

    @property
    def classes(self) -> int:
        """How many there are."""
        return len(self.labels)

    @property
    def metric(self) -> str:
        """What the default metric is called."""
        return "R²" if self.task == "numbers" else "accuracy"

    @property
    def worst(self) -> float:
        """What a failed training scores."""
        return WORST_R2 if self.task == "numbers" else 0.0

    def index(self, y: Tensor) -> Tensor:
        """Targets as numbers of classes, int64."""
        if self.one_hot:
            return y.argmax(dim=1)
        flat = y.reshape(len(y)) if y.dim() == 2 and y.shape[1] == 1 else y
        return torch.searchsorted(self.labels.to(y.device), flat.to(self.labels.dtype).contiguous())

    def score(self, outputs: Tensor, y: Tensor, threshold: float = 0.0) -> float:
        """Accuracy, or R² (not below `WORST_R2`); NaN where an output is not finite or has no shape that fits.

        Args:
            threshold: the single output above which it means the second class, or that a label holds.
        """
        if not isinstance(outputs, Tensor) or len(outputs) != len(y) or not torch.isfinite(outputs).all():
            return float("nan")
        if self.task == "numbers":
            return _r2(outputs, y)
        if self.task == "labels":
            return float(((outputs > threshold) == (y > 0.5)).float().mean()) if outputs.shape == y.shape else 0.0
        if self.task == "sequence":
            return _sequence(outputs, y)
        return float((self._chosen(outputs, threshold) == self.index(y)).float().mean())

    def _chosen(self, outputs: Tensor, threshold: float) -> Tensor:
        flat = outputs.reshape(len(outputs), -1)
        if flat.shape[1] > 1:
            return flat.argmax(dim=1)
        if self.classes == 2:
            return (flat[:, 0] > threshold).long()
        return (flat - self.labels.to(flat)[None]).abs().argmin(dim=1)


def aim_of(y: Tensor, outputs: int) -> Aim:
    """The task of a target y for a module with so many outputs a row (0: not known)."""
    none = torch.zeros(0)
    if y.dim() == 2 and y.shape[1] > 1:
        marks = bool(((y == 0) | (y == 1)).all())
        if marks and bool((y.sum(dim=1) == 1).all()):
            return Aim("classes", torch.arange(y.shape[1]), one_hot=True)
        return Aim("labels" if marks else "numbers" if y.is_floating_point() else "sequence", none)
    if y.dim() > 2:
        return Aim("numbers" if y.is_floating_point() else "sequence", none)
    labels, counts = y.unique(return_counts=True)
    if y.is_floating_point():
        two = len(labels) == 2 and labels.tolist() in ([0.0, 1.0], [-1.0, 1.0], [1.0, 2.0])
        numbered = outputs > 1 and bool((labels == labels.round()).all()) and 0 <= labels[0] and labels[-1] < outputs
        return (
            Aim("classes", labels if two else torch.arange(outputs).to(y)) if two or numbered else Aim("numbers", none)
        )
    if outputs > 1 or len(labels) == 2 or (len(labels) <= FEW_INTEGERS and int(counts.min()) >= 5):
        plain = bool(labels[0] >= 0) and int(labels[-1]) < max(outputs, len(labels))
        return Aim("classes", torch.arange(max(int(labels[-1]) + 1, len(labels))) if plain else labels)
    return Aim("numbers", none)


def threshold_of(loss: Loss, like: Tensor) -> float:
    """The output at which "yes" and "no" cost the same: 0 for logits, 1/2 for probabilities and for squared errors.

    Args:
        like: some targets of two values, in the shape and type that the loss takes.
    """
    low, high = like.min(), like.max()
    for outputs in (YES, torch.linspace(0.005, 0.995, 199)):
        try:
            costs = [_cost(loss, value, outputs, like) for value in (low, high)]
        except Exception:  # noqa: BLE001, S112  whatever the user's loss may raise at values outside its domain
            continue
        apart = costs[0] - costs[1]  # grows with the output where a loss makes sense
        if torch.isfinite(apart).all() and float(apart[-1] - apart[0]) > 1e-6:
            return float(outputs[int((apart > -1e-9).int().argmax())])
    return 0.5


def _cost(loss: Loss, value: Tensor, outputs: Tensor, like: Tensor) -> Tensor:
    shape = (1, *like.shape[1:])
    target = value.to(like.dtype).expand(shape)
    return torch.stack([loss(output.to(torch.get_default_dtype()).expand(shape), target) for output in outputs])


def _r2(outputs: Tensor, y: Tensor) -> float:
    if outputs.numel() != y.numel():
        return float("nan")
    truth = y.reshape(len(y), -1).double()
    error = (outputs.reshape(truth.shape).double() - truth).square().sum(dim=0)
    spread = (truth - truth.mean(dim=0)).square().sum(dim=0)
    return max(WORST_R2, float((1 - error / spread.clamp(min=1e-12)).mean()))


def _sequence(outputs: Tensor, y: Tensor) -> float:
    if outputs.dim() != y.dim() + 1:
        return float("nan")
    kinds = 1 if outputs.shape[2:] == y.shape[1:] else -1
    return float((outputs.argmax(dim=kinds) == y).float().mean())
