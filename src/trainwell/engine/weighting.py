"""Weights of the classes in the loss, for each member: by how rare a class is, and as the user gives them (row L6)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainwell.data.batches import Feed
from trainwell.ingredients import LOSSES, balanced_positives, balanced_weights
from trainwell.plan import Plan


def class_weights(
    plans: Sequence[Plan], feed: Feed, groups: Sequence[int], outputs: int, classes: Sequence[str] = ()
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
    own = y[feed.train][list(groups)]  # (K, n) classes, or (K, n, C) labels
    if softmax:
        counts = torch.stack([torch.bincount(row, minlength=outputs) for row in own.cpu()])
        weights = balanced_weights(counts, columns)
    else:
        positive = own.cpu().double().sum(dim=1)  # (K, C)
        rows = torch.full((len(own), 1), float(own.shape[1]), dtype=torch.float64)
        weights = balanced_positives(positive, rows, columns)
    return weights * torch.tensor([_given(plan, classes, outputs, softmax) for plan in plans], dtype=torch.float64)


def _given(plan: Plan, classes: Sequence[str], outputs: int, softmax: bool) -> list[float]:
    """The user's weights of one member's classes, 1 for those not named."""
    named = [plan.loss.class_weights.get(name, 1.0) for name in classes]
    if not named:
        return [1.0] * outputs
    return named if softmax or len(named) == outputs else [named[1] / named[0]]
