"""Can the network learn a tiny batch by heart (row B3)? If not, no amount of tuning will help."""

import numpy as np

from trainwell.engine import judge, train
from trainwell.plan import Plan, unregularised
from trainwell.recipe.chance import chance_loss
from trainwell.recipe.stages.result import Result
from trainwell.recipe.workshop import Row, Workshop

SAMPLES = 32
STEPS = 400
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)  # one member each: whether it can be learnt, not at which rate
LOSS_SHARE = 0.02  # of the chance loss: "≈ 0"
LARGEST_SHARE = 0.15  # of the budget
SCORES = {"regression": 0.99}


def overfit_batch(ws: Workshop) -> Result:
    """Train on a few rows with regularisation off, one member a rate, until one of them has learnt them by heart."""
    rows = _distinct_rows(ws)
    course = ws.course(
        [Row(p, ws.seeds("overfit", fold=0, shared=True)) for p in _plans(ws.plan, len(rows))], only=rows
    )
    chance, wanted = chance_loss(ws), SCORES.get(ws.facts.task, 1.0)
    losses, _ = judge(course.population, course.probed, course.probe, course.groups)
    first, curve, began, late = float(losses.mean()), [], ws.clock.spent, False
    for moment in train(course):
        if moment.evaluation is None:
            continue
        loss, score = float(course.best.loss.min()), float(course.best.metric.max())
        curve.append([moment.step, loss])
        ws.progress(moment.step / course.total_steps, f"{len(rows)} rows by heart: loss {loss:.4f}, score {score:.3f}")
        late = ws.clock.spent - began > LARGEST_SHARE * ws.clock.budget
        if (loss <= LOSS_SHARE * chance and score >= wanted) or late or ws.clock.interrupted:
            break
    loss, score = float(course.best.loss.min()), float(course.best.metric.max())
    evidence = {
        "samples": len(rows),
        "steps": course.population.step,
        "loss_first": first,
        "loss_last": loss,
        "score": score,
        "threshold": LOSS_SHARE * chance,
        "rate": course.plans[int(course.best.loss.argmin())].optimizer.learning_rate,
        "curve": curve,
    }
    learnt = loss <= LOSS_SHARE * chance and score >= wanted
    if late and not learnt:
        return Result(None, evidence | {"why": "the budget leaves no more time for it"})
    return Result(learnt, evidence)


def _plans(plan: Plan, rows: int) -> list[Plan]:
    bare = {
        **unregularised(),
        "schedule.name": "constant",
        "schedule.warmup": 0.0,
        "training.batch_size": rows,
        "training.epochs": STEPS,
        "training.patience": STEPS,
    }
    return [
        plan.edited({**bare, "optimizer.learning_rate": rate}, by="default", why="overfit a tiny batch")
        for rate in RATES
    ]


def _distinct_rows(ws: Workshop) -> np.ndarray:
    """Up to 32 training rows with different inputs, spread over the training part."""
    train = ws.split.train
    candidates = train[np.linspace(0, len(train) - 1, min(len(train), 4 * SAMPLES)).astype(np.int64)]
    samples = ws.material.samples(ws.plan)
    parts = [part[candidates].cpu().numpy().reshape(len(candidates), -1) for part in (samples.x, samples.categories)]
    inputs = np.concatenate(parts, axis=1)
    _, first = np.unique(inputs, axis=0, return_index=True)
    distinct = candidates[np.sort(first)]
    return distinct[np.linspace(0, len(distinct) - 1, min(len(distinct), SAMPLES)).astype(np.int64)]
