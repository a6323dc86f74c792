"""One sigmoid neuron: saturated, judged by two costs, and the loss of one sample."""

from math import log, nan

import torch
from torch import Tensor

from trainwell.ingredients import ACTIVATIONS, LOSSES
from trainwell.lab.descent import descend
from trainwell.lab.experiment import Experiment, Result
from trainwell.report.blocks import Figure
from trainwell.report.figures import Band, Curve, Dots, line_chart
from trainwell.report.scales import Axis

WEIGHTS = (10.0, -10.0, 0.0)


def saturated_neuron() -> Result:
    """A sigmoid neuron with w = 10, −10, 0 on input 1: σ = 1, 0, 0.5 and σ′ = 0, 0, 0.25."""
    sigmoid = ACTIVATIONS["sigmoid"]
    z = torch.tensor(WEIGHTS, dtype=torch.float64)  # = w·1
    σ, slope = sigmoid.function(z, {}), sigmoid.derivative(z, {})
    small, large = (_chain(torch.tensor(w, dtype=torch.float64)) for w in ((0.1, 0.2, 0.3), (10.0, 20.0, 30.0)))
    return Result(
        {
            "small factors, 0.1·0.2·0.3": small,
            "update at a rate of 0.1": 0.1 * small,
            "large factors, 10·20·30": large,
            "σ(z)": σ.tolist(),
            "σ′(z)": slope.tolist(),
        },
        (_curves(),),
        "A neuron far out on the sigmoid hands on almost no gradient, so that its weights stay where they are.",
        (
            "σ(±10) is printed as 1 and 0, σ′(±10) as 0: exact are 0.999955, 4.54 × 10⁻⁵ and 4.54 × 10⁻⁵.",
            "“e ≈ 2.73 ≈ 3, 3⁻¹⁰ ≈ 0”: e is 2.71828; e⁻¹⁰ is 4.54 × 10⁻⁵, and 3⁻¹⁰ is 1.69 × 10⁻⁵.",
        ),
        printed={
            "small factors, 0.1·0.2·0.3": "0.006",
            "large factors, 10·20·30": "6000",
            "σ(z)": ("1", "0", "0.5"),
            "σ′(z)": ("0", "0", "0.25"),
        },
        heads=("w = 10", "w = −10", "w = 0"),
    )


def _chain(factors: Tensor) -> float:
    """∂/∂x of a chain of layers with one weight each, by autograd."""
    x = torch.ones((), dtype=factors.dtype, requires_grad=True)
    signal = x
    for w in factors:
        signal = w * signal
    return float(torch.autograd.grad(signal, x)[0])


def _curves() -> Figure:
    sigmoid, z = ACTIVATIONS["sigmoid"], torch.linspace(-12, 12, 241, dtype=torch.float64)
    cases = torch.tensor(WEIGHTS, dtype=torch.float64)
    curves = [
        Curve(z.tolist(), sigmoid.function(z, {}).tolist(), "σ(z)", "c0"),
        Curve(z.tolist(), sigmoid.derivative(z, {}).tolist(), "σ′(z)", "c1"),
    ]
    dots = [Dots(WEIGHTS, sigmoid.derivative(cases, {}).tolist(), "the three neurons", "c1", "ring")]
    drawn = line_chart(curves, Axis("z"), Axis(""), label="Sigmoid and its derivative", dots=dots)
    return Figure(drawn, "**σ and σ′**: beyond ±5 there is nothing left of the gradient.")


SHARES, TRUTH = (0.2, 0.7, 0.1), (0.0, 1.0, 0.0)


def cross_entropy() -> Result:
    """Categorical cross-entropy of ŷ = [0.2, 0.7, 0.1] and y = [0, 1, 0]: −ln 0.7 = 0.3567."""
    z = torch.tensor(SHARES, dtype=torch.float64).log().reshape(1, 3, 1).requires_grad_()
    y = torch.tensor(TRUTH, dtype=torch.float64).reshape(1, 3, 1)
    entry = LOSSES["cross_entropy"]
    columns = {name: z.new_full((1, 1), value) for name, value in entry.standard.items()}
    loss = entry.function(z, y, columns, None).sum()
    slope = torch.autograd.grad(loss, z)[0].flatten()
    by_hand = -sum(t * log(p) for t, p in zip(TRUTH, SHARES, strict=True))
    return Result(
        {
            "loss, from logits": float(loss.detach()),
            "loss, summed by hand": by_hand,
            "prediction ŷ": list(SHARES),
            "target y": list(TRUTH),
            "∂loss/∂z": slope.tolist(),
        },
        (_price(),),
        "Only the share given to the right class counts; the slope at the logits is what is wrong, ŷ − y.",
        ("The document stops at the formula; its logarithm is the natural one.",),
        printed={"prediction ŷ": ("0.2", "0.7", "0.1"), "target y": ("0", "1", "0")},
        heads=("class 1", "class 2", "class 3"),
    )


