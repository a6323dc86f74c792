"""The page of a watched training as a file."""

from pathlib import Path

from trainwell import report
from trainwell.base import InputError
from trainwell.base.files import replace_text
from trainwell.diagnosis import Finding
from trainwell.engine.record import Record
from trainwell.vitals.program import Program

WELL = "all-is-well"  # the page says it itself, in view of how much was seen


def write_page(path: Path, record: Record, findings: list[Finding], program: Program) -> Path:
    """Write the page, and give its path; its folder is made.

    Raises:
        InputError: it can't be written there.
    """
    if path.is_dir():
        raise InputError(
            f"The report can't be written to '{path}': that is a folder. Name a file in it, as report.html."
        )
    found = tuple(finding for finding in findings if finding.kind != WELL)
    page = report.render(report.Watched(record, found, program))  # imported only now
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, page)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"The report can't be written to '{path}': {reason}. Name another file.") from error
    return path
