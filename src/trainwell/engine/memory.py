"""Memory: what is freed is kept for the next step, and where it runs out, less is computed at once.

A training step makes tensors of the same sizes again and again. glibc gives blocks of a megabyte back at once, and the
system hands them out anew a page at a time, zeroed: that took more than half of a step's time (docs/log.md).
"""

import ctypes
import os
from collections.abc import Callable
from functools import cache
from typing import TypeVar

import torch

from trainwell.base import InputError, RunError

T = TypeVar("T")

SWITCH = "TRAINWELL_KEEP_MEMORY"
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
LARGEST = 1 << 30  # blocks below this size are kept


@cache
def keep_freed_memory() -> bool:
    """Ask glibc, once a process, to keep blocks below 1 GiB that were freed; gives whether it does.

    The process then stays as large as it once was. Other C libraries are left alone. The environment variable
    TRAINWELL_KEEP_MEMORY=0 leaves glibc alone too.

    Raises:
        InputError: TRAINWELL_KEEP_MEMORY is neither 0 nor 1.
    """
    switch = os.environ.get(SWITCH, "1")
    if switch not in ("0", "1"):
        raise InputError(f"{SWITCH} must be 0 or 1, not '{switch}'; unset it for the standard, 1.")
    if switch == "0":
        return False
    try:
        library = ctypes.CDLL("libc.so.6")
        return all([library.mallopt(what, LARGEST) for what in (MMAP_THRESHOLD, TRIM_THRESHOLD)])
    except (OSError, AttributeError):  # another system, or another C library
        return False


class Portions:
    """Work in portions that fit into memory.

    Attributes:
        size: of a portion; halved whenever memory runs out, for good.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def each(self, count: int, work: Callable[[slice], T]) -> list[T]:
        """What `work` gives for slices of 0 … count−1, in turn; a slice for which memory is too small is split.

        Raises:
            RunError: it is too small even for one.
        """
        results: list[T] = []
        first = 0
        while first < count:
            part = slice(first, min(first + self.size, count))
            try:
                results.append(work(part))
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if part.stop - part.start == 1:
                    raise RunError(
                        "Memory is too small to train even one network of this size on one batch; choose a smaller "
                        "training.batch_size or network.width."
                    ) from error
                self.size = (part.stop - part.start + 1) // 2
            else:
                first = part.stop
                continue
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        return results


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that there is no more memory, on whatever device."""
    kinds = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds) or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
