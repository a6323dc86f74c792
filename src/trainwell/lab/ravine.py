"""Paths of optimizers in a ravine: steep across, flat along."""

from math import cos, nan, pi, sin, sqrt

import torch
from torch import Tensor

from trainwell.lab.descent import descend
from trainwell.lab.experiment import Experiment, Result
from trainwell.report.blocks import Figure
from trainwell.report.figures import Curve, Dots, line_chart
from trainwell.report.scales import Axis

STEEP = 40.0  # curvature across the ravine (w1); along it (w2) it is 1
START = (1.0, -10.0)
STEPS = 60
RATES = {"sgd": 0.045, "momentum": 0.02, "rmsprop": 0.15, "adam": 0.5}  # each a good one here, found by trial
LEVELS = (0.5, 2.0, 6.0, 14.0, 28.0, 48.0)
ARRIVED = 0.01  # share of the first height
SEEN = 0.1  # of a step across: a smaller one is no zig-zag to be seen


def ravine() -> Result:
    """Zig-zag in a ravine: paths of SGD, momentum, RMSProp and Adam on its contour plot."""
    names = list(RATES)
    start = torch.tensor([START] * len(names), dtype=torch.float64)
    path = descend(names, lambda w, t: w * torch.tensor([STEEP, 1.0]), start, STEPS, learning_rate=list(RATES.values()))
    heights = _height(path)  # (steps + 1, rows)
    steep = path[:, :, 0]
    crossings = ((steep[1:] * steep[:-1] < 0) & (steep.diff(dim=0).abs() > SEEN)).sum(dim=0)
    arrived = [_since(heights[:, k] < ARRIVED * heights[0, k]) for k in range(len(names))]
    return Result(
        {
            "rate": list(RATES.values()),
            f"zig-zags: w1 changes sign by a step > {SEEN:g}": crossings.double().tolist(),
            "way across, Σ|Δw1|": steep.diff(dim=0).abs().sum(dim=0).tolist(),
            "steps until below 1 % of the first height": arrived,
            f"height after {STEPS} steps": heights[-1].tolist(),
        },
        (*(_drawn(name, path[:, k]) for k, name in enumerate(names)), _heights(names, heights)),
        "SGD bounces between the walls while it creeps along the floor; momentum gathers speed along it, RMSProp and "
        "Adam take steps of one size in both directions.",
        heads=tuple(names),
    )


def _height(w: Tensor) -> Tensor:
    return 0.5 * (STEEP * w[..., 0] ** 2 + w[..., 1] ** 2)


def _since(reached: Tensor) -> float:
    """The first step from which on it is so; NaN: never."""
    missed = (~reached).nonzero().flatten()
    return nan if bool(~reached[-1]) else float(missed[-1]) + 1 if len(missed) else 0.0


def _drawn(name: str, path: Tensor) -> Figure:
    colour = f"c{list(RATES).index(name)}"
    x, y = Axis("w2, along", low=-11.0, high=4.0), Axis("w1, across", low=-2.2, high=2.2)
    rings = [_ring(level, x, y) for level in LEVELS]
    steps = Curve(path[:, 1].tolist(), path[:, 0].tolist(), f"{name}, η = {RATES[name]:g}", colour)
    stops = Dots(path[:, 1].tolist(), path[:, 0].tolist(), colour=colour, size=1.8)
    goal = Dots([0.0], [0.0], "lowest place", "ink", "cross")
    drawn = line_chart([*rings, steps], x, y, label=f"Path of {name} in a ravine", dots=[stops, goal])
    return Figure(drawn)


def _ring(level: float, x: Axis, y: Axis) -> Curve:
    """The contour ½(40·w1² + w2²) = level, an ellipse, as far as it is inside the axes."""
    turns = [2 * pi * i / 200 for i in range(201)]
    points = [(sqrt(2 * level) * cos(turn), sqrt(2 * level / STEEP) * sin(turn)) for turn in turns]
    inside = [(x.low or 0) <= a <= (x.high or 0) and (y.low or 0) <= b <= (y.high or 0) for a, b in points]
    return Curve(
        [a for a, _ in points],
        [b if kept else nan for (_, b), kept in zip(points, inside, strict=True)],
        colour="quiet",
        faint=True,
    )


def _heights(names: list[str], heights: Tensor) -> Figure:
    x = [float(t) for t in range(len(heights))]
    curves = [Curve(x, heights[:, k].tolist(), name, f"c{k}") for k, name in enumerate(names)]
    drawn = line_chart(curves, Axis("step"), Axis("height", log=True, low=1e-3), label="Height at each step")
    return Figure(drawn, "**Height** ½(40·w1² + w2²) at each step.")


RAVINE: dict[str, Experiment] = {"ravine": Experiment(ravine, ("O12", "O1", "O2", "O6", "O7"))}
