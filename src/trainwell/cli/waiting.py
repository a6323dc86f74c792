"""How threads wait for one another, settled before torch is loaded: a while awake, or asleep at once.

Threads that spin are woken 2 to 4 times as fast in small steps, but as soon as others use the cores, a spinning thread
keeps the one from running that it waits for: steps then take up to 100 times as long (docs/log.md). So they spin where
the machine is free when the program starts, and never for long.
"""

import os
import time
from pathlib import Path

OWN = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")  # what the user may have set
SPINS = "10000"  # some 30 µs: longer than the wait for a product, short beside a slice of the scheduler
BUSY = 0.3  # cores that others use
LOOK = 0.06  # seconds


def settle_waiting(system: Path = Path("/proc")) -> None:
    """Set the environment of OpenMP where the user has not."""
    if any(name in os.environ for name in OWN):
        return
    together = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) > 1  # the others of torchrun are about to compute
    if together or used_by_others(system) > BUSY:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    else:
        os.environ["GOMP_SPINCOUNT"] = SPINS


def used_by_others(system: Path = Path("/proc")) -> float:
    """Cores that other processes have used in the last moments; infinite where that can't be told."""
    try:
        before, own, began = _busy(system), time.process_time(), time.perf_counter()
        time.sleep(LOOK)
        used, own = _busy(system) - before, time.process_time() - own
        return max(0.0, used - own) / (time.perf_counter() - began)
    except (OSError, ValueError, IndexError):
        return float("inf")


def _busy(system: Path) -> float:
    """Seconds that all cores have worked since the system's start, idle and waiting for disks aside."""
    fields = (system / "stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
    user, nice, kernel, _, _, interrupts, soft, stolen = map(int, fields)
    return (user + nice + kernel + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")
