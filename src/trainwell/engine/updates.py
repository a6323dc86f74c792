"""How an update rule is run: as written, or compiled to one kernel where that pays. The formula is the same.

update = updater("adamw", elements=16 * 85_002, steps=4_000)
update(θ, g, state, columns, layout)
"""

from dataclasses import replace
from functools import cache

from torch import Tensor

from trainwell.base.layout import Columns, Layout
from trainwell.engine.compiling import MARGIN, Compiled, say_not_compiled, wanted
from trainwell.ingredients import OPTIMIZERS, Optimizer
from trainwell.ingredients.update_rule import InTurn, State, Update

COMPILE_SECONDS = 17.0  # once for each rule, with nothing in the disk cache
SAVED_SECONDS = (
    1.4e-9  # by element and step: AdamW, 16 × 85,002 and 256 × 85,002 on two cores, 2.5 → 0.6 and 43 → 13 ms
)
SAVED_A_STEP = 15e-6  # seconds, whatever the size: the calls of a rule (one member of 26,122 weights, 526 → 474 µs)
NO_LAYOUT = Layout(())  # an element-wise rule looks at no tensor; a constant is nothing to compile anew for


def updater(name: str, *, elements: int, steps: int, alone: bool = False) -> Update:
    """An optimizer's update, compiled if that pays.

    What is decided depends on the sizes, on whether there is a compiler, and on the environment variable
    TRAINWELL_COMPILE (0 never, 1 always), never on a measured time: a resumed run takes the same way.

    Args:
        name: in the registry of optimizers.
        elements: K·P, numbers in the matrix at its largest.
        steps: updates that the training may make at the most. alone: of one member, not of several.

    Raises:
        PlanError: there is no such optimizer.
        InputError: TRAINWELL_COMPILE is neither 0 nor 1.
    """
    optimizer = OPTIMIZERS[name]
    return as_compiled(optimizer, alone=alone) if wanted(pays(elements, steps)) else optimizer.update


def as_compiled(optimizer: Optimizer, *, alone: bool = False) -> Update:
    """The update with its element-wise part compiled; without such a part, as written."""
    if isinstance(optimizer.update, InTurn):
        return replace(optimizer.update, elementwise=compiled(optimizer.update.elementwise, alone, leaves_g=True))
    return compiled(optimizer.update, alone) if optimizer.elementwise else optimizer.update


def pays(elements: int, steps: int) -> bool:
    """Whether compiling saves more time than it takes.

    >>> pays(16 * 85_002, 2_000), pays(256 * 85_002, 2_000)
    (False, True)
    """
    return steps * (SAVED_A_STEP + elements * SAVED_SECONDS) >= MARGIN * COMPILE_SECONDS


@cache
def compiled(formula: Update, alone: bool = False, leaves_g: bool = False) -> Update:
    """An element-wise update as one kernel, compiled at its first call, for any number of rows and columns.

    A single row that is left of several is updated as written: torch would compile anew for it. Where compiling fails,
    so are all.

    Args:
        alone: of one row. leaves_g: what the formula leaves in g is needed.
    """

    def kernel_of(θ: Tensor, g: Tensor, s: State, c: Columns) -> None:
        # Compiled it is no copy, but what the formula does to g is not written back.
        formula(θ, g if leaves_g else g.clone(), s, c, NO_LAYOUT)

    kernel = Compiled(kernel_of, dynamic=True)
    failed = False

    def update(θ: Tensor, g: Tensor, s: State, c: Columns, layout: Layout) -> None:
        nonlocal failed
        if failed or (len(θ) == 1 and not alone):
            return formula(θ, g, s, c, layout)
        try:
            kernel((θ.dtype, θ.device, *s, *c), θ, g, s, c)
        except Exception as error:  # whatever the compiler's tool chain may raise; nothing has been updated yet
            failed = True
            say_not_compiled("The update", error)
            formula(θ, g, s, c, layout)

    return update
