import math

import numpy as np
import pytest

from tests.report.synthetic import EPOCHS, healthy, overfitting, plan, record, result
from trainwell.diagnosis import Finding
from trainwell.engine.record import Record
from trainwell.report.fit import Fit, courses, judge_fit
from trainwell.report.records import Records

pytestmark = pytest.mark.covers("H7")


def judged(vitals: Record, findings: tuple[Finding, ...] = ()) -> Fit:
    records = Records("demo", result(), plan=plan(), findings=findings, vitals=vitals)
    return judge_fit(records, courses(records))


def test_losses_that_fall_together_and_level_out_are_a_good_fit() -> None:
    fit = judged(healthy())
    assert fit.kind == "fit" and fit.sentence.startswith("A good fit")


def test_a_validation_loss_that_turns_while_training_goes_on_is_overfitting() -> None:
    train = [0.6 * math.exp(-e / 4) + 0.01 for e in range(EPOCHS)]
    held = [0.5 - 0.05 * e if e < 4 else 0.3 + 0.02 * (e - 4) for e in range(EPOCHS)]
    fit = judged(record(train, held, members=1))
    assert fit.kind == "overfit"
    assert "about epoch 5 the validation loss was lowest (0.3)" in fit.sentence
    assert "let it learn longer" in fit.sentence


def test_a_loss_that_hardly_falls_is_underfitting() -> None:
    flat = [0.7 - 0.0005 * e for e in range(EPOCHS)]
    assert judged(record(flat, flat)).kind == "underfit"


def test_a_loss_that_is_still_falling_at_the_end_is_underfitting_a_little() -> None:
    falling = [0.7 - 0.03 * e for e in range(EPOCHS)]
    fit = judged(record(falling, falling))
    assert fit.kind == "underfit" and "More epochs would help" in fit.sentence


def test_a_finding_of_the_rules_outweighs_what_the_curves_look_like() -> None:
    assert judged(healthy(), (overfitting(),)).kind == "overfit"


def test_too_few_evaluations_are_not_judged() -> None:
    assert judged(record([0.5, 0.4], [0.5, 0.4])).kind == "unknown"
    assert judged(Record()).kind == "unknown"


def test_networks_with_no_finite_evaluation_are_left_out() -> None:
    vitals = record([math.nan] * 9, [math.nan] * 9)
    assert courses(Records("demo", result(), plan=plan(), vitals=vitals)) == []


def test_epochs_are_steps_over_the_batches_of_an_epoch() -> None:
    records = Records("demo", result(), plan=plan(), vitals=healthy())
    assert np.allclose(courses(records)[0].at, np.arange(1, EPOCHS + 1))
    unknown = Records("demo", {**result(), "stages": []}, plan=plan(), vitals=healthy())
    assert courses(unknown)[0].at[0] == 10


def test_the_best_evaluation_is_the_recorded_one_or_else_the_lowest() -> None:
    content = result()
    told = Records("demo", content, plan=plan(), vitals=healthy())
    content["stages"][7]["evidence"]["best_epochs"] = [3.0, 4.0, 5.0]
    assert [int(c.at[c.best]) for c in courses(told)] == [3, 4, 5]
    content["stages"][7]["evidence"]["best_epochs"] = [3.0]
    lowest = [int(np.argmin(c.validation)) for c in courses(told)]
    assert [c.best for c in courses(told)] == lowest
