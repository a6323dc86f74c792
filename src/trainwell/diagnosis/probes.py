"""What is tried on copies of a module before its training: its gradient, its samples' independence, ten rows by heart.

Contract: a probe is a function of a `Trial` that gives a finding or None; it stands under its kind in the table at the
foot. It leaves the random streams and the user's module as they were.
"""

import time
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from trainwell.base import Registry
from trainwell.diagnosis.case import Threshold
from trainwell.diagnosis.edits import offered, rate
from trainwell.diagnosis.finding import Finding, Remedy
from trainwell.diagnosis.probes_gradient import gradient_check_failed
from trainwell.diagnosis.probes_mode import wrong_mode
from trainwell.diagnosis.probes_time import future_seen
from trainwell.diagnosis.rules_axis import mixed
from trainwell.diagnosis.subject import Subject, Trial, undisturbed
from trainwell.vitals.asked import moved, others_first
from trainwell.vitals.program import DROPOUTS
from trainwell.vitals.targets import targets_of

BY_HEART = Threshold(
    0.3,
    healthy="0 … 0.1",
    origin="loss of a few rows after training on them alone, over that of chance (TheDeepChecker: 5 % wrong of 16)",
)
ROWS, STEPS, RATES, SECONDS = 8, 150, (3e-3, 3e-2, 3e-4), 4.0
AMONG = 128
"""Samples of which those rows are chosen: enough to hold several classes."""

SLOW = Threshold(
    1e-5,
    healthy="1e-4 … 1e-2",
    origin="‖Δw‖/‖w‖ of an update: row B7 wants about 1e-3; TheDeepChecker takes 1e-4 as slow",
)
TRIED = 20
"""Updates that the user's optimizer makes on the batch."""

LEAP = Threshold(10.0, healthy="0 … 1.5", origin="loss over its start while one batch is trained on (our assumption)")


def batch_leak(trial: Trial) -> Finding | None:
    """In evaluation a sample's outputs change when other samples of the batch do."""
    subject, count = trial.subject, trial.subject.samples
    if count < 3 or subject.linked:
        return None
    model = subject.copied().eval()
    with undisturbed(), torch.no_grad():
        z = subject.run(model)
    with undisturbed(), torch.no_grad():  # the same random numbers, if there are any
        after = subject.only(others_first(count)).run(model)
    if not isinstance(z, Tensor) or z.dim() > 2 or not z.dim() or len(z) != count or not z.is_floating_point():
        return None
    if _of_pairs(subject, model, z):
        return None
    return mixed(moved(z, after), trial.case.member, step=0)


def _of_pairs(subject: Subject, model: nn.Module, z: Tensor) -> bool:
    """Whether outputs (B, B) are of each sample with each other: fewer samples have narrower ones."""
    if z.dim() < 2 or z.shape[1] != len(z):
        return False
    with undisturbed(), torch.no_grad():
        fewer = subject.only(torch.arange(len(z) // 2)).run(model)
    return not isinstance(fewer, Tensor) or fewer.shape[1:] != z.shape[1:]


def cannot_overfit_batch(trial: Trial) -> Finding | None:
    """Some rows, trained on alone without dropout, are not learned by heart at any of three rates (row B3)."""
    subject, program = trial.subject, trial.program
    if subject.samples < 2 or len(program.loss.shape) > 2 or program.weighted is None:
        return None
    few = subject.only(_distinct(subject))
    targets = targets_of([few.targets] if isinstance(few.targets, Tensor) else [], program.loss, False)
    chance = None if targets is None else targets.chance(program.loss)
    if chance is None or not chance > 0.05 * (trial.case.chance_loss or 0.0) or program.bends == 0:
        return None
    floor = _floor(few)
    enough = floor + BY_HEART.value * (chance - floor)
    if not floor < 0.9 * chance:
        return None  # not even the best outputs are much better
    began, best, first = time.monotonic(), float("inf"), float("nan")
    for size in RATES:
        losses = _losses(few, size, until=floor + BY_HEART.value / 3 * (chance - floor), deadline=began + SECONDS)
        first, best = losses[0], min(best, *losses)
        if best < enough or time.monotonic() - began > SECONDS:
            break
    if best < enough or (time.monotonic() - began > SECONDS and best < first):
        return None
    return Finding(
        "cannot-overfit-batch",
        "warning",
        f"Not even {len(few.targets)} rows can be learned by heart: after {STEPS} steps at each of {len(RATES)} rates "
        f"their loss is {best:.3g}, {best / chance:.0%} of that of chance.",
        step=0,
        evidence=BY_HEART.evidence(
            "loss of a few rows over that of chance", best / chance, first_loss=first, floor=floor
        ),
        remedies=(
            Remedy("look-at-the-batch", "compare a row with its target by eye, and the loss with the output"),
            Remedy("wider", "more units can store more", {"module.width": 2}),
        ),
    )


def _floor(subject: Subject) -> float:
    """The loss of the best outputs, found by Adam on the outputs themselves: label smoothing leaves some."""
    with undisturbed():
        z = subject.run(subject.copied())
        if not isinstance(z, Tensor) or not z.is_floating_point():
            return 0.0
        free = z.detach().clone().requires_grad_()
        optimizer, least = torch.optim.Adam([free], 0.3), float("inf")
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss = subject.loss_fn(free, subject.targets)
            least = min(least, float(loss.detach()))
            loss.backward()
            optimizer.step()
    return max(0.0, least) if least == least else 0.0


def _distinct(subject: Subject) -> Tensor:
    """Up to ROWS of the first samples, no two inputs alike, of as many targets as there are."""
    x = subject.x
    if x is None or not isinstance(subject.targets, Tensor):
        return torch.arange(min(ROWS, subject.samples))
    count = min(AMONG, len(x))
    _, group = x[:count].reshape(count, -1).double().unique(dim=0, return_inverse=True)
    chosen = sorted({int(g): i for i, g in reversed(list(enumerate(group)))}.values())  # the first of each group
    y = subject.targets[:count].reshape(count, -1)[:, 0].tolist()
    order = sorted(chosen, key=lambda i: (sum(y[j] == y[i] for j in chosen if j < i), i))
    return torch.tensor(order[:ROWS])


def _losses(subject: Subject, size: float, *, until: float, deadline: float) -> list[float]:
    """Losses of a copy that learns the batch by heart with Adam."""
    model = subject.copied().train()
    for module in model.modules():
        if isinstance(module, DROPOUTS):
            module.eval()
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], size)
    losses: list[float] = []
    for _ in range(STEPS):
        with undisturbed():
            optimizer.zero_grad()
            loss = subject.loss(model)
            losses.append(float(loss.detach()))
            if losses[-1] < until or losses[-1] != losses[-1] or time.monotonic() > deadline:
                break
            loss.backward()
            optimizer.step()
    return losses


