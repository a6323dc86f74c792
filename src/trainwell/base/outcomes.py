"""How a member's training ended: a value whose text is a sentence. A failed training is a result."""

from dataclasses import dataclass
from typing import Literal

OutcomeKind = Literal[
    "running",
    "finished",
    "stopped-early",
    "target-reached",
    "diverged",
    "culled",
    "out-of-time",
    "given-up",
    "interrupted",
]

SENTENCES: dict[OutcomeKind, str] = {
    "running": "is still training",
    "finished": "trained for all its epochs",
    "stopped-early": "stopped early: the validation loss had not improved for `patience` evaluations",
    "target-reached": "stopped because the target loss was reached",
    "diverged": "diverged: its loss became non-finite",
    "culled": "was dropped from the search because others did better after the same number of steps",
    "out-of-time": "stopped because its share of the time budget was used up",
    "given-up": "was given up: a proven remedy made it worth beginning anew",
    "interrupted": "was interrupted by the user",
}


@dataclass(frozen=True)
class Outcome:
    """The end of one member's training, at `step`, with the best evaluation at `best_step`.

    >>> print(Outcome("diverged", step=40, best_step=20))
    diverged: its loss became non-finite (at step 40; best weights from step 20)
    """

    kind: OutcomeKind
    step: int
    best_step: int

    def __str__(self) -> str:
        return f"{SENTENCES[self.kind]} (at step {self.step}; best weights from step {self.best_step})"
