"""How much memory a training may take here: what the system, the container and the user allow, whichever is least."""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from trainwell.base import InputError

SWITCH = "TRAINWELL_MEMORY"
_UNITS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_UNLIMITED = 1 << 60  # systems write "no limit" as some number near 2⁶³


def room(system: Path = Path("/")) -> int:
    """Bytes that this process may still take, by free memory, its own limits and those of its control groups.

    The environment variable TRAINWELL_MEMORY (bytes, or such as 500MB or 2GiB) says it instead.

    Args:
        system: where /proc and /sys are.

    Raises:
        InputError: TRAINWELL_MEMORY is no size.
    """
    given = os.environ.get(SWITCH)
    if given is not None:
        return parse_size(given)
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # processes that torchrun started on this machine
    found = [*(free // here for free in (*_free(system), *_groups(system))), *_limits(system)]
    return max(0, min(found, default=_UNLIMITED))


def parse_size(text: str) -> int:
    """Bytes of a size such as 1000000, 500MB or 2GiB.

    Raises:
        InputError: no size, or none above 0.

    >>> parse_size("2GiB") == 2 * 1024**3, parse_size("1.5 MB"), parse_size("4096")
    (True, 1500000, 4096)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(I?)B?\s*", text, re.IGNORECASE)
    size = 0 if match is None else int(float(match[1]) * (1024 if match[3] else 1000) ** _UNITS[match[2].upper()])
    if size < 1:
        raise InputError(f"{SWITCH} is '{text}', which is no amount of memory; write bytes, or such as 500MB or 2GiB.")
    return size


def told(size: float) -> str:
    """A size as people read it.

    >>> told(3 * 1024**3), told(1536), told(12)
    ('3.0 GiB', '1.5 KiB', '12 bytes')
    """
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size:.0f} bytes"


def _free(system: Path) -> Iterator[int]:
    available = _figure(system / "proc/meminfo", "MemAvailable:")
    if available is not None:
        yield available * 1024
    elif hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _limits(system: Path) -> Iterator[int]:
    """Half of what is left of RLIMIT_DATA and RLIMIT_AS, for memory that is reserved counts there like used memory."""
    if sys.platform == "win32":
        return
    import resource  # not on Windows

    for limit, taken in ((resource.RLIMIT_DATA, "VmData:"), (resource.RLIMIT_AS, "VmSize:")):
        most = resource.getrlimit(limit)[0]
        if 0 <= most < _UNLIMITED:
            yield (most - 1024 * (_figure(system / "proc/self/status", taken) or 0)) // 2


def _groups(system: Path) -> Iterator[int]:
    """What is left in each control group that the process is in; memory that only caches files counts as free."""
    for line in _lines(system / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        root = system / "sys/fs/cgroup" / controllers
        names = ("memory.max", "memory.current", "inactive_file")
        if controllers:
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            most = next(iter(_lines(folder / names[0])), "max")
            if most.isdigit() and int(most) < _UNLIMITED:
                used = int(next(iter(_lines(folder / names[1])), "0"))
                yield int(most) - used + (_figure(folder / "memory.stat", names[2]) or 0)
            if folder == root:
                break


def _figure(path: Path, name: str) -> int | None:
    """The number behind a name in a file of such lines."""
    return next((int(line.split()[1]) for line in _lines(path) if line.split(" ")[0].split("\t")[0] == name), None)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
