"""Vitals of every layer over the training: gradients, updates, and what the units do."""

from dataclasses import dataclass

import numpy as np

from trainwell.report.blocks import Figure, Gallery, Prose, Section
from trainwell.report.canvas import Key, swatches
from trainwell.report.figures import Band, Curve, line_chart
from trainwell.report.fit import steps_per_epoch
from trainwell.report.records import Records
from trainwell.report.scales import Axis
from trainwell.report.words import counted

RAMP = 6  # colours of the ramp from input to output
WIDTH, HEIGHT = 290.0, 190.0


@dataclass(frozen=True)
class Vital:
    """How a signal is drawn, and how it is read."""

    name: str
    reading: str
    log: bool = False
    level: float | None = None
    level_text: str = ""
    share: bool = False


VITALS: dict[str, Vital] = {
    "gradient-norm": Vital(
        "Gradient norm",
        "Falling by orders of magnitude towards the input: it vanishes. Growing: it explodes.",
        log=True,
    ),
    "update-ratio": Vital(
        "Update to weight ratio",
        "About 1e-3 is usual; far above, a layer is thrown about; far below, it stands still.",
        True,
        1e-3,
        "usual",
    ),
    "dead-fraction": Vital("Dead units", "Share of units that are silent for every sample seen.", share=True),
    "saturated-fraction": Vital(
        "Saturated units", "Share of units stuck near a bound, where they hardly learn.", share=True
    ),
    "activation-std": Vital(
        "Spread of the activations", "Shrinking or growing from layer to layer is a sign of ill-fitting first weights."
    ),
    "activation-mean": Vital("Mean of the activations", "Far from 0 beside the spread: not centred."),
    "weight-norm": Vital(
        "Weight norm", "Steady growth by orders of magnitude is divergence; decay to 0 is too much regularisation."
    ),
}


def layers(records: Records) -> Section | None:
    """A figure a signal, a line a layer: the median over the networks."""
    vitals = records.vitals
    members = vitals.members()
    figures = [figure for signal in VITALS if (figure := _figure(records, signal, members)) is not None]
    if not figures:
        if not members:
            return None
        return Section(
            "layers", "Inside the layers", (Prose("No signals of the layers were recorded in this run.", "muted"),)
        )
    lead = "Each line is a layer, coloured in the order from input to output"
    lead += f"; its values are the median over {counted(len(members), 'network')}." if len(members) > 1 else "."
    names = _layers(records, "gradient-norm", members) or _layers(records, next(iter(VITALS)), members)
    strip = swatches([Key(name, _colour(names, name)) for name in names])
    gallery = Gallery((*figures, *_rate(records, members)), legend=strip)
    return Section("layers", "Inside the layers", (Prose(lead, "muted"), gallery))


def _layers(records: Records, signal: str, members: list[int]) -> list[str]:
    return list(dict.fromkeys(layer for m in members for layer in records.vitals.layers(signal, member=m)))


def _colour(names: list[str], name: str) -> str:
    """The ramp over all layers, so that one layer looks the same in every drawing."""
    place = names.index(name) if name in names else len(names) - 1
    return f"r{round(place * (RAMP - 1) / (len(names) - 1)) if len(names) > 1 else RAMP // 2}"


def _rate(records: Records, members: list[int]) -> list[Figure]:
    """The learning rate, which sets the size of every update."""
    per_epoch = steps_per_epoch(records)
    series = [s for m in members if len((s := records.vitals.series("learning_rate", member=m))[0]) > 1]
    if not series:
        return []
    lines = [Curve(steps / (per_epoch or 1), rates, colour="c2") for steps, rates in series]
    x, y = Axis("epoch" if per_epoch else "update", low=0.0), Axis(low=0.0)
    drawing = line_chart(lines, x, y, label="Learning rate by epoch", width=WIDTH, height=HEIGHT)
    return [Figure(drawing, "**Learning rate.** Of every network.", "third")]


def _figure(records: Records, signal: str, members: list[int]) -> Figure | None:
    names = _layers(records, signal, members)
    order = _layers(records, "gradient-norm", members) or names
    per_epoch = steps_per_epoch(records)
    lines = []
    for layer in names:
        steps, values = median(records, signal, layer, members)
        if len(steps) and np.isfinite(values).any():
            lines.append(Curve(steps / (per_epoch or 1), values, colour=_colour(order, layer)))
    if not lines:
        return None
    vital = VITALS[signal]
    positive = any((np.asarray(line.y) > 0).any() for line in lines)
    bands = [Band(level=vital.level, text=vital.level_text)] if vital.level else []
    highest = max(float(np.nanmax(line.y)) for line in lines)
    high = 1.0 if vital.share and (highest > 0.5 or highest == 0) else None
    y = Axis(log=vital.log and positive, low=0.0 if vital.share else None, high=high)
    x = Axis("epoch" if per_epoch else "update", low=0.0)
    drawing = line_chart(lines, x, y, label=f"{vital.name} of each layer", bands=bands, width=WIDTH, height=HEIGHT)
    return Figure(drawing, f"**{vital.name}.** {vital.reading}", "third")


def median(records: Records, signal: str, layer: str, members: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Steps and the median over the members measured at them."""
    at: dict[int, list[float]] = {}
    for member in members:
        steps, values = records.vitals.series(signal, member=member, layer=layer)
        for step, value in zip(steps.tolist(), values.tolist(), strict=True):
            at.setdefault(step, []).append(value)
    kept = sorted(step for step, values in at.items() if len(values) * 2 >= len(members) and np.isfinite(values).any())
    return np.array(kept, dtype=np.int64), np.array([np.nanmedian(at[step]) for step in kept])
