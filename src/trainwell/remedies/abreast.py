"""Several courses brought on side by side: a course is a row of a matrix θ (K, P), where their modules are alike.

Contract: after `abreast` each course is where `Course.advance` would have brought it alone, to rounding. Modules whose
layers have rules for many members (`networks.layer_rules`) are computed at once; others in turns, since vmap pays for
no fewer than ten members of a small network on a CPU (docs/log.md). Which agree is tried on the first batch: losses and
gradients of each must be those that its own module gives.
"""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import torch
from torch import Tensor, nn

from trainwell.base.randomness import own_randomness
from trainwell.networks.inventory import Inventory
from trainwell.networks.layer_rules import Step, steps_of
from trainwell.networks.ways import Pass, by_rules
from trainwell.remedies.course import Course

FEWEST = 8  # updates, below which a matrix isn't worth its making
CLOSE = 1e-4  # of the largest number in what is compared


def abreast(courses: Sequence[Course], share: float) -> None:
    """Bring all to a share of their trainings, and judge them there."""
    for group in _alike(courses, share):
        with own_randomness(group[0].seed, "cure", "abreast"):
            _together(group, _target(group[0], share))
    for course in courses:
        course.advance(share)


def _target(course: Course, share: float) -> int:
    return math.ceil(share * course.updates - 1e-9)


def _alike(courses: Iterable[Course], share: float) -> Iterator[list[Course]]:
    """Those that have the same updates before them, and modules of the same look; two at the least."""
    able = [c for c in courses if not c.failed and c.observer is None and _target(c, share) - c.done >= FEWEST]
    keys = {id(c): (_target(c, share), c.done, len(c.rows), c.training.batch_size, _look(c.body)) for c in able}
    for _, found in groupby(sorted(able, key=lambda c: repr(keys[id(c)])), key=lambda c: keys[id(c)]):
        group = list(found)
        if len(group) > 1:
            yield group


def _look(module: nn.Module) -> str:
    tensors = [*module.named_parameters(), *module.named_buffers()]
    return f"{module} {[(name, tuple(t.shape), t.requires_grad) for name, t in tensors]}"


def _together(group: list[Course], target: int) -> None:
    """Train those whose numbers agree, until one fails, or all are at the target; the rest stay where they are."""
    for course in group:
        course.begin()
    steps = steps_of(group[0].body)
    if isinstance(steps, str) or any(step.rule is None and step.layer.p for step in steps):
        return
    group = [c for c in group if c.row is not None and _trained(c.body) == {id(p) for p in c.row.parameters}]
    while len(group) > 1 and group[0].done < target:
        try:
            matrix = _Matrix(group, steps)
            agreeing = matrix.agreeing()
            if len(agreeing) == len(group):
                matrix.train(target)
        except Exception:  # noqa: BLE001  whatever the user's code may raise: each course meets it alone, and tells
            return
        group = [course for course in agreeing if not course.failed]


def _trained(module: nn.Module) -> set[int]:
    return {id(p) for p in module.parameters() if p.requires_grad}


