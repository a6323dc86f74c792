"""How an update rule is run: as written, or compiled to one kernel where that pays. The formula is the same.

update = updater("adamw", elements=16 * 85_002, steps=4_000)
update(θ, g, state, columns, layout)
"""

import os
import shutil
import sys
import warnings
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from trainwell.base import InputError
from trainwell.base.layout import Columns, Layout
from trainwell.ingredients import OPTIMIZERS, Optimizer
from trainwell.ingredients.update_rule import InTurn, State, Update

SWITCH = "TRAINWELL_COMPILE"
COMPILE_SECONDS = 17.0  # once for each rule, with nothing in the disk cache
SAVED_SECONDS = (
    1.4e-9  # by element and step: AdamW, 16 × 85,002 and 256 × 85,002 on two cores, 2.5 → 0.6 and 43 → 13 ms
)
MARGIN = 3  # most members stop before the planned end, and a compiler that runs for nothing is felt (assumption)
NO_LAYOUT = Layout(())  # an element-wise rule looks at no tensor; a constant is nothing to compile anew for


def updater(name: str, *, elements: int, steps: int) -> Update:
    """An optimizer's update, compiled if that pays.

    What is decided depends on the sizes, on whether there is a compiler, and on the environment variable
    TRAINWELL_COMPILE (0 never, 1 always), never on a measured time: a resumed run takes the same way.

    Args:
        name: in the registry of optimizers.
        elements: K·P, numbers in the matrix at its largest.
        steps: updates that the training may make at the most.

    Raises:
        PlanError: there is no such optimizer.
        InputError: TRAINWELL_COMPILE is neither 0 nor 1.
    """
    optimizer = OPTIMIZERS[name]
    return as_compiled(optimizer) if _wanted(elements, steps) else optimizer.update


def as_compiled(optimizer: Optimizer) -> Update:
    """The update with its element-wise part compiled; without such a part, as written."""
    if isinstance(optimizer.update, InTurn):
        return replace(optimizer.update, elementwise=compiled(optimizer.update.elementwise))
    return compiled(optimizer.update) if optimizer.elementwise else optimizer.update


def pays(elements: int, steps: int, compiler: bool) -> bool:
    """Whether compiling saves more time than it takes.

    >>> pays(16 * 85_002, 2_000, compiler=True), pays(256 * 85_002, 2_000, compiler=True)
    (False, True)
    """
    return compiler and elements * steps * SAVED_SECONDS >= MARGIN * COMPILE_SECONDS


def has_compiler() -> bool:
    """Whether there is a C++ compiler, where torch will look for it."""
    return shutil.which(os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")) is not None


def _wanted(elements: int, steps: int) -> bool:
    switch = os.environ.get(SWITCH, "")
    if switch not in ("", "0", "1"):
        raise InputError(
            f"{SWITCH} must be 0 (never compile) or 1 (always), not '{switch}'; unset it to let sizes decide."
        )
    return pays(elements, steps, has_compiler()) if switch == "" else switch == "1"


@cache
def compiled(formula: Update) -> Update:
    """An element-wise update as one kernel, compiled at its first call, for any number of rows and columns.

    A single row is updated as written: torch would compile anew for it. Where compiling fails, so are all.
    """
    kernel = torch.compile(formula, dynamic=True, fullgraph=True)  # not a lambda around it: torch counts by code
    met: set[torch.dtype] = set()
    failed = False

    def update(θ: Tensor, g: Tensor, s: State, c: Columns, layout: Layout) -> None:
        nonlocal failed
        if failed or len(θ) == 1:
            return formula(θ, g, s, c, layout)
        try:
            if θ.dtype in met:
                return kernel(θ, g, s, c, NO_LAYOUT)
            with warnings.catch_warnings(action="ignore"):  # while torch compiles, about its own parts
                kernel(θ, g, s, c, NO_LAYOUT)
            met.add(θ.dtype)
        except Exception as error:  # whatever the compiler's tool chain may raise; nothing has been updated yet
            failed = True
            reason = " ".join(str(error).split("\n")[:2]).strip()
            warnings.warn(f"The update is not compiled and so slower: {reason}", RuntimeWarning, stacklevel=2)
            formula(θ, g, s, c, layout)

    return update
