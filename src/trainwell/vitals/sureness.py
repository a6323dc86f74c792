"""How often a classifier is wrong where it is surest: errors that do not fade with sureness are of the labels.

Networks learn what is true of many rows first, and single wrong targets later, by heart (Arpit et al. 2017): where
judgements are told, what counts is what the network said before the best of them.
"""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from trainwell.vitals import strays

STEPS, MOST_NUMBERS = 64, 16_384
"""Steps that are kept, the newest; numbers in the outputs of one, beyond which none is."""

PARTS = (0.5, 0.2, 0.1)
"""The surest half, fifth and tenth of the samples, by the margin of the first class over the second one."""

ENOUGH, FEWEST = 1024, 300
"""Samples before the best judgement that are kept, and those that are enough."""

SNAPSHOTS = (1, 2, 4, 8)
"""Judgements at which what the network said before is kept: later it may know wrong targets by heart."""

LEARNED = 0.3
"""Skill from which a snapshot tells of labels: before, errors are of what is not learned yet."""

FIRST, SELDOM = 128, 8
"""Steps that are all kept; of later ones one in so many is."""

EXPECTED = 2.0
"""Samples that a cell must let expect to be counted (Cochran 1954 permits so few in some cells)."""

Pair = tuple[Tensor, object]
Margins = tuple[Tensor, Tensor, Tensor, Tensor]


class Shares(NamedTuple):
    """What newest outputs and targets tell.

    Attributes:
        samples: how many. skill: share of the errors of the best constant guess that is avoided.
        wrong: share of the surest PARTS that is wrong.
        taste: how far the true class of a wrong sample depends on the class that was named: χ² over its degrees of
            freedom, 1 where it does not, as of labels that are wrong by chance; large where classes look alike.
            NaN of two classes, which leave no choice.
        gathered: how unevenly the wrong samples fall on the steps: χ² over its degrees of freedom, 1 where each is
            wrong by chance, as of labels; large where whole batches are, as of a judge whose forger has moved on.
    """

    samples: int
    skill: float
    wrong: tuple[float, ...]
    taste: float
    gathered: float


class Follows(NamedTuple):
    """How far outputs follow targets.

    Attributes:
        samples: how many rows. t: Student's, of their rank correlation. explained: R² of the outputs as they are.
    """

    samples: int
    t: float
    explained: float


UNKNOWN = Follows(0, 0.0, 0.0)
NONE = Shares(0, 0.0, (0.0,) * len(PARTS), float("nan"), 1.0)


