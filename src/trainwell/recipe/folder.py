"""The run directory: made, locked while in use, read back. Nothing in it can run code."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from trainwell.base import RunError
from trainwell.base.files import replace_text

LOCK = "in-use"


def new_folder(out: Path | None) -> Path:
    """A fresh run directory: `out`, which must be free, or runs/DATE-TIME.

    Raises:
        RunError: `out` holds something, or cannot be made.
    """
    path = out if out is not None else _free(Path("runs") / datetime.now().strftime("%Y%m%d-%H%M%S"))
    if path.is_file():
        raise RunError(f"--out '{path}' is a file; name a folder that does not exist yet.")
    if path.is_dir() and any(path.iterdir()):
        raise RunError(
            f"--out '{path}' is in use: it is not empty; name another folder, "
            f"or continue it with 'trainwell resume {path}'."
        )
    try:
        (path / "checkpoints").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"--out '{path}' cannot be made: {(error.strerror or str(error)).lower()}; name another folder."
        ) from error
    return path


def _free(path: Path) -> Path:
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep a second process out of a run directory.

    Raises:
        RunError: a living process works in it.
    """
    lock = path / "checkpoints" / LOCK
    if lock.exists() and _alive(lock):
        raise RunError(
            f"The run '{path}' is in use by process {lock.read_text().strip()}; wait for it or stop it first."
        )
    lock.write_text(str(os.getpid()), encoding="utf-8")
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _alive(lock: Path) -> bool:
    try:
        process = int(lock.read_text(encoding="utf-8"))
        os.kill(process, 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return process != os.getpid()


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file atomically."""
    replace_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of a run.

    Raises:
        RunError: missing or damaged.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(
            f"'{path.parent}' has no {path.name}: not a run directory, or a run that was stopped early; "
            f"try 'trainwell resume {path.parent}'."
        ) from error
    except (OSError, ValueError) as error:
        raise RunError(f"'{path}' is damaged; train again or resume with 'trainwell resume {path.parent}'.") from error
    if not isinstance(value, dict):
        raise RunError(f"'{path}' is damaged: it holds no JSON object; train again.")
    return value


def require_run(path: Path) -> None:
    """Raise `RunError` unless `path` is a directory with a run in it."""
    if not path.is_dir():
        raise RunError(f"There is no run directory '{path}'; give the folder that 'trainwell fit' printed.")
    if not (path / "result.json").exists() and not (path / "checkpoints" / "journal.json").exists():
        raise RunError(
            f"'{path}' is not a run directory: it has no result.json; give the folder that 'trainwell fit' printed."
        )
