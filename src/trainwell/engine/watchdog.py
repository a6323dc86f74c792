"""Whether the other processes of a training still live: each counts, all look, and none waits for ever."""

import atexit
import os
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import torch.distributed as dist

LOST = (
    "Another process of this training has ended or does not answer; go on from the last checkpoint, on as many "
    "processes as are left, with 'trainwell resume RUN'."
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
        self._store = dist.TCPStore(  # pyright: ignore[reportPrivateImportUsage]  # another thread may wait on torch's
            os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), None, False, timedelta(seconds=timeout)
        )
        self._calm, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="trainwell-watchdog", daemon=True)
        self._thread.start()
        atexit.register(self.stop)  # a thread that comes back from the store into a Python that ends aborts the process

    def calm(self) -> None:
        """Go on counting for the others, but do not mind any more when one of them has gone."""
        self._calm.set()

    def stop(self) -> None:
        """Count no more."""
        self._calm.set()
        self._stopped.set()
        self._thread.join(1.0)
        atexit.unregister(self.stop)

    def _key(self, rank: int) -> str:
        return f"trainwell/{self._start}/alive/{rank}"

    def _watch(self) -> None:
        seen = {other: (0, time.monotonic()) for other in self._others}
        while not self._stopped.wait(self._timeout / 10):
            try:
                self._store.add(self._key(self._rank), 1)
                for other, (before, since) in seen.items():
                    count = self._store.add(self._key(other), 0)
                    seen[other] = (before, since) if count == before else (count, time.monotonic())
            except RuntimeError:  # the store is gone, and with it the process that kept it
                return None if self._calm.is_set() else self._lost()
            if not self._calm.is_set() and any(time.monotonic() - since > self._timeout for _, since in seen.values()):
                return self._lost()
