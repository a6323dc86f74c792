"""The learning-rate range test (row S7; Smith 2017), all rates at once: one short run a rate, one row a run."""

import numpy as np

from trainwell.engine import Course, judge, train
from trainwell.recipe.chance import chance_loss
from trainwell.recipe.stages.initial import untrained_losses
from trainwell.recipe.stages.result import Result
from trainwell.recipe.workshop import Row, Workshop

RATES = tuple(float(r) for r in np.logspace(-5, 0, 16))
STEPS = 100
FEWEST_STEPS = 8
LARGEST_SHARE = 0.08  # of the budget
NO_AVERAGES = {"regularisation.ema_decay": 0.0, "regularisation.swa_start": 1.0}  # they lag behind a short run
TOO_SLOW = 0.1  # a rate that wins less than this share of the best one's gain is too low (row B5)


def range_rates(ws: Workshop) -> Result:
    """Losses after a short run at each rate; the interval worth searching, and a first suggestion."""
    bare = {"schedule.name": "constant", "schedule.warmup": 0.0, **NO_AVERAGES}
    epochs = STEPS // max(1, ws.fold_rows()[0].shape[1] // ws.plan.training.batch_size) + 1
    bare |= {"training.epochs": epochs, "training.patience": STEPS}  # nobody ends before the test does
    plan = ws.plan.edited(bare, by="default", why="rate range test")
    course = ws.course(
        [
            Row(
                plan.edited({"optimizer.learning_rate": r}, by="default", why="rate range test"),
                ws.seeds("rates", fold=0, shared=True),
            )
            for r in RATES
        ]
    )
    start = float(untrained_losses(course)[0])
    steps, began = min(STEPS, max(1, course.total_steps - 1)), ws.clock.spent  # who finishes leaves, unjudged
    for moment in train(course, until=steps):
        late = moment.step >= FEWEST_STEPS and ws.clock.spent - began > LARGEST_SHARE * ws.clock.budget
        if moment.step % 10 == 0:
            ws.progress(moment.step / STEPS, f"{len(RATES)} rates at once, step {moment.step} of {STEPS}")
        if late or ws.clock.interrupted:
            break
    losses = [float(loss) if np.isfinite(loss) else None for loss in course.best.loss.tolist()]
    final = _final_losses(course)
    low, high, suggested = interval(final, start)
    evidence = {
        "rates": list(RATES),
        "losses": [loss if np.isfinite(loss) else None for loss in final],
        "best_losses": losses,
        "loss_at_start": start,
        "chance": chance_loss(ws),
        "steps": course.population.step,
        "low": low,
        "high": high,
        "suggested": suggested,
    }
    return Result(min(final) < start, evidence, {"low": low, "high": high, "suggested": suggested})


def interval(losses: list[float], start: float) -> tuple[float, float, float]:
    """(lowest useful, highest stable, suggested) rate from the loss reached at each of `RATES`.

    Suggested is half the best rate: what is best in a short run is a little too fast for a long one.

    >>> losses = [0.69] * 6 + [0.6, 0.5, 0.4, 0.3, 0.35, 0.5, 0.9, 5.0, float("inf"), float("inf")]
    >>> low, high, suggested = interval(losses, start=0.69)
    >>> f"{low:.1e} {high:.1e} {suggested:.1e}"
    '1.0e-03 4.6e-02 5.0e-03'
    """
    worth = np.where(np.isfinite(losses), losses, np.inf)
    best = int(worth.argmin())
    gain = start - worth[best]
    useful = [i for i in range(len(RATES)) if start - worth[i] >= TOO_SLOW * gain] if gain > 0 else [best]
    stable = [i for i in useful if i >= best]
    return RATES[useful[0]], RATES[stable[-1]], RATES[best] / 2


def _final_losses(course: Course) -> list[float]:
    """Loss on the probe of every member at the end; infinite for those that have diverged."""
    final = [float("inf")] * len(RATES)
    if len(course.population):
        losses, _ = judge(course.population, course.probed, course.probe, course.groups)
        for member, loss in zip(course.population.members.tolist(), losses.tolist(), strict=True):
            final[member] = loss if np.isfinite(loss) else float("inf")
    return final
