"""Weights of the classes in the loss, for each member: by how rare a class is, and as the user gives them (row L6)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainwell.data.batches import BatchSource
from trainwell.ingredients import LOSSES, balanced_positives, balanced_weights
from trainwell.plan import Plan

COUNTED = 1 << 20  # rows whose targets are looked at together


def class_weights(
    plans: Sequence[Plan], feed: BatchSource, groups: Sequence[int], outputs: int, classes: Sequence[str] = ()
) -> Tensor | None:
    """Weights (K, C) of the classes; for losses on sigmoid outputs the weight of each label's positive rows.

    None when no member weights its classes. Classes are counted on the training rows of each member's data group.

    Args:
        classes: names of the classes (of both, for a binary target), or of the labels of a multi-label target.
    """
    loss, y = LOSSES[plans[0].loss.name], feed.samples.y
    power = [float(plan.effective("loss.balance") or 0.0) for plan in plans]
    if loss.output == "identity" or y is None or not (any(power) or any(plan.loss.class_weights for plan in plans)):
        return None
    columns, softmax = torch.tensor(power, dtype=torch.float64).unsqueeze(1), loss.output == "softmax"
    counts = _counts(y, feed.train, outputs, softmax)[list(groups)]
    if softmax:
        weights = balanced_weights(counts, columns)
    else:
        rows = torch.full((len(counts), 1), float(feed.train.shape[1]), dtype=torch.float64)
        weights = balanced_positives(counts, rows, columns)
    return weights * torch.tensor([_given(plan, classes, outputs, softmax) for plan in plans], dtype=torch.float64)


def _counts(y: Tensor, train: Tensor, outputs: int, softmax: bool) -> Tensor:
    """(G, C) training rows of each class, or positive rows of each label, of each data group."""
    total = torch.zeros(len(train), outputs, dtype=torch.int64 if softmax else torch.float64)
    for rows in train.split(COUNTED, dim=1):
        for group, own in enumerate(y[rows].cpu()):
            total[group] += torch.bincount(own, minlength=outputs) if softmax else own.double().sum(dim=0)
    return total


def _given(plan: Plan, classes: Sequence[str], outputs: int, softmax: bool) -> list[float]:
    """The user's weights of one member's classes, 1 for those not named."""
    named = [plan.loss.class_weights.get(name, 1.0) for name in classes]
    if not named:
        return [1.0] * outputs
    return named if softmax or len(named) == outputs else [named[1] / named[0]]