def rate_too_large(trial: Trial) -> Finding | None:
    """The user's own optimizer, on this batch alone: the loss leaps many times above its start."""
    tried = _steps(trial)
    if tried is None:
        return None
    losses, _, used = tried
    finite = [loss if loss == loss else float("inf") for loss in losses]
    leap = max(finite[1:], default=0.0) / max(finite[0], trial.case.chance_loss or 0.0, 1e-12)
    rises = sum(after > before for before, after in pairwise(finite))
    if not (leap > LEAP.value and rises >= 2):
        return None
    return Finding(
        "learning-rate-too-large",
        "critical",
        f"The learning rate {used:.3g} is too large: trained on this batch alone, the loss leapt to {leap:.3g} times "
        "its start.",
        step=0,
        evidence=LEAP.evidence("largest loss over the first", leap, learning_rate=used),
        remedies=offered(
            rate(trial.case, 1 / 10, "smaller steps do not jump over the valley"),
            rate(trial.case, 1 / 100, "a tenth may still be too much"),
        ),
    )


def rate_too_small(trial: Trial) -> Finding | None:
    """The user's own optimizer, on this batch alone: an update hardly moves the weights."""
    tried = _steps(trial)
    if tried is None:
        return None
    _, paces, used = tried
    pace = sorted(paces)[len(paces) // 2]
    if not 0 < pace < SLOW.value:
        return None
    return Finding(
        "learning-rate-too-small",
        "warning",
        f"The learning rate {used:.3g} is too small: an update moves the weights by {pace:.1g} of their size.",
        step=0,
        evidence=SLOW.evidence("‖Δw‖/‖w‖ of an update", pace, learning_rate=used),
        remedies=offered(
            rate(trial.case, 10, "the weights can reach a solution in the time they have"),
            rate(trial.case, 100, "tenfold may not be enough where the weights hardly move"),
        ),
    )


def _steps(trial: Trial) -> tuple[list[float], list[float], float] | None:
    """Losses, largest ‖Δw‖/‖w‖ and rate of some updates of the user's optimizer, on copies; None without one."""
    subject = trial.subject
    if subject.optimizer is None or trial.program.stuck.everything:
        return None
    model, optimizer = subject.with_optimizer()
    weights = [p for p in model.train().parameters() if p.requires_grad and p.dim() > 1]
    losses, paces = [], []
    for _ in range(TRIED if weights else 0):
        before = [p.detach().clone() for p in weights]
        with undisturbed():
            optimizer.zero_grad()
            loss = subject.loss(model)
            losses.append(float(loss.detach()))
            loss.backward()
            optimizer.step()
        moved = zip(weights, before, strict=True)
        paces.append(max(float((p.detach() - b).norm() / b.norm().clamp_min(1e-12)) for p, b in moved))
        if losses[-1] != losses[-1]:
            break
    return (losses, paces, max(float(group["lr"]) for group in optimizer.param_groups)) if losses else None


def loss_sums(trial: Trial) -> Finding | None:
    """The loss of the batch twice is twice the loss: it is a sum, and the rate depends on the batch size."""
    subject, count = trial.subject, trial.subject.samples
    if count < 1:
        return None
    model = subject.copied().eval()
    with undisturbed(), torch.no_grad():
        once = float(subject.loss(model))
        twice = float(subject.only(torch.cat([torch.arange(count)] * 2)).loss(model))
    ratio = twice / once if once else 1.0
    if abs(ratio - 2) > 0.02:
        return None
    return Finding(
        "loss-sums",
        "info",
        "The loss is the sum over the batch, not its mean: the step grows with the batch size.",
        step=0,
        evidence={
            "figure": "loss of the batch twice over that of it",
            "measured": ratio,
            "threshold": 2.0,
            "healthy": "1",
        },
        remedies=(Remedy("mean-reduction", "with the mean a rate suits every batch size"),),
    )


Probe = Callable[[Trial], Finding | None]
PROBES: Registry[Probe] = Registry(
    "probe",
    {
        "wrong-mode": wrong_mode,
        "batch-leak": batch_leak,
        "train-test-leak": future_seen,
        "gradient-check-failed": gradient_check_failed,
        "learning-rate-too-large": rate_too_large,
        "learning-rate-too-small": rate_too_small,
        "cannot-overfit-batch": cannot_overfit_batch,
        "loss-sums": loss_sums,
    },
)
