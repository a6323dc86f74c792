"""What happens to signals inside a network: at each activation, and layer by layer at the start."""

from math import nan

import torch
from torch import Tensor

from trainwell.ingredients import ACTIVATIONS
from trainwell.ingredients.propagation import propagate
from trainwell.lab.experiment import Experiment, Result, Value
from trainwell.report.blocks import Figure
from trainwell.report.canvas import Key
from trainwell.report.figures import Curve, line_chart
from trainwell.report.scales import Axis

POINTS = 241
LOW, HIGH = -2.0, 3.0  # of the drawings


def activations() -> Result:
    """Every activation with its derivative: values at 0, range, gain."""
    numbers: dict[str, Value] = {}
    for name, φ in ACTIVATIONS.items():
        (zero, slope), (low, high) = (float(row[0, 0, 0]) for row in _both(name, torch.zeros(1).double())), φ.range
        numbers[name] = [zero, slope, float(low), float(high), φ.gain]
    return Result(
        numbers,
        tuple(_drawn(name) for name in ACTIVATIONS),
        "Where the derivative is near 0, a unit learns nothing; where it is near 1, the gradient passes as it came.",
        ("The documents round σ′(±10) = 4.54 × 10⁻⁵ to 0.",),
        printed={"sigmoid": ("0.5", "0.25", "0", "1", ""), "tanh": ("0", "1", "-1", "1", "")},
        heads=("φ(0)", "φ′(0)", "lowest", "highest", "gain"),
        legend=(Key("φ", "c0"), Key("its derivative φ′", "c1", "dashed")),
    )


def _both(name: str, z: Tensor) -> tuple[Tensor, Tensor]:
    """φ and φ′ at these places, (1, 1, B) each. Of the pieces of maxout, the first is z and the others are −z."""
    φ = ACTIVATIONS[name]
    pieces = int(φ.standard.get("pieces", 1))
    h = {hyper: z.new_full((1, 1, 1), value) for hyper, value in φ.standard.items()}
    signs = torch.tensor([1.0] + [-1.0] * (pieces - 1), dtype=z.dtype).reshape(1, -1, 1)
    row = signs * z
    return φ.function(row, h), φ.derivative(row, h)[:, :1]


def _drawn(name: str) -> Figure:
    z = torch.linspace(-4, 4, POINTS, dtype=torch.float64)
    value, slope = (_inside(row.flatten().tolist(), LOW, HIGH) for row in _both(name, z))
    drawn = line_chart(
        [Curve(z.tolist(), value, colour="c0"), Curve(z.tolist(), slope, colour="c1", dashed=True)],
        Axis("", low=-4.0, high=4.0),
        Axis("", low=LOW, high=HIGH),
        label=f"{name} and its derivative",
        width=260.0,
        height=200.0,
    )
    formula = ACTIVATIONS.summary(name).split(" (row")[0].split(";")[0].removesuffix(".")
    return Figure(drawn, f"**{name}** {formula}{', here of z and −z' if name == 'maxout' else ''}", "third")


def _inside(values: list[float], low: float, high: float) -> list[float]:
    """Without what would lie beyond the frame."""
    return [v if low <= v <= high else nan for v in values]


DEPTH, WIDTH, BATCH = 6, 300, 300
SCHEMES = {"fan_in_uniform": "±1/√n", "glorot_uniform": "Glorot"}


def initialisation() -> Result:
    """Activations and back-propagated gradients of a tanh network at its start (Glorot & Bengio 2010, fig. 6 and 7)."""
    numbers: dict[str, Value] = {}
    figures = []
    for scheme, title in SCHEMES.items():
        z, slopes = propagate(scheme, "tanh", DEPTH, WIDTH, 1.0, BATCH, 0)
        signals = [torch.tanh(layer) for layer in z]
        for what, layers in (("activations", signals), ("gradients", slopes)):
            numbers[f"mean of {what}, {title}"] = [float(layer.mean()) for layer in layers]
            variances = [float(layer.var(correction=0)) for layer in layers]
            numbers[f"variance of {what}, {title}"] = variances
            numbers[f"largest ÷ smallest variance of {what}, {title}"] = max(variances) / min(variances)
        figures += [_histograms("activations", title, signals), _histograms("gradients", title, slopes)]
    return Result(
        numbers,
        tuple(figures),
        "With ±1/√n, activations fade towards the output and gradients towards the input, about threefold a layer; "
        "with Glorot's scheme both stay within a factor of ten over all six.",
        (
            "One document gives ±1/√n as Xavier's scheme: it is what Glorot and Bengio improve on, variance 1/(3n).",
            "The paper has 1,000 units a layer and images; here 300 units and standard normal inputs.",
        ),
        heads=tuple(f"layer {i}" for i in range(1, DEPTH + 1)),
    )


def _histograms(what: str, title: str, layers: list[Tensor]) -> Figure:
    """The density of each layer's values; all on the scale of the widest layer but the outermost values."""
    widest = max(float(layer.std()) for layer in layers)
    edge = 1.0 if what == "activations" else 3 * widest
    bins = 60
    centres = [edge * (2 * (i + 0.5) / bins - 1) for i in range(bins)]
    curves = []
    for i, layer in enumerate(layers):
        counts = torch.histc(layer.float(), bins, -edge, edge) / layer.numel() / (2 * edge / bins)
        curves.append(Curve(centres, counts.tolist(), f"layer {i + 1}", f"r{i}"))
    drawn = line_chart(
        curves, Axis(what, low=-edge, high=edge), Axis("density", low=0.0), label=f"Histograms of {what}, {title}"
    )
    return Figure(drawn, f"**{what.capitalize()}**, {title}.")


SIGNALS: dict[str, Experiment] = {
    "activations": Experiment(activations, ("V3", "A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8", "A9")),
    "initialisation": Experiment(initialisation, ("I13", "I3", "D5")),
}
