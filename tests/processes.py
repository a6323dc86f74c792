"""Several processes of one training, started as torchrun would start them."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.parallel import free_port, start


class Pair:
    """Two processes: Python with these arguments, or each with its own."""

    def __init__(self, folder: Path, arguments: Sequence[str], others: Sequence[str] | None = None) -> None:
        port, self.folder = free_port(), folder
        self.started = [
            start(["-W", "error", *own], rank, 2, port, folder, stderr=subprocess.PIPE)
            for rank, own in enumerate((arguments, others or arguments))
        ]

    def end(self, rank: int) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of a process."""
        said = self.started[rank].communicate(timeout=120)
        return self.started[rank].returncode, *said

    def stop(self) -> None:
        """Leave nothing running."""
        for process in self.started:
            process.kill()
            process.communicate()
