"""Networks that are averaged at the end: how many fit into the budget, how they are trained, how good they are."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl
import torch

from trainwell.base.files import replace_file
from trainwell.data.batches import CPU
from trainwell.engine import Course, Networks, Record, train
from trainwell.engine.checkpoint import Saver
from trainwell.engine.size import free_bytes, members_that_fit
from trainwell.plan import Plan
from trainwell.recipe.metrics import score
from trainwell.recipe.proving import LOOK
from trainwell.recipe.workshop import EVALUATION, SAVE_EVERY, Row, Speed, Workshop
from trainwell.vitals import observe, sampling, spacing

FEWEST_EPOCHS = 4  # a short schedule of more members beats a long one of fewer (docs/log.md)

Look = Callable[[Course, Record], bool]


def design_members(ws: Workshop, plan: Plan, fixed: Sequence[str]) -> dict[str, Any]:
    """How many members and epochs fit into what is left of the budget; epochs give way first, to a quarter."""
    wanted, epochs = plan.ensemble.members, plan.training.epochs
    if ws.folds > 1 and "ensemble.members" not in fixed:
        wanted = max(wanted, 3 * ws.folds)
    structure = ws.material.structure(plan)
    room = max(1, members_that_fit(structure, plan, wanted=wanted, free=free_bytes(ws.device)))
    memory, wanted = ("; more do not fit into memory" if room < wanted else ""), room
    sample = [Row(plan, ws.own_seeds(f"design {i}", fold=i % ws.folds), i % ws.folds) for i in range(4)]
    course = ws.course(sample)
    blueprint, steps, speed = course.blueprint, course.feed.steps_per_epoch, Speed.measured(course)
    seconds = max(0.0, ws.training_ends * ws.clock.budget - ws.clock.spent)
    fixed_epochs = "training.epochs" in fixed

    def fitting(members: int) -> float:
        """Epochs that the time left is enough for."""
        return seconds / (steps * EVALUATION * speed.step(blueprint, members, plan.training.batch_size))

    needed = epochs if fixed_epochs else min(epochs, max(FEWEST_EPOCHS, epochs / 4))
    members = next((m for m in range(wanted, 1, -1) if fitting(m) >= needed), 1)
    room = fitting(members)
    chosen = epochs if fixed_epochs else int(min(epochs, max(1, room)))
    return {
        "members": members,
        "epochs": chosen,
        # Where time may not last for an epoch, best weights are looked for more often.
        "evaluations": min(100, max(1, math.ceil(4 / max(room, 0.04)))) if room < 4 else 1,
        "why": f"{members} networks, {chosen} epochs fit into the budget{memory}",
    }


def designed(plan: Plan, design: dict[str, Any], fixed: Sequence[str]) -> Plan:
    """The plan with the course of a design, but for what is fixed."""
    course = {
        "training.epochs": design["epochs"],
        "training.patience": max(5, design["epochs"] * design["evaluations"] // 4),
        "training.evaluations_per_epoch": design["evaluations"],
    }
    course = {path: value for path, value in course.items() if path not in fixed and plan.get(path) != value}
    return plan.edited(course, by="data", why=design["why"]) if course else plan


def with_members(plan: Plan, usable: Sequence[int], design: dict[str, Any]) -> Plan:
    """The plan with the number of members that are used."""
    return plan.edited({"ensemble.members": max(1, len(usable))}, by="data", why=design["why"])


def train_members(
    ws: Workshop,
    plans: Sequence[Plan],
    count: int,
    name: str,
    *,
    bar: tuple[float, float] = (0.0, 1.0),
    look: Look | None = None,
) -> tuple[Course, Record]:
    """Train members of these plans in turn to the end, the deadline or Ctrl-C.

    Args:
        name: of their checkpoint. bar: from which to which fraction the stage's progress goes.
        look: is asked once, at `LOOK` of the course; where it says True the training ends there.
    """
    rows = [
        Row(plans[m // ws.folds % len(plans)], ws.own_seeds(f"final {m}", fold=m % ws.folds), m % ws.folds)
        for m in range(count)
    ]
    course, record = ws.course(rows), Record()
    _train(ws, course, record, name, bar, look)
    return course, record


def usable_members(course: Course) -> list[int]:
    """Those with a finite loss."""
    return [m for m, loss in enumerate(course.best.loss.tolist()) if math.isfinite(loss)]


def _train(
    ws: Workshop, course: Course, record: Record, name: str, bar: tuple[float, float], look: Look | None
) -> None:
    """With checkpoints, and the record beside them."""
    vitals = ws.folder / "checkpoints" / f"{name}-vitals.parquet"

    def beside() -> Callable[[], None]:
        ws.journal.note("elapsed", ws.clock.spent)
        frame = record.frame()
        return lambda: replace_file(vitals, frame.write_parquet)

    checkpoint = ws.folder / "checkpoints" / f"{name}.safetensors"
    saver = Saver({checkpoint: course}, least=SAVE_EVERY, beside=beside, say=ws.log)
    if saver.load():
        record.extend(pl.read_parquet(vitals).filter(pl.col("step") <= course.population.step))

    look_at = max(1, round(LOOK * course.total_steps))

    def asked() -> bool:
        """Whether the onlooker gives it up, if this is the step at which it is asked."""
        return look is not None and course.population.step == look_at and look(course, record)

    given_up = asked()  # of a run that was stopped while it was asked
    wants, ends = sampling(spacing(course.total_steps)), ws.processes.agree(ws.training_ends)
    for moment in () if given_up else train(course, wants_layers=wants):
        if moment.evaluation is not None or moment.layers is not None or moment.step % 10 == 0:
            observe(moment, record)
        if moment.evaluation is not None:
            ws.note_best(float(course.best.metric.mean()))
            text = f"networks at once: {len(moment.members)}, epoch {moment.epoch:.0f} of {course.epochs}"
            ws.progress(bar[0] + (bar[1] - bar[0]) * moment.step / course.total_steps, text)
        given_up = asked()
        if given_up:
            break
        saver.offer()  # behind what is asked: a resumed run asks again
        reached = bool(torch.isfinite(course.best.loss).any())
        if ws.clock.interrupted or (reached and ws.clock.over(ends)):
            break
    if ws.clock.interrupted:
        saver.save()  # before its members are told that they end here
    saver.close()
    if course.running:
        why = "interrupted" if ws.clock.interrupted else "given-up" if given_up else "out-of-time"
        course.end(course.population.members.tolist(), why)


def judge_members(ws: Workshop, course: Course, usable: list[int]) -> tuple[Networks, dict[str, Any]]:
    """The usable members as they are kept, and the evidence of how good they are; by the workshop's plan."""
    ensemble = ws.ensemble(course, usable)
    together, single = _validation(ws, ensemble, [m % ws.folds for m in usable])
    steps = course.feed.steps_per_epoch
    evidence = {
        "members": len(usable),
        "diverged": len(course.plans) - len(usable),
        "epochs": [course.outcomes[m].step / steps for m in usable],
        "best_epochs": [course.outcomes[m].best_step / steps for m in usable],
        "outcomes": [str(outcome) for outcome in course.outcomes],
        "validation": together,
        "single_member": single,
        "parameters": course.blueprint.layout.size,
    }
    return ensemble, evidence


def _validation(ws: Workshop, ensemble: Networks, folds: list[int]) -> tuple[dict[str, float], dict[str, float]]:
    """Metrics on validation rows of the average, and the mean over single members.

    With cross-validation each row is predicted by the members that did not train on it.
    """
    material = ws.material
    _, validation = ws.fold_rows()
    averaged, truths, singles = [], [], []
    for fold in dict.fromkeys(folds):
        rows = validation[fold]
        samples, truth = material.samples(ws.plan).only(torch.from_numpy(rows)).to(CPU), material.truth(ws.plan, rows)
        p = ensemble.member_predictions(samples)[torch.tensor([f == fold for f in folds])].numpy()
        p = np.stack([material.on_original_scale(ws.plan, each) for each in p])
        averaged.append(p.mean(axis=0))
        truths.append(truth)
        singles += [score(ws.facts.task, truth, each) for each in p]
    together = score(ws.facts.task, np.concatenate(truths), np.concatenate(averaged))
    return together, {name: float(np.mean([s[name] for s in singles if name in s])) for name in singles[0]}
