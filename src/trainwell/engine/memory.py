"""How the C library deals with memory that is freed: kept for the next step, not given back to the system.

A training step makes tensors of the same sizes again and again. glibc gives blocks of a megabyte back at once, and the
system hands them out anew a page at a time, zeroed: that took more than half of a step's time (docs/log.md).
"""

import ctypes
import os
from functools import cache

from trainwell.base import InputError

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
