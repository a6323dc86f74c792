"""What a rule is given: one member's record, and what is known beside it. And how a noisy curve is read."""

from dataclasses import dataclass

import numpy as np

from trainwell.base import Outcome
from trainwell.data.facts import Facts
from trainwell.engine.record import Record
from trainwell.plan import Plan

Curve = tuple[np.ndarray, np.ndarray]  # steps (n,) int64, values (n,) float64


@dataclass(frozen=True)
class Case:
    """One member to judge, during its training or after it.

    Attributes:
        record: what was measured; it may hold other members too, which are not looked at.
        member: the member's identity in the record.
        plan: how it was trained; remedies are edits of it.
        updates_per_epoch: batches in a pass over the training part.
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
    plan: Plan
    updates_per_epoch: int
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
