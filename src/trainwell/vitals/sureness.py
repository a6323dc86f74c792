"""How often a classifier is wrong where it is surest: errors that do not fade with sureness are of the labels."""

from collections import deque
from typing import NamedTuple

import torch
from torch import Tensor

STEPS, MOST_NUMBERS = 64, 16_384
"""Steps that are kept, the newest; numbers in the outputs of one, beyond which none is."""

PARTS = (0.5, 0.2, 0.1)
"""The surest half, fifth and tenth of the samples, by the margin of the first class over the second one."""

EXPECTED = 2.0
"""Samples that a cell must let expect to be counted (Cochran 1954 permits so few in some cells)."""

Margins = tuple[Tensor, Tensor, Tensor, Tensor]


class Shares(NamedTuple):
    """What newest outputs and targets tell.

    Attributes:
        samples: how many. skill: share of the errors of the best constant guess that is avoided.
        wrong: share of the surest PARTS that is wrong.
        taste: how far the true class of a wrong sample depends on the class that was named: χ² over its degrees of
            freedom, 1 where it does not, as of labels that are wrong by chance; large where classes look alike.
            NaN of two classes, which leave no choice.
    """

    samples: int
    skill: float
    wrong: tuple[float, ...]
    taste: float


NONE = Shares(0, 0.0, (0.0,) * len(PARTS), float("nan"))


class Sureness:
    """Outputs and targets of every fourth of the newest steps, as given: nothing is computed before it is asked for.

    The outputs are those before the update: what a network has not learned by heart yet, it is judged on fairly.

    Attributes:
        kept: where each step is to be put, as long as `wanted` says so.
    """

    def __init__(self) -> None:
        self.kept: deque[tuple[Tensor, object]] = deque(maxlen=STEPS)
        self.wanted = False

    def look(self, outputs: Tensor, targets: Tensor) -> None:
        """Whether these may be classes: outputs (B, C) with classes (B,), or one output a sample with 0 and 1."""
        fits = 0 < outputs.dim() <= 2 and 0 < targets.dim() <= 2 and len(outputs) == len(targets)
        self.wanted = fits and outputs.numel() <= MOST_NUMBERS

    @torch.no_grad()
    def shares(self) -> Shares:
        """What they tell; of targets in one place only the newest: it is one batch for ever, or is written anew."""
        newest = {y.data_ptr(): (z, y) for z, y in self.kept if isinstance(y, Tensor)}
        read = [margins_of(z.cpu(), y.detach().cpu()) for z, y in newest.values()]
        if not read or any(part is None for part in read):
            return NONE
        known = [r for r in read if r is not None]
        margins, wrong, named, classes = (torch.cat(parts) for parts in zip(*known, strict=True))
        order, count = margins.argsort(descending=True, stable=True), len(margins)
        guessed = count - int(torch.bincount(classes).max())
        skill = 1 - float(wrong.sum()) / guessed if guessed else 0.0
        surest = wrong[order].double()
        shares = tuple(float(surest[: max(1, int(count * part))].mean()) for part in PARTS)
        half = order[: int(count * PARTS[0])]
        return Shares(count, skill, shares, _taste(named[half][wrong[half]], classes[half][wrong[half]], classes))


def _taste(named: Tensor, true: Tensor, all_classes: Tensor) -> float:
    """χ² over its degrees of freedom of (class that was named, true class), against true classes as frequent as in all.

    Args:
        named, true: of wrong samples, so that they differ. all_classes: of all samples.
    """
    frequent = torch.bincount(all_classes).double()
    total, freedom = 0.0, 0
    for name in named.unique().tolist():
        seen = torch.bincount(true[named == name], minlength=len(frequent)).double()
        share = frequent.clone()
        if name < len(share):
            share[name] = 0.0
        expected = seen.sum() * share / share.sum().clamp_min(1e-12)
        tells = expected >= EXPECTED
        if int(tells.sum()) > 1:
            total += float(((seen - expected).square() / expected)[tells].sum())
            freedom += int(tells.sum()) - 1
    return total / freedom if freedom else float("nan")


def margins_of(z: Tensor, y: Tensor) -> Margins | None:
    """Margin, whether wrong, class named and true class of each sample; None where these are no classes of samples."""
    if z.dim() == 2 and z.shape[1] > 1 and y.dim() == 1 and not y.is_floating_point():
        if not bool(((y >= 0) & (y < z.shape[1])).all()):
            return None
        first = z.topk(2, dim=1)
        named = first.indices[:, 0]
        return (first.values[:, 0] - first.values[:, 1]).float(), named != y, named, y.long()
    flat, target = z.reshape(-1), y.reshape(-1)
    if len(flat) != len(z) or len(target) != len(flat) or not bool(((target == 0) | (target == 1)).all()):
        return None
    middle = 0.5 if bool(((flat >= 0) & (flat <= 1)).all()) else 0.0
    return (flat - middle).abs().float(), (flat > middle) != (target > 0.5), (flat > middle).long(), target.long()
