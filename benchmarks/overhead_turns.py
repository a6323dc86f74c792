"""Trainings side by side: each does a few steps, then the next; what disturbs the machine disturbs them alike."""

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from statistics import median, quantiles
from typing import Any
from unittest.mock import patch

from trainwell.vitals import gathered

Training = Callable[[], Iterator[None]]
Spent = tuple[float, float]  # seconds of the processor, seconds of the clock
ON, OFF = "on", "off"


class Stopwatch:
    """Seconds of the clock during the turns of one training; to it the others take no time."""

    def __init__(self) -> None:
        self._before, self._since = 0.0, None

    def __call__(self) -> float:
        return self._before + (0.0 if self._since is None else time.perf_counter() - self._since)

    @contextmanager
    def going(self) -> Iterator[None]:
        """During one turn."""
        self._since = time.perf_counter()
        yield
        self._before, self._since = self(), None


def side_by_side(trainings: Mapping[str, Training]) -> dict[str, Spent]:
    """What each took to its end, without what it does before it first yields."""
    begun = {name: make() for name, make in trainings.items()}
    clocks = {name: Stopwatch() for name in begun}
    spent = dict.fromkeys(begun, 0.0)
    for training in begun.values():
        next(training)
    order = list(begun)
    while order:
        for name in list(order):
            with clocks[name].going(), patch.object(gathered, "perf_counter", clocks[name]):
                began = time.process_time()
                ended = next(begun[name], ENDED) is ENDED
                spent[name] += time.process_time() - began
            if ended:
                order.remove(name)
        order.reverse()
    return {name: (spent[name], clocks[name]()) for name in begun}


ENDED = object()


def compared(trainings: Mapping[str, Training], times: int) -> dict[str, Any]:
    """Ratios of ON over OFF: medians over so many runs side by side, after one that is not counted."""
    gc.collect()
    gc.freeze()  # of the hundreds of thousands of objects that imports leave, none is walked through by a collection
    try:
        side_by_side(trainings)  # what is set up once is not counted
        runs = []
        for i in range(times):
            gc.collect()
            runs.append(side_by_side(dict(list(trainings.items())[:: 1 if i % 2 else -1])))
    finally:
        gc.unfreeze()
    ratios, clocks = ([spent[ON][i] / spent[OFF][i] for spent in runs] for i in range(2))
    low, middle, high = quantiles(ratios, n=4) if times > 1 else ratios * 3
    row = {"ratio": middle, "quarter": low, "three_quarters": high, "of_the_clock": median(clocks)}
    return {**row, "seconds_without": median(spent[OFF][0] for spent in runs), "runs": times}
