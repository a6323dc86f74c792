"""A training in progress as one safetensors file, written atomically: the old one or the new one, never half of one.

saver = Saver({path: course})
saver.load()                       # goes on where a killed process was
for moment in train(course):
    saver.offer()                  # saves when it is time, beside the steps
saver.close()
"""

import json
import os
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from trainwell.base import Outcome, RunError
from trainwell.base.files import previous, replace_file
from trainwell.engine.course import Course

SHARE = 0.015  # of the time for checkpoints; one slower than foreseen then still leaves it below 2 %
LEAST = 5.0  # seconds between two; what is lost when a process is killed
BYTES_A_SECOND = 1e8  # of writing, until the first has been measured; 250 MB/s were measured on two idle cores
Tensors = dict[str, Tensor]
Metadata = dict[str, str]
UNREADABLE = (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError)


def save_checkpoint(course: Course, path: Path, **notes: Any) -> None:
    """Write the course's state; `notes` are plain values that come back from `load_checkpoint`."""
    _write(_copied(course, {}), _metadata(course, notes), path)


def load_checkpoint(course: Course, path: Path) -> dict[str, Any]:
    """Bring a fresh course to the state in the file; gives the notes.

    Raises:
        RunError: the file is damaged, or belongs to another course.
    """
    return _restore(course, path, *_read(path))


