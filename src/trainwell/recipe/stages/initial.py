"""Is the first loss what chance predicts (row B2)? If not, outputs, loss or the scale of the inputs is wrong."""

import torch
from torch import Tensor

from trainwell.engine import Course, judge
from trainwell.recipe.chance import chance_loss
from trainwell.recipe.stages.result import Result
from trainwell.recipe.workshop import Row, Workshop

MEMBERS, SAMPLES = 8, 256
TOLERANCE = 0.25  # of the chance loss; an untrained output of the size of the target's spread would already double it


@torch.no_grad()
def untrained_losses(course: Course) -> Tensor:
    """Losses (K,) before the first update; under batch norm, which has no statistics yet, by those of a batch."""
    p = course.population
    if not p.statistics_layout.size:
        return judge(p, course.probed, course.probe, course.groups)[0]
    batch = course.probed.take(course.probe[:, :SAMPLES]).of_members(course.groups)
    assert batch.y is not None
    start = p.statistics.clone()
    losses = p.loss.total(p.losses(p.forward(batch, training=True), batch.y, smooth=False))
    p.statistics.copy_(start)
    return losses


def measure_initial_loss(ws: Workshop) -> Result:
    """The loss of several untrained members, and how it rises when regularisation is switched on."""
    course = ws.course([Row(ws.plan, ws.seeds(f"initial {i}", fold=0, shared=True)) for i in range(MEMBERS)])
    population = course.population
    losses = untrained_losses(course)
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
