"""All rules together: order, causes, several members, and a population of ours under watch."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.diagnosis.cases import case_of, everywhere
from trainwell.base import Seeds
from trainwell.data.batches import Feed, Samples
from trainwell.diagnosis import Case, diagnose, diagnose_all
from trainwell.engine import Course, Record, train
from trainwell.networks import Blueprint
from trainwell.plan import Plan
from trainwell.testing.settings import Setting, chance, prepared
from trainwell.vitals import observe, sampling

FLAT = [0.7] * 100
NAN = [0.7, 50.0, 5e9] + [float("nan")] * 97


def test_a_symptom_stands_after_its_cause_and_names_it() -> None:
    findings = diagnose(case_of(loss=NAN, layers=everywhere("update-ratio", [5.0, 9.0])))
    assert [f.kind for f in findings] == ["learning-rate-too-large", "non-finite"]
    assert findings[1].evidence["caused_by"] == "learning-rate-too-large"
    assert findings[1].severity == "critical" and "because of learning-rate-too-large" in findings[1].message


def test_a_symptom_other_than_nan_is_not_graver_than_a_warning() -> None:
    layers = everywhere("dead-fraction", [0.1, 0.1] + [1.0] * 15)
    for vitals in layers.values():
        vitals["update-ratio"] = [5.0, 2.0, 1e-3]
    findings = diagnose(case_of(loss=[0.7] + [9.0] * 9 + FLAT[:90], layers=layers))
    assert [(f.kind, f.severity) for f in findings] == [
        ("learning-rate-too-large", "critical"),
        ("dead-units", "warning"),
    ]


def test_what_was_there_before_the_first_update_is_not_due_to_the_rate() -> None:
    layers = everywhere("dead-fraction", 1.0)
    for vitals in layers.values():
        vitals["update-ratio"] = [1e-3] * 6 + [5.0] * 11
    findings = diagnose(case_of(loss=FLAT[:20] + [9.0] * 80, layers=layers))
    assert findings[0].kind == "dead-units" and "caused_by" not in findings[0].evidence


def test_information_comes_last() -> None:
    scale = {"largest_mean": 50.0, "largest_std": 1.0, "smallest_std": 1.0}
    off = [2.8, *np.linspace(2, 0.1, 99)]
    later = case_of(loss=off, layers=everywhere("dead-fraction", 0.8), input_scale=scale)
    assert [f.severity for f in diagnose(later)] == ["warning", "warning", "info"]


def test_equal_findings_of_members_are_told_once_with_the_worst_evidence() -> None:
    sick = [case_of(layers=everywhere("dead-fraction", share), member=m) for m, share in ((0, 0.75), (2, 0.8))]
    findings = diagnose_all([sick[0], case_of(member=1), sick[1], case_of(member=3)])
    assert len(findings) == 1
    assert findings[0].message.startswith("In 2 of 4 members: 80% of the units")
    assert findings[0].evidence["measured"] == 0.8 and findings[0].evidence["members"] == "2 of 4"
    assert findings[0].member is None


def test_a_finding_of_one_member_keeps_its_member() -> None:
    findings = diagnose_all([case_of(member=0), case_of(layers=everywhere("dead-fraction", 0.75), member=7)])
    assert [f.member for f in findings] == [7]


def test_one_member_alone_is_told_as_it_is() -> None:
    case = case_of(layers=everywhere("dead-fraction", 0.75))
    assert diagnose_all([case]) == diagnose(case)


def test_members_in_one_record_are_judged_apart() -> None:
    record = Record()
    for case in (case_of(member=0), case_of(member=1, loss=NAN, layers=everywhere("update-ratio", [5.0, 9.0]))):
        record.extend(case.record.frame())
    both = [replace(case_of(member=m), record=record) for m in (0, 1)]
    assert diagnose(both[0]) == []
    assert [f.member for f in diagnose(both[1])] == [1, 1]


@pytest.fixture(scope="module")
def watched() -> list[Case]:
    """A population of ours on iris, with a sane rate, one far too small, and one far too large."""
    rates = (3e-3, 1e-7, 30.0)
    rows = prepared(Setting("population", "iris"), seed=0)
    edits = {"loss.name": "cross_entropy", "training.epochs": 20, "training.batch_size": 16, "network.width": 32}
    plans = [Plan().edited({**edits, "optimizer.learning_rate": rate}, by="user", why="test") for rate in rates]
    seeds = [Seeds.of(0, member, shared_data=True) for member in range(len(rates))]
    x, y = torch.cat([rows.x, rows.validation_x]), torch.cat([rows.y, rows.validation_y])
    samples = Samples(x, torch.zeros(len(x), 0, dtype=torch.int64), y)
    train_rows, held = torch.arange(len(rows.x))[None], torch.arange(len(rows.x), len(x))[None]
    feed = Feed(samples, train_rows, held, [seeds[0].order], 16)
    course = Course(Blueprint(x.shape[1], 3, width=32), plans, seeds, feed, [0, 0, 0])
    record = Record()
    for moment in train(course, wants_layers=sampling(10)):
        observe(moment, record)
    cases = zip(range(3), plans, course.outcomes, strict=True)
    return [Case(record, m, p, feed.steps_per_epoch, chance_loss=chance(rows), outcome=o) for m, p, o in cases]


def test_a_population_of_ours_is_judged_member_by_member(watched: list[Case]) -> None:
    grave = [[f.kind for f in diagnose(case) if f.severity != "info"] for case in watched]
    assert grave[0] == []
    assert grave[1] == ["learning-rate-too-small"]
    assert grave[2][0] == "learning-rate-too-large"


def test_a_record_that_went_through_a_file_is_judged_the_same(watched: list[Case]) -> None:
    for case in watched:
        again = replace(case, record=Record.from_frame(case.record.frame()))
        assert diagnose(again) == diagnose(case)


def test_a_record_with_fewer_losses_is_judged_the_same(watched: list[Case]) -> None:
    """The recipe records losses at some steps only."""
    for case in watched:
        frame = case.record.frame()
        looks = set(frame.filter(frame["signal"] == "gradient-norm")["step"]) | set(
            frame.filter(frame["signal"] == "validation_loss")["step"]
        )
        thin = replace(case, record=Record.from_frame(frame.filter(frame["step"].is_in(list(looks)))))
        assert len(thin.curve("loss")[0]) < len(case.curve("loss")[0]) / 2
        assert [f.kind for f in diagnose(thin)] == [f.kind for f in diagnose(case)]
