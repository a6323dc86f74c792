"""What is gathered over the steps of a user's training: losses, batches, and when to look at the layers again."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainwell.engine.record import Record
from trainwell.vitals.asked import Batch
from trainwell.vitals.foreign import dense
from trainwell.vitals.future import holds_the_answer, predicts_next
from trainwell.vitals.inside import Inside
from trainwell.vitals.looked import MEMBER
from trainwell.vitals.losses import CLASS_LOSSES, NUMBER_LOSSES, LossReading, read_loss
from trainwell.vitals.rows import Rows
from trainwell.vitals.scale import Scale, sums_of
from trainwell.vitals.sequences import Memory
from trainwell.vitals.sureness import Sureness
from trainwell.vitals.telling import Telling

SHARE = 0.003  # of the time, for looks between those at powers; what follows a look costs as much again
SHORT = 5e-2
"""Where a step takes less than so many seconds, powers of four do."""

THIRD = 16  # step of the third look, at the latest
FLUSH = 1024  # losses that wait on the device
PAUSE = 64  # steps after a look that failed
WHOLE = 2048  # steps whose losses are noted one by one; later ones as means over a thousandth of the steps
ENOUGH = 4096  # targets that are remembered
OF_A_BATCH, SOME = 512, 8
READ = 4  # looks at which the graph of the loss is read; then at every so many
NEVER = 2**62


@dataclass
class Sight:
    """What the looks have shown, beside the signals in the record."""

    order: list[str] = field(default_factory=list)
    functions: dict[str, str] = field(default_factory=dict)
    bends: int | None = None
    dropout: float = 0.0
    chained: dict[tuple[str, str], bool] = field(default_factory=dict)
    weighted: int | None = None
    symmetric: tuple[str, ...] = ()
    without_gradient: Counter[str] = field(default_factory=Counter)
    updates: int = 0
    sequences: dict[str, tuple[int, ...]] = field(default_factory=dict)
    memory: tuple[Memory, ...] = ()
    accumulating: list[int] = field(default_factory=lambda: [0, 0])
    silent: list[int] = field(default_factory=lambda: [0, 0])

    def gradients(self, named: Mapping[str, nn.Parameter], witness: nn.Parameter | None) -> None:
        """Just before an update: which parameters have none, and whether that of the witness is 0."""
        if witness is not None and witness.grad is not None:
            self.silent[0] += not bool(dense(witness.grad).any())
            self.silent[1] += 1
        own = {id(p): name for name, p in reversed(list(named.items()))}  # of one that has two names the first
        missing = [n for n, p in named.items() if p.grad is None and p.requires_grad and own[id(p)] == n]
        self.without_gradient.update(missing)
        self.updates += 1

    def unreached(self, steps: int) -> list[str]:
        """Parameters that had no gradient at any of three looks; at two, where `steps` leave no time for a third."""
        enough = self.updates >= (3 if steps >= THIRD else 2)
        return [name for name, times in self.without_gradient.items() if enough and times >= self.updates]


class Losses:
    """Losses on their way into the record; they wait on their device, so that no step waits for them."""

    def __init__(self, record: Record) -> None:
        self._record, self._step = record, 0
        self._waiting: list[Tensor | float] = []
        self._away = False  # whether some of them are on another device
        self._block: list[float] = []
        self._sum, self._count = 0.0, 0

    def add(self, loss: Tensor | float) -> float:
        """Note the loss of the next step; gives its value, 0 where it is on another device, which nobody waits for."""
        if isinstance(loss, Tensor) and not (loss.is_cpu and loss.numel() == 1):
            self._waiting.append(loss.detach())
            self._away = True
            return 0.0
        value = loss.item() if isinstance(loss, Tensor) else float(loss)
        self._waiting.append(value)
        return value

    @property
    def full(self) -> bool:
        """Whether it is time to take them in."""
        return len(self._waiting) >= FLUSH

    def flush(self) -> None:
        """Take in what waits."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        values: list[Any] = _brought(waiting) if self._away else waiting
        self._away = False
        self._sum, self._count = self._sum + sum(values), self._count + len(values)
        if self._step + len(values) <= WHOLE:
            self._record.add_run(range(self._step + 1, self._step + len(values) + 1), "loss", 0, values)
            self._step += len(values)
        else:
            for value in values:
                self._take(value)

    def end(self) -> None:
        """Take in what waits, and note the block of losses that is not full."""
        self.flush()
        if self._block:
            self._record.add(self._step, "", "loss", MEMBER, [sum(self._block) / len(self._block)])
            self._block = []

    def _take(self, value: float) -> None:
        self._step += 1
        self._block.append(value)
        if self._step <= WHOLE or len(self._block) >= self._step // 1000:
            self._record.add(self._step, "", "loss", MEMBER, [sum(self._block) / len(self._block)])
            self._block = []

    def mean(self) -> float | None:
        """Of the losses since the last call; None when there are none."""
        self.flush()
        mean = self._sum / self._count if self._count else None
        self._sum, self._count = 0.0, 0
        return mean


