"""One line in the terminal while a loop of the user's runs: step, loss, and what is found so far."""

import time
from collections.abc import Sequence
from typing import TextIO

from torch import Tensor

from trainwell.diagnosis import Finding

EVERY = 2.0  # seconds between two lines, at the least
LOOKED = 64  # steps between two looks at the clock


class Status:
    """The line; nothing is written where the stream is no terminal."""

    def __init__(self, stream: TextIO) -> None:
        self.live = stream.isatty()
        self._stream, self._last = stream, time.monotonic()

    def due(self, step: int) -> bool:
        """Whether it is time for a new line."""
        return self.live and step % LOOKED == 0 and time.monotonic() - self._last >= EVERY

    def show(self, step: int, loss: Tensor | float, findings: Sequence[Finding]) -> None:
        """Write over the line before."""
        self._last = time.monotonic()
        value = float(loss.detach()) if isinstance(loss, Tensor) else float(loss)
        self._stream.write(f"\r\033[Ktrainwell: step {step:,}, loss {value:.4g}, {told(findings)}")
        self._stream.flush()

    def end(self, steps: int, findings: Sequence[Finding]) -> None:
        """The last line, and each finding of weight in one of its own."""
        if not self.live:
            return
        lines = [f"  {finding.severity}: {finding.message}" for finding in findings if finding.severity != "info"]
        self._stream.write("\r\033[K" + "\n".join([f"trainwell: {steps:,} steps, {told(findings)}", *lines]) + "\n")
        self._stream.flush()


def told(findings: Sequence[Finding]) -> str:
    """What is found, in a few words."""
    grave = [finding.kind for finding in findings if finding.severity != "info"]
    return ", ".join(grave) if grave else "all is well"