class _Matrix:
    """Courses of one structure, the same number of updates behind them."""

    def __init__(self, courses: Sequence[Course], steps: list[Step]) -> None:
        self.courses, self.steps = courses, steps
        self.rows = [course.row for course in courses if course.row is not None]
        like = self.rows[0].values
        self.theta = like.new_empty(len(courses), len(like))
        self.gradient = torch.zeros_like(self.theta)
        for k, row in enumerate(self.rows):
            row.lie_in(self.theta[k], self.gradient[k])
        bodies = [course.body for course in courses]
        self.names = {id(p): name for name, p in bodies[0].named_parameters()}
        self.canonical = Inventory.of(bodies[0], bodies[1]).canonical
        self.leaves = [view.requires_grad_() for view in self._views(self.theta)]
        self.slopes = self._views(self.gradient)
        frozen = [name for name, p in bodies[0].named_parameters() if not p.requires_grad]
        self.tensors = {**dict(zip(self.trained, self.leaves, strict=True)), **_stacked(bodies, frozen)}
        self.buffers = _stacked(bodies, [name for name, b in bodies[0].named_buffers() if b.is_floating_point()])
        for name, rows in self.buffers.items():
            for body, row in zip(bodies, rows, strict=True):
                body.get_buffer(name).data = row

    @property
    def trained(self) -> list[str]:
        """Names of the trained parameters, in the order of the row."""
        return [self.names[id(p)] for p in self.rows[0].parameters]

    def _views(self, matrix: Tensor) -> list[Tensor]:
        """The columns of each trained parameter (K, …)."""
        sizes = [p.numel() for p in self.rows[0].parameters]
        parts = zip(matrix.split(sizes, dim=1), self.rows[0].parameters, strict=True)
        return [part.view(len(matrix), *p.shape).detach() for part, p in parts]

    def losses(self, x: Tensor, y: Sequence[Tensor], buffers: dict[str, Tensor]) -> Tensor:
        """Of each course (K,)."""
        now = Pass(len(self.courses), self.tensors, buffers, (x,), training=True)
        z = by_rules(self.steps, self.canonical, now)
        own = zip(self.courses, z.unbind(0), y, strict=True)
        return torch.stack([course.training.loss_fn(outputs, targets) for course, outputs, targets in own])

    def batch(self, orders: Sequence[Tensor], step: int) -> tuple[Tensor, list[Tensor]]:
        """Inputs (K or 1, B, …) and targets of each course."""
        size = self.courses[0].training.batch_size
        places = [order[step * size : (step + 1) * size] for order in orders]
        first = self.courses[0]
        if all(c.rows is first.rows and c.seed == first.seed and c.body is c.module for c in self.courses):
            x, y = first.given(first.rows.at(places[0]))
            return x[None], [y] * len(self.courses)
        given = [c.given(c.rows.at(place)) for c, place in zip(self.courses, places, strict=True)]
        return torch.stack([x for x, _ in given]), [y for _, y in given]

    def agreeing(self) -> list[Course]:
        """The courses whose loss and gradient on the next batch are those of their own module."""
        epoch, step = divmod(self.courses[0].done, self.courses[0].per_epoch)
        x, y = self.batch([course.order(epoch) for course in self.courses], step)
        losses = self.losses(x, y, {name: b.clone() for name, b in self.buffers.items()})
        slopes = torch.autograd.grad(losses.sum(), self.leaves)
        found: list[Course] = []
        for k, course in enumerate(self.courses):
            if course.agreed or self._agrees(course, x[k % len(x)], y[k], losses[k], [slope[k] for slope in slopes]):
                course.agreed = True
                found.append(course)
        return found

    def _agrees(self, course: Course, x: Tensor, y: Tensor, loss: Tensor, slopes: Sequence[Tensor]) -> bool:
        kept = {name: b.clone() for name, b in course.body.named_buffers()}
        own, _ = course.slopes(x, y)
        for name, buffer in kept.items():
            course.body.get_buffer(name).copy_(buffer)
        if course.row is None or not course.row.gathered():
            return False
        ours = torch.cat([slope.flatten() for slope in slopes])
        pairs = (own.detach(), loss.detach()), (course.row.gradient, ours)
        return all(bool((a - b).abs().max() <= CLOSE * a.abs().max()) for a, b in pairs)

    def train(self, target: int) -> None:
        """Updates until the target, or until a course fails."""
        courses = self.courses
        for course in courses:
            course.module.train()
        while courses[0].done < target and not any(course.failed for course in courses):
            epoch, first = divmod(courses[0].done, courses[0].per_epoch)
            last = min(courses[0].per_epoch, first + target - courses[0].done)
            self._stretch([course.order(epoch) for course in courses], range(first, last))

    def _stretch(self, orders: Sequence[Tensor], steps: range) -> None:
        began, samples, updates = time.monotonic(), 0, 0
        for step in steps:
            x, y = self.batch(orders, step)
            losses = self.losses(x, y, self.buffers)
            slopes = torch.autograd.grad(losses.sum(), self.leaves)
            torch._foreach_copy_(self.slopes, slopes)  # pyright: ignore[reportPrivateImportUsage]
            samples, updates = samples + x.shape[1], updates + 1
            if not self._stepped(losses.detach().tolist()):
                break
        for course in self.courses:
            seconds = (time.monotonic() - began) / len(self.courses)
            course.ledger.charge(samples, updates, course.weights, seconds)

    def _stepped(self, losses: Sequence[float]) -> bool:
        """Each course's step; whether all go on."""
        for course, row, loss in zip(self.courses, self.rows, losses, strict=True):
            if course.training.clip_norm is not None:
                nn.utils.clip_grad_norm_(row.parts, course.training.clip_norm)
            course.step()
            course.went_on(loss)
        return not any(course.failed for course in self.courses)


def _stacked(modules: Sequence[nn.Module], names: Iterable[str]) -> dict[str, Tensor]:
    """Tensors (K, …) of all, by name."""
    every = [{**dict(m.named_parameters()), **dict(m.named_buffers())} for m in modules]
    return {name: torch.stack([own[name].detach() for own in every]) for name in names}
