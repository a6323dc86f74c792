"""Which numbers to multiply in: whether bfloat16 is faster than float32 here is measured, not guessed.

seconds = pass_seconds(blueprint, plan, members=24, inputs=(54,))     # {"float32": 0.011, "bfloat16": 0.005}
"""

import time
from collections.abc import Callable

import torch

from trainwell.base import Seeds
from trainwell.data.batches import Samples
from trainwell.engine.population import Population
from trainwell.ingredients import LOSSES
from trainwell.networks import Blueprint
from trainwell.plan import Plan

WORTH = 1.15  # times as fast that bfloat16 must be: less is not felt, and it has 8 bits where float32 has 24
MEMBERS, REPEATS = 8, 5
PRECISIONS = ("float32", "bfloat16")


def pass_seconds(
    blueprint: Blueprint, plan: Plan, *, members: int, device: torch.device | str = "cpu"
) -> dict[str, float]:
    """Seconds of a step's way there and back on noise, by precision: the shortest of a few.

    Args:
        members: K; of more than 8, 8 are tried.
    """
    k, batch = min(members, MEMBERS), plan.training.batch_size
    x = torch.randn(1, blueprint.inputs, batch, device=device)
    categories = torch.zeros(1, len(blueprint.cardinalities), batch, dtype=torch.int64, device=device)
    classes = LOSSES[plan.loss.name].output == "softmax"
    shape = (1, batch) if classes else (1, blueprint.outputs, batch)
    y = torch.zeros(shape, dtype=torch.int64 if classes else torch.float32, device=device)
    samples = Samples(x, categories, y)
    found: dict[str, float] = {}
    for precision in PRECISIONS:
        own = plan.edited({"training.precision": precision}, by="data", why="tried")
        population = Population(blueprint, [own] * k, [Seeds.of(0, i) for i in range(k)], device=device)
        found[precision] = min(_seconds(lambda p=population: p.backward(samples), device) for _ in range(REPEATS))
    return found


def faster(seconds: dict[str, float]) -> str:
    """The precision to choose.

    >>> faster({"float32": 1.0, "bfloat16": 0.5}), faster({"float32": 1.0, "bfloat16": 0.95})
    ('bfloat16', 'float32')
    """
    return "bfloat16" if seconds["float32"] > WORTH * seconds["bfloat16"] else "float32"


def _seconds(call: Callable[[], object], device: torch.device | str) -> float:
    began = time.perf_counter()
    call()
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began
