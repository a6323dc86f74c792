"""Looks on their way into the record: what they saw waits on its device, and is measured and noted of many at once.

Between two looks a processor forgets the code of the first; the less is done within a look, the less it has to fetch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainwell.engine.moment import LayerView
from trainwell.engine.record import Record
from trainwell.vitals.inside import MOST_RUNS
from trainwell.vitals.measures import MEASURES
from trainwell.vitals.scatter import Scatter

MEMBER = [0]
"""Of a user's training there is one."""

MOST = 16  # looks that wait
BLOCK = 16_384  # numbers in a block of the store
MOVED = ("highest", "lowest", "near")
OF_LAYERS = ("activation-mean", "activation-std", "dead-fraction", "saturated-fraction")
OF_SAMPLES = "signal-std"
OF_RUNS = "run-growth"
"""Size of what a layer hands on in its last run of a pass over that in its second, as of a cell that is called at each
step of a sequence."""

Views = Mapping[tuple[str, str], Sequence[tuple[LayerView, LayerView]]]
Keys = Sequence[tuple[str, str]]  # layer, signal


class Store:
    """One place for the vectors that wait: small tensors kept between large ones would keep their memory in pieces."""

    def __init__(self) -> None:
        self._blocks: list[Tensor] = []
        self._block = self._used = 0

    def keep(self, view: LayerView) -> LayerView:
        """The same with all that it holds moved here."""
        for name, value in view.__dict__.items():
            if name == "moments":
                view.__dict__[name] = tuple(map(self._moved, value))
            elif name in MOVED and value is not None:
                view.__dict__[name] = self._moved(value)
        return view

    def empty(self) -> None:
        """What was kept is not needed any more."""
        self._block = self._used = 0

    def _moved(self, vector: Tensor) -> Tensor:
        count = vector.numel()
        while self._block < len(self._blocks) and not self._fits(vector):
            self._block, self._used = self._block + 1, 0
        if self._block == len(self._blocks):
            self._blocks.append(torch.empty(max(BLOCK, count), dtype=vector.dtype, device=vector.device))
        place = self._blocks[self._block][self._used : self._used + count].view(vector.shape)
        self._used += count
        return place.copy_(vector)

    def _fits(self, vector: Tensor) -> bool:
        block = self._blocks[self._block]
        alike = block.device == vector.device and block.dtype == vector.dtype
        return alike and self._used + vector.numel() <= len(block)


@dataclass(frozen=True)
class Look:
    """What one look saw: layers by name and function, and vectors of signals that are measured already."""

    step: int
    order: Sequence[str]
    views: Views
    keys: Keys
    vectors: Sequence[Tensor]


class Looked:
    """Looks that wait.

    Args:
        record: where they are noted. scatter: what gradients of two updates in a row show, noted with them.

    Attributes:
        store: where what they saw lies.
    """

    def __init__(self, record: Record, scatter: Scatter) -> None:
        self._record, self._scatter = record, scatter
        self._waiting: list[Look] = []
        self.store = Store()

    def add(self, look: Look) -> None:
        """After a look."""
        self._waiting.append(look)
        if len(self._waiting) >= MOST:
            self.flush()

    @torch.no_grad()
    def flush(self, *, within: bool = False) -> None:
        """Note all that waits; the numbers leave the device in one copy. `within`: a look is under way."""
        waiting, self._waiting = self._waiting, []
        scatters = self._scatter.taken()
        keys, vectors = list[tuple[int, str, str]](), list[Tensor]()
        for look in waiting:
            measured = _measured(look.views)
            keys += [(look.step, layer, signal) for layer, signal in [*measured, *look.keys]]
            vectors += [*measured.values(), *look.vectors]
        keys += [(step, "", signal) for step, signal, _ in scatters]
        vectors += [value for _, _, value in scatters]
        if not vectors:
            return
        if not within:
            self.store.empty()  # what they hold was measured above
        numbers = torch.cat([v if v.dtype == torch.float32 else v.float() for v in vectors]).tolist()
        order = {name: i for look in waiting for i, name in enumerate(look.order)}
        seen = sorted(zip(keys, numbers, strict=True), key=lambda pair: (pair[0][0], order.get(pair[0][1], len(order))))
        for (step, layer, signal), value in seen:
            self._record.add(step, layer, signal, MEMBER, [value])


def _measured(views: Views) -> dict[tuple[str, str], Tensor]:
    """(layer, signal) → (1,). Of a layer that ran more than once the last run counts, and the largest deviation.

    (A layer may be run for rows of several sorts: of a boundary, all outputs may well be alike.)
    """
    found = dict[tuple[str, str], Tensor]()
    for (layer, _), runs in views.items():
        left = [value for _, seen in runs if (value := MEASURES[OF_SAMPLES](seen)) is not None]
        if left:
            found[layer, OF_SAMPLES] = left[0] if len(left) == 1 else torch.stack(left).amax(0)
        if len(runs) == MOST_RUNS:  # the first may be that of a state of zeros
            found[layer, OF_RUNS] = _size(runs[-1][0]) / _size(runs[1][0])
        for name in OF_LAYERS:
            if (value := MEASURES[name](runs[-1][0])) is not None:
                found[layer, name] = value
    return found


def _size(view: LayerView) -> Tensor:
    """Root mean square over samples and units (1,)."""
    assert view.moments is not None
    return (view.moments[0].square() + view.moments[1]).mean(1).sqrt_()
