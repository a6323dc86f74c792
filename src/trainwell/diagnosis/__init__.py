"""Rules: from what was recorded to named findings.

Contract: a rule is a pure function of one `Case` (a member's record and what is known beside it) that gives a `Finding`
or None. It stands under its kind in the table at the foot of `diagnose.py`; its thresholds are named constants with
their origin at the top of its own file; its kind is explained in `KINDS`. A rule says nothing when it was not shown
enough. `testing.faults` plants its fault, and holds the healthy trainings on which it is silent.
"""

from trainwell.diagnosis.case import Case as Case, Threshold as Threshold
from trainwell.diagnosis.diagnose import (
    CAUSES as CAUSES,
    RULES as RULES,
    Rule as Rule,
    diagnose as diagnose,
    diagnose_all as diagnose_all,
)
from trainwell.diagnosis.explain import KINDS as KINDS, explain_text as explain_text, has_rule as has_rule
from trainwell.diagnosis.finding import (
    SEVERITIES as SEVERITIES,
    Finding as Finding,
    Remedy as Remedy,
    Severity as Severity,
    read_findings as read_findings,
    write_findings as write_findings,
)
from trainwell.diagnosis.kind import Kind as Kind
from trainwell.diagnosis.preflight import check as check
