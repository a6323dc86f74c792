"""Whether to compile, and how torch is asked to. What is decided follows from sizes, never from a measured time."""

import os
import shutil
import sys
import warnings
from collections.abc import Callable, Hashable, Sequence
from types import FunctionType
from typing import Any

import torch

from trainwell.base import InputError

SWITCH = "TRAINWELL_COMPILE"
MARGIN = 3  # most members stop before the planned end, and a compiler that runs for nothing is felt (assumption)


def wanted(pays: bool) -> bool:
    """Whether to compile: where it `pays` and there is a compiler, or as TRAINWELL_COMPILE says.

    Raises:
        InputError: TRAINWELL_COMPILE is neither 0 (never) nor 1 (always).
    """
    switch = os.environ.get(SWITCH, "")
    if switch not in ("", "0", "1"):
        raise InputError(
            f"{SWITCH} must be 0 (never compile) or 1 (always), not '{switch}'; unset it to let sizes decide."
        )
    return pays and has_compiler() if switch == "" else switch == "1"


def has_compiler() -> bool:
    """Whether there is a C++ compiler, where torch will look for it."""
    return shutil.which(os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")) is not None


def own_code(function: Callable[..., Any]) -> FunctionType:
    """The function with a code object of its own: torch tells compiled functions apart by code, not by closure."""
    assert isinstance(function, FunctionType)
    code = function.__code__.replace()
    return FunctionType(code, function.__globals__, function.__name__, function.__defaults__, function.__closure__)


class Compiled:
    """A function compiled once for each *signature*, and called without torch's own checks of what has changed.

    These checks cost as much as a small network's step. So the caller says what tells two calls apart beside the sizes
    of dimensions that vary: the types, which arguments are there, sizes that never change for what is compiled once.

    Args:
        dynamic: all sizes vary; else those that the first arguments are marked with (`torch._dynamo.mark_dynamic`).
    """

    def __init__(self, function: Callable[..., Any], *, dynamic: bool | None = None) -> None:
        self._function, self._dynamic = function, dynamic
        self._calls: dict[Hashable, Any] = {}

    def __call__(self, signature: Hashable, *arguments: Any, first: Sequence[Any] | None = None) -> Any:
        """The function's value; `first`: arguments to be compiled with, if others than these.

        Raises:
            Exception: of the compiler's tool chain; then this signature is not known.
        """
        call = self._calls.get(signature)
        if call is not None:
            return call(*arguments)
        call = torch.compile(own_code(self._function), fullgraph=True, dynamic=self._dynamic, options=_options())
        with warnings.catch_warnings(action="ignore"):  # torch warns about parts of its own
            value = call(*(arguments if first is None else first))
        self._calls[signature] = call
        return value if first is None else call(*arguments)

    def knows(self, signature: Hashable) -> bool:
        """Whether it has been compiled for this signature."""
        return signature in self._calls


def _options() -> dict[str, Any] | None:
    skip = getattr(torch.compiler, "skip_all_guards_unsafe", None)  # since torch 2.8
    return None if skip is None else {"guard_filter_fn": skip}


def say_not_compiled(what: str, error: Exception) -> None:
    """Warn that something runs as written because the compiler's tool chain failed."""
    reason = " ".join(str(error).split("\n")[:2]).strip()
    warnings.warn(f"{what} is not compiled and so slower: {reason}", RuntimeWarning, stacklevel=3)
