"""How long a person waits before anything happens: `python -m benchmarks.startup --json`.

`trainwell --help`, and what `import trainwell` adds to `import torch`; medians over fresh interpreters.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

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


def measure(repeats: int) -> dict[str, Any]:
    """Rows and bars, as every benchmark here gives them."""
    figures = {
        "trainwell --help": lambda: wall(["-m", "trainwell", "--help"]),
        "python alone": lambda: wall(["-c", "pass"]),
        "import torch": lambda: inside("pass", "import torch"),
        "import trainwell after torch": lambda: inside("import torch", "import trainwell"),
        "trainwell.Classifier after torch": lambda: inside("import torch", "import trainwell; trainwell.Classifier"),
    }
    rows = {
        name: [figure() for _ in range(repeats + 1)][1:] for name, figure in figures.items()
    }  # the first reads the disk
    medians = {name: statistics.median(values) for name, values in rows.items()}
    return {
        "machine": {"processor": platform.machine(), "cores": os.cpu_count(), "system": platform.system()},
        "versions": {"python": platform.python_version()},
        "rows": [{"name": n, "seconds": medians[n], "from": min(v), "to": max(v)} for n, v in rows.items()],
        "bars": [{"name": n, "value": medians[n], "target": bar, "met": medians[n] <= bar} for n, bar in BARS.items()],
    }


def main() -> None:
    """Print a table on standard error and, with --json, one object on standard output; --quick: three repeats."""
    outcome = measure(3 if "--quick" in sys.argv else REPEATS)
    for line in [*outcome["rows"], *outcome["bars"]]:
        print("  ".join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in line.values()), file=sys.stderr)
    if "--json" in sys.argv:
        print(json.dumps(outcome))


if __name__ == "__main__":
    main()
