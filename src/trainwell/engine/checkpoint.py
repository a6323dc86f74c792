"""A training in progress as one safetensors file, written atomically: the old one or the new one, never half of one."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from trainwell.base import Outcome, RunError
from trainwell.engine.course import Course


def save_checkpoint(course: Course, path: Path, **notes: Any) -> None:
    """Write the course's state; `notes` are plain values that come back from `load_checkpoint`."""
    outcomes = [asdict(outcome) for outcome in course.outcomes]
    metadata = {"outcomes": json.dumps(outcomes), "notes": json.dumps(notes)}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in course.tensors().items()}
    unfinished = path.with_suffix(".partial")
    save_file(tensors, unfinished, metadata)
    os.replace(unfinished, path)


def load_checkpoint(course: Course, path: Path) -> dict[str, Any]:
    """Bring a fresh course to the state in the file; gives the notes.

    Raises:
        RunError: the file is damaged, or belongs to another course.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            metadata = file.metadata()
        notes = json.loads(metadata["notes"])
        course.restore(tensors, [Outcome(**o) for o in json.loads(metadata["outcomes"])])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise RunError(
            f"The checkpoint '{path.name}' is damaged or of another run; delete it to train that part anew."
        ) from error
    return notes
