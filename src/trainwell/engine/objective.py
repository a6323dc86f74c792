"""The objective of a step, as a formula: what each member minimises, and its slopes by all weights.

    losses, slopes = slopes_of(blueprint, loss, given, leaves, running)

`kernel.py` runs the same formula as one compiled function, `passes.py` decides how it is run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from trainwell.base.layout import Columns, Views
from trainwell.data.batches import Samples
from trainwell.ingredients import Loss, mixed_loss
from trainwell.networks import Noise, Tap
from trainwell.networks.structure import Structure


@dataclass(frozen=True)
class Given:
    """What a step's objective depends on beside the weights.

    Attributes:
        batch: x (K or 1, D, B), categories, y. noise: of this step, None when nobody has any.
        columns: hyperparameters, (K, 1) each. class_weights: (K, C) or None.
        autocast: products in bfloat16 by torch's own rules.
    """

    batch: Samples
    noise: Noise | None
    columns: Columns
    class_weights: Tensor | None
    autocast: bool = False

    def of_rows(self, rows: slice, noise: Noise | None) -> "Given":
        """For these members alone, under the noise that is theirs."""
        weights = None if self.class_weights is None else self.class_weights[rows]
        columns = {name: column[rows] for name, column in self.columns.items()}
        return replace(self, batch=self.batch.of_rows(rows), noise=noise, columns=columns, class_weights=weights)


def objective(
    structure: Structure, loss: Loss, given: Given, weights: Views, running: Views, *, tap: Tap | None = None
) -> Tensor:
    """What each member minimises (K,): its mean loss on the batch under its own noise. Updates `running` in place."""
    batch, noise = given.batch, given.noise
    assert batch.y is not None
    with torch.autocast(batch.x.device.type, torch.bfloat16, enabled=given.autocast):
        z = structure.forward(
            weights, running, batch.x, batch.categories, hypers=given.columns, training=True, noise=noise, tap=tap
        )
    z = z.to(given.columns["learning_rate"].dtype)
    losses = loss.function(z, batch.y, given.columns, given.class_weights)
    if noise is not None and noise.mixup is not None:
        order, share = noise.mixup
        y = batch.y.expand(len(order), *batch.y.shape[1:])
        index = order if y.dim() == 2 else order.unsqueeze(1).expand(-1, y.shape[1], -1)
        others = loss.function(z, y.gather(-1, index), given.columns, given.class_weights)
        losses = mixed_loss(losses, others, share)
    return loss.total(losses)


def slopes_of(
    structure: Structure, loss: Loss, given: Given, leaves: Views, running: Views, *, tap: Tap | None = None
) -> tuple[Tensor, Sequence[Tensor]]:
    """Losses (K,), and their slopes (K, *shape) by each of the leaves, in their order."""
    losses = objective(structure, loss, given, leaves, running, tap=tap)
    return losses.detach(), torch.autograd.grad(losses.sum(), list(leaves.values()))
