"""Files that are the old one or the new one, never half of one, also when the power fails."""

import os
from collections.abc import Callable
from pathlib import Path


def previous(path: Path) -> Path:
    """Where the file before the newest is.

    >>> previous(Path("final.safetensors")).name
    'final.previous.safetensors'
    """
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def replace_file(path: Path, write: Callable[[Path], object], *, keep: bool = False) -> None:
    """Let `write` fill a new file, and put it in the place of the old one once it is on disk as a whole.

    With `keep` the old one becomes the previous one.
    """
    unfinished = path.with_suffix(".partial")
    write(unfinished)
    _sync(unfinished)
    if keep and path.exists():
        os.replace(path, previous(path))
    os.replace(unfinished, path)
    _sync(path.parent)


def replace_text(path: Path, text: str) -> None:
    """Put a file with this text in the place of the old one."""
    replace_file(path, lambda unfinished: unfinished.write_text(text, encoding="utf-8"))


def sync(path: Path) -> None:
    """Wait until a file, or a folder with all that is in it, is on disk."""
    for inner in (*path.rglob("*"), path):
        _sync(inner)


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folders, and needs no such call
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