class Saver:
    """Checkpoints of courses in training, which cost at most a share of the time and hardly stop the steps.

    A save copies the tensors, and writes the copies in a thread of its own, one at a time. The time until the next
    follows from what the last one cost. Of each course the newest checkpoint and the one before stay on disk. When they
    are made has no influence on the training.

    Args:
        courses: by the file of each; courses that have not moved since their last checkpoint are not written again.
            Of several processes that train them together, one writes and reads.
        least: seconds between two saves, at the least. share: of the time that saves may take, at the most.
        beside: called at each save, in the thread of the steps; what it gives writes files that belong to the
            checkpoints. It is called in the background and ends before they are replaced.
        say: is told in a line when a damaged checkpoint was passed over.

    Attributes:
        saves: made so far. paused, written: seconds that they stopped the steps, and that they took in the background.
    """

    def __init__(
        self,
        courses: Mapping[Path, Course],
        *,
        least: float = LEAST,
        share: float = SHARE,
        beside: Callable[[], Callable[[], None]] | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.saves, self.paused, self.written, self.longest_pause = 0, 0.0, 0.0, 0.0
        self._courses, self._beside, self._say = dict(courses), beside, say
        self._processes = next(iter(self._courses.values())).processes
        self._least, self._share = least, share
        sizes = [t.nbytes for course in self._courses.values() for t in course.tensors().values()]
        self._cost, self._ended = sum(sizes) / BYTES_A_SECOND, time.monotonic()
        self._saved: dict[Path, tuple[int, int, list[Outcome]]] = {}
        self._copies: dict[Path, Tensors] = {path: {} for path in self._courses}
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def load(self) -> bool:
        """Bring fresh courses to their newest undamaged checkpoints; False when there are none.

        Raises:
            RunError: all checkpoints of a course are damaged, or they belong to another one.
        """
        found = self._processes.agree(self._processes.attempt(self._load))
        if found:
            for course in self._courses.values():
                course.share()
        return found

    def _load(self) -> bool:
        found = False
        for path, course in self._courses.items() if self._processes.writes else ():
            path.with_suffix(".partial").unlink(missing_ok=True)
            if path.exists() or previous(path).exists():
                _restore(course, path, *self._newest(path))
                self._saved[path] = _reached(course)
                found = True
        return found

    def _newest(self, path: Path) -> tuple[Tensors, Metadata]:
        """The newest checkpoint that can be read; it is at `path` afterwards."""
        older = previous(path)
        if not older.exists():
            return _read(path)
        try:
            return _read(path)
        except RunError:
            content, missing = _read(older), not path.exists()
            os.replace(older, path)
            if not missing:  # else the process was killed between two renamings
                self._say(f"The newest checkpoint '{path.name}' was damaged; the training goes on from the one before.")
            return content

    @property
    def due(self) -> bool:
        """Whether it is time for the next save."""
        return self._processes.writes and time.monotonic() - self._ended >= max(self._least, self._cost / self._share)

    def offer(self) -> bool:
        """Save if it is time; call it after every step, and after what is sent at it. Gives whether it did.

        Raises:
            RunError: the checkpoint before could not be written.
        """
        if self._error is None and (not self.due or (self._thread is not None and self._thread.is_alive())):
            return False
        self.save()
        return True

    def save(self) -> None:
        """Save now, whatever the time; the files are complete when the next save, or `close`, returns.

        Raises:
            RunError: the checkpoint before could not be written.
        """
        if not self._processes.writes:
            return
        self._join()
        began = time.monotonic()
        moved = {path: course for path, course in self._courses.items() if self._saved.get(path) != _reached(course)}
        beside = None if self._beside is None else self._beside()
        work = []
        for path, course in moved.items():
            self._copies[path] = _copied(course, self._copies[path])
            work.append((self._copies[path], _metadata(course, {}), path))
            self._saved[path] = _reached(course)
        pause = time.monotonic() - began
        self.saves, self.paused, self.longest_pause = (
            self.saves + 1,
            self.paused + pause,
            max(self.longest_pause, pause),
        )
        self._thread = threading.Thread(target=self._run, args=(work, beside, pause), name="checkpoint")
        self._thread.start()

    def _run(self, work: list[tuple[Tensors, Metadata, Path]], beside: Callable[[], None] | None, pause: float) -> None:
        """In the background: write the copies. What fails is told at the next save."""
        began = time.monotonic()
        try:
            if beside is not None:
                beside()
            for tensors, metadata, path in work:
                _write(tensors, metadata, path, keep=True)
        except Exception as error:  # of any kind: it must reach the thread of the steps
            self._error = error
        self._ended = time.monotonic()
        self._cost = pause + self._ended - began
        self.written += self._ended - began

    def close(self) -> None:
        """Wait until the last save is on disk.

        Raises:
            RunError: it could not be written.
        """
        self._join()

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if isinstance(error, OSError | SafetensorError):
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise RunError(
                f"A checkpoint could not be written: {reason.lower()}; make room, and resume the run."
            ) from error
        if error is not None:
            raise error


def _reached(course: Course) -> tuple[int, int, list[Outcome]]:
    return course.population.step, course.changes, list(course.outcomes)


def _copied(course: Course, into: Tensors) -> Tensors:
    """The course's tensors in main memory, copied; in the memory of an earlier copy where the shapes are the same."""
    tensors, copies = course.tensors(), {}
    for name, tensor in tensors.items():
        old = into.get(name)
        if old is None or old.shape != tensor.shape or old.dtype != tensor.dtype:
            old = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
        copies[name] = old.copy_(tensor.detach(), non_blocking=True)
    if course.population.device.type == "cuda":
        torch.cuda.synchronize(course.population.device)
    return copies


def _metadata(course: Course, notes: Mapping[str, Any]) -> Metadata:
    outcomes = [asdict(outcome) for outcome in course.outcomes]
    return {"outcomes": json.dumps(outcomes), "notes": json.dumps(notes)}


def _write(tensors: Tensors, metadata: Metadata, path: Path, *, keep: bool = False) -> None:
    metadata = {**metadata, "checksum": checksum(tensors)}
    replace_file(path, lambda unfinished: save_file(tensors, unfinished, metadata), keep=keep)


def checksum(tensors: Tensors) -> str:
    """CRC-32 over all bytes, by name; no torch kernels, which would start threads of their own beside the steps'."""
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, total)
    return f"{total:08x}"


def _read(path: Path) -> tuple[Tensors, Metadata]:
    """Tensors and metadata of a file, whole and as they were written; `RunError` when it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            metadata = file.metadata()
        if metadata["checksum"] != checksum(tensors):
            raise ValueError("the checksum differs")
    except UNREADABLE as error:
        raise _sick(path) from error
    return tensors, metadata


def _restore(course: Course, path: Path, tensors: Tensors, metadata: Metadata) -> dict[str, Any]:
    try:
        notes = json.loads(metadata["notes"])
        course.restore(tensors, [Outcome(**o) for o in json.loads(metadata["outcomes"])])
    except UNREADABLE as error:
        raise _sick(path) from error
    return notes


def _sick(path: Path) -> RunError:
    return RunError(f"The checkpoint '{path.name}' is damaged or of another run; delete it to train that part anew.")
