"""From what the stages found and what was recorded to findings."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from trainwell.base import Outcome
from trainwell.diagnosis import Case, Finding, Remedy, diagnose_all
from trainwell.engine import Course, Record
from trainwell.plan import is_of_tables
from trainwell.recipe.chance import chance_loss
from trainwell.recipe.workshop import Workshop
from trainwell.search import Space

DROPOUT = "regularisation.dropout"


def told_of(course: Course) -> dict[str, Any]:
    """What judging needs to know of the members beside their record."""
    judged = [[o.kind, o.step, o.best_step] for o in course.outcomes]
    return {"judged": judged, "updates_per_epoch": course.feed.steps_per_epoch}


def findings_of(ws: Workshop, record: Record, members: Mapping[str, Any] | None = None) -> list[Finding]:
    """What is worth knowing about this run: failed checks before the training, then the final members.

    Args:
        record: of the members. members: what `told_of` says of them; None: those of the final stage.
    """
    found = [*_preflight(ws), *_trained(ws, record, ws.carry.get("final", {}) if members is None else members)]
    if ws.material.kind != "dense":
        found = [_of_module(finding, ws.material.space(ws.plan, ())) for finding in found]
    healing = ws.carry.get("healing", {})
    return _after_healing(found, healing) if "findings" in healing else found


def _after_healing(found: list[Finding], healing: dict[str, Any]) -> list[Finding]:
    """With what was tried against them; where networks were trained anew, what they were cured of is an information."""
    before, cure = [Finding.from_dict(values) for values in healing["findings"]], healing["cured_by"]
    if cure is None:
        return before
    left = {finding.kind for finding in found}
    gone = [finding for finding in before if finding.severity != "info" and finding.kind not in left]
    return [*found, *(_cured(finding, cure) for finding in {f.kind: f for f in reversed(gone)}.values())]


def _cured(finding: Finding, cure: str) -> Finding:
    text = f"Before healing: {finding.message} Cured by {cure}, with which the networks in use were trained."
    evidence = finding.evidence | {"severity_before": finding.severity, "cured_by": cure}
    return replace(finding, severity="info", message=text, evidence=evidence)


def _of_module(finding: Finding, space: Space) -> Finding:
    """The same, with remedies that a plan cannot make on a user's module as words alone."""
    told = []
    for remedy in finding.remedies:
        beyond = [p for p in remedy.change or () if is_of_tables(p) or (p == DROPOUT and p not in space.columns)]
        words = f"{remedy.name.replace('-', ' ')}: {remedy.why}"
        told.append(replace(remedy, why=words, change=None) if beyond else remedy)
    return replace(finding, remedies=tuple(told))


def _preflight(ws: Workshop) -> list[Finding]:
    found = [Finding.from_dict(values) for values in ws.carry.get("data", {}).get("findings", ())]
    found += ws.material.preflight(ws.plan)
    overfit, gradient = ws.journal.entries.get("stage.overfit-batch"), ws.journal.entries.get("stage.gradient-check")
    if overfit and overfit["passed"] is False:
        e = overfit["evidence"]
        found.append(
            Finding(
                "cannot-overfit-batch",
                "warning",
                f"The network could not learn {e['samples']} rows by heart in {e['steps']} steps: "
                f"its loss is still {e['loss_last']:.3g}.",
                evidence=_figures(e, "samples", "steps", "loss_first", "loss_last", "threshold", "score"),
                remedies=(
                    Remedy(
                        "wider", "a wider network can learn more by heart", {"network.width": 2 * ws.plan.network.width}
                    ),
                    Remedy("check-target", "look whether equal rows have different targets: then no network can", None),
                ),
            )
        )
    if gradient and gradient["passed"] is False:
        found.append(
            Finding(
                "gradient-check-failed",
                "critical",
                "The analytic gradient differs from the numerical one by up to "
                f"{gradient['evidence']['worst_relative_error']:.1e}.",
                evidence=_figures(gradient["evidence"], "worst_relative_error", "median_relative_error", "tolerance"),
            )
        )
    return found


def _figures(evidence: dict[str, Any], *names: str) -> dict[str, float | str]:
    return {name: evidence[name] for name in names if evidence.get(name) is not None}


def _trained(ws: Workshop, record: Record, final: Mapping[str, Any]) -> list[Finding]:
    if not final:
        return []
    chance, scale = chance_loss(ws), ws.material.input_scale(ws.plan)
    cases = [
        Case(
            record=record,
            member=member,
            plan=ws.plan,
            updates_per_epoch=final["updates_per_epoch"],
            facts=ws.facts,
            chance_loss=chance,
            outcome=None if outcome[0] == "running" else Outcome(*outcome),
            input_scale=scale,
        )
        for member, outcome in enumerate(final["judged"])
    ]
    return diagnose_all(cases)
