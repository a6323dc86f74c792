"""What is wrong with the given training: facts of this layer, the pre-flight check, the rules over its first run."""

import warnings
from dataclasses import replace

import torch

from trainwell.base.randomness import own_randomness
from trainwell.diagnosis import SEVERITIES, Finding, Remedy, check, diagnose
from trainwell.diagnosis.observed import case_of
from trainwell.remedies.course import Course
from trainwell.remedies.facts import examined
from trainwell.remedies.look import Look
from trainwell.vitals.observer import Observer

CHECKED = 64  # rows of the batch that is checked


def checked(look: Look) -> list[Finding]:
    """The facts of a training, and the pre-flight check of its module on a batch."""
    facts = examined(look)
    if look.error or look.body is None:
        return facts
    rows = look.rows.at(torch.arange(min(CHECKED, len(look.rows))))
    optimizer = look.training.optimizer(look.module)
    try:
        with own_randomness(0, "cure", "check"):
            found = check(look.module, look.training.loss_fn, rows.x, rows.y, optimizer=optimizer)
    except Exception:  # noqa: BLE001  whatever the user's code may raise; the facts stand without it
        found = []
    return joined(facts, found)


def observer_of(course: Course) -> Observer | None:
    """An observer of a run that has not begun; None if the run can't be begun."""
    if course.failed:
        return None
    return Observer(course.module, [course.optimizer], loss_fn=course.training.loss_fn)


def observed(observer: Observer | None) -> list[Finding]:
    """What the rules say of an observed run."""
    if observer is None or not observer.steps:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        case = case_of(observer, over=True)
    observer.close()
    return diagnose(case)


def joined(first: list[Finding], second: list[Finding]) -> list[Finding]:
    """Both, a kind once: with the remedies of both, as grave as the graver, in the words of the second."""
    kinds = {finding.kind: finding for finding in first}
    later = {finding.kind for finding in second}
    both = [_united(kinds[f.kind], f) if f.kind in kinds else f for f in second if f.kind != "all-is-well"]
    merged = [*[f for f in first if f.kind not in later], *both]
    return sorted(merged, key=lambda finding: -SEVERITIES.index(finding.severity))


def _united(ours: Finding, theirs: Finding) -> Finding:
    graver = max(ours.severity, theirs.severity, key=SEVERITIES.index)
    extra = [r for r in theirs.remedies if all(r.change != other.change for other in ours.remedies)]
    return replace(theirs, severity=graver, remedies=(*ours.remedies, *extra))


def told(findings: list[Finding], changes: list[Remedy]) -> list[Finding]:
    """What the user is told: a fact seen before training weighs as a warning only if its cure was proven."""
    made = {path for remedy in changes for path in remedy.change or {}}
    return [f if _confirmed(f, made) else replace(f, severity="info") for f in findings]


def _confirmed(finding: Finding, made: set[str]) -> bool:
    paths = {path for remedy in finding.remedies for path in remedy.change or {}}
    return finding.severity == "critical" or bool(paths & made) or not (finding.step == 0 and paths)
