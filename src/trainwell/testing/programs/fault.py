"""A fault to plant: in which materials, in which loops, and what else is then true."""

from collections.abc import Callable
from dataclasses import dataclass

from trainwell.testing.programs.loops import Job, checked, watched
from trainwell.testing.programs.loops_faulty import loop
from trainwell.testing.programs.materials import SOURCES, Material, material
from trainwell.testing.programs.program import Door, Ended, Program

CLASSES = ("digits", "breast_cancer", "images", "waves", "rows", "wave steps")
NUMBERS = ("friedman", "ink", "next value")
ALL = (*CLASSES, *NUMBERS)

SLOW = ("not-learning", "plateau", "slow-start", "underfitting", "cannot-overfit-batch")
"""What is true of a network that hardly learns, whatever the cause."""

WILD = (
    "learning-rate-too-large", "oscillating-loss", "exploding-gradient", "growing-activations", "non-finite",
    "weights-grow", "dead-units", "saturated-units", "initial-loss-off", "layers-out-of-step",
)  # fmt: skip
"""What is true where numbers get out of hand, whatever the cause."""

SILENT = ("plain", "drawn")
VALIDATED = ("loaders", "late zero", "every fifty")
ANY = ("plain", "loaders", "late zero", "drawn", "every fifty")

Plant = Callable[[Material, int], Job]


@dataclass(frozen=True)
class Fault:
    """How a kind is planted.

    Attributes:
        plant: from a material and a number, which picks the variant, to the sick training.
        materials: where it is planted.
        loops: one for each material in turn; what the training itself names goes before.
        doors: through which it should be told.
        also: see `Program`.
        variant: what tells it from another way to plant the same kind.
    """

    plant: Plant
    materials: tuple[str, ...] = ALL
    loops: tuple[str, ...] = ANY
    doors: tuple[Door, ...] = ("watch",)
    also: tuple[str, ...] = ()
    variant: str = ""

    def programs(self, kind: str) -> list[Program]:
        """All of them."""
        return [self.program(kind, name, i, door) for i, name in enumerate(self.materials) for door in self.doors]

    def program(self, kind: str, name: str, number: int, door: Door) -> Program:
        """The fault in one material, through one door."""

        def script(seed: int) -> Ended:
            sick = self.plant(material(name), number)
            named = sick.loop or self.loops[number % len(self.loops)]
            return checked(sick) if door == "check" else watched(sick, loop(named))

        title = ", ".join(part for part in (kind, self.variant, name, door) if part)
        return Program(title, kind, self.also, script, door, SOURCES[name][1], name)
