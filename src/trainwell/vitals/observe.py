"""From a moment of the training to the record: all values leave the device in one transfer."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from trainwell.engine.moment import Moment, WantsLayers
from trainwell.engine.record import Record
from trainwell.vitals.measures import MEASURES
from trainwell.vitals.scatter import COMMON, SCATTER, apart

LOOKS, APART = 12, 32
"""Looks at a whole training beside those at powers of four, and updates between two of them at the least.

A look takes a quarter to four fifths of the time of an update: so all take about one or two percent.
"""

Signal = tuple[str, str, Tensor]  # layer ("" for the whole network), signal, (K,)


def sampling(every: int) -> WantsLayers:
    """At which steps layers are shown: 1, 4, 16, 64 … while much happens, and each `every`-th from 1 on; never for 0.

    Where `every` is some epochs, these are their first batches, which are full ones.

    >>> [step for step in range(20) if sampling(6)(step)]
    [1, 4, 7, 13, 19]
    >>> [step for step in range(20) if sampling(0)(step)]
    []
    """

    def wanted(step: int) -> bool:
        early = step < every and step & (step - 1) == 0 and step.bit_length() % 2 == 1
        return every > 0 and step > 0 and ((step - 1) % every == 0 or early)

    return wanted


def spacing(updates: int) -> int:
    """`every` for a training of so many updates; a function of the plan, as what is found may change the training.

    >>> spacing(400), spacing(64_000)
    (33, 5333)
    """
    return max(APART, updates // LOOKS)


def observe(moment: Moment, record: Record) -> None:
    """Note what this moment shows of the members still in training; with its layers, all that is measured of them."""
    signals = list(signals_of(moment))
    if not signals:
        return
    members, active, *values = numbers([moment.members, moment.active, *(row for _, _, row in signals)])
    alive = None if all(active) else np.flatnonzero(active).tolist()
    who = [int(member) for member in members]
    for (layer, signal, _), row in zip(signals, values, strict=True):
        if alive is None:
            record.add(moment.step, layer, signal, who, row)
        else:
            record.add(moment.step, layer, signal, [who[i] for i in alive], [row[i] for i in alive])


def signals_of(moment: Moment) -> Iterator[Signal]:
    """All that can be noted of a moment."""
    if moment.step > 0:  # before the first update there is no batch, hence no loss
        yield "", "loss", moment.loss
        yield "", "learning_rate", moment.learning_rate
    if moment.evaluation is not None:
        yield "", "train_loss", moment.evaluation.train_loss
        yield "", "validation_loss", moment.evaluation.loss
        yield "", "validation_metric", moment.evaluation.metric
    if moment.gradients is not None:
        scatter, common = apart(*moment.gradients)
        yield "", SCATTER, scatter
        yield "", COMMON, common
    for view in moment.layers or ():
        for name, measure in MEASURES.items():
            if (values := measure(view)) is not None:
                yield view.name, name, values


@torch.no_grad()
def numbers(rows: list[Tensor]) -> list[list[float]]:
    """R tensors (K,) as plain numbers; from another device in one copy.

    Identities survive it: they are far below 2^24.
    """
    if all(row.is_cpu for row in rows):  # without an operation of torch: what is seldom called is slow there
        return [row.tolist() for row in rows]
    precise = torch.float64 if any(row.dtype == torch.float64 for row in rows) else torch.float32
    alike = [row if row.dtype == precise else row.to(precise) for row in rows]
    device = next(row.device for row in rows if not row.is_cpu)
    return torch.stack([row.to(device) for row in alike]).tolist()
