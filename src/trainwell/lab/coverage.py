"""Which rows are shown by which tests: asked of pytest, which alone knows every marker."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainwell.base import InputError
from trainwell.lab.rows import ROWS

SOURCE = Path(__file__).parents[2]  # the folder that holds the package
TESTS = SOURCE.parent / "tests"
TARGET = "TRAINWELL_ROWS"  # environment variable: where the plugin `collecting` writes what it found
LONGEST = 300.0  # seconds that the collection may take


@dataclass(frozen=True)
class Coverage:
    """The tests of each row.

    Attributes:
        tests: row → ids of tests, for every row there is.
        unknown: rows that a marker names, and that don't exist → ids of tests.
        broken: test files that can't be collected.
    """

    tests: Mapping[str, Sequence[str]]
    unknown: Mapping[str, Sequence[str]]
    broken: Sequence[str]

    @property
    def uncovered(self) -> list[str]:
        """Rows that no test shows."""
        return [row for row, tests in self.tests.items() if not tests]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        rows = [
            {"id": name, "text": row.text, "family": row.family, "tests": list(self.tests[name])}
            for name, row in ROWS.items()
        ]
        unknown = {name: list(tests) for name, tests in self.unknown.items()}
        return {"rows": rows, "uncovered": self.uncovered, "unknown": unknown, "broken": list(self.broken)}


def find_coverage(tests: Path | None = None) -> Coverage:
    """Ask pytest which tests name which rows. Nothing is run but the collection.

    Args:
        tests: the directory; standard: that of the repository.

    Raises:
        InputError: there is no such directory, or no pytest.
    """
    tests = TESTS if tests is None else tests
    if not (tests / "conftest.py").is_file():
        raise InputError(f"There are no tests in '{tests}': coverage needs the repository, not an installed package.")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "rows.json"
        done = _collect(tests, target)
        if not target.is_file():
            reason = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
            raise InputError(f"The tests in '{tests}' can't be collected: {reason}")
        told = json.loads(target.read_text(encoding="utf-8"))
    return by_row(told["tests"], told["broken"])


def by_row(tests: Mapping[str, Sequence[str]], broken: Sequence[str] = ()) -> Coverage:
    """From the rows of each test to the tests of each row.

    >>> found = by_row({"test_a": ["O1", "O2"], "test_b": ["O1", "X9"]})
    >>> found.tests["O1"], found.unknown
    (['test_a', 'test_b'], {'X9': ['test_b']})
    """
    known: dict[str, list[str]] = {row: [] for row in ROWS}
    unknown: dict[str, list[str]] = {}
    for test, rows in tests.items():
        for row in rows:
            (known[row] if row in known else unknown.setdefault(row, [])).append(test)
    return Coverage(known, unknown, tuple(broken))


def _collect(tests: Path, target: Path) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, TARGET: str(target), "PYTHONPATH": paths, "PYTEST_ADDOPTS": "-p no:cacheprovider"}
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "trainwell.lab.collecting", str(tests)]
    return subprocess.run(
        command, cwd=tests.parent, env=environment, capture_output=True, text=True, timeout=LONGEST, check=False
    )
