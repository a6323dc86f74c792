"""What all benchmarks share: their options, the machine and versions, and how the outcome is printed.

The outcome is one JSON object on standard output (with `--json`) and a table on standard error: `machine`, `versions`,
`rows` (what was measured) and `bars` (the figures that were asked for, and whether they are met).
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from trainwell.version import VERSION

PACKAGES = ("torch", "numpy", "scikit-learn", "polars")


@dataclass(frozen=True)
class Bar:
    """A figure that was asked for."""

    name: str
    value: float
    target: float
    met: bool


def at_least(name: str, value: float, target: float) -> Bar:
    """A bar that is met from the target upwards."""
    return Bar(name, value, target, value >= target)


def at_most(name: str, value: float, target: float) -> Bar:
    """A bar that is met up to the target."""
    return Bar(name, value, target, value <= target)


def options(description: str) -> argparse.ArgumentParser:
    """The options of every benchmark."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--quick", action="store_true", help="a reduced version, in under a minute")
    return parser


def machine() -> dict[str, Any]:
    """The machine, as far as the figures depend on it; nothing that names it."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": _memory(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def versions() -> dict[str, str]:
    """Versions of Python, trainwell, and what computes for it."""
    known = {"python": platform.python_version(), "trainwell": VERSION}
    for package in PACKAGES:
        try:
            known[package] = version(package)
        except PackageNotFoundError:
            continue
    return known


def publish(rows: Sequence[Mapping[str, Any]], bars: Sequence[Bar], *, as_json: bool) -> dict[str, Any]:
    """Print the tables on standard error, with `as_json` also the object on standard output; give the object."""
    outcome = {
        "machine": machine(),
        "versions": versions(),
        "rows": [dict(row) for row in rows],
        "bars": [asdict(bar) for bar in bars],
    }
    print(table(outcome["rows"]), file=sys.stderr)
    print(table(outcome["bars"]), file=sys.stderr)
    if as_json:
        print(json.dumps(outcome, ensure_ascii=False))
    return outcome


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Plain columns; what a row lacks is a dash, what has parts of its own is left to the JSON.

    >>> print(table([{"set": "iris", "ours": 0.95}, {"set": "wine"}]))
    set     ours
    iris  0.9500
    wine       –
    """
    names = list(
        dict.fromkeys(name for row in rows for name, value in row.items() if not isinstance(value, dict | list))
    )
    texts = [[_told(row.get(name)) for name in names] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(names, *texts, strict=True)]
    words = [all(not isinstance(row.get(name), int | float) for row in rows) for name in names]
    lines = [_line(cells, widths, words) for cells in (names, *texts)]
    return "\n".join(lines) + ("\n" if len(lines) > 10 else "")


def _line(cells: Sequence[str], widths: Sequence[int], words: Sequence[bool]) -> str:
    padded = [cell.ljust(w) if word else cell.rjust(w) for cell, w, word in zip(cells, widths, words, strict=True)]
    return "  ".join(padded).rstrip()


def _told(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e3 or value == 0 else f"{value:.4g}"
