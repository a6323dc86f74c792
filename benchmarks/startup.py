"""How long a person waits before anything happens: `python -m benchmarks.startup --json`.

`trainwell --help`, and what `import trainwell` adds to `import torch`; medians over fresh interpreters.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.harness import Bar, at_most, options, publish

SOURCE = Path(__file__).parents[1] / "src"
REPEATS = 7
BARS = {"trainwell --help": 0.3, "import trainwell after torch": 0.2}  # seconds at the most


def run(arguments: list[str]) -> str:
    """What a fresh interpreter with these arguments prints."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    return subprocess.run(
        [sys.executable, *arguments], check=True, stdout=subprocess.PIPE, env=environment, text=True
    ).stdout


def wall(arguments: list[str]) -> float:
    """Seconds from the start of an interpreter to its end."""
    began = time.perf_counter()
    run(arguments)
    return time.perf_counter() - began


def inside(before: str, statement: str) -> float:
    """Seconds that a statement takes in an interpreter that has already run another."""
    clock = "time.perf_counter()"
    return float(run(["-c", f"import time; {before}; began = {clock}; {statement}; print({clock} - began)"]))


def measure(repeats: int) -> tuple[list[dict[str, Any]], list[Bar]]:
    """Seconds of each figure, and the bars on two of them."""
    figures = {
        "trainwell --help": lambda: wall(["-m", "trainwell", "--help"]),
        "python alone": lambda: wall(["-c", "pass"]),
        "import torch": lambda: inside("pass", "import torch"),
        "import trainwell after torch": lambda: inside("import torch", "import trainwell"),
        "trainwell.Classifier after torch": lambda: inside("import torch", "import trainwell; trainwell.Classifier"),
    }
    rows = []
    for name, figure in figures.items():
        seconds = [figure() for _ in range(repeats + 1)][1:]  # the first reads the disk
        rows.append({"name": name, "seconds": statistics.median(seconds), "from": min(seconds), "to": max(seconds)})
    medians = {row["name"]: row["seconds"] for row in rows}
    return rows, [at_most(name, medians[name], bar) for name, bar in BARS.items()]


def main() -> None:
    """Measure and print."""
    arguments = options("Seconds before anything happens.").parse_args()
    publish(*measure(3 if arguments.quick else REPEATS), as_json=arguments.json)


if __name__ == "__main__":
    main()
