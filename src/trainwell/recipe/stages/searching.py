"""Random search with successive halving, coarse to fine (row B6): populations of drawn plans, the better rows go on."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from trainwell.base.streams import stream
from trainwell.engine import Course
from trainwell.engine.checkpoint import Saver
from trainwell.engine.size import free_bytes, members_that_fit
from trainwell.plan import Plan
from trainwell.recipe.stages.result import Result
from trainwell.recipe.workshop import SAVE_EVERY, Row, Speed, Workshop
from trainwell.search import Entry, Rung, Space, draw, halve, has_use, ladder
from trainwell.search.halving import cost

UNTIL = 0.50  # share of the budget used up when the search ends
SAFETY = 0.8  # of the time left is planned with; the rest is for structures that turn out slower than estimated
FEWEST_EPOCHS = 4.0  # of a course worth searching by
TRIALS_A_STRUCTURE = 6
WIDEST = 2  # times the plan's width that a search may draw


def search_plans(ws: Workshop) -> Result:
    """Draw plans, train their populations rung by rung, and hand the best ones on."""
    rates = ws.carry["rate-range"]
    plan = _with_rate(ws.plan, rates["suggested"])
    space = ws.material.space(plan, ws.fixed)
    design = ws.journal.remember("search.design", lambda: _design(ws, plan, space.most))
    if not design["trials"]:
        return Result(None, {"trials": 0, "why": design["why"]}, {"plans": [_values(plan, space)]})
    groups = draw(
        plan,
        space,
        structures=design["structures"],
        members=design["members"],
        rates=(max(rates["low"], rates["suggested"] / 10), min(rates["high"], rates["suggested"] * 4)),
        fixed=ws.fixed,
        seed=stream(ws.plan.seed, "search"),
    )
    entries = _entries(ws, groups, design["epochs"])
    rungs = ladder(len(entries), plan.search.rungs, plan.search.reduction)
    _run(ws, entries, rungs)
    ranked = sorted((e for e in entries if e.loss < float("inf")), key=lambda e: (-e.rung, *e.worse_by(ws.monitor)))
    if not ranked:
        why = "no trial reached a finite validation loss"
        evidence = {"trials": len(entries), "why": why, "trial_rows": _table(entries, space)}
        return Result(False, evidence, {"plans": [_values(plan, space)]})
    ws.leader = ws.ensemble(ranked[0].course, ranked[0].members)
    evidence = {
        "trials": len(entries),
        "structures": len(groups),
        "epochs": design["epochs"],
        "rungs": [
            {
                "epochs": design["epochs"] * r.share,
                "members": sum(e.rung >= i for e in entries),
                "best": min(e.loss for e in entries if e.rung >= i),
            }
            for i, r in enumerate(rungs)
            if any(e.rung >= i for e in entries)
        ],
        "best": _values(ranked[0].plan, space),
        "best_validation": {"loss": ranked[0].loss, "metric": ranked[0].metric},
        "monitor": ws.monitor,
    }
    plans = [_values(e.plan, space) for e in _finalists(ranked)]
    return Result(True, evidence, {"plans": plans, "trial_rows": _table(entries, space)})


def _with_rate(plan: Plan, rate: float) -> Plan:
    if plan.chosen_by_user("optimizer.learning_rate"):
        return plan
    return plan.edited({"optimizer.learning_rate": rate}, by="data", why="half the best rate of the range test")


def _design(ws: Workshop, plan: Plan, most: int) -> dict[str, Any]:
    """How many structures, members and epochs fit: as many trials as wanted if each still gets a few epochs.

    `most`: structures that there are.
    """
    sample = [Row(plan, ws.seeds(f"design {i}", fold=i % ws.folds, shared=True), i % ws.folds) for i in range(6)]
    course = ws.course(sorted(sample, key=lambda row: row.fold))
    blueprint, steps, speed = course.blueprint, course.feed.steps_per_epoch, Speed.measured(course)
    seconds = SAFETY * max(0.0, UNTIL * ws.clock.budget - ws.clock.spent)
    wanted = min(plan.search.trials, _room_for(ws, plan))
    for trials in sorted({wanted, *(n for n in (24, 16, 12, 8, 6, 4) if n < wanted)}, reverse=True):
        structures = min(most, max(2 if trials >= 4 else 1, round(trials / TRIALS_A_STRUCTURE)))
        members = max(1, trials // structures)
        step = speed.step(blueprint, members * ws.folds, plan.training.batch_size) * 1.3  # evaluation
        courses = cost(ladder(structures * members, plan.search.rungs, plan.search.reduction)) / members
        epochs = min(plan.training.epochs, seconds / (courses * steps * step)) if trials else 0
        if trials and epochs >= min(FEWEST_EPOCHS, plan.training.epochs):
            return {
                "trials": trials,
                "structures": structures,
                "members": members,
                "epochs": max(1, int(epochs)),
                "why": "",
            }
    why = "no search was asked for" if not plan.search.trials else "budget and memory leave no room for a search"
    return {"trials": 0, "structures": 0, "members": 0, "epochs": 0, "why": why}


def _room_for(ws: Workshop, plan: Plan) -> int:
    """Trials whose networks fit into memory, all of them at once, as wide as the search may make them."""
    if ws.material.kind == "dense":
        plan = plan.edited({"network.width": plan.network.width * WIDEST}, by="search", why="the widest")
    structure, wanted = ws.material.structure(plan), plan.search.trials * ws.folds
    return members_that_fit(structure, plan, wanted=max(1, wanted), free=free_bytes(ws.device)) // ws.folds


def _entries(ws: Workshop, groups: Sequence[Sequence[Plan]], epochs: int) -> list[Entry]:
    entries: list[Entry] = []
    for index, plans in enumerate(groups):
        plans = [
            p.edited({"training.epochs": epochs, "training.patience": 10_000}, by="search", why="search course")
            for p in plans
        ]
        numbers = range(len(entries), len(entries) + len(plans))
        rows = [
            Row(plan, ws.seeds(f"trial {number}", fold=fold, shared=True), fold)
            for number, plan in zip(numbers, plans, strict=True)
            for fold in range(ws.folds)
        ]
        course = ws.course(rows)
        for i, (number, plan) in enumerate(zip(numbers, plans, strict=True)):
            members = list(range(i * ws.folds, (i + 1) * ws.folds))
            entries.append(Entry(number, plan, course, index, members))
    return entries


def _run(ws: Workshop, entries: list[Entry], rungs: Sequence[Rung]) -> None:
    """Train until the last rung, the end of this stage's time, or Ctrl-C."""
    whole = cost(rungs) / len(entries)
    done = 0.0
    courses: dict[int, Course] = {id(e.course): e.course for e in entries}
    work = sum(c.total_steps * len(c.plans) for c in courses.values()) * whole

    def beside() -> Callable[[], None]:
        ws.journal.note("elapsed", ws.clock.spent)
        return lambda: None

    files = {ws.folder / "checkpoints" / f"search-{i}.safetensors": course for i, course in enumerate(courses.values())}
    saver = Saver(files, least=SAVE_EVERY, beside=beside, say=ws.log)
    saver.load()
    stop = partial(ws.clock.over, UNTIL)
    for number, _, moment in halve(entries, rungs, monitor=ws.monitor, stop=stop, remember=ws.journal.remember):
        done += len(moment.members)
        saver.offer()
        if moment.evaluation is not None:
            ws.note_best(max(float(e.course.best.metric[e.members].mean()) for e in entries))
            text = f"{len(entries)} trials, round {number + 1} of {len(rungs)}, networks at once: {len(moment.members)}"
            ws.progress(done / work, text)
    if ws.clock.interrupted:
        saver.save()
    saver.close()


def _finalists(ranked: Sequence[Entry]) -> list[Entry]:
    """The best trial, and up to two more of its structure that came as far."""
    first = ranked[0]
    return [e for e in ranked if e.structure == first.structure and e.rung == first.rung][:3]


def _values(plan: Plan, space: Space) -> dict[str, Any]:
    return {path: plan.get(path) for path in space.paths if has_use(plan, path)}


def _table(entries: Sequence[Entry], space: Space) -> list[dict[str, Any]]:
    """One row a trial, for `trials.parquet`."""
    rows = []
    for e in entries:
        ended = e.course.outcomes[e.members[0]]
        step = e.course.population.step if ended.kind == "running" else ended.step
        known = {
            "trial": e.number,
            "structure": e.structure,
            "rung": e.rung,
            "epochs": step / e.course.feed.steps_per_epoch,
            "outcome": "out-of-time" if ended.kind == "running" else ended.kind,
            "validation_loss": e.loss,
            "validation_metric": e.metric,
        }
        rows.append({**known, **_values(e.plan, space)})
    return rows
