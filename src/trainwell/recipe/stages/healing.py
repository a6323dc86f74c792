"""Healing: what the rules found wrong with the final networks is treated, by remedies that are proven first (row D15).

The sick plan and every remedy train side by side, shortly; then those that lead, and pairs of them, with other seeds
and for longer. The smallest change that beats the untouched twins by more than the noise is accepted, a larger one only
if it beats that too. The final networks are then trained anew, and stay if they are better on the validation rows. What
the user fixed is tried too, but left as it is. Where nothing is wrong, nothing is done.
"""

from collections.abc import Sequence
from typing import Any

import polars as pl

from trainwell.diagnosis import Finding
from trainwell.engine import Record
from trainwell.plan import Plan
from trainwell.recipe.judging import findings_of, told_of
from trainwell.recipe.metrics import HIGHER_IS_BETTER, MAIN
from trainwell.recipe.proving import Trial, may_apply, treatable, tried, with_proof
from trainwell.recipe.stages.members import (
    design_members,
    designed,
    judge_members,
    train_members,
    usable_members,
    with_members,
)
from trainwell.recipe.stages.result import Result
from trainwell.recipe.trial import Candidate
from trainwell.recipe.workshop import Workshop

TRIED = 0.5  # of the stage's progress, after the trial
NOT_TRIED = {
    "well": "nothing was to be healed",
    "interrupted": "interrupted",
    "processes": "remedies are not tried where several processes train together",
    "no edit": "none of the remedies is an edit of the plan",
    "time": "budget and memory leave no room to try remedies",
}


def heal(ws: Workshop) -> Result:
    """Try remedies of what the rules found, side by side with untouched twins, and train anew with what is proven."""
    if ws.clock.interrupted:
        return _not_tried("interrupted")
    together = ws.processes.world > 1  # then this runs in one of them, and nothing may be agreed on
    found = _found(ws) if together else _remembered(ws)
    if all(finding.severity == "info" for finding in found):
        return _not_tried("well")
    plan, sick = ws.plan, treatable(ws.plan, found)
    if not sick:
        return _not_tried("no edit")
    if together:
        ws.log(f"Healing: {NOT_TRIED['processes']}.")
        return _not_tried("processes", sick)
    trial = tried(ws, sick, (0.0, TRIED))
    if trial is None and not ws.clock.interrupted:
        return _not_tried("time", sick)
    cure = None if trial is None else trial.accepted
    anew = None if cure is None or not may_apply(ws, cure) else _anew(ws, cure, sick)
    if trial is None or ws.clock.interrupted:
        ws.plan = plan
        return _not_tried("interrupted", sick)
    if anew is None or not anew["better"]:
        ws.plan, found = plan, [Finding.from_dict(values) for values in ws.journal.entries["healing.end"]]
    told = [with_proof(ws, plan, finding, trial).as_dict() for finding in found]
    given_up = any(kind == "given-up" for kind, _, _ in ws.carry["final"]["judged"])
    return _result(trial, plan, sick, told, anew, given_up=given_up)


def _not_tried(why: str, sick: Sequence[Finding] = ()) -> Result:
    return Result(None, {"why": NOT_TRIED[why], **({"found": _kinds(sick)} if sick else {})})


def _kinds(findings: Sequence[Finding]) -> list[str]:
    return list(dict.fromkeys(finding.kind for finding in findings))


def _found(ws: Workshop) -> list[Finding]:
    return findings_of(ws, Record.from_frame(pl.read_parquet(ws.folder / "vitals.parquet")))


def _remembered(ws: Workshop) -> list[Finding]:
    """The findings that remedies are tried against: those of the look at the final training, else of its end.

    Both are remembered: a resumed run may find other networks in the folder already.
    """
    end = ws.journal.remember("healing.end", lambda: [finding.as_dict() for finding in _found(ws)])
    return [Finding.from_dict(values) for values in ws.journal.entries.get("healing.findings", end)]


def _anew(ws: Workshop, cure: Candidate, sick: Sequence[Finding]) -> dict[str, Any] | None:
    """Train the final networks with the edited plan, and keep them if they are better; None after Ctrl-C.

    The workshop has the edited plan afterwards.
    """
    before = ws.journal.entries["stage.final"]["evidence"].get("validation", {})
    why = f"{cure.why} (proven against {', '.join(_kinds(sick))})"
    fixed = (*ws.fixed, *(path for path in cure.change if path != "training.epochs"))
    plan = ws.plan.edited({"ensemble.members": len(ws.carry["final"]["judged"])}, by="data", why="as many as before")
    plan = plan.edited(cure.change, by="remedy", why=why)
    design = ws.journal.remember("healing.final", lambda: design_members(ws, plan, fixed))
    plan = designed(plan, design, fixed)
    course, record = train_members(ws, [plan], design["members"], "healed", bar=(TRIED, 1.0))
    usable = usable_members(course)
    if ws.clock.interrupted or not usable:
        return None if ws.clock.interrupted else {"better": False, "before": before, "after": {}}
    ws.plan = with_members(plan, usable, design)
    ensemble, evidence = judge_members(ws, course, usable)
    after = evidence["validation"]
    better = _better(ws, after, before)
    if better:
        ensemble.save(ws.folder / "model")
        record.write(ws.folder / "vitals.parquet")
    final = {"passed": True, "evidence": evidence, "carry": told_of(course)}
    return {"better": better, "before": before, "after": after, "final": final}


def _better(ws: Workshop, after: dict[str, float], before: dict[str, float]) -> bool:
    """By the metric, or the loss on original scale, as trials are chosen."""
    loss = "rmse" if ws.facts.task == "regression" else "log_loss"
    name = MAIN[ws.facts.task] if ws.monitor == "metric" else loss
    if before.get(name) is None:
        return True
    return after[name] > before[name] if HIGHER_IS_BETTER[name] else after[name] < before[name]


def _result(
    trial: Trial,
    plan: Plan,
    sick: Sequence[Finding],
    told: list[dict[str, Any]],
    anew: dict[str, Any] | None,
    *,
    given_up: bool,
) -> Result:
    cure, applied = trial.accepted, anew is not None and anew["better"]
    evidence: dict[str, Any] = {
        "found": _kinds(sick),
        "tried": len(trial.tried),
        "given_up": given_up,
        "helpful": [candidate.name for candidate, proof, _ in trial.tried if proof.helped],
        "outcome": "nothing" if cure is None else "cured" if applied else "fixed" if anew is None else "no better",
    }
    if cure is not None:
        change = [[path, plan.get(path), value] for path, value in cure.change.items()]
        evidence |= {"remedy": cure.name, "change": change, "trial": trial.verified(cure.change)}
    if anew is not None:
        evidence["validation"] = {"before": anew["before"], "after": anew["after"]}
    carry = {"findings": told, "cured_by": cure.name if cure is not None and applied else None}
    return Result(applied, evidence, carry | ({"final": anew["final"]} if anew is not None and applied else {}))
