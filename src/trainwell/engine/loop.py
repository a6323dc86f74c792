"""The loop: plain, visible, and it yields. Whoever watches reads the moment and may send back a change.

    for moment in train(course):
        print(moment.step, moment.loss)

One step is one batched forward, one backward, a few element-wise operations on matrices.
"""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from trainwell.engine.course import Course
from trainwell.engine.moment import (
    Change,
    Copy,
    Edit,
    Evaluation,
    Gradients,
    LayerView,
    Moment,
    Stop,
    WantsLayers,
    as_mask,
    never,
    some_numbers,
)


def train(course: Course, *, until: int | None = None, wants_layers: WantsLayers = never) -> Iterator[Moment]:
    """Train a course's members until all have ended, or up to step `until`; yields a `Moment` after every update.

    Members end by themselves when their loss is not finite, or after `patience` evaluations without improvement. When a
    moment is yielded its step is complete: best weights are kept, and members that ended have left. What is sent back
    is done at once. So a checkpoint written then, after what is sent, continues bit for bit.
    """
    last = course.total_steps if until is None else min(until, course.total_steps)
    course.share()
    while course.running and course.population.step < last:
        moment = _step(course, wants_layers)
        step = course.population.step
        if step % course.evaluate_every == 0 or step == last:
            moment.evaluation = _evaluate(course)
            _let_go(course, moment)
        yield moment
        course.processes.tick(course.changes, len(course.population))


def _step(course: Course, wants_layers: WantsLayers) -> Moment:
    population = course.population
    batch = course.feed.batch(population.step).of_members(course.groups)
    rate = population.rates(course.total_steps, course.feed.steps_per_epoch)
    shown, next_shown = wants_layers(population.step + 1), wants_layers(population.step + 2)
    signals: dict[str, Tensor] = {}
    loss = population.backward(batch, tap=_keeping(signals) if shown else None)
    loss = course.processes.reduce(population, loss)
    before = population.theta.clone() if shown else None
    gradient = population.gradient.clone() if shown else None
    earlier, course.gradients = course.gradients, None
    if shown or next_shown:
        course.gradients = Gradients(population.members, some_numbers(population.gradient))
    population.update(rate, course.total_steps)
    return Moment(
        step=population.step,
        epoch=population.step / course.feed.steps_per_epoch,
        members=population.members,
        loss=loss,
        learning_rate=rate.squeeze(1),
        active=course.active,
        gradients=_pair(earlier, course.gradients) if shown else None,
        layers=None if before is None or gradient is None else _layers(course, before, gradient, signals),
        send=partial(_apply, course),
    )


def _pair(earlier: Gradients | None, now: Gradients | None) -> tuple[Tensor, Tensor] | None:
    """Those of two steps in a row, if the same members made both."""
    if earlier is None or now is None or earlier.members is not now.members:
        return None
    return earlier.numbers, now.numbers


def _keeping(signals: dict[str, Tensor]):
    def tap(name: str, signal: Tensor) -> None:
        signals[name] = signal.detach().transpose(1, 2)

    return tap


def _layers(course: Course, before: Tensor, gradient: Tensor, signals: dict[str, Tensor]) -> list[LayerView]:
    """What each layer shows; all tensors are copies, so an onlooker can't disturb the training."""
    population = course.population
    now, old, slopes = (population.layout.views(m) for m in (population.theta.clone(), before, gradient))
    return [
        LayerView(
            name=name,
            activation_name="identity" if name == "output" else population.blueprint.activation,
            weight=now[f"{name}.weight"],
            gradient=slopes[f"{name}.weight"],
            before=old[f"{name}.weight"],
            activation=signals.get(name),
        )
        for name in population.blueprint.layers
    ]


def _evaluate(course: Course) -> Evaluation:
    """Measure all members, keep best weights, count evaluations without improvement."""
    population, best, groups = course.population, course.best, course.groups
    judge, samples, shown = course.processes.judge, course.feed.samples, population.shown()
    loss, metric = judge(population, samples, course.feed.validation, groups, shown)
    train_loss, _ = judge(population, course.probed, course.probe, groups, shown)
    population.note_validation(loss)
    who = population.members
    better = loss < best.loss[who]
    if course.monitor == "metric":
        better = (metric > best.metric[who]) | ((metric == best.metric[who]) & better)
    better &= torch.isfinite(loss) & course.active  # outputs of NaN still name a class, and so have a metric
    improved, rows = who[better], better
    best.theta[improved], best.statistics[improved] = shown[0][rows], shown[1][rows]
    best.loss[improved], best.metric[improved] = loss[rows], metric[rows]
    best.step[improved] = population.step
    best.waited[who] = torch.where(better, 0, best.waited[who] + 1)
    return Evaluation(loss, metric, train_loss, better)


def _let_go(course: Course, moment: Moment) -> None:
    """Members that ran out of patience or finished leave the matrix; diverged ones stay as rows that nobody reads."""
    assert moment.evaluation is not None
    population = course.population
    finite = torch.isfinite(moment.evaluation.loss) & torch.isfinite(moment.loss)
    tired = moment.active & finite & (course.best.waited[moment.members] >= course.patience)
    course.name_outcome(moment.members[~finite].tolist(), "diverged")
    if population.step >= course.total_steps:
        course.end(population.members.tolist(), "finished")
    else:
        course.end(moment.members[tired].tolist(), "stopped-early")


def _apply(course: Course, change: Change) -> None:
    course.changes += 1
    population = course.population
    here = population.members.tolist()
    if isinstance(change, Stop):
        course.end([m for m in change.members if m in here], change.kind)
    elif isinstance(change, Edit):
        rows = as_mask(population.members, change.members).nonzero().flatten()
        population.edit(rows, change.column, change.value)
    else:
        shares = {change.source: 1.0} if isinstance(change, Copy) else change.shares
        if change.target in here and all(member in here for member in shares):
            population.mix_row({here.index(m): share for m, share in shares.items()}, here.index(change.target))
