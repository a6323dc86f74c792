"""One line in the terminal while a loop of the user's runs: step, loss, and what is found so far."""

import os
import shutil
import time
from collections.abc import Sequence
from typing import TextIO

from torch import Tensor

from trainwell.diagnosis import Finding
from trainwell.report.words import shortened

EVERY = 2.0  # seconds between two lines, at the least
SHARE = 0.005  # of the time, that judging for the line may take


class Status:
    """The line; nothing is written where the stream is no terminal that can write over a line.

    Attributes:
        live: whether anything is written.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self.live = stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
        self._stream = stream
        self._asked = time.monotonic()
        self._next = self._asked + EVERY

    def due(self) -> bool:
        """Whether it is time for a new line; what then is found for it is timed up to `show`."""
        if not self.live:
            return False
        self._asked = time.monotonic()
        return self._asked >= self._next

    def show(self, step: int, loss: Tensor | float, findings: Sequence[Finding]) -> None:
        """Write over the line before, cut to the terminal's width; where judging took long the next one comes later."""
        value = float(loss.detach().float().mean()) if isinstance(loss, Tensor) else float(loss)
        line = f"trainwell: step {step:,}, loss {value:.4g}, {told(findings) or 'nothing wrong so far'}"
        self._write(f"\r\033[K{shortened(line, self._width() - 1)}")
        now = time.monotonic()
        self._next = now + max(EVERY, (now - self._asked) / SHARE)

    def end(self, steps: int, findings: Sequence[Finding]) -> None:
        """The last line, and each finding of weight in one of its own."""
        lines = [f"  {finding.severity}: {finding.message}" for finding in findings if finding.severity != "info"]
        found = told(findings) or ("all is well" if steps else "nothing was seen")
        self._write("\r\033[K" + "\n".join([f"trainwell: {steps:,} steps, {found}", *lines]) + "\n")

    def _write(self, text: str) -> None:
        """A terminal that is gone must not stop the training."""
        if not self.live or self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self.live = False

    def _width(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno() if self._stream else -1).columns or 80
        except (OSError, ValueError):  # a stream without a file, or of no size
            return shutil.get_terminal_size().columns


def told(findings: Sequence[Finding]) -> str:
    """What of weight is found, in a few words."""
    return ", ".join(finding.kind for finding in findings if finding.severity != "info")
