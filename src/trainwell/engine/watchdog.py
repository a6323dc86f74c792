"""Whether the other processes of a training still live: each counts, all look, and none waits for ever."""

import os
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]

LOST = (
    "Another process of this training has ended or does not answer; start it again, on as many processes as are left, "
    "and it goes on from the last checkpoint."
)


def end_process() -> None:
    """Say so in one line and end, even if the main thread hangs in a call that can't be interrupted."""
    print("trainwell: error:", LOST, file=sys.stderr, flush=True)
    os._exit(1)


class Watchdog:
    """A thread that ends this process when another has not counted for `timeout` seconds, or the store is gone.

    Args:
        rank, world: of this process, and how many there are. The store's address is torchrun's.
        lost: what to do then.
    """

    def __init__(self, rank: int, world: int, timeout: float, *, lost: Callable[[], None] = end_process) -> None:
        self._rank, self._timeout, self._lost = rank, timeout, lost
        self._others = [other for other in range(world) if other != rank]
        self._start = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        self._store = TCPStore(  # a connection of its own: another thread may be waiting on torch's
            os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), None, False, timedelta(seconds=timeout)
        )
        self._left = threading.Event()
        threading.Thread(target=self._watch, name="trainwell-watchdog", daemon=True).start()

    def leave(self) -> None:
        """This process has done its part: it counts no more, and is not missed."""
        if not self._left.is_set():
            self._left.set()
            self._store.add(self._key("left", self._rank), 1)

    def _key(self, what: str, rank: int) -> str:
        return f"trainwell/{self._start}/{what}/{rank}"

    def _watch(self) -> None:
        seen = {other: (0, time.monotonic()) for other in self._others}
        while not self._left.wait(self._timeout / 10):
            try:
                self._store.add(self._key("alive", self._rank), 1)
                for other, (before, since) in seen.items():
                    count = self._store.add(self._key("alive", other), 0)
                    gone = self._store.add(self._key("left", other), 0)
                    seen[other] = (before, since) if count == before and not gone else (count, time.monotonic())
            except RuntimeError:  # the store is gone, and with it the process that kept it
                return None if self._left.is_set() else self._lost()
            if any(time.monotonic() - since > self._timeout for _, since in seen.values()):
                return self._lost()
