"""A disk that forgets, when the power fails, all that nobody waited for."""

import os
from pathlib import Path

import pytest

Version = tuple[int, int]  # a file's inode, and when it was written


class Disk:
    """What `os.fsync` has been asked for: the content of files, and the names in folders.

    Attributes:
        states: after each time that something became safe: what a power failure would leave, by path.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._contents: dict[Version, bytes] = {}
        self._names: dict[Path, Version] = {}
        self._fsync = os.fsync
        self.states: list[dict[Path, bytes]] = [{}]
        monkeypatch.setattr(os, "fsync", self.fsync)

    def fsync(self, handle: int) -> None:
        """As `os.fsync`; remembers what is safe from now on."""
        self._fsync(handle)
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        if path.is_file():
            self._contents[version(path)] = path.read_bytes()
        else:
            others = {name: kept for name, kept in self._names.items() if name.parent != path}
            self._names = others | {inner: version(inner) for inner in path.iterdir() if inner.is_file()}
        self.states.append({n: self._contents[v] for n, v in self._names.items() if v in self._contents})


def version(path: Path) -> Version:
    """Which content this is."""
    about = path.stat()
    return about.st_ino, about.st_mtime_ns
