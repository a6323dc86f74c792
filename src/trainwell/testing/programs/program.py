"""What a program of the suite is: a plain PyTorch training with a fault planted in it, or a healthy one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from trainwell.diagnosis import Finding

Door = Literal["watch", "check"]


@dataclass(frozen=True)
class Ended:
    """How a program ended.

    Attributes:
        figure: accuracy, R² or what the program holds itself to, on rows it was not trained on; NaN where it has none.
        sound: whether that is good enough for a healthy program.
    """

    findings: Sequence[Finding]
    figure: float
    sound: bool = True


@dataclass(frozen=True)
class Program:
    """One program.

    Attributes:
        name: unique.
        planted: the kind of the fault, or None where the program is healthy.
        also: kinds that are as true of it, as cause or consequence: a finding of these is no false alarm.
        script: what a user would have written; its random numbers follow from the seed.
        door: whether its loop is watched, or a batch of it checked.
        architecture: "dense", "convolutional", "recurrent", or what else it is.
        data: what it is trained on.
    """

    name: str
    planted: str | None
    also: tuple[str, ...]
    script: Callable[[int], Ended]
    door: Door = "watch"
    architecture: str = "dense"
    data: str = ""

    def end(self, seed: int) -> Ended:
        """Run it: findings, and how well it did."""
        torch.manual_seed(seed)
        return self.script(seed)

    def run(self, seed: int) -> list[Finding]:
        """What is said of it."""
        return list(self.end(seed).findings)
