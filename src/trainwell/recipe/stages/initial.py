"""Is the first loss what chance predicts (row B2)? If not, outputs, loss or the scale of the inputs is wrong."""

from math import log

import torch

from trainwell.engine import judge
from trainwell.recipe.stages.result import Result
from trainwell.recipe.workshop import Row, Workshop

MEMBERS = 8
TOLERANCE = 0.25  # of the chance loss; an untrained output of the size of the target's spread would already double it


def chance_loss(ws: Workshop) -> float:
    """Loss of a network that knows nothing: ln C, ln 2 a label, 1 for a standardised number."""
    task = ws.facts.task
    return 1.0 if task == "regression" else log(len(ws.facts.classes) if task == "multiclass" else 2)


def measure_initial_loss(ws: Workshop) -> Result:
    """The loss of several untrained members, and how it rises when regularisation is switched on."""
    course = ws.course([Row(ws.plan, ws.seeds(f"initial {i}", fold=0, shared=True)) for i in range(MEMBERS)])
    population = course.population
    losses, _ = judge(population, course.feed.samples, course.probe, course.groups)
    loss, chance = float(losses.mean()), chance_loss(ws)
    decay = max(ws.plan.optimizer.weight_decay, 1e-2)
    penalty = decay / 2 * float(population.theta.square().sum(dim=1).mean())
    ws.progress(1.0, f"initial loss {loss:.3f}, chance {chance:.3f}")
    evidence = {
        "loss": loss,
        "chance": chance,
        "ratio": loss / chance,
        "spread": float(losses.std()),
        "tolerance": TOLERANCE,
        "weight_decay": decay,
        "loss_with_regularisation": loss + penalty,
    }
    return Result(bool(torch.isfinite(losses).all()) and abs(loss / chance - 1) <= TOLERANCE and penalty > 0, evidence)
