"""What a rule is given: one member's record and what is known beside it; how a noisy curve is read."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from trainwell.base import Outcome
from trainwell.data import Facts
from trainwell.engine.record import Record
from trainwell.plan import Plan
from trainwell.vitals.program import Program

Curve = tuple[np.ndarray, np.ndarray]  # steps (n,) int64, values (n,) float64

EARLY = 16
"""Updates that count as the start of a training: five looks at the layers, before they have moved far."""

SMOOTHING = 3
"""Losses in a running mean: enough that one odd batch does not speak for the training (our assumption)."""

LEARNED = 0.05
"""Share of the chance loss that must be gone before a network counts as learning at all (our assumption)."""


FIRST = 3
"""Losses that stand for chance where that is unknown."""

STILL = 1e-6
"""Spread of losses over their size, up to which they are the same (our assumption)."""

SURE = 3.0
"""Standard errors by which a mean loss must lie below chance: the lowest of some twenty means is taken."""


@dataclass(frozen=True)
class Case:
    """One member to judge, during its training or after it.

    Attributes:
        record: what was measured; it may hold other members too, which are not looked at.
        member: the member's identity in the record.
        plan: how it was trained; remedies are edits of it. None for a loop of the user's.
        updates_per_epoch: batches in a pass over the training part, 0 when unknown.
        program: what is known of a loop of the user's, instead of a plan.
        facts: of the table, if there is one.
        chance_loss: loss of the best constant prediction (entropy of the classes, variance of the target), without
            regularisation; None when unknown.
        outcome: how the training ended. With it, the weights in use are those of `outcome.best_step`; without it
            (still training, or a loop of the user's) they are the newest.
        input_scale: of the inputs that the network is really fed: `largest_mean` (absolute), `largest_std`,
            `smallest_std`, over the encoded inputs.
    """

    record: Record
    member: int
    plan: Plan | None = None
    updates_per_epoch: int = 0
    program: Program | None = None
    facts: Facts | None = None
    chance_loss: float | None = None
    outcome: Outcome | None = None
    input_scale: dict[str, float] | None = None

    def curve(self, signal: str, layer: str = "") -> Curve:
        """Steps and values of a signal of this member; empty when it was never measured."""
        return self.record.series(signal, member=self.member, layer=layer)

    def finite(self, signal: str, layer: str = "") -> Curve:
        """The same without values that are not finite."""
        steps, values = self.curve(signal, layer)
        known = np.isfinite(values)
        return steps[known], values[known]

    def layers(self, signal: str) -> list[str]:
        """Layers for which a signal was measured, from input to output."""
        return self.record.layers(signal, member=self.member)

    @property
    def updates(self) -> int:
        """Updates seen so far."""
        steps, _ = self.curve("loss")
        return int(steps[-1]) if len(steps) else 0

    @property
    def planned_updates(self) -> int:
        """Updates of the whole training, were it not stopped; those seen where no plan says."""
        epochs = 0 if self.plan is None else self.plan.training.epochs
        return max(self.updates, epochs * self.updates_per_epoch)

    @property
    def over(self) -> bool:
        """Whether the training has ended."""
        ended = self.program is not None and self.program.over
        return ended or self.outcome is not None or (self.plan is not None and self.updates >= self.planned_updates)

    def setting(self, path: str, default: Any = None) -> Any:
        """A value of the plan, or of what is known of the user's program."""
        if self.plan is not None:
            return self.plan.get(path)
        return default if self.program is None else self.program.settings.get(path, default)

    @property
    def learning_rate(self) -> float:
        """The largest rate used so far, or the planned one."""
        _, rates = self.finite("learning_rate")
        return float(rates.max()) if len(rates) else self.setting("optimizer.learning_rate", float("nan"))

    @property
    def scale(self) -> float:
        """The loss that gradients and losses are held against: that of chance, else the mean of the first ones."""
        _, losses = self.finite("loss")
        first_ones = float(losses[:FIRST].mean()) if len(losses) else 1.0
        return max(self.chance_loss if self.chance_loss is not None else first_ones, 1e-12)

    @property
    def slope(self) -> float:
        """What gradients are held against: the slope of the loss at the error of a constant prediction, to a factor.

        Of squares it grows with the error and not with the loss; of absolute errors it is 1.
        """
        loss = None if self.program is None else self.program.loss
        terms = 1 if loss is None else max(1, loss.terms)
        one = self.scale / terms
        kind = "" if loss is None else loss.kind
        each = {"squared": one**0.5, "absolute": 1.0, "huber": min(loss.slope, one**0.5) if loss else 1.0}
        return terms * each.get(kind, one)

    @property
    def spread_slope(self) -> float:
        """The same for gradients that may be too small: of a mean over D outputs it is √D times smaller."""
        loss = None if self.program is None else self.program.loss
        if loss is None or loss.kind not in ("squared", "absolute", "huber", "binary", "binary-logits"):
            return self.slope
        return self.slope / max(1.0, float(np.prod(loss.shape[1:]))) ** 0.5

    @property
    def untrained(self) -> bool:
        """Whether no update changed the loss, as in the passes before a training."""
        _, losses = self.curve("loss")
        return len(losses) > 0 and bool(np.isfinite(losses).all() and np.ptp(losses) <= STILL * abs(losses[0]))

    @property
    def learned(self) -> bool:
        """Whether the training loss ever came clearly below that of chance."""
        _, judged = self.finite("train_loss")
        if len(judged) and self.program is None:  # of all training rows, in evaluation mode
            return float(judged.min()) < (1 - LEARNED) * self.scale
        _, seen = self.finite("loss")
        return any(self._fell(seen, max(10, len(seen) // part)) for part in (20, 4, 2))

    def _fell(self, losses: np.ndarray, window: int) -> bool:
        """Whether a mean of so many losses is below chance, by more than a share of it and than the noise makes."""
        means = running_mean(losses, window)
        if not len(means):
            return False
        at = int(np.argmin(means))
        spread = float(losses[at : at + window].std())
        first_ones = 0.0 if self.chance_loss is not None else 1 / FIRST  # they are noisy too
        noise = spread * np.sqrt(1 / min(window, len(losses)) + first_ones)
        return float(means[at]) < self.scale - max(LEARNED * self.scale, SURE * noise)


def running_mean(values: np.ndarray, window: int = SMOOTHING) -> np.ndarray:
    """Means of `window` neighbours; of all values when there are fewer.

    >>> running_mean(np.array([1.0, 2.0, 3.0, 4.0])).tolist()
    [2.0, 3.0]
    """
    window = min(window, len(values))
    return np.convolve(values, np.ones(window) / window, "valid") if window else values


def called(layer: str) -> str:
    """A layer as a sentence names it: those of a Sequential are mere numbers.

    >>> called("0"), called("encoder.1"), called("1.out")
    ('layer 0', 'encoder.1', 'layer 1.out')
    """
    return f"layer {layer}" if layer[:1].isdigit() else layer


def median(curve: Curve, *, until: int | None = None) -> float:
    """Median of a curve's finite values, of all or of those up to step `until`; NaN when there are none."""
    steps, values = curve
    chosen = values[np.isfinite(values) & (steps <= (np.inf if until is None else until))]
    return float(np.median(chosen)) if len(chosen) else float("nan")


def first(curve: Curve) -> float:
    """A curve's first finite value, which of the layers is that of the untrained network; NaN when there is none."""
    known = curve[1][np.isfinite(curve[1])]
    return float(known[0]) if len(known) else float("nan")


NOTHING = 1e-3
"""A layer that begins with a smaller norm moves by all it has, whatever the rate."""


def begun(case: Case) -> list[str]:
    """Layers whose updates were looked at; without those that began at nothing, as positions often do."""
    layers = case.layers("update-ratio")
    return [layer for layer in layers if not first(case.curve("weight-norm", layer)) < NOTHING] or layers


@dataclass(frozen=True)
class Threshold:
    """A bound of a rule: its value, what healthy trainings show, and where it comes from.

    `healthy` is the range over the healthy recipes of `testing.faults`, from the 1st to the 99th percentile.
    """

    value: float
    healthy: str
    origin: str

    def evidence(self, figure: str, measured: float, **more: float | str) -> dict[str, float | str]:
        """The figures that every finding tells: what was measured, against what."""
        return {"figure": figure, "measured": measured, "threshold": self.value, "healthy": self.healthy, **more}
