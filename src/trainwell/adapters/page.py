"""The page of a watched training."""

from pathlib import Path

from trainwell.base.files import replace_text
from trainwell.diagnosis import Finding
from trainwell.engine.record import Record
from trainwell.vitals.program import Program


def write_page(path: Path, record: Record, findings: list[Finding], program: Program) -> Path:
    """Write it."""
    replace_text(path, "\n".join(f.message for f in findings))
    return path
