"""Successive halving against a slow loop that trains every trial alone."""

import pytest
from hypothesis import given, settings, strategies as st

from trainwell.engine import Course, train
from trainwell.search import Entry, Rung, halve, ladder
from trainwell.search.halving import cost
from trainwell.testing.members import Case

TRIALS = 9


def entries(case: Case, trials: int = TRIALS, folds: int = 1, courses: int = 1, **edits: object) -> list[Entry]:
    """Trials of several folds, spread over courses of one structure each; rates from nearly nothing to far too much."""
    made: list[Entry] = []
    each = trials // courses
    for number in range(courses):
        plans = []
        for trial in range(number * each, (number + 1) * each):
            values = {"learning_rate": 10.0 ** (-6 + trial), **edits}
            plans += [case.plan(0).edited(values, by="search", why="test")] * folds
        course = case.course(range(len(plans)), plans)
        for i in range(each):
            members = list(range(i * folds, (i + 1) * folds))
            made.append(Entry(number * each + i, plans[i * folds], course, number, members))
    return made


def slow(case: Case, given: list[Entry], rungs: list[Rung], folds: int) -> dict[int, tuple[int, float]]:
    """Rung reached and loss of every trial, each fold trained alone."""
    alone: dict[int, list[Course]] = {e.number: [case.course([m], [e.plan]) for m in e.members] for e in given}
    alive, reached = list(alone), {}
    for number, rung in enumerate(rungs):
        losses = {}
        for trial in alive:
            for course in alone[trial]:
                for _ in train(course, until=max(1, round(rung.share * course.total_steps))):
                    pass
            losses[trial] = sum(float(course.best.loss[0]) for course in alone[trial]) / folds
            reached[trial] = (number, losses[trial])
        keep = rungs[number + 1].trials if number + 1 < len(rungs) else 0
        alive = sorted(alive, key=lambda trial: losses[trial])[:keep]
    return reached


@pytest.mark.covers("B6")
@pytest.mark.parametrize(("courses", "folds"), [(1, 1), (3, 1), (3, 2)])
def test_halving_keeps_whom_a_slow_loop_keeps(courses: int, folds: int) -> None:
    case = Case("search", {"training.evaluations_per_epoch": 3}, own_batches=folds > 1)
    trials, rungs = entries(case, folds=folds, courses=courses), ladder(TRIALS, 3, 3)
    expected = slow(case, trials, rungs, folds)
    for _ in halve(trials, rungs, monitor="loss", stop=lambda: False):
        pass
    assert {e.number: e.rung for e in trials} == {number: rung for number, (rung, _) in expected.items()}
    for e in trials:
        assert e.loss == pytest.approx(expected[e.number][1], rel=1e-7)
    kinds = [e.outcome.kind for e in trials if e.outcome is not None]
    assert kinds.count("finished") == 1 and kinds.count("culled") >= 6


@pytest.mark.covers("B6")
def test_the_better_ones_are_kept() -> None:
    trials = entries(Case("search"))
    for _ in halve(trials, ladder(TRIALS, 3, 3), monitor="loss", stop=lambda: False):
        pass
    winner = next(e for e in trials if e.rung == 2)
    assert winner.plan.optimizer.learning_rate in (1e-2, 1e-1), "neither the idle nor the wild rates"


def test_the_steps_of_a_search_are_those_its_ladder_costs() -> None:
    trials, rungs = entries(Case("search"), learning_rate=1e-3), ladder(TRIALS, 3, 3)
    member_steps = sum(len(step[-1].members) for step in halve(trials, rungs, monitor="loss", stop=lambda: False))
    assert member_steps == pytest.approx(cost(rungs) * trials[0].course.total_steps, rel=0.02)


def test_a_trial_that_diverges_ranks_last_and_does_not_stop_the_others() -> None:
    for monitor in ("loss", "metric"):
        trials = entries(Case("search"), trials=3, courses=3, learning_rate=1e-2)
        sick = trials[1].course
        sick.monitor = monitor
        sick.population.theta.fill_(float("nan"))
        for _ in halve(trials, ladder(3, 2, 3), monitor=monitor, stop=lambda: False):
            pass
        assert trials[1].outcome is not None and trials[1].outcome.kind == "diverged"
        assert [e.rung for e in trials].count(1) == 1 and trials[1].rung == 0
        assert max(trials, key=lambda e: e.worse_by(monitor)) is trials[1]


def test_a_fold_that_never_had_a_finite_loss_makes_its_trial_the_worst() -> None:
    trials = entries(Case("search", own_batches=True), trials=3, folds=2, learning_rate=1e-2)
    trials[0].course.population.theta[3] = float("nan")  # the second fold of the second trial
    for _ in halve(trials, ladder(3, 2, 3), monitor="loss", stop=lambda: False):
        pass
    assert trials[1].loss == float("inf") and trials[1].rung == 0


@pytest.mark.parametrize("after", [1, 4, 40])
def test_when_stop_turns_true_no_further_step_is_made_and_what_was_reached_stands(after: int) -> None:
    trials = entries(Case("search"), courses=3, learning_rate=1e-3)
    steps: list[int] = []
    for _, _, moment in halve(trials, ladder(TRIALS, 3, 3), monitor="loss", stop=lambda: len(steps) >= after):
        steps.append(moment.step)
    assert len(steps) == after
    last = max(e.rung for e in trials)
    assert all(e.outcome is not None and e.outcome.kind == "running" for e in trials if e.rung == last)
    assert any(e.loss < float("inf") for e in trials) == (after >= 3)


def test_better_is_a_smaller_loss_or_a_larger_metric_and_ties_go_to_the_other() -> None:
    case = Case("search")
    one, other = entries(case, trials=2)
    one.loss, one.metric, other.loss, other.metric = 0.5, 0.8, 0.6, 0.9
    assert min(one, other, key=lambda e: e.worse_by("loss")) is one
    assert min(one, other, key=lambda e: e.worse_by("metric")) is other
    other.metric = 0.8
    assert min(one, other, key=lambda e: e.worse_by("metric")) is one


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(trials=st.integers(1, 500), rungs=st.integers(1, 8), reduction=st.integers(2, 6))
def test_a_ladder_thins_out_by_its_factor_and_ends_with_whole_courses(trials: int, rungs: int, reduction: int) -> None:
    steps = ladder(trials, rungs, reduction)
    assert 1 <= len(steps) <= rungs and steps[0].trials == trials and steps[-1].share == 1
    for rung, following in zip(steps, steps[1:], strict=False):
        assert following.share == pytest.approx(rung.share * reduction)
        assert 1 <= following.trials <= rung.trials
    assert all(rung.trials == pytest.approx(trials / reduction**i, abs=0.5) for i, rung in enumerate(steps))
    assert cost(steps) <= trials
    assert cost(steps) == pytest.approx(
        sum(r.trials * (r.share - (steps[i - 1].share if i else 0)) for i, r in enumerate(steps))
    )


def test_a_ladder_of_one_trial_is_one_whole_course() -> None:
    assert ladder(1, 3, 3) == [Rung(1.0, 1)] and cost(ladder(1, 3, 3)) == 1
