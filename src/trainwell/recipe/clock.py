"""Time and interruption: how much of the budget is left, and whether the user pressed Ctrl-C."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from trainwell.engine import Alone, Processes


class Clock:
    """The budget of a run. Time spent before a resume counts.

    Several processes that train together read one clock, which goes on when all of them look at it: at each step of a
    training, and between the stages. Ctrl-C in any of them interrupts all.
    """

    def __init__(self, budget: float, spent: float = 0.0, processes: Processes | None = None) -> None:
        self.budget = budget
        self.processes: Processes = Alone() if processes is None else processes
        self._asked = False
        self.processes.tick()
        self._start = self.processes.seconds - self.processes.agree(spent)
        self._shown_start = time.monotonic() - spent

    @property
    def interrupted(self) -> bool:
        """Whether the user wants to stop."""
        return self.processes.interrupted

    @property
    def spent(self) -> float:
        """Seconds since the run began."""
        return self.processes.seconds - self._start

    @property
    def shown(self) -> tuple[float, float]:
        """Seconds since the run began, and until the budget is used up: to be shown, for they never stand still."""
        spent = time.monotonic() - self._shown_start
        return spent, max(0.0, self.budget - spent)

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
            if self._asked:
                raise KeyboardInterrupt
            self._asked = True
            self.processes.interrupt()

        before = signal.signal(signal.SIGINT, ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
