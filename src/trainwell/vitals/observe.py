"""From a moment of the training to the record: all values leave the device in one transfer."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from trainwell.engine.moment import Moment, WantsLayers
from trainwell.engine.record import Record
from trainwell.vitals.measures import MEASURES

Signal = tuple[str, str, Tensor]  # layer ("" for the whole network), signal, (K,)


def sampling(every: int) -> WantsLayers:
    """At which steps layers are shown: 1, 2, 4, 8 … while much happens, then each `every`-th. None for `every` = 0.

    >>> [step for step in range(20) if sampling(6)(step)]
    [1, 2, 4, 6, 8, 12, 16, 18]
    >>> [step for step in range(20) if sampling(0)(step)]
    []
    """
    return lambda step: every > 0 and step > 0 and (step % every == 0 or step & (step - 1) == 0)


def observe(moment: Moment, record: Record) -> None:
    """Note what this moment shows of the members still in training; with its layers, all that is measured of them."""
    signals = list(signals_of(moment))
    if not signals:
        return
    rows = [moment.members, moment.active, *(values for _, _, values in signals)]
    members, active, *values = transferred(rows)
    alive = active.astype(bool)
    for (layer, signal, _), row in zip(signals, values, strict=True):
        record.add(moment.step, layer, signal, members[alive].astype(np.int64), row[alive])


def signals_of(moment: Moment) -> Iterator[Signal]:
    """All that can be noted of a moment."""
    if moment.step > 0:  # before the first update there is no batch, hence no loss
        yield "", "loss", moment.loss
        yield "", "learning_rate", moment.learning_rate
    if moment.evaluation is not None:
        yield "", "train_loss", moment.evaluation.train_loss
        yield "", "validation_loss", moment.evaluation.loss
        yield "", "validation_metric", moment.evaluation.metric
    for view in moment.layers or ():
        for name, measure in MEASURES.items():
            if (values := measure(view)) is not None:
                yield view.name, name, values


def transferred(rows: list[Tensor]) -> np.ndarray:
    """(R, K) float64 on the host, from R tensors (K,), in one copy. Identities survive it: they are far below 2^24."""
    device = rows[-1].device
    precise = torch.float32 if device.type == "mps" else torch.float64
    return torch.stack([row.detach().to(device, precise) for row in rows]).cpu().numpy().astype(np.float64)
