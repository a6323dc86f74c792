"""Learning rates over time, before any training."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainwell.ingredients import SCHEDULES, Clock, factors
from trainwell.lab.experiment import Experiment, Result
from trainwell.report.blocks import Figure
from trainwell.report.canvas import Key
from trainwell.report.figures import Band, Curve, Dots, line_chart
from trainwell.report.scales import Axis

RATE, EPOCHS = 0.2, (1, 2, 3, 4)


def inverse_time() -> Result:
    """Inverse-time decay from η0 = 0.2: 0.1, 0.067, 0.05, 0.04 after epochs 1 to 4; and compounding beside it."""
    names = ("inverse_time", "compounding")
    table = dict(zip(names, RATE * _factors(names, torch.tensor(EPOCHS), 5, decay=1.0), strict=True))
    steps = torch.arange(0, 101)
    drawn = RATE * _factors(names, steps, 101, steps_per_epoch=10, decay=1.0)
    time = (steps / 10).tolist()
    curves = [
        Curve(time, row.tolist(), name.replace("_", " "), f"c{i}")
        for i, (name, row) in enumerate(zip(names, drawn, strict=True))
    ]
    dots = [Dots([float(e) for e in EPOCHS], table["inverse_time"].tolist(), "the table", "c0", "ring")]
    figure = line_chart(curves, Axis("epoch"), Axis("rate", low=0.0), label="Inverse-time decay", dots=dots)
    return Result(
        {
            "η = η0/(1 + k·t)": table["inverse_time"].tolist(),
            "η ← η/(1 + k·t), compounding": table["compounding"].tolist(),
        },
        (Figure(figure, "**Both readings** with η0 = 0.2 and k = 1."),),
        "The inverse-time rate falls quickly at first and slowly later; compounding soon leaves nothing of it.",
        (
            "The document prints the formula once with η0 and once with η on both sides; the table is that of η0.",
            "0.067 is 1/15 = 0.0666…, rounded.",
        ),
        printed={"η = η0/(1 + k·t)": ("0.1", "0.067", "0.05", "0.04")},
        heads=tuple(f"epoch {e}" for e in EPOCHS),
    )


LENGTH, PER_EPOCH = 40, 10  # epochs of the run that is drawn, updates an epoch
WARMUP = 0.05


def schedules() -> Result:
    """Every schedule drawn before training, over 40 epochs, the first 5 % of them warm-up."""
    names, total = list(SCHEDULES), LENGTH * PER_EPOCH
    steps = torch.arange(total)
    rows = _factors(names, steps, total, steps_per_epoch=PER_EPOCH, warmup=WARMUP)
    time = (steps / PER_EPOCH).tolist()
    shapes = dict(zip(names, rows, strict=True))
    return Result(
        {n: [float(row[0]), float(row.max()), float(row.mean()), float(row[-1])] for n, row in shapes.items()},
        (*(_drawn(name, time, row) for name, row in shapes.items()), _windows()),
        "All that a schedule will do is known before the first step; only plateau waits for what it sees.",
        heads=("first", "highest", "mean", "last"),
        legend=(Key("warm-up", "c4", "bar"),),
    )


def _drawn(name: str, time: Sequence[float], row: Tensor) -> Figure:
    drawn = line_chart(
        [Curve(time, row.tolist())],
        Axis("epoch", low=0.0, high=float(LENGTH)),
        Axis("", low=0.0, high=1.05),
        label=f"The schedule {name}",
        bands=[Band(0.0, WARMUP * LENGTH)],
        width=260.0,
        height=170.0,
    )
    return Figure(drawn, f"**{name}** {_formula(name)}", "third")


def _formula(name: str) -> str:
    """What stands before the source and the rows in the first line of its documentation."""
    return SCHEDULES.summary(name).split(" (row")[0].removesuffix(":")


def _windows() -> Figure:
    """The three windows of a cyclical rate."""
    names, total = ("triangular", "welch", "hann"), 160
    steps = torch.arange(total)
    rows = _factors(names, steps, total, steps_per_epoch=10)
    time = (steps / 10).tolist()
    curves = [Curve(time, row.tolist(), n, f"c{i}") for i, (n, row) in enumerate(zip(names, rows, strict=True))]
    drawn = line_chart(curves, Axis("epoch"), Axis("factor", low=0.0), label="Windows of a cyclical rate")
    return Figure(drawn, "**Windows** of a cyclical rate: from base_lr to max_lr and back.")


def _factors(
    names: Sequence[str],
    steps: Tensor,
    total: int,
    *,
    steps_per_epoch: int = 1,
    warmup: float = 0.0,
    **hypers: float,
) -> Tensor:
    """Factors (K, T) of all schedules at all steps, each as the row of a population."""
    column = torch.zeros(len(names), 1, dtype=torch.float64)
    h = {name: column + value for name, value in hypers.items()}
    return factors(names, Clock(steps.reshape(1, -1), total, steps_per_epoch), h, column + warmup)


RATES: dict[str, Experiment] = {
    "inverse-time": Experiment(inverse_time, ("V7", "S3")),
    "schedules": Experiment(schedules, ("V4", "S1", "S2", "S3", "S4", "S5", "S6")),
}
