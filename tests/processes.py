"""Several processes of one training, started as torchrun would start them."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
_ports = iter(range(10_000 + os.getpid() * 17 % 20_000, 32_000))  # other processes of the tests begin elsewhere


def free_port() -> int:
    """A port below those that the system gives to whoever opens a connection, so that it is free in a second too."""
    for port in _ports:
        with socket.socket() as opened:
            try:
                opened.bind(("localhost", port))
            except OSError:
                continue
            return port
    raise OSError("no port is free")


def start(arguments: Sequence[str], rank: int, world: int, port: int, folder: Path) -> subprocess.Popen[str]:
    """Process `rank` of `world`: Python with these arguments, in this folder."""
    own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world, "MASTER_PORT": port}
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "src", ROOT))),
        "OMP_WAIT_POLICY": "PASSIVE",
        "MASTER_ADDR": "localhost",
        **{name: str(value) for name, value in own.items()},
    }
    command = [sys.executable, "-W", "error", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, cwd=folder, **pipes)


class Pair:
    """Two processes: Python with these arguments, or each with its own."""

    def __init__(self, folder: Path, arguments: Sequence[str], others: Sequence[str] | None = None) -> None:
        port, self.folder = free_port(), folder
        self.started = [start(own, rank, 2, port, folder) for rank, own in enumerate((arguments, others or arguments))]

    def end(self, rank: int) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of a process."""
        said = self.started[rank].communicate(timeout=120)
        return self.started[rank].returncode, *said

    def stop(self) -> None:
        """Leave nothing running."""
        for process in self.started:
            process.kill()
            process.communicate()
