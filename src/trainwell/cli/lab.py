"""The work of `lab`: list the experiments, run them, tell which test shows which row."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from trainwell.base import InputError, did_you_mean
from trainwell.cli.summary import plain
from trainwell.lab import EXPERIMENTS, ROWS, Coverage, Result, find_coverage, write_page
from trainwell.lab.experiment import PRINTED, Rows

COVERAGE, ALL = "coverage", "all"


def run_lab(name: str | None, out: Path, *, as_json: bool) -> None:
    """Do what `name` says: one experiment, all of them, the coverage; without it, list the experiments.

    Raises:
        InputError: no such experiment, a folder that can't be written in, or no tests to ask.
    """
    if name is None:
        _list(as_json=as_json)
    elif name == COVERAGE:
        _tell_coverage(find_coverage(), as_json=as_json)
    elif name == ALL:
        told = [_run(each, out, quiet=as_json) for each in EXPERIMENTS]
        if as_json:
            _print({"experiments": told})
    else:
        if name not in EXPERIMENTS:
            known = [*EXPERIMENTS, ALL, COVERAGE]
            raise InputError(f"Unknown experiment '{name}'.{did_you_mean(name, known)} Known: {', '.join(known)}.")
        told = _run(name, out, quiet=as_json)
        if as_json:
            _print(told)


def _list(*, as_json: bool) -> None:
    if as_json:
        entries = [
            {"name": n, "doc": EXPERIMENTS.summary(n), "rows": list(entry.rows)} for n, entry in EXPERIMENTS.items()
        ]
        _print({"experiments": entries})
        return
    width = max(map(len, EXPERIMENTS))
    for name, entry in EXPERIMENTS.items():
        print(f"{name:{width}}  {EXPERIMENTS.summary(name)} ({', '.join(entry.rows)})")


def _run(name: str, out: Path, *, quiet: bool) -> dict[str, Any]:
    """Run one experiment, write its page, and show it unless `quiet`; gives what it found as plain values."""
    experiment = EXPERIMENTS[name]
    result = experiment.run()
    page = write_page(out, name, experiment, result)
    if not quiet:
        _show(name, result)
        print(page, flush=True)
    return {"name": name, "rows": list(experiment.rows), **result.as_dict(), "page": str(page)}


def _show(name: str, result: Result) -> None:
    console = Console(highlight=False)
    console.print(Text(f"\n{name}", style="bold"))
    for rows in result.tables():
        console.print(_table(rows))
    console.print(Text(plain(result.sentence)))
    for misprint in result.misprints:
        console.print(Text(f"⚠ {plain(misprint)}", style="dim"))
    sys.stdout.flush()


def _table(rows: Rows) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=bool(rows.heads))
    wide = max(len(row) for row in rows.rows)
    for i, head in enumerate(("", *rows.heads, *[""] * wide)[:wide]):
        table.add_column(head, justify="right" if i else "left")
    for row in rows.rows:
        table.add_row(*row, style="dim" if row[0] == PRINTED else "")
    return table


def _tell_coverage(found: Coverage, *, as_json: bool) -> None:
    if as_json:
        _print(found.as_dict())
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in ("row", "what", "tests", "where"):
        table.add_column(head, justify="right" if head == "tests" else "left")
    for name, row in ROWS.items():
        tests = found.tests[name]
        table.add_row(name, row.text, str(len(tests) or "–"), where(tests), style="" if tests else "yellow")
    console = Console(highlight=False)
    console.print(table)
    covered = len(ROWS) - len(found.uncovered)
    print(f"{covered} of {len(ROWS)} rows have a test; without one: {', '.join(found.uncovered) or 'none'}.")
    for row, tests in found.unknown.items():
        print(f"There is no row {row}, named by {tests[0]}.")
    if found.broken:
        print(f"Not collected, for an error in them: {', '.join(found.broken)}.")


def where(tests: Sequence[str]) -> str:
    """The file with the most of these tests, and how many others there are.

    >>> where(["tests/a.py::test_1", "tests/a.py::test_2", "tests/b.py::test_3"])
    'a.py and 1 more'
    """
    files = Counter(test.split("::")[0].removeprefix("tests/") for test in tests).most_common()
    return "" if not files else files[0][0] + (f" and {len(files) - 1} more" if len(files) > 1 else "")


def _print(value: Any) -> None:
    print(json.dumps(value, allow_nan=False, ensure_ascii=False))
