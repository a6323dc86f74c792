"""What a run has decided and found so far, so that a resumed run takes the same way.

A recipe is a sequence of steps with names. The journal remembers the result of each finished step (plain JSON values);
a resumed run goes through the recipe again and is given the remembered results. Decisions that depend on measured time
are remembered too, which is what makes a resumed run end bit-identically.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainwell.base import RunError
from trainwell.base.files import replace_text
from trainwell.data.facts import plain
from trainwell.engine import Alone, Processes

FORMAT = 1


class Journal:
    """Remembered results by name, in `checkpoints/journal.json`.

    Of several processes, process 0 reads and writes it; what it remembers holds for all.
    """

    def __init__(self, path: Path, processes: Processes | None = None) -> None:
        self.path = path
        self._processes: Processes = Alone() if processes is None else processes
        there = self._processes.writes and path.exists()
        self.entries: dict[str, Any] = self._processes.agree(
            self._processes.attempt(lambda: _read(path) if there else {})
        )

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    def remember(self, name: str, compute: Callable[[], Any]) -> Any:
        """The remembered value, or else what `compute` gives (in process 0), remembered from now on."""
        if name not in self.entries:
            self.note(name, self._processes.agree(plain(compute())))
        return self.entries[name]

    def note(self, name: str, value: Any, **more: Any) -> None:
        """Remember a value, and `more` by name in the same write; they are on disk when this returns."""
        self.entries |= plain({name: value, **more})
        if self._processes.writes:
            replace_text(self.path, json.dumps({"format": FORMAT, "entries": self.entries}))


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        entries, number = content["entries"], content["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"The run's journal '{path}' is damaged; start the run anew with 'trainwell fit'.") from error
    if number != FORMAT:
        raise RunError(
            f"The run's journal has format {number}, this trainwell reads {FORMAT}; "
            "upgrade with 'pip install -U trainwell'."
        )
    return entries
