"""Time and interruption: how much of the budget is left, and whether the user pressed Ctrl-C."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Clock:
    """The budget of a run. Time spent before a resume counts."""

    def __init__(self, budget: float, spent: float = 0.0) -> None:
        self.budget = budget
        self.interrupted = False
        self._start = time.monotonic() - spent

    @property
    def spent(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._start

    @property
    def left(self) -> float:
        """Seconds until the budget is used up, never below 0."""
        return max(0.0, self.budget - self.spent)

    def over(self, share: float) -> bool:
        """Whether this share of the budget is used up, or the user wants to stop."""
        return self.interrupted or self.spent >= share * self.budget

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Ctrl-C asks to end with what there is; a second one stops at once. Only in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(number: int, frame: FrameType | None) -> None:
            if self.interrupted:
                raise KeyboardInterrupt
            self.interrupted = True

        before = signal.signal(signal.SIGINT, ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