class Sureness:
    """Outputs and targets of newest steps, as given: nothing is computed before it is asked for.

    The outputs are those before the update: what a network has not learned by heart yet, it is judged on fairly.

    Attributes:
        wanted: whether steps are to be kept.
    """

    def __init__(self) -> None:
        self.kept: deque[Pair] = deque(maxlen=STEPS)
        self.wanted = self.numbers = False
        self._best: list[Pair] = []
        self._early: list[list[Pair]] = []
        self._lowest, self._judgements = float("inf"), 0

    def look(self, outputs: Tensor, targets: Tensor, *, numbers: bool) -> None:
        """Whether these fit: outputs (B, C) with classes (B,), one output with 0 and 1; or one output with a number."""
        fits = 0 < outputs.dim() <= 2 and 0 < targets.dim() <= 2 and len(outputs) == len(targets)
        single = len(outputs) == outputs.numel() == targets.numel()
        self.wanted, self.numbers = fits and outputs.numel() <= MOST_NUMBERS and (single or not numbers), numbers

    def keep(self, outputs: Tensor, targets: object) -> None:
        """Those of a step that is kept."""
        self.kept.append((outputs.detach().clone(), targets))

    def judged(self, loss: float) -> None:
        """A validation loss: before the lowest, the network knew most that is true of other rows."""
        self._judgements += 1
        if self._judgements in SNAPSHOTS and not self.numbers:
            self._early.append(self._newest())
        if loss < self._lowest and self.kept:
            self._lowest, self._best = loss, self._newest()

    def _newest(self) -> list[Pair]:
        """As many of the newest steps as are enough."""
        found: list[Pair] = []
        count = 0
        for pair in reversed(self.kept):
            found.append(pair)
            count += len(pair[0])
            if count >= ENOUGH:
                break
        return found

    def early(self) -> Shares:
        """What the first outputs tell of classes from which the network had learned something."""
        for pairs in self._early:
            shares = _shares(_read(pairs))
            if shares.samples >= FEWEST and shares.skill >= LEARNED:
                return shares
        return NONE

    def classes(self) -> list[Tensor]:
        """Classes of the newest steps: with those of the looks alone their shares are not known well."""
        return [] if self.numbers else [y for _, y in _read(self.kept)]

    def shares(self) -> Shares:
        """What they tell of classes."""
        return NONE if self.numbers else _shares(self._window())

    def strays(self) -> strays.Strays:
        """What they tell of numbers."""
        pairs = self._window() if self.numbers else []
        return strays.strays(*(torch.cat(side).numpy() for side in zip(*pairs, strict=True))) if pairs else strays.NONE

    @torch.no_grad()
    def follows(self) -> Follows:
        """How far the newest outputs follow the targets, both of one number a row."""
        kept = [(z, y) for z, y in self.kept if isinstance(y, Tensor) and y.numel() == z.numel()]
        if not self.numbers or not kept:
            return UNKNOWN
        z, y = (
            torch.cat([part.detach().flatten().cpu().double() for part in side]) for side in zip(*kept, strict=True)
        )
        spread, freedom = float((y - y.mean()).square().sum()), len(y) - 2
        if freedom < 1 or not spread > 0 or not bool(z.isfinite().all()) or bool((z == z[0]).all()):
            return UNKNOWN
        r = float(torch.corrcoef(torch.stack([values.argsort().argsort().double() for values in (z, y)]))[0, 1])
        r = min(max(r, 1e-12 - 1), 1 - 1e-12)
        return Follows(len(y), r * (freedom / (1 - r * r)) ** 0.5, 1 - float((y - z).square().sum()) / spread)

    @torch.no_grad()
    def _window(self) -> list[tuple[Tensor, Tensor]]:
        """What was kept before the best judgement, if it is enough; else of the newest steps."""
        best = sum(len(z) for z, _ in self._best) >= FEWEST
        pairs = _read(self._best if best else self.kept)
        return [(z.flatten().float(), y.flatten().float()) for z, y in pairs] if self.numbers else pairs


def _read(pairs: Iterable[Pair]) -> list[tuple[Tensor, Tensor]]:
    """Outputs and targets; of targets in one place only the newest: it is one batch for ever, or is written anew."""
    placed = {y.data_ptr(): (z, y) for z, y in pairs if isinstance(y, Tensor)}
    return [(z.cpu(), y.detach().cpu()) for z, y in placed.values()]


@torch.no_grad()
def _shares(pairs: list[tuple[Tensor, Tensor]]) -> Shares:
    read = [margins_of(z, y) for z, y in pairs]
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
    taste = _taste(named[half][wrong[half]], classes[half][wrong[half]], classes)
    return Shares(count, skill, shares, taste, _gathered([r[1] for r in known]))


def _gathered(wrong: list[Tensor]) -> float:
    """χ² over its degrees of freedom of the errors of each step, against as many of each sample."""
    sizes = torch.tensor([float(len(part)) for part in wrong], dtype=torch.float64)
    seen = torch.tensor([float(part.sum()) for part in wrong], dtype=torch.float64)
    rate = float(seen.sum() / sizes.sum())
    if len(wrong) < 2 or not 0 < rate < 1:
        return 1.0
    return float(((seen - sizes * rate).square() / (sizes * rate * (1 - rate))).sum()) / (len(wrong) - 1)


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
