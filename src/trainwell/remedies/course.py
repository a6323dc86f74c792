"""One training as it runs: it can be stopped, judged, and go on; what it costs is counted.

Contract: `Course` trains a `Training` under a seed. Two courses with one seed see the same rows in the same order. Its
cost is in units of the given training on all its rows: samples, and `UPDATE` for each update, over the given one's,
times the parameters over the given one's where there are many.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainwell.base.randomness import own_randomness
from trainwell.diagnosis.subject import one_line
from trainwell.remedies.row import Row, own_memory
from trainwell.remedies.rows import Rows
from trainwell.remedies.training import Scaled, Training, fitting, scaled
from trainwell.vitals.observer import Observer

Metric = Callable[[Tensor, Tensor], float]
JUDGED_AT_ONCE = 1024  # rows
UPDATE = 128  # rows whose passes cost what an update costs whatever its batch: between small networks and tiny ones
SMALL = 20_000  # weights, up to which an update costs what its calls cost
OWN = 1.25  # judging, checks and random streams of its own beside each update (measured: a sixth to a third of all)
MOST_KEPT = 100_000  # outputs at one time
RESAMPLES = 32


@dataclass
class Ledger:
    """What was spent, in units of the given training; `unit` = its (samples, updates), `weights` its parameters."""

    budget: float
    unit: tuple[float, float]
    weights: int
    spent: float = 0.0
    seconds: float = 0.0

    @property
    def left(self) -> float:
        """Units that are left."""
        return self.budget - self.spent

    def cost(self, samples: float, updates: float, weights: int) -> float:
        """What so many samples in so many updates cost."""
        size = (SMALL + weights) / (SMALL + self.weights)
        spent, given = (rows + UPDATE * count for rows, count in ((samples, updates), self.unit))
        return OWN * spent / given * max(1.0, size)

    def charge(self, samples: float, updates: float, weights: int, seconds: float) -> None:
        """Note what was spent."""
        self.spent += self.cost(samples, updates, weights)
        self.seconds += seconds


class Course:
    """One run of a training.

    Attributes:
        curve: (update, score on the rows to judge by), in order. failed: why it ended early, or nothing.
        row: the weights as one row of numbers, where the optimizer can step it.
        agreed: whether what is computed for many members is known to be what this one's module gives.
        outputs: on the rows to judge by, by update; of large ones the last alone; None where the module failed on them.
        observer: sees each update, if there is one.
    """

    def __init__(self, training: Training, seed: int, rows: Rows, judged: Rows, metric: Metric, ledger: Ledger) -> None:
        self.training, self.seed, self.rows, self.judged = training, seed, rows, judged
        self.metric, self.ledger = metric, ledger
        self.done, self.failed = 0, ""
        self.curve: list[tuple[int, float]] = []
        self.outputs: dict[int, Tensor | None] = {}
        self.observer: Observer | None = None
        self.row: Row | None = None
        self.agreed = False
        try:
            bare = training.module(seed)
            self.module = scaled(training, bare, rows)
            self.optimizer = training.optimizer(self.module)
        except Exception as error:  # noqa: BLE001  whatever the user's code may raise
            self.module, self.failed = nn.Identity(), one_line(error)
        self.weights = sum(p.numel() for p in self.module.parameters())

    @property
    def body(self) -> nn.Module:
        """The module that takes what `given` gives."""
        return self.module.inner if isinstance(self.module, Scaled) else self.module

    @property
    def per_epoch(self) -> int:
        """Updates in an epoch; a last batch of a single row is left out, since norms can't train on it."""
        full, rest = divmod(len(self.rows), self.training.batch_size)
        return max(1, full + (rest > 1 or (rest == 1 and self.training.batch_size == 1)))

    @property
    def updates(self) -> int:
        """Updates of the whole training."""
        return self.per_epoch * self.training.epochs

    @property
    def score(self) -> float:
        """The last one; NaN when the training failed."""
        return self.curve[-1][1] if self.curve and not self.failed else float("nan")

    def price(self, share: float) -> float:
        """What going on to this share of the training would cost."""
        more = max(0, math.ceil(share * self.updates) - self.done)
        return self.ledger.cost(more * min(self.training.batch_size, len(self.rows)), more, self.weights)

    def advance(self, share: float) -> "Course":
        """Go on to a share of the training (beyond 1: longer than it), and judge there."""
        target = math.ceil(share * self.updates - 1e-9)
        if self.done < target and not self.failed:
            with own_randomness(self.seed, "cure", f"noise {self.done}"):
                while self.done < target and not self.failed:
                    epoch, first = divmod(self.done, self.per_epoch)
                    self._stretch(epoch, first, min(self.per_epoch, first + target - self.done))
        if not self.failed and (not self.curve or self.curve[-1][0] < self.done):
            outputs = _outputs(self.module, self.judged.x)
            if outputs is None or outputs.numel() > MOST_KEPT:
                self.outputs.clear()
            self.outputs[self.done] = outputs
            self.curve.append((self.done, scored(outputs, self.judged, self.metric)))
        return self

    def _stretch(self, epoch: int, first: int, last: int) -> None:
        """Updates `first` to `last` of an epoch."""
        began, order = time.monotonic(), self.order(epoch)
        size, start, samples = self.training.batch_size, self.done, 0
        try:
            self.begin()
            for step in range(first, last):
                rows = self.rows.at(order[step * size : (step + 1) * size])
                samples += len(rows)
                if not self.went_on(self._update(rows)):
                    break
        except Exception as error:  # noqa: BLE001  whatever the user's code may raise
            self.failed = one_line(error)
        self.ledger.charge(samples, self.done - start, self.weights, time.monotonic() - began)

    def order(self, epoch: int) -> Tensor:
        """In which an epoch takes the rows."""
        draw = torch.Generator().manual_seed(hash((self.seed, epoch)) % 2**62)
        return torch.randperm(len(self.rows), generator=draw)

    def begin(self) -> None:
        """To be called before updates; who watches a run sees the user's own optimizer."""
        self.module.train()
        if self.done == 0 and self.row is None and self.observer is None:
            self.row = Row.of(self.optimizer)

    def given(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """Inputs and targets as `body` and the loss take them."""
        x, y = fitting(rows.x, self.module), rows.y.to(_device(self.module))
        if not isinstance(self.module, Scaled):
            return x, y
        return self.module.inputs(x), (self.module.target(y) if self.training.scale_targets else y)

    def _update(self, rows: Rows) -> float:
        x, y = self.given(rows)
        loss, outputs = self.slopes(x, y)
        if self.training.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.module.parameters(), self.training.clip_norm)
        if self.row is not None and not self.row.gathered():
            self.row.dissolve()
            self.row = None
        self.step()
        if self.observer is not None:
            self.observer.step(loss, inputs=x, targets=y, outputs=outputs)
        return float(loss.detach())

    def slopes(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and outputs on a batch; afterwards the parameters have their gradients."""
        if self.row is None:
            self.optimizer.zero_grad()
        else:
            self.row.clear()
        outputs = self.body(x)
        loss = self.training.loss_fn(outputs, y)
        loss.backward()
        return loss, outputs

    def step(self) -> None:
        """One step by the gradients that are there."""
        if self.training.schedule == "cosine":
            self._cool()
        self.optimizer.step()

    def went_on(self, loss: float) -> bool:
        """Note that an update was made, of this loss; False if the run fails by it."""
        self.done += 1
        if not math.isfinite(loss):
            self.failed = f"the loss is {loss} at update {self.done}"
        return not self.failed

    def _cool(self) -> None:
        """Half a cosine from the given rate to nothing (Loshchilov & Hutter 2017)."""
        share = min(1.0, self.done / self.updates)
        for group in self.optimizer.param_groups:
            group.setdefault("first_rate", group["lr"])
            group["lr"] = group["first_rate"] * (1 + math.cos(math.pi * share)) / 2

    def freed(self) -> nn.Module:
        """The module, its weights in memory of their own; the run can't go on."""
        own_memory([*self.module.parameters(), *self.module.buffers()])
        return self.module

    def judge(self, rows: Rows) -> float:
        """The metric on these rows, in evaluation mode; NaN where it can't be told."""
        return judged(self.module, rows, self.metric)


def judged(module: nn.Module, rows: Rows, metric: Metric) -> float:
    """A module's metric on rows; NaN where module or metric fail."""
    return scored(_outputs(module, rows.x), rows, metric)


def scored(outputs: Tensor | None, rows: Rows, metric: Metric) -> float:
    """The metric of outputs on rows; NaN where there are none, or the metric fails."""
    try:
        return math.nan if outputs is None else float(metric(outputs, rows.y))
    except Exception:  # noqa: BLE001  whatever the user's code may raise
        return math.nan


def gain_variance(a: Tensor | None, b: Tensor | None, judged: Rows, metrics: tuple[Metric, Metric]) -> float:
    """The variance of the gain of outputs b over a on these rows, over samples of the rows (Efron 1979).

    Args:
        a, b: None of a failed training, whose score is none of the rows'.
    """
    draw = torch.Generator().manual_seed(RESAMPLES)
    gains: list[float] = []
    for _ in range(RESAMPLES):
        places = torch.randint(len(judged), (len(judged),), generator=draw)
        rows = Rows(places, judged.y[places])
        scores = [
            0.0 if outputs is None else scored(outputs[places], rows, metric)
            for outputs, metric in zip((a, b), metrics, strict=True)
        ]
        gains.append(scores[1] - scores[0])
    ended = torch.tensor([gain for gain in gains if math.isfinite(gain)], dtype=torch.float64)
    return float(ended.var()) if len(ended) > 1 else 0.0


def _outputs(module: nn.Module, x: Tensor) -> Tensor | None:
    try:
        return predicted(module, x)
    except Exception:  # noqa: BLE001  whatever the user's code may raise
        return None


def predicted(module: nn.Module, x: Tensor) -> Tensor:
    """Outputs for all rows, in evaluation mode; its mode is put back."""
    mode = module.training
    module.eval()
    try:
        with torch.no_grad(), own_randomness(0, "cure", "judging"):
            return torch.cat([module(fitting(part, module)) for part in x.split(JUDGED_AT_ONCE)]).cpu()
    finally:
        module.train(mode)


def _device(module: nn.Module) -> torch.device:
    own = next(module.parameters(), None)
    return torch.device("cpu") if own is None else own.device
