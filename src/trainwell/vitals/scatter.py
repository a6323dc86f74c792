"""How far the gradients of two batches lie apart: what of a gradient is noise, and what is common to all batches.

Of gradients g, g' of independent batches at the same weights, E ½‖g − g'‖² = tr Σ/B and E ⟨g, g'⟩ = ‖G‖², with Σ the
covariance of a sample's gradient and G their mean. From step to step weights move little, so two updates in a row serve
as the two batches; where the rate is large the scatter is an upper bound. B·tr Σ/‖G‖² is the gradient noise scale, the
batch size beyond which larger batches bring little (McCandlish et al. 2018, arXiv:1812.06162, section 2.2 and A.1).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainwell.engine.moment import MOST_NUMBERS
from trainwell.engine.record import Record

MOST_TENSORS = 8  # whose gradients are compared
SETTLED = 16  # steps of a user's loop, after which gradients are compared: before, weights move too far between two
FEWEST = 4  # pairs of updates, below which no noise scale is told (our assumption)
SCATTER, COMMON = "gradient-scatter", "gradient-common"


class Scatter:
    """Of a user's loop: gradients just before the update that is looked at, and just before the one after it."""

    def __init__(self) -> None:
        self._parameters: Sequence[nn.Parameter] = ()
        self._old: Tensor | None = None
        self._found: list[tuple[int, Tensor, Tensor]] = []  # step, and both

    @property
    def waits(self) -> bool:
        """Whether the next update is to be compared."""
        return self._old is not None

    def look(self, parameters: Sequence[nn.Parameter]) -> None:
        """Keep some of their gradients."""
        self._parameters, self._old = parameters, sampled(parameters)

    def compare(self, step: int) -> None:
        """How far those of this step lie from what was kept."""
        old, self._old, new = self._old, None, sampled(self._parameters)
        if old is not None and new is not None and new.shape == old.shape:
            self._found.append((step, old, new))

    def taken(self) -> list[tuple[int, str, Tensor]]:
        """Step and signal of what was found since the last call, and its value (1,) on the device."""
        found, self._found = self._found, []
        told = [(step, apart(old, new)) for step, old, new in found]
        return [
            (step, signal, value.reshape(1))
            for step, pair in told
            for signal, value in zip((SCATTER, COMMON), pair, strict=True)
        ]


@torch.no_grad()
def sampled(parameters: Sequence[nn.Parameter]) -> Tensor | None:
    """(n,) evenly spaced numbers of the gradients of some of them; None where there are none."""
    whole = [p.grad for p in parameters if p.grad is not None and not p.grad.is_sparse]
    some = whole[:: -(-len(whole) // MOST_TENSORS) or 1]
    parts = [g.flatten()[:: -(-g.numel() // (MOST_NUMBERS // len(some))) or 1] for g in some]
    return torch.cat(parts) if parts else None  # a copy, since gradients are made anew in the same place


def apart(old: Tensor, new: Tensor) -> tuple[Tensor, Tensor]:
    """½‖g − g'‖² and ⟨g, g'⟩, over the last axis."""
    between = new - old
    return torch.linalg.vecdot(between, between) / 2, torch.linalg.vecdot(old, new)


def noise_scale(record: Record, batch: int, *, member: int = 0) -> float:
    """B·tr Σ/‖G‖², in samples, over the later half of the pairs; infinite where batches have nothing in common.

    Args:
        batch: samples of an update. NaN comes of too few pairs.
    """
    _, scatter = record.series(SCATTER, member=member)
    _, common = record.series(COMMON, member=member)
    if len(scatter) < FEWEST:
        return float("nan")
    noise, signal = (float(values[len(values) // 2 :].sum()) for values in (scatter, common))
    return batch * noise / signal if signal > 0 else float("inf")
