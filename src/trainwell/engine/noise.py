"""What is random in a training step: dropout, noise on the inputs, mixup. Stateless: it follows from (seed, step)."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from trainwell.base import Seeds, stream_seed
from trainwell.base.layout import Columns
from trainwell.data.parts import Part
from trainwell.ingredients import beta_shares
from trainwell.networks import Noise


class NoiseStreams:
    """The noise of some members. Members with equal noise streams get equal numbers, each at its own strength.

    Args:
        always: a structure draws random numbers of its own, whatever the columns say.
        samples_first: x is (K or 1, B, …), not (K or 1, D, B).
        part: where the batches of this process stand in the whole ones, by the step. Numbers belong to samples by their
            place in the whole batch, whoever computes them; only mixup mixes within the part.
    """

    def __init__(
        self,
        seeds: Sequence[Seeds],
        columns: Columns,
        device: torch.device,
        *,
        always: bool = False,
        samples_first: bool = False,
        part: Callable[[int], Part] | None = None,
    ) -> None:
        self._part = part
        self._always, self._axis = always, 1 if samples_first else -1
        self._columns, self._device = columns, device
        self._streams = sorted({s.noise for s in seeds})
        self._seeds = [s.noise for s in seeds]
        one = len(self._streams) == 1
        self._stream_of = None if one else torch.tensor([self._streams.index(s) for s in self._seeds], device=device)
        drops, jitters, mixes = (bool((columns[name] > 0).any()) for name in ("dropout", "input_noise", "mixup"))
        self._drops, self._jitters, self._mixes = drops, jitters, mixes

    def at(self, step: int, x: Tensor, inputs: int, rows: slice | None = None) -> Noise | None:
        """The noise of update `step` on a batch with `inputs` signals (K or 1, inputs, B); None when nobody has any.

        With `rows`, that of these members alone.
        """
        if not (self._always or self._drops or self._jitters or self._mixes):
            return None
        draws = [torch.Generator().manual_seed(stream_seed(seed, "noise", step)) for seed in self._streams]
        count = x.shape[self._axis]
        part = Part.of(count, 0, 1) if self._part is None else self._part(step)

        def uniform(layer: str, units: int, samples: int) -> Tensor:
            whole = samples if self._part is None else part.whole
            drawn = [torch.rand(units, whole, generator=g, dtype=torch.float32) for g in draws]
            return self._of_members(drawn, rows)[..., part.start : part.start + samples]

        jitter = None
        if self._jitters:
            other = [torch.Generator().manual_seed(stream_seed(seed, "inputs", step)) for seed in self._streams]
            drawn = [torch.randn(inputs, part.whole, generator=g, dtype=torch.float32) for g in other]
            normal = self._of_members(drawn, rows)[..., part.slice]
            jitter = normal.to(x.dtype), self._column("input_noise", rows)
        return Noise(
            uniform,
            dropout=self._column("dropout", rows) if self._drops else None,
            inputs=jitter,
            mixup=self._mixup(step, part, rows) if self._mixes else None,
        )

    def _column(self, name: str, rows: slice | None) -> Tensor:
        return self._columns[name] if rows is None else self._columns[name][rows]

    def _mixup(self, step: int, part: Part, rows: slice | None) -> tuple[Tensor, Tensor]:
        draws = [torch.Generator().manual_seed(stream_seed(seed, "mixup", step)) for seed in self._streams]
        order = self._of_members([torch.randperm(part.whole, generator=g) for g in draws], rows)
        if part.samples < part.whole:  # the order of the whole batch, of which only the own samples stand here
            order = order[..., part.slice].argsort(dim=-1)
        seeds = self._seeds if rows is None else self._seeds[rows]
        shares = beta_shares(self._column("mixup", rows), [stream_seed(seed, "share", step) for seed in seeds])
        return order.expand(len(seeds), -1), shares

    def _of_members(self, drawn: list[Tensor], rows: slice | None) -> Tensor:
        """(K or 1, …) from one draw for each stream."""
        stacked = torch.stack(drawn).to(self._device)
        if self._stream_of is None:
            return stacked
        return stacked[self._stream_of if rows is None else self._stream_of[rows]]
