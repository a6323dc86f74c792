"""Numerical gradient check (row B4): one population in float64, a pair of rows θ ± ε·e_i for each coordinate i."""

import torch

from trainwell.base import Seeds
from trainwell.base.streams import stream
from trainwell.data.batches import Samples
from trainwell.engine import Population
from trainwell.plan import unregularised
from trainwell.recipe.stages.result import Result
from trainwell.recipe.workshop import Workshop

COORDINATES = 48
SAMPLES = 16
EPSILON = 1e-5
TOLERANCE = 1e-5  # CS231n: below 1e-7 is perfect, above 1e-4 with kinks (ReLU) is a worry; in float64


def check_gradients(ws: Workshop) -> Result:
    """Centred differences against the analytic gradient, as a relative error, over coordinates of every layer."""
    plan = ws.plan.edited({**unregularised(), "network.norm": "none"}, by="default", why="gradient check")
    material = ws.material(plan)
    rows = torch.from_numpy(ws.split.train[:SAMPLES])
    s = material.samples
    y = s.y.double() if s.y is not None and s.y.is_floating_point() else s.y
    batch = Samples(s.x.double().cpu()[rows], s.categories.cpu()[rows], None if y is None else y.cpu()[rows]).take(
        torch.arange(len(rows))
    )
    blueprint = material.blueprint(plan)
    seeds = Seeds.of(plan.seed, 0)
    one = Population(blueprint, [plan], [seeds], dtype=torch.float64)
    one.backward(batch)
    analytic = one.gradient[0].clone()
    chosen = _coordinates(analytic, one, plan.seed)
    pairs = Population(blueprint, [plan] * (2 * len(chosen)), [seeds] * (2 * len(chosen)), dtype=torch.float64)
    for i, coordinate in enumerate(chosen):
        pairs.theta[2 * i, coordinate] += EPSILON
        pairs.theta[2 * i + 1, coordinate] -= EPSILON
    assert batch.y is not None
    with torch.no_grad():
        loss = pairs.loss.total(pairs.losses(pairs.forward(batch), batch.y, smooth=True))
    numeric = (loss[0::2] - loss[1::2]) / (2 * EPSILON)
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
