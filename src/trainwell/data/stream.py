"""Batches from data larger than memory, in the manner of `batches.Feed`; reading goes on while the training computes.

Two ways to shuffle, both following from (order seed, epoch, position) alone, so that a resumed run continues exactly:

- "blocks": the rows are cut into blocks of neighbours, about 1 MiB each. An epoch takes the blocks in random order, 64
  to a window, and shuffles the rows of a window; while one window is trained on, the next is read. Files are read in
  large pieces. Data that fit into one window are shuffled as a whole.
- "rows": the order of `Feed`, bit for bit, each row fetched where it lies. A row of 400 bytes then costs a page of
  4 KiB and a seek, which on data larger than memory is many times slower than reading on (benchmarks/streaming.py); for
  data that the system's cache holds, and for comparisons.
"""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from trainwell.base import InputError, stream_seed
from trainwell.data.arrays import Arrays
from trainwell.data.batches import Feed, Samples

BLOCK_BYTES = 1 << 20  # read in one piece: at 100 MB/s a disk's seek of 5 ms is then a third of the time
WINDOW_BLOCKS = 64  # blocks shuffled together: rows of a batch come from 64 places of the file
SPARSE = 4  # rows that lie thinner than one in four are fetched singly
AHEAD = 4  # batches fetched ahead, where rows are fetched singly

Shuffle = Literal["blocks", "rows"]
Key = tuple[int, int]  # epoch, number of the window


