"""Vitals of every layer over the training: gradients, updates, and what the units do."""

from dataclasses import dataclass

import numpy as np

from trainwell.report.blocks import Figure, Gallery, Prose, Section
from trainwell.report.figures import Band, Curve, line_chart
from trainwell.report.fit import steps_per_epoch
from trainwell.report.records import Records
from trainwell.report.scales import Axis
from trainwell.report.words import counted

RAMP = 6  # colours of the ramp from input to output


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
    "gradient-norm": Vital("Gradient norm", "Falling by orders of magnitude towards the input: it vanishes. Growing: it explodes.", log=True),
    "update-ratio": Vital("Update to weight ratio", "About 1e-3 is usual; far above, a layer is thrown about; far below, it stands still.", True, 1e-3, "usual"),
    "dead-fraction": Vital("Dead units", "Share of units that are silent for every sample seen.", share=True),
    "saturated-fraction": Vital("Saturated units", "Share of units stuck near a bound, where they hardly learn.", share=True),
    "activation-std": Vital("Spread of the activations", "Shrinking or growing from layer to layer is a sign of ill-fitting first weights."),
    "activation-mean": Vital("Mean of the activations", "Far from 0 beside the spread: not centred."),
    "weight-norm": Vital("Weight norm", "Steady growth by orders of magnitude is divergence; decay to 0 is too much regularisation."),
}


def layers(records: Records) -> Section | None:
    """A figure a signal, a line a layer: the median over the networks."""
    vitals = records.vitals
    members = vitals.members()
    figures = [figure for signal in VITALS if (figure := _figure(records, signal, members)) is not None]
    if not figures:
        if not members:
            return None
        return Section("layers", "Inside the layers", (Prose("No signals of the layers were recorded in this run.", "muted"),))
    lead = "Each line is a layer, light at the input and dark at the output"
    lead += f"; its values are the median over {counted(len(members), 'network')}." if len(members) > 1 else "."
    return Section("layers", "Inside the layers", (Prose(lead, "muted"), Gallery(tuple(figures))))


def _figure(records: Records, signal: str, members: list[int]) -> Figure | None:
    names = list(dict.fromkeys(layer for m in members for layer in records.vitals.layers(signal, member=m)))
    per_epoch = steps_per_epoch(records)
    lines = []
    for i, layer in enumerate(names):
        steps, values = median(records, signal, layer, members)
        if len(steps) and np.isfinite(values).any():
            place = round(i * (RAMP - 1) / max(1, len(names) - 1)) if len(names) > 1 else RAMP // 2
            lines.append(Curve(steps / (per_epoch or 1), values, layer, f"r{place}"))
    if not lines:
        return None
    vital = VITALS[signal]
    positive = any((np.asarray(line.y) > 0).any() for line in lines)
    bands = [Band(level=vital.level, text=vital.level_text)] if vital.level else []
    high = 1.0 if vital.share and max(float(np.nanmax(line.y)) for line in lines) > 0.5 else None
    y = Axis(log=vital.log and positive, low=0.0 if vital.share else None, high=high)
    x = Axis("epoch" if per_epoch else "update", low=0.0)
    drawing = line_chart(lines, x, y, label=f"{vital.name} of each layer", bands=bands, height=250)
    return Figure(drawing, f"**{vital.name}.** {vital.reading}")


def median(records: Records, signal: str, layer: str, members: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Steps and the median over the members measured at them."""
    at: dict[int, list[float]] = {}
    for member in members:
        steps, values = records.vitals.series(signal, member=member, layer=layer)
        for step, value in zip(steps.tolist(), values.tolist(), strict=True):
            at.setdefault(step, []).append(value)
    kept = sorted(step for step, values in at.items() if len(values) * 2 >= len(members) and np.isfinite(values).any())
    return np.array(kept, dtype=np.int64), np.array([np.nanmedian(at[step]) for step in kept])
