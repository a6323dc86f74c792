"""Numerical gradient check (row B4): one population in float64, a pair of rows θ ± ε·e_i for each coordinate i."""

from dataclasses import replace

import torch

from trainwell.base import Seeds
from trainwell.base.streams import stream
from trainwell.data.batches import CPU, Samples
from trainwell.engine import Population
from trainwell.networks.members import in_float64
from trainwell.plan import Plan, unregularised
from trainwell.recipe.stages.result import Result
from trainwell.recipe.workshop import Workshop

COORDINATES = 48
SAMPLES = 16
EPSILON = 1e-5
NUMBERS_AT_ONCE = 1 << 24  # of θ: 128 MiB
TOLERANCE = 1e-5  # CS231n: below 1e-7 is perfect, above 1e-4 with kinks (ReLU) is a worry; in float64


def check_gradients(ws: Workshop) -> Result:
    """Centred differences against the analytic gradient, as a relative error, over coordinates of every layer."""
    plan = ws.plan.edited({**unregularised(), "network.norm": "none"}, by="default", why="gradient check")
    structure = ws.material.structure(plan, bare=True)
    if not in_float64(structure):
        return Result(None, {"why": "the module does not run in float64, and in float32 differences are too coarse"})
    batch = _batch(ws.material.samples(plan), torch.from_numpy(ws.split.train[:SAMPLES]))
    one = Population(structure, [plan], [Seeds.of(plan.seed, 0)], dtype=torch.float64)
    start = one.statistics.clone()
    one.backward(batch)
    analytic = one.gradient[0].clone()
    one.load(one.theta, start)
    chosen = _coordinates(analytic, one, plan.seed)
    if not chosen:
        return Result(None, {"why": "no weight has a gradient that could be compared"})
    numeric = _numeric(one, plan, batch, chosen)
    exact = analytic[chosen]
    errors = (numeric - exact).abs() / torch.maximum(numeric.abs(), exact.abs()).clamp_min(1e-6)
    # The median, beside the worst: a kink of ReLU within ±ε spoils single coordinates of a right gradient.
    typical, worst = float(errors.median()), float(errors.max())
    ws.progress(1.0, f"worst relative error {worst:.1e}")
    evidence = {
        "worst_relative_error": worst,
        "median_relative_error": typical,
        "tolerance": TOLERANCE,
        "coordinates": len(chosen),
    }
    return Result(typical <= TOLERANCE and float((errors > TOLERANCE).double().mean()) <= 0.1, evidence)


def _batch(s: Samples, rows: torch.Tensor) -> Samples:
    """These rows on the CPU, their numbers in float64."""
    few = s.only(rows.to(s.x.device)).to(CPU)
    assert few.y is not None
    x, y = (t.double() if t.is_floating_point() else t for t in (few.x, few.y))
    return replace(few, x=x, y=y).take(torch.arange(len(rows)))


@torch.no_grad()
def _numeric(one: Population, plan: Plan, batch: Samples, chosen: list[int]) -> torch.Tensor:
    """Centred differences at these coordinates, a pair of rows each, as many pairs at once as memory is for."""
    at_once = max(1, min(len(chosen), NUMBERS_AT_ONCE // (2 * one.layout.size)))
    rows = 2 * at_once
    pairs = Population(one.blueprint, [plan] * rows, one.seeds * rows, dtype=torch.float64)
    slopes = []
    for start in range(0, len(chosen), at_once):
        theta = one.theta.repeat(rows, 1)
        part = chosen[start : start + at_once]
        for i, coordinate in enumerate(part):
            theta[2 * i, coordinate] += EPSILON
            theta[2 * i + 1, coordinate] -= EPSILON
        pairs.load(theta, one.statistics.repeat(rows, 1))
        loss = pairs.objective(batch)
        slopes.append(((loss[0::2] - loss[1::2]) / (2 * EPSILON))[: len(part)])
    return torch.cat(slopes)


def _coordinates(gradient: torch.Tensor, population: Population, seed: int) -> list[int]:
    """Coordinates with a gradient that is not 0, spread over all tensors."""
    rng = stream(seed, "gradient check")
    slots = population.layout.slots
    chosen: list[int] = []
    for slot in slots:
        start, end = population.layout.span(slot.name)
        alive = (gradient[start:end].abs() > 1e-8).nonzero().flatten().numpy() + start
        share = min(len(alive), max(1, COORDINATES // len(slots)))
        chosen += rng.choice(alive, size=share, replace=False).tolist() if share else []
    return sorted(chosen)
