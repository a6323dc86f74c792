"""A plugin of pytest that writes which test shows which rows, as JSON, to the file named by the environment.

    TRAINWELL_ROWS=rows.json python -m pytest --collect-only -p trainwell.lab.collecting tests

{"tests": {node id: [rows]}, "broken": [files that cannot be collected]}. Tests without the marker are left out.
"""

import json
import os
from pathlib import Path

import pytest

from trainwell.lab.coverage import TARGET

_broken: list[str] = []


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Remember what could not be collected."""
    if report.failed:
        _broken.append(report.nodeid)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Write what the markers say."""
    tests = {item.nodeid: rows_of(item) for item in session.items}
    told = {"tests": {name: rows for name, rows in tests.items() if rows}, "broken": _broken}
    Path(os.environ[TARGET]).write_text(json.dumps(told), encoding="utf-8")


def rows_of(item: pytest.Item) -> list[str]:
    """The rows that a test's markers name: of its file, class, function and parameters."""
    return sorted({str(row) for marker in item.iter_markers("covers") for row in marker.args})