class StreamFeed:
    """A `Feed` over arrays in files.

    Takes up to 2 windows (128 MiB) of memory a data group, whatever the data, and 8 bytes a training row for `train`
    (`shuffle="rows"`: 24). To resume exactly, give the same `block` and `window` again.

    Args:
        arrays: all encoded rows.
        train, validation, orders, batch_size, drop_last: as of `Feed`. `samples` are over memory maps: validation rows
            are loaded when they are judged.
        shuffle: "blocks" or "rows".
        block: rows read in one piece. window: rows shuffled together, a whole number of blocks.
        device: where batches are wanted; windows are taken there whole.
    """

    def __init__(
        self,
        arrays: Arrays,
        train: Tensor,
        validation: Tensor,
        orders: Sequence[int],
        batch_size: int,
        *,
        drop_last: bool = False,
        shuffle: Shuffle = "blocks",
        block: int | None = None,
        window: int | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        if shuffle not in ("blocks", "rows"):
            raise InputError(f"shuffle must be 'blocks' or 'rows', but is '{shuffle}'.")
        self._feed = feed = Feed(arrays.samples, train, validation, orders, batch_size, drop_last=drop_last)
        self.samples, self.train, self.validation = feed.samples, feed.train, feed.validation
        self.orders, self.batch_size, self.steps_per_epoch = feed.orders, feed.batch_size, feed.steps_per_epoch
        block = max(1, BLOCK_BYTES // max(1, arrays.row_bytes)) if block is None else block
        if block < 1 or (window is not None and (window < block or window % block)):
            raise InputError(f"window must be a whole number of blocks of at least 1 row, but is {window} of {block}.")
        blocks = WINDOW_BLOCKS if window is None else window // block
        self._device = torch.device(device)
        self._thread = ThreadPoolExecutor(1, "trainwell-stream")
        self._fetched: deque[tuple[int, Future[Samples]]] = deque()
        self._windows = (
            [
                _Windows(arrays, t, o, block, blocks, self._thread, self._device)
                for t, o in zip(train, orders, strict=True)
            ]
            if shuffle == "blocks"
            else []
        )

    def batch(self, step: int) -> Samples:
        """The batch of update `step` = 0, 1, …; reshuffled every epoch."""
        if not self._windows:
            return self._fetch(step)
        epoch, position = divmod(step, self.steps_per_epoch)
        start = position * self.batch_size
        own = [group.rows(epoch, start, start + self.batch_size) for group in self._windows]
        x, categories, y = (_stacked([getattr(s, name) for s in own]) for name in ("x", "categories", "y"))
        assert x is not None and categories is not None
        y = y if y is None or y.dim() == 2 else y.transpose(1, 2)
        return Samples(x.transpose(1, 2), categories.transpose(1, 2), y)

    def _fetch(self, step: int) -> Samples:
        """A batch of `Feed`, by the thread that alone asks it, some steps ahead."""
        while self._fetched and self._fetched[0][0] != step:
            self._fetched.popleft()
        for later in range(self._fetched[-1][0] + 1 if self._fetched else step, step + AHEAD + 1):
            self._fetched.append((later, self._thread.submit(self._feed.batch, later)))
        return self._fetched.popleft()[1].result().to(self._device)


@dataclass(frozen=True)
class _Window:
    """Rows in memory: the place in the epoch of the first, their samples as read, and the order they come in."""

    key: Key
    start: int
    samples: Samples
    order: Tensor

    @property
    def stop(self) -> int:
        return self.start + len(self.order)


_Coming = tuple[Key, Future[_Window], dict[str, Tensor]]


class _Windows:
    """One data group's windows: the present one, and the next being read into a second buffer."""

    def __init__(
        self,
        arrays: Arrays,
        rows: Tensor,
        order: int,
        block: int,
        blocks: int,
        thread: ThreadPoolExecutor,
        device: torch.device,
    ) -> None:
        rows = rows.cpu()
        self._arrays, self._order, self._thread, self._device = arrays, order, thread, device
        self._rows = rows if bool((rows[1:] > rows[:-1]).all()) else rows.sort().values
        n = len(rows)
        self._block, self._blocks = block, blocks
        self._count = -(-n // block)
        self._windows = -(-self._count // blocks)
        self._epoch: tuple[int, Tensor, Tensor] | None = None
        size = min(n, block * blocks)
        self._free = [self._buffer(size) for _ in range(2)]
        self._present: tuple[_Window, dict[str, Tensor]] | None = None
        self._next: _Coming | None = None

    def _buffer(self, size: int) -> dict[str, Tensor]:
        return {
            name: torch.empty((size, *part.shape[1:]), dtype=part.dtype) for name, part in self._arrays.tensors.items()
        }

    def rows(self, epoch: int, start: int, stop: int) -> Samples:
        """The samples at these places of an epoch's order."""
        pieces, stop = [], min(stop, len(self._rows))
        _, starts = self._plan(epoch)
        while start < stop:
            window = self._go((epoch, int(torch.searchsorted(starts, start, right=True)) - 1))
            chosen = window.order[start - window.start : stop - window.start]
            s = window.samples
            pieces.append(Samples(s.x[chosen], s.categories[chosen], None if s.y is None else s.y[chosen]))
            start = window.stop
        if len(pieces) == 1:
            return pieces[0]
        y = None if pieces[0].y is None else torch.cat([p.y for p in pieces if p.y is not None])
        return Samples(torch.cat([p.x for p in pieces]), torch.cat([p.categories for p in pieces]), y)

    def _plan(self, epoch: int) -> tuple[Tensor, Tensor]:
        """The blocks of an epoch in order, and where each window starts."""
        if self._epoch is None or self._epoch[0] != epoch:
            draw = torch.Generator().manual_seed(stream_seed(self._order, "blocks", epoch))
            blocks = torch.randperm(self._count, generator=draw)
            sizes = torch.where(
                blocks == self._count - 1, len(self._rows) - (self._count - 1) * self._block, self._block
            )
            starts = (sizes.cumsum(0) - sizes)[:: self._blocks].contiguous()
            self._epoch = epoch, blocks, starts
        return self._epoch[1:]

    def _go(self, key: Key) -> _Window:
        """The window of this key, now present; the one after it is begun."""
        if self._present is not None and self._present[0].key == key:
            return self._present[0]
        if self._present is not None:
            self._free.append(self._present[1])
            self._present = None
        if self._next is not None and self._next[0] != key:  # asked for out of turn, as after a resume
            self._next[1].result()  # its buffer is being written
            self._free.append(self._next[2])
            self._next = None
        _, coming, buffer = self._next or self._begin(key)
        self._present = coming.result(), buffer
        self._next = self._begin((key[0], key[1] + 1) if key[1] + 1 < self._windows else (key[0] + 1, 0))
        return self._present[0]

    def _begin(self, key: Key) -> _Coming:
        """Let the thread read a window into a free buffer."""
        buffer = self._free.pop()
        return key, self._thread.submit(self._load, key, *self._piece(key), buffer), buffer

    def _piece(self, key: Key) -> tuple[Tensor, int]:
        """The blocks of a window, and its place in the epoch."""
        kept = self._epoch
        blocks, starts = self._plan(key[0])
        if kept is not None and kept[0] != key[0]:
            self._epoch = kept  # the epoch ahead is asked for once, the present one at every step
        first = key[1] * self._blocks
        return blocks[first : first + self._blocks], int(starts[key[1]])

    def _load(self, key: Key, blocks: Tensor, start: int, buffer: dict[str, Tensor]) -> _Window:
        size = 0
        for block in blocks.tolist():
            rows = self._rows[block * self._block : (block + 1) * self._block]
            for name, whole in buffer.items():
                _read(self._arrays, name, rows, whole[size : size + len(rows)])
            size += len(rows)
        draw = torch.Generator().manual_seed(stream_seed(self._order, "window", *key))
        order = torch.randperm(size, generator=draw).to(self._device)
        got = {name: whole[:size] for name, whole in buffer.items()}
        nothing = torch.zeros(size, 0, dtype=torch.int64)
        samples = Samples(got["x"], got.get("categories", nothing), got.get("y"))
        return _Window(key, start, samples.to(self._device), order)


def _read(arrays: Arrays, name: str, rows: Tensor, into: Tensor) -> None:
    """Ascending rows of an array: in one piece where they lie dense, else one by one."""
    first, last = int(rows[0]), int(rows[-1])
    span = last + 1 - first
    if span == len(rows):
        arrays.read(name, first, into.numpy())
    elif span <= SPARSE * len(rows):
        wide = torch.empty((span, *into.shape[1:]), dtype=into.dtype)
        arrays.read(name, first, wide.numpy())
        torch.index_select(wide, 0, rows - first, out=into)
    else:
        torch.index_select(arrays.tensors[name], 0, rows, out=into)


def _stacked(parts: Sequence[Tensor | None]) -> Tensor | None:
    given = [part for part in parts if part is not None]
    if not given:
        return None
    return given[0].unsqueeze(0) if len(given) == 1 else torch.stack(given)
