"""The final networks: the best plans of the search under several seeds, trained to the end, averaged (rows B9, B10)."""

import math
from collections.abc import Callable
from dataclasses import replace
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
from trainwell.recipe.stages.result import Result
from trainwell.recipe.workshop import SAVE_EVERY, Row, Speed, Workshop
from trainwell.vitals import observe, sampling

FEWEST_EPOCHS = 4  # a short schedule of more members beats a long one of fewer (docs/log.md)
EVALUATION = 1.3  # cost of evaluation and vitals on top of the steps


def train_final(ws: Workshop) -> Result:
    """Train the final members, keep their best weights, and judge them together on the validation rows."""
    design = ws.journal.remember("final.design", lambda: _design(ws))
    plans = [_final_plan(ws, values, design) for values in ws.carry["search"]["plans"]]
    rows = [
        Row(plans[m // ws.folds % len(plans)], ws.own_seeds(f"final {m}", fold=m % ws.folds), m % ws.folds)
        for m in range(design["members"])
    ]
    course, record = ws.course(rows), Record()
    _train(ws, course, record)
    usable = [m for m in range(len(rows)) if math.isfinite(float(course.best.loss[m]))]
    ws.plan = (
        plans[0].edited({"ensemble.members": max(1, len(usable))}, by="data", why=design["why"]) if usable else plans[0]
    )
    if ws.processes.writes:
        record.write(ws.folder / "vitals.parquet")
    result = _result(ws, course, [row.fold for row in rows], usable) if usable else _from_leader(ws, course)
    judged = [[o.kind, o.step, o.best_step] for o in course.outcomes]
    return replace(result, carry={"judged": judged, "updates_per_epoch": course.feed.steps_per_epoch})


def _design(ws: Workshop) -> dict[str, Any]:
    """How many members and epochs fit into what is left of the budget; epochs give way first, to a quarter."""
    plan = _final_plan(ws, ws.carry["search"]["plans"][0], None)
    wanted, epochs = plan.ensemble.members, plan.training.epochs
    if ws.folds > 1 and "ensemble.members" not in ws.fixed:
        wanted = max(wanted, 3 * ws.folds)
    structure = ws.material.structure(plan)
    room = max(1, members_that_fit(structure, plan, wanted=wanted, free=free_bytes(ws.device)))
    memory, wanted = ("; more do not fit into memory" if room < wanted else ""), room
    sample = [Row(plan, ws.own_seeds(f"design {i}", fold=i % ws.folds), i % ws.folds) for i in range(4)]
    course = ws.course(sample)
    blueprint, steps, speed = course.blueprint, course.feed.steps_per_epoch, Speed.measured(course)
    seconds = max(0.0, ws.training_ends * ws.clock.budget - ws.clock.spent)
    fixed_epochs = "training.epochs" in ws.fixed

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


def _final_plan(ws: Workshop, values: dict[str, Any], design: dict[str, Any] | None) -> Plan:
    """The workshop's plan with a trial's values where they differ."""
    changed = {path: value for path, value in values.items() if ws.plan.get(path) != value}
    plan = ws.plan.edited(changed, by="search", why="best validation of the search") if changed else ws.plan
    if design is None:
        return plan
    course = {
        "training.epochs": design["epochs"],
        "training.patience": max(5, design["epochs"] * design["evaluations"] // 4),
        "training.evaluations_per_epoch": design["evaluations"],
    }
    course = {path: value for path, value in course.items() if path not in ws.fixed and plan.get(path) != value}
    return plan.edited(course, by="data", why=design["why"]) if course else plan


def _train(ws: Workshop, course: Course, record: Record) -> None:
    """Train to the end, the deadline or Ctrl-C, with checkpoints."""
    vitals = ws.folder / "checkpoints" / "vitals.parquet"

    def beside() -> Callable[[], None]:
        ws.journal.note("elapsed", ws.clock.spent)
        frame = record.frame()
        return lambda: replace_file(vitals, frame.write_parquet)

    checkpoint = ws.folder / "checkpoints" / "final.safetensors"
    saver = Saver({checkpoint: course}, least=SAVE_EVERY, beside=beside, say=ws.log)
    if saver.load():
        record.extend(pl.read_parquet(vitals).filter(pl.col("step") <= course.population.step))
    wants, ends = sampling(max(1, course.total_steps // 64)), ws.processes.agree(ws.training_ends)
    for moment in train(course, wants_layers=wants):
        if moment.evaluation is not None or moment.layers is not None or moment.step % 10 == 0:
            observe(moment, record)
        if moment.evaluation is not None:
            ws.note_best(float(course.best.metric.mean()))
            text = f"networks at once: {len(moment.members)}, epoch {moment.epoch:.0f} of {course.epochs}"
            ws.progress(moment.step / course.total_steps, text)
        saver.offer()
        reached = bool(torch.isfinite(course.best.loss).any())
        if ws.clock.interrupted or (reached and ws.clock.over(ends)):
            break
    if ws.clock.interrupted:
        saver.save()  # before its members are told that they end here
    saver.close()
    if course.running:
        course.end(course.population.members.tolist(), "interrupted" if ws.clock.interrupted else "out-of-time")


def _from_leader(ws: Workshop, course: Course) -> Result:
    """No final network has a finite loss yet (an early Ctrl-C, or all diverged): the best of the search stands in."""
    outcomes = [str(outcome) for outcome in course.outcomes]
    if ws.leader is None:
        return Result(False, {"members": 0, "epochs": [], "outcomes": outcomes})
    if ws.processes.writes:
        ws.leader.save(ws.folder / "model")
    evidence = {
        "members": len(ws.leader),
        "epochs": [],
        "outcomes": [*outcomes, "the best network of the search is used"],
    }
    return Result(None, evidence)


def _result(ws: Workshop, course: Course, folds: list[int], usable: list[int]) -> Result:
    ensemble = ws.ensemble(course, usable)
    if ws.processes.writes:
        ensemble.save(ws.folder / "model")
    together, single = _validation(ws, ensemble, [folds[m] for m in usable])
    steps = course.feed.steps_per_epoch
    evidence = {
        "members": len(usable),
        "diverged": len(folds) - len(usable),
        "epochs": [course.outcomes[m].step / steps for m in usable],
        "best_epochs": [course.outcomes[m].best_step / steps for m in usable],
        "outcomes": [str(outcome) for outcome in course.outcomes],
        "validation": together,
        "single_member": single,
        "parameters": course.blueprint.layout.size,
    }
    return Result(True, evidence)


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