def _brought(waiting: list[Tensor | float]) -> list[float]:
    """Values of losses, in one copy."""
    moved = iter(torch.stack([v.mean().double() for v in waiting if isinstance(v, Tensor)]).tolist())
    return [next(moved) if isinstance(v, Tensor) else v for v in waiting]


class Batches:
    """What batches show at the steps that are looked at.

    Attributes:
        reading: what the loss is made of. targets: some of them. same: whether targets have the shape of the inputs.
        rows: prints of those trained on and judged by. telling: the input that tells the target alone.
        sizes: of the batches.
        scale: of what reaches the first layer with weights. outside: of the inputs as they are given; names: of those
            that are whole numbers.
        penalties: share of the loss that is not loss_fn of outputs and targets.
        sequence: some inputs of which the targets are those of the next step, or None. first: of the first batch.
        answered: batches whose inputs hold their targets, and all.
        constant: whether all outputs were alike. sureness: how often the surest outputs are wrong.
    """

    def __init__(self, loss_fn: Callable[..., Any] | None) -> None:
        self._loss_fn = loss_fn
        self.reading, self.targets, self.same = LossReading(), list[Tensor](), False
        self.sequence: Tensor | None = None
        self.answered = [0, 0]
        self.first = Batch()
        self.scale, self.outside, self.names, self.sizes = Scale(), Scale(), Scale(), Counter[int]()
        self.rows, self.telling = Rows(self.outside), Telling()
        self.penalties: list[float] = []
        self.ranges: list[tuple[float, float]] = []
        self.constant: list[bool] = []
        self.sureness = Sureness()
        self.single = [0, 0]
        self._seen = self._looks = 0

    def look(self, loss: object, inputs: object, targets: object, outputs: object, inside: Inside) -> None:
        """Take in one batch."""
        self._looks += 1
        known = self.reading.kind and self._looks > READ and self._looks % READ
        if isinstance(loss, Tensor) and loss.grad_fn is not None and not known:
            reading = read_loss(loss)
            self.reading = reading if reading.kind or not self.reading.kind else self.reading
        x = inputs if isinstance(inputs, Tensor) else None
        y = torch.as_tensor(targets) if isinstance(targets, Tensor | np.ndarray) else None
        if x is not None and x.dim():
            self.sizes[len(x)] += 1
            self.rows.train(x)
            self.first.look(x, outputs)
        self._note_scale(x, inside.entering)
        if y is not None and y.dim() and self._seen < ENOUGH:
            if len(y) >= 8 and y.dim() == 1 and not y.is_floating_point():
                self.single[0] += bool((y == y[0]).all())
                self.single[1] += 1
            self.targets.append(y.detach()[:: -(-len(y) // OF_A_BATCH) or 1].clone())  # they may be sorted
            self._seen += len(y)
            self.same |= x is not None and y.shape == x.shape
            if x is not None and x.dim():
                if self.sequence is None and predicts_next(x[:SOME], y[:SOME]):
                    self.sequence = x.detach()[:SOME].clone()
                self.answered[0] += holds_the_answer(x, y)
                self.answered[1] += 1
                self.telling.take(x, y)
        if isinstance(outputs, Tensor) and outputs.is_floating_point() and outputs.numel():
            z = outputs.detach()
            if y is not None and self.reading.kind in (*CLASS_LOSSES, *NUMBER_LOSSES):
                self.sureness.look(z, y, numbers=self.reading.kind in NUMBER_LOSSES)
            low, high, apart = torch.stack([*z.aminmax(), (z - z[:1]).abs_().max()]).tolist()
            self.ranges.append((low, high))
            self.constant.append(len(z) > 1 and apart <= 1e-6 * max(abs(low), abs(high)))
            if self._loss_fn is not None and isinstance(loss, Tensor) and y is not None:
                self._note_penalty(float(loss.detach()), z, targets)

    @property
    def all_targets(self) -> list[Tensor]:
        """Those of the looks, and classes of the newest steps."""
        shapes = {y.shape[1:] for y in self.targets}
        return [*self.targets, *(y for y in self.sureness.classes() if y.shape[1:] in shapes)]

    @property
    def usual(self) -> int:
        """The most frequent size of a batch; 0 before any.

        Without inputs that of the outputs in the loss, where these are of single samples or pairs; more may be steps.
        """
        few = self.reading.shape[:1] if self.reading.alone and len(self.reading.shape) == 2 else ()
        unknown = few[0] if few and few[0] <= 2 else 0
        return max(self.sizes, key=lambda size: self.sizes[size], default=unknown)

    @property
    def output_range(self) -> tuple[float, float] | None:
        """The smallest and the largest output seen."""
        return (min(low for low, _ in self.ranges), max(high for _, high in self.ranges)) if self.ranges else None

    def extremes(self) -> dict[str, float] | None:
        """Of means and deviations of what reaches the first layer; as given, how much of it never changes."""
        found = (self.scale if self.scale.rows else self.outside).extremes()
        given = (self.outside if self.outside.rows else self.names).extremes()
        return found if found is None or given is None else found | {k: given[k] for k in ("constant", "inputs")}

    def _note_scale(self, x: Tensor | None, entering: Tensor | None) -> None:
        """Of the inputs as they are given, and of what reaches the first layer, which often are the same."""
        sums, flat = None, None
        if x is not None and x.dim() and x.is_floating_point():
            flat = x.detach().flatten(1) if x.dim() > 1 else x.detach()[:, None]
            self.outside.take(sums := sums_of(flat))
        elif x is not None and x.dim() > 1 and not x.is_complex():
            self.names.take(sums_of(x.detach().flatten(1).float()))
        if entering is not None and not (self.names.rows and self._looks > 1):  # else vectors that were learned
            same = flat is not None and entering.data_ptr() == flat.data_ptr() and entering.shape == flat.shape
            self.scale.take(sums if same else sums_of(entering))

    def _note_penalty(self, whole: float, outputs: Tensor, targets: object) -> None:
        assert self._loss_fn is not None
        with torch.no_grad():
            own = float(self._loss_fn(outputs, targets))
        if whole > 0 and np.isfinite(own):
            self.penalties.append(1 - own / whole)


class Pace:
    """When to look: each `every`-th step; or, with "auto", in steps 1, 4, 8, 16 … and as often as SHARE permits."""

    def __init__(self, every: int | str) -> None:
        self.next, self.looks = (NEVER if every == 0 else 1), 0
        self._every, self._spent, self._each = every, 0.0, float("inf")
        self._first: tuple[int, float, float] | None = None  # step, time and time spent after the first look

    @staticmethod
    def clock() -> float:
        """Seconds."""
        return perf_counter()

    def spend(self, since: float) -> None:
        """Count the time of a look that began then."""
        self._spent += self.clock() - since

    def plan(self, now: int) -> None:
        """After a look in step `now`."""
        self.looks += 1
        if isinstance(self._every, int):
            self._pace(now)
            self.next = now + self._every
            return
        power, pace = 1 << now.bit_length(), self._pace(now)
        if pace < SHORT and power.bit_length() % 2 == 0:
            power *= 2
        wait = self._spent * (1 + 1 / self.looks) / (SHARE * pace) - now  # until the share has paid for one more
        self.next = max(now + 1, min(power, now + int(max(1.0, min(wait, float(NEVER)), 0.02 * now))))

    def _pace(self, now: int) -> float:
        """Seconds a step, without looks; the first look is the start, since what comes before it is not training."""
        clock = self.clock()
        if self._first is None:
            self._first = now, clock, self._spent
        step, began, spent = self._first
        if now > step:
            self._each = max(1e-9, (clock - began) - (self._spent - spent)) / (now - step)
        return min(self._each, 1.0) if now > step else 1e-9

    def postpone(self, now: int) -> None:
        """A look failed."""
        self.next = now + PAUSE
