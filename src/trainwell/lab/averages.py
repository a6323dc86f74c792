"""Averages that forget: temperatures of many days, and gradients of many steps."""

from math import cos, pi

import torch
from torch import Tensor

from trainwell.base.streams import stream
from trainwell.ingredients import weighted_averages
from trainwell.lab.descent import descend
from trainwell.lab.experiment import Experiment, Result
from trainwell.report.blocks import Figure
from trainwell.report.figures import Curve, Dots, line_chart
from trainwell.report.scales import Axis

FIRST, LAST, DAYS = (3.0, 5.0, 7.0, 2.0), (30.0, 37.0, 28.0), 200
BETAS = (0.5, 0.9, 0.98)


def temperatures() -> Result:
    """Exponentially weighted average of temperatures: β = 0.9 averages over about 10 days."""
    first, tens = torch.tensor(FIRST, dtype=torch.float64), torch.full((4,), 10.0, dtype=torch.float64)
    days = _days()
    averages = {β: weighted_averages(days, β) for β in BETAS}
    return Result(
        {
            "days averaged over, 1/(1 − β)": round(1 / (1 - 0.9), 12),
            "weight of the newest 10 days": 1 - 0.9**10,
            **{f"mean change a day, β = {β}": float(v.diff().abs().mean()) for β, v in averages.items()},
            "temperature θ": first.tolist(),
            "average v": weighted_averages(first, 0.9).tolist(),
            "average v, corrected": weighted_averages(first, 0.9, corrected=True).tolist(),
            "V, if all days had 10": weighted_averages(tens, 0.9).tolist(),
            "V, if all days had 10, corrected": weighted_averages(tens, 0.9, corrected=True).tolist(),
        },
        (_smoothing(days, averages), _correction(days)),
        "A larger β makes the curve smoother and later; the first averages are too near 0 until they are corrected.",
        (
            "The documents write “β = 0.1 × 10” where V1 = 0.1 × 10 is meant: β is 0.9.",
            "Days 5 to 197 are left open there; those drawn here are made up, a slow rise with noise.",
            "“About 10 days” is a rule of thumb: all days count, the newest 10 with 65 % of the weight.",
        ),
        printed={
            "days averaged over, 1/(1 − β)": "10",
            "temperature θ": ("3", "5", "7", "2"),
            "V, if all days had 10": ("1", "1.9", "", ""),
        },
        heads=tuple(f"day {t}" for t in range(1, 5)),
    )


def _days() -> Tensor:
    """200 temperatures: the seven that the document gives in their places, a made-up spring between them."""
    noise = stream("lab", "temperatures").normal(0, 3, DAYS)
    made = [3 + 14 * (1 - cos(pi * t / DAYS)) + noise[t] for t in range(DAYS)]
    made[: len(FIRST)], made[-len(LAST) :] = FIRST, LAST
    return torch.tensor(made, dtype=torch.float64)


def _smoothing(days: Tensor, averages: dict[float, Tensor]) -> Figure:
    x = [float(t) for t in range(1, DAYS + 1)]
    curves = [Curve(x, v.tolist(), f"β = {β}", f"c{i}") for i, (β, v) in enumerate(averages.items())]
    dots = [Dots(x, days.tolist(), "a day", "quiet", size=1.6)]
    drawn = line_chart(curves, Axis("day"), Axis("°C"), label="Averages of temperatures", dots=dots)
    return Figure(drawn, "**Averages** with three β, not corrected.")


def _correction(days: Tensor) -> Figure:
    shown, plain = 40, weighted_averages(days, 0.98)
    x = [float(t) for t in range(1, shown + 1)]
    curves = [
        Curve(x, plain[:shown].tolist(), "β = 0.98", "c2", dashed=True),
        Curve(x, weighted_averages(days, 0.98, corrected=True)[:shown].tolist(), "corrected", "c2"),
    ]
    dots = [Dots(x, days[:shown].tolist(), "a day", "quiet", size=2.2)]
    drawn = line_chart(curves, Axis("day"), Axis("°C"), label="Bias correction", dots=dots)
    return Figure(drawn, "**Bias correction**: dividing by 1 − βᵗ, the weight gathered so far.")


GRADIENTS = (1.0, 2.0, 3.0)
RATE, GAMMA = 0.1, 0.9


def momentum() -> Result:
    """Momentum's expansion: change_3 = γ²η∇1 + γη∇2 + η∇3, by the optimizer itself."""
    # Four rows: each of the first three meets one of the gradients alone, the last meets all.
    met = torch.cat([torch.diag(torch.tensor(GRADIENTS)), torch.tensor([GRADIENTS])]).double()
    start = torch.zeros(4, 1, dtype=torch.float64)
    names, rates = ["momentum"] * 4, [RATE] * 4
    path = descend(names, lambda θ, t: met[:, t : t + 1], start, 3, learning_rate=rates, momentum=[GAMMA] * 4)
    changes = -path.diff(dim=0)[:, :, 0]  # (steps, rows)
    return Result(
        {f"change {t}": [round(v, 15) for v in change.tolist()] for t, change in enumerate(changes, start=1)},
        (_terminal_speed(),),
        "Each past gradient is still in the change, smaller by γ for every step: 0.081 + 0.18 + 0.3 = 0.561.",
        ("The document has letters only; here γ = 0.9, η = 0.1 and the gradients are 1, 2 and 3.",),
        heads=("of ∇1", "of ∇2", "of ∇3", "of all"),
    )


def _terminal_speed() -> Figure:
    γs, steps = (0.0, 0.5, 0.9), 40
    start, rates = torch.zeros(len(γs), 1, dtype=torch.float64), [RATE] * len(γs)
    names = ["momentum"] * len(γs)
    path = descend(names, lambda θ, t: torch.ones_like(θ), start, steps, learning_rate=rates, momentum=γs)
    x = [float(t) for t in range(1, steps + 1)]
    curves = [
        Curve(x, changes.tolist(), f"γ = {γ:g}", f"c{i}")
        for i, (γ, changes) in enumerate(zip(γs, -path.diff(dim=0)[:, :, 0].T, strict=True))
    ]
    drawn = line_chart(curves, Axis("step"), Axis("change", low=0.0), label="Change under a steady gradient")
    return Figure(
        drawn, "**A steady gradient of 1** at η = 0.1: the change grows to η/(1 − γ), ten times η at γ = 0.9."
    )


AVERAGES: dict[str, Experiment] = {
    "temperatures": Experiment(temperatures, ("V7", "O11")),
    "momentum": Experiment(momentum, ("V7", "O2")),
}
