"""The parts of the page, in a reader's order: how good, how trained, what went wrong, on what data, by which plan.

Contract: a section is a function from `Records` to a `Section`, or None where there is nothing to tell. It is entered
in the table below, and nowhere else; the page's contents follow it.
"""

from collections.abc import Callable

from trainwell.report.blocks import Section
from trainwell.report.records import Records
from trainwell.report.sections.checks import checks
from trainwell.report.sections.curves import curves
from trainwell.report.sections.data import data
from trainwell.report.sections.details import details
from trainwell.report.sections.environment import environment
from trainwell.report.sections.findings import findings
from trainwell.report.sections.layers import layers
from trainwell.report.sections.plan import plan
from trainwell.report.sections.scores import scores
from trainwell.report.sections.trials import trials

Teller = Callable[[Records], Section | None]

SECTIONS: dict[str, Teller] = {
    "Against the baselines": scores,
    "Learning curves": curves,
    "Findings": findings,
    "Checks on the way": checks,
    "Trials of the search": trials,
    "Inside the layers": layers,
    "The test in detail": details,
    "The data": data,
    "The plan": plan,
    "Time and machine": environment,
}