def _price() -> Figure:
    p = [i / 200 for i in range(1, 201)]
    dots = [Dots([0.7], [-log(0.7)], "0.7 → 0.3567", "c1")]
    drawn = line_chart(
        [Curve(p, [-log(v) for v in p], "−ln p", "c0")],
        Axis("share given to the right class", low=0.0, high=1.0),
        Axis("loss", low=0.0),
        label="Cross-entropy by the share given to the right class",
        dots=dots,
    )
    return Figure(drawn, "**The price of a sample**: nothing at certainty, without bound for a confident error.")


STARTS = ((0.6, 0.9), (2.0, 2.0))  # (w, b)
EPOCHS, RATE = 300, 0.15


def quadratic_cost() -> Result:
    """Why cross-entropy: a saturated sigmoid neuron learns slowly by squared error (Nielsen 2015, chapter 3)."""
    start = torch.tensor([*STARTS, *STARTS], dtype=torch.float64)
    path = descend(["sgd"] * 4, _slopes, start, EPOCHS, learning_rate=[RATE] * 4)
    outputs = torch.sigmoid(path.sum(dim=2)).T  # input 1: z = w + b; (rows, epochs + 1)
    first = _slopes(start, 0)[:, 1]
    heads = tuple(f"{cost} {w:g}, {b:g}" for cost in ("MSE", "BCE") for w, b in STARTS)
    halved = [_epoch_below(row, 0.5) for row in outputs]
    return Result(
        {
            "output at first": outputs[:, 0].tolist(),
            "slope of b at first": first.tolist(),
            "fall in the first 10 epochs": (outputs[:, 0] - outputs[:, 10]).tolist(),
            "epochs until the output is below 0.5": halved,
            f"output after {EPOCHS} epochs": outputs[:, -1].tolist(),
        },
        tuple(_learning(i, outputs) for i in range(2)),
        "By squared error the worse start learns more slowly at first, by cross-entropy faster.",
        (
            "The squared error is ½(a − y)² as in the book; the documents leave out the ½, which doubles the slope.",
            "The book draws cross-entropy at a rate of its own; here all four runs have 0.15.",
        ),
        printed={"output at first": ("0.82", "0.98", "0.82", "0.98")},
        heads=heads,
    )


def _slopes(θ: Tensor, step: int) -> Tensor:
    """Gradients of four neurons on input 1, target 0: rows 0, 1 by ½(a − y)², rows 2, 3 by cross-entropy."""
    leaf = θ.clone().requires_grad_()
    z, y = leaf.sum(dim=1).reshape(4, 1, 1), torch.zeros(1, 1, 1, dtype=θ.dtype)
    a = ACTIVATIONS["sigmoid"].function(z[:2], {})
    squared = 0.5 * LOSSES["mse"].function(a, y, {}, None)
    entry = LOSSES["binary_cross_entropy"]
    columns = {name: θ.new_full((2, 1), value) for name, value in entry.standard.items()}
    costs = torch.cat([squared, entry.function(z[2:], y, columns, None)])
    return torch.autograd.grad(costs.sum(), leaf)[0]


def _epoch_below(outputs: Tensor, level: float) -> float:
    return float((outputs < level).nonzero()[0, 0]) if bool((outputs < level).any()) else nan


def _learning(start: int, outputs: Tensor) -> Figure:
    w, b = STARTS[start]
    x = [float(epoch) for epoch in range(outputs.shape[1])]
    curves = [
        Curve(x, outputs[start + 2 * i].tolist(), name, f"c{i}") for i, name in enumerate(("squared", "cross-entropy"))
    ]
    drawn = line_chart(
        curves,
        Axis("epoch"),
        Axis("output", low=0.0, high=1.0),
        label=f"Output of a neuron that starts at w = {w:g}, b = {b:g}",
        bands=[Band(level=0.5, text="half")],
    )
    return Figure(drawn, f"**Start at w = {w:g}, b = {b:g}**; wanted is 0.")


NEURONS: dict[str, Experiment] = {
    "saturated-neuron": Experiment(saturated_neuron, ("V7", "A1", "D1", "D2", "D3")),
    "cross-entropy": Experiment(cross_entropy, ("V7", "L6", "A10")),
    "quadratic-cost": Experiment(quadratic_cost, ("L7", "L1", "L5")),
}
