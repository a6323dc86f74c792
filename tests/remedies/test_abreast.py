"""Courses side by side are what they are alone."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim
from torch.nn import functional as F

from trainwell.remedies.abreast import abreast
from trainwell.remedies.aim import Aim
from trainwell.remedies.course import Course, Ledger
from trainwell.remedies.rows import Rows
from trainwell.remedies.training import Training

CLASSES = 3
ROWS, JUDGED = 52, 20


def rows(count: int, *shape: int, seed: int = 0) -> Rows:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(count, *shape, generator=draw)
    return Rows(x, (x.flatten(1).sum(1) > 0).long() + (x.flatten(1)[:, 0] > 0.5).long())


def dense(middle: Callable[[], nn.Module] = nn.ReLU) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), middle(), nn.Linear(8, CLASSES)).double()


def images() -> nn.Module:
    layers = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, CLASSES)
    return nn.Sequential(*layers).double()


class Own(nn.Module):
    """With a forward of its own, for which there are no rules."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu(self.first(x)))


def training(make: Callable[[], nn.Module] = dense, rule: Any = optim.SGD, **settings: Any) -> Training:
    aim = Aim("classes", torch.arange(CLASSES))
    settings = {"lr": 0.1} | settings
    return Training(make, nn.CrossEntropyLoss(), lambda p: rule(p, **settings), 3, 8, aim)


def courses(trainings: list[Training], seeds: list[int], *shape: int) -> list[Course]:
    """Of each a course on the same rows."""
    trained, judged = rows(ROWS, *(shape or (4,))), rows(JUDGED, *(shape or (4,)), seed=1)
    ledger = Ledger(1e9, (156.0, 21.0), 59)
    found = []
    for one, seed in zip(trainings, seeds, strict=True):
        metric = partial(one.aim.score, threshold=0.5)
        found.append(Course(one, seed, trained, judged, metric, ledger))
    return found


FIELDS: dict[str, tuple[list[Training], list[int], tuple[int, ...]]] = {
    "rates": ([training(lr=rate) for rate in (0.01, 0.1, 1.0)], [0, 0, 0], (4,)),
    "optimizers": ([training(), training(rule=optim.Adam), training(rule=optim.RMSprop, lr=0.01)], [0, 0, 0], (4,)),
    "seeds": ([training(momentum=0.9)] * 3, [0, 1, 2], (4,)),
    "clipped, annealed": (
        [replace(training(lr=1.0), clip_norm=0.1), replace(training(), schedule="cosine"), training()], [0] * 3, (4,),
    ),
    "scaled": ([replace(training(), scale_inputs=True), training(), training(lr=0.5)], [0, 0, 1], (4,)),
    "losses": ([training(), replace(training(), loss_fn=nn.MultiMarginLoss())], [0, 0], (4,)),
    "convolutions and batch norm": ([training(images), training(images, lr=0.01)], [0, 0], (1, 6, 6)),
}  # fmt: skip


@pytest.mark.parametrize("name", FIELDS)
def test_a_course_among_others_is_what_it_is_alone(name: str) -> None:
    trainings, seeds, shape = FIELDS[name]
    together, alone = (courses(trainings, seeds, *shape) for _ in range(2))
    for share in (0.5, 1.0):
        abreast(together, share)
        for course in alone:
            course.advance(share)
    assert all(course.agreed for course in together), "or nothing was tried"
    for a, b in zip(together, alone, strict=True):
        assert a.curve == b.curve and len(a.curve) == 2 and a.failed == b.failed == ""
        own = dict(b.module.named_parameters()) | dict(b.module.named_buffers())
        for key, tensor in (dict(a.module.named_parameters()) | dict(a.module.named_buffers())).items():
            if tensor.is_floating_point():
                assert torch.allclose(tensor, own[key], rtol=1e-9, atol=1e-11), key
    assert together[0].ledger.spent == pytest.approx(alone[0].ledger.spent)


def test_one_that_diverges_leaves_the_others_alone() -> None:
    trainings = [training(), training(lr=1e200), training(lr=0.5)]
    together, alone = courses(trainings, [0, 0, 0]), courses(trainings, [0, 0, 0])
    abreast(together, 1.0)
    for course in alone:
        course.advance(1.0)
    assert [course.failed for course in together] == [course.failed for course in alone]
    assert "the loss is" in together[1].failed
    assert [course.done for course in together] == [course.done for course in alone]
    for a, b in ((together[0], alone[0]), (together[2], alone[2])):
        pairs = zip(a.module.parameters(), b.module.parameters(), strict=True)
        assert all(torch.allclose(p, q, rtol=1e-9, atol=1e-11) for p, q in pairs)


def bent() -> nn.Module:
    """Looks like all others, but computes something else."""
    module = dense()
    module[1].forward = lambda x: x.abs()  # pyright: ignore[reportIndexIssue]
    return module


@pytest.mark.parametrize(
    "make", [bent, Own, lambda: dense(lambda: nn.Dropout(0.5))], ids=["of other ways", "no rules", "noise"]
)
def test_what_can_not_be_computed_with_others_is_computed_alone(make: Callable[[], nn.Module]) -> None:
    trainings = [training(), training(make), training(make, lr=0.5)]
    together, alone = courses(trainings, [0, 0, 0]), courses(trainings, [0, 0, 0])
    abreast(together, 1.0)
    for course in alone:
        course.advance(1.0)
    assert not together[1].agreed and not together[2].agreed
    for a, b in zip(together, alone, strict=True):
        pairs = zip(a.module.parameters(), b.module.parameters(), strict=True)
        assert all(torch.allclose(p, q, rtol=1e-9, atol=1e-11) for p, q in pairs)


def test_a_loss_that_fails_is_each_courses_own_failure() -> None:
    def loss(outputs: Tensor, y: Tensor) -> Tensor:
        raise ValueError("no such class")

    together = courses([replace(training(), loss_fn=loss), training()], [0, 0])
    abreast(together, 1.0)
    assert "no such class" in together[0].failed
    assert together[1].failed == "" and together[1].done == together[1].updates


def test_a_returned_module_holds_no_others_memory() -> None:
    together = courses([training(images), training(images, lr=0.01)], [0, 0], 1, 6, 6)
    abreast(together, 1.0)
    module = together[0].freed()
    for tensor in (*module.parameters(), *module.buffers()):
        assert tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
