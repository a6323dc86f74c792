"""Rules: from what was recorded to named findings."""

from trainwell.diagnosis.finding import (
    SEVERITIES as SEVERITIES,
    Finding as Finding,
    Remedy as Remedy,
    Severity as Severity,
    read_findings as read_findings,
    write_findings as write_findings,
)
