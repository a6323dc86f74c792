"""What the targets of a user's training are like: classes or quantities, and the loss of the best constant."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainwell.vitals.losses import LossReading

MOST_CLASSES = 1000


@dataclass(frozen=True)
class Targets:
    """What the targets of some batches are like.

    Attributes:
        task: binary, multiclass or regression, as far as the numbers tell; "" for images, sequences and the like.
        classes: how many of them. chance: loss of the best constant prediction, by the kind of loss.
        low, high, mean, std: of the numbers. whole: whether they are whole numbers by type.
        constant: whether all are equal. count: seen. columns: numbers of a sample.
        spread, deviation, bounded: mean square from the mean; mean distance, and mean huber loss, from the median.
    """

    task: str
    count: int
    classes: int
    counts: tuple[int, ...]
    one_hot: bool
    whole: bool
    constant: bool
    low: float
    high: float
    mean: float
    std: float
    spread: float
    deviation: float
    bounded: float | None = None
    columns: int = 1

    def chance(self, loss: LossReading) -> float | None:
        """The loss of the best constant prediction; None where that is not known."""
        one = self._of_one(loss)
        return one * loss.terms if one is not None and loss.terms else None

    def _of_one(self, loss: LossReading) -> float | None:
        """The same, as a mean."""
        kind = loss.kind
        if self.constant or not self.count or loss.weighted:
            return None
        lists = loss.compared[1:] != loss.shape[1:] and loss.shape[1:] == (1,)  # a softmax over samples, for a ranking
        if kind in ("cross-entropy", "nll") and self.counts and not lists:
            return entropy(self.counts)
        if kind in ("binary-logits", "binary") and 0 <= self.low and self.high <= 1:
            return self.binary_entropy if not self.one_hot else None
        if kind == "squared":
            return self.spread
        if kind == "absolute":
            return self.deviation
        if kind == "huber":
            return self.bounded
        return None

    @property
    def binary_entropy(self) -> float:
        """Mean over the columns of −p ln p − (1−p) ln(1−p), for a single column."""
        p = min(max(self.mean, 1e-6), 1 - 1e-6)
        return float(-(p * torch.tensor(p).log() + (1 - p) * torch.tensor(1 - p).log()))


def entropy(counts: Sequence[int]) -> float:
    """−Σ p ln p of classes by their counts.

    >>> round(entropy([1, 1]), 4)
    0.6931
    """
    p = torch.tensor([c for c in counts if c], dtype=torch.float64)
    p /= p.sum()
    return float(-(p * p.log()).sum())


def targets_of(parts: Sequence[Tensor], loss: LossReading, inputs_like: bool) -> Targets | None:
    """What the targets of some batches are like; None when nothing can be said.

    Args:
        parts: (B, …) each. inputs_like: whether they are the inputs again, as for an autoencoder.
    """
    if not parts or any(part.shape[1:] != parts[0].shape[1:] for part in parts):
        return None
    y = torch.cat([part.detach().cpu() for part in parts])
    if not y.numel():
        return None
    whole = not (y.is_floating_point() or y.is_complex())
    flat = y.double().reshape(len(y), -1)
    if not bool(torch.isfinite(flat).all()):
        flat = torch.nan_to_num(flat, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(flat.min()), float(flat.max())
    one_hot = flat.shape[1] > 1 and low == 0 and high == 1 and bool((flat.sum(1) == 1).all())
    one_hot = one_hot and bool(((flat == 0) | (flat == 1)).all())
    counts = _counts(flat, one_hot, classes=loss.kind in ("cross-entropy", "nll", "margin") or whole)
    values = flat.unique() if flat.shape[1] == 1 else flat.new_zeros(0)
    centred = flat - flat.mean(0)
    return Targets(
        task="" if inputs_like else _task(flat, values, whole, one_hot, counts),
        count=len(flat),
        classes=len(counts),
        counts=counts,
        one_hot=one_hot,
        whole=whole,
        constant=bool((flat == flat[0]).all()),
        low=low,
        high=high,
        mean=float(flat.mean()),
        std=float(flat.std(correction=0)),
        spread=float(centred.square().mean()),
        deviation=float((flat - flat.median(0).values).abs().mean()),
        columns=flat.shape[1],
        bounded=_huber((flat - flat.median(0).values).abs(), loss.delta, loss.slope),
    )


def _huber(distance: Tensor, delta: float, slope: float) -> float:
    """Mean of a parabola up to δ, and from there on of a line with this slope; the median is nearly its best constant.

    >>> _huber(torch.tensor([0.5, 3.0]), 1.0, 1.0)
    1.3125
    """
    if delta <= 0:
        return float(slope * distance.mean())
    inside, outside = slope * distance.square() / (2 * delta), slope * (distance - delta / 2)
    return float(torch.where(distance < delta, inside, outside).mean())


def _counts(flat: Tensor, one_hot: bool, *, classes: bool) -> tuple[int, ...]:
    """How often each class occurs; nothing when the numbers are no classes."""
    if one_hot:
        return tuple(int(n) for n in flat.sum(0))
    numbers = flat.reshape(-1)
    numbers = numbers[numbers >= 0]  # −100 and −1 mark places that do not count
    if not len(numbers) or bool((numbers != numbers.round()).any()) or float(numbers.max()) >= MOST_CLASSES:
        return ()
    found = torch.bincount(numbers.long())
    dense = float((found > 0).double().mean()) > 0.9 and len(found) <= 100
    return tuple(int(n) for n in found) if classes or dense else ()


def _task(flat: Tensor, values: Tensor, whole: bool, one_hot: bool, counts: tuple[int, ...]) -> str:
    """What numbers are to be predicted, told by themselves."""
    if one_hot:
        return "multiclass"
    if flat.shape[1] > 1:
        return "multiclass" if whole else "regression"
    if len(values) == 2 and values.tolist() in ([0.0, 1.0], [-1.0, 1.0]):
        return "binary"
    evenly = bool(counts) and len(counts) > 2 and min(counts) > 0
    evenly = evenly and entropy(counts) > 0.9 * float(torch.tensor(float(len(counts))).log()) and len(counts) <= 20
    if evenly and flat.shape[1] == 1 and sum(counts) == len(flat):
        return "multiclass"
    return "multiclass" if whole and counts else "regression"
