"""The final networks: the best plans of the search under several seeds, trained to the end, averaged (rows B9, B10)."""

from dataclasses import replace
from functools import partial
from typing import Any

from trainwell.engine import Course
from trainwell.plan import Plan
from trainwell.recipe.judging import told_of
from trainwell.recipe.proving import worth_giving_up
from trainwell.recipe.stages.members import (
    design_members,
    designed,
    judge_members,
    train_members,
    usable_members,
    with_members,
)
from trainwell.recipe.stages.result import Result
from trainwell.recipe.workshop import Workshop


def train_final(ws: Workshop) -> Result:
    """Train the final members, keep their best weights, and judge them together on the validation rows."""
    found = [_with_trial(ws.plan, values) for values in ws.carry["search"]["plans"]]
    design = ws.journal.remember("final.design", lambda: design_members(ws, found[0], ws.fixed))
    plans = [designed(plan, design, ws.fixed) for plan in found]
    ws.plan = plans[0]
    course, record = train_members(ws, plans, design["members"], "final", look=partial(worth_giving_up, ws))
    usable = usable_members(course)
    ws.plan = with_members(plans[0], usable, design) if usable else plans[0]
    if ws.processes.writes:
        record.write(ws.folder / "vitals.parquet")
    if usable:
        ensemble, evidence = judge_members(ws, course, usable)
        if ws.processes.writes:
            ensemble.save(ws.folder / "model")
        result = Result(True, evidence)
    else:
        result = _from_leader(ws, course)
    return replace(result, carry=told_of(course))


def _with_trial(plan: Plan, values: dict[str, Any]) -> Plan:
    """The workshop's plan with a trial's values where they differ."""
    changed = {path: value for path, value in values.items() if plan.get(path) != value}
    return plan.edited(changed, by="search", why="best validation of the search") if changed else plan


def _from_leader(ws: Workshop, course: Course) -> Result:
    """No final network has a finite loss yet (an early Ctrl-C, or all diverged): the best of the search stands in."""
    outcomes = [str(outcome) for outcome in course.outcomes]
    if ws.leader is None:
        return Result(False, {"members": 0, "epochs": [], "outcomes": outcomes})
    if ws.processes.writes:
        ws.leader.save(ws.folder / "model")
    evidence = {
        "members": len(ws.leader),
        "epochs": [],
        "outcomes": [*outcomes, "the best network of the search is used"],
    }
    return Result(None, evidence)
