"""Rules on inputs, the first loss and overfitting, on records written by hand."""

import numpy as np
import pytest

from tests.diagnosis.cases import case_of
from trainwell.base import Outcome
from trainwell.diagnosis import RULES

FIT, FIRST, SCALE = RULES["overfitting"], RULES["initial-loss-off"], RULES["unscaled-inputs"]
DOWN = np.linspace(0.65, 0.01, 40)
VALLEY = np.concatenate([np.linspace(0.65, 0.4, 10), np.linspace(0.4, 0.8, 30)])  # best at epoch 10


def test_a_validation_loss_that_doubles_while_training_falls_is_overfitting() -> None:
    finding = FIT(case_of(train=DOWN, validation=VALLEY))
    assert finding and finding.severity == "warning"
    assert finding.step == pytest.approx(100, abs=20)
    assert finding.evidence["measured"] == pytest.approx(2.0, rel=0.05)


def test_restored_best_weights_make_it_an_information() -> None:
    finding = FIT(case_of(train=DOWN, validation=VALLEY, outcome=Outcome("stopped-early", 400, 100)))
    assert finding and finding.severity == "info"
    assert "step 100 were restored" in finding.message


def test_weights_restored_from_a_bad_step_do_not() -> None:
    finding = FIT(case_of(train=DOWN, validation=VALLEY, outcome=Outcome("finished", 400, 400)))
    assert finding and finding.severity == "warning"


def test_a_rise_of_validation_and_training_together_is_not_overfitting() -> None:
    assert FIT(case_of(train=VALLEY, validation=VALLEY * 1.05)) is None


def test_a_small_rise_is_noise() -> None:
    valley = np.concatenate([np.linspace(0.65, 0.4, 10), np.linspace(0.4, 0.42, 30)])
    assert FIT(case_of(train=np.linspace(0.65, 0.2, 40), validation=valley)) is None


def test_rows_learned_by_heart_are_found_by_the_gap_alone() -> None:
    flat = np.full(40, 0.6)
    assert FIT(case_of(train=np.linspace(0.6, 0.005, 40), validation=flat))
    assert FIT(case_of(train=np.linspace(0.6, 0.1, 40), validation=flat)) is None


def test_of_few_evaluations_two_beyond_the_best_are_asked_for() -> None:
    assert FIT(case_of(train=[0.6, 0.5, 0.3, 0.1, 0.05], validation=[0.6, 0.5, 0.55, 0.62, 0.8]))
    assert FIT(case_of(train=[0.6, 0.5, 0.3, 0.1, 0.05], validation=[0.6, 0.5, 0.45, 0.4, 0.8])) is None
    assert FIT(case_of(train=[0.6, 0.5, 0.1], validation=[0.5, 0.9, 1.5])) is None


def test_a_strong_rise_needs_no_training_loss_far_below() -> None:
    held = [0.25, 0.22, 0.2, 0.2, 0.28, 0.35]
    assert FIT(case_of(train=[0.7, 0.6, 0.55, 0.5, 0.4, 0.33], validation=held))
    assert FIT(case_of(train=[0.7, 0.6, 0.5, 0.5, 0.5, 0.5], validation=held)) is None


def test_a_training_that_went_astray_did_not_learn_by_heart() -> None:
    train = np.concatenate([np.linspace(0.6, 0.2, 10), np.linspace(0.3, 2.0, 20)])
    held = np.concatenate([np.linspace(0.6, 0.25, 10), np.linspace(0.5, 6.0, 20)])
    assert FIT(case_of(train=train, validation=held)) is None
    assert FIT(case_of(train=np.linspace(0.6, 0.2, 30), validation=held))


def test_a_slow_rise_counts_where_it_never_stops() -> None:
    train = np.linspace(0.65, 0.1, 12)
    climbing = np.concatenate([[0.6, 0.5], np.linspace(0.48, 0.6, 10)])
    dented = climbing.copy()
    dented[7] -= 0.06
    assert FIT(case_of(train=train, validation=climbing))
    assert FIT(case_of(train=train, validation=dented)) is None
    assert FIT(case_of(train=np.linspace(0.65, 0.4, 12), validation=climbing)) is None  # no gap


def test_a_network_that_knows_its_rows_and_is_no_better_than_chance_on_others_overfits() -> None:
    held = np.full(10, 0.8)  # chance: 0.69
    assert FIT(case_of(train=[0.4, 0.1, *[0.04] * 8], validation=held))
    assert FIT(case_of(train=[0.4, 0.3, *[0.2] * 8], validation=held)) is None
    assert FIT(case_of(train=[0.4, 0.1, *[0.04] * 8], validation=held - 0.2)) is None


def test_a_first_loss_of_ten_times_chance_is_off() -> None:
    finding = FIRST(case_of(loss=[7.7, *np.linspace(7, 0.1, 99)]))
    assert finding and finding.severity == "warning"
    assert finding.evidence["measured"] == pytest.approx(11) and finding.evidence["chance_loss"] == 0.7


def test_a_first_loss_of_some_times_chance_is_an_information_and_less_is_nothing() -> None:
    finding = FIRST(case_of(loss=[2.8, *np.linspace(2, 0.1, 99)]))
    assert finding and finding.severity == "info"
    assert FIRST(case_of(loss=[1.4, *np.linspace(1, 0.1, 99)])) is None


def test_a_record_that_begins_later_tells_nothing_of_the_first_loss() -> None:
    late = case_of(loss=[])
    late.record.add(10, "", "loss", [0], [50.0])
    assert FIRST(late) is None


@pytest.mark.parametrize(
    ("mean", "std", "kind"),
    [(0.0, 1.0, None), (5.8, 1.7, None), (0.5, 0.3, None), (3.0, 11.0, "far"), (12.0, 1.0, "far"), (0.0, 1e-3, "tiny")],
)
def test_inputs_ten_times_too_large_or_a_hundred_times_too_small_are_unscaled(
    mean: float, std: float, kind: str | None
) -> None:
    finding = SCALE(case_of(input_scale={"largest_mean": mean, "largest_std": std, "smallest_std": std}))
    assert (finding is None) == (kind is None)
    if finding:
        assert finding.severity == "warning" and finding.evidence["threshold"] == {"far": 10, "tiny": 0.01}[kind or ""]


def test_a_network_that_does_not_learn_from_inputs_in_the_thousands_is_critical() -> None:
    scale = {"largest_mean": 5e3, "largest_std": 2e3, "smallest_std": 1.0}
    finding = SCALE(case_of(loss=[0.7] * 100, input_scale=scale))
    assert finding and finding.severity == "critical"


def test_inputs_of_which_nothing_is_known_are_not_judged() -> None:
    assert SCALE(case_of()) is None


def test_a_slight_rise_that_lasts_is_enough_where_training_is_far_below() -> None:
    train, held = [0.65, 0.5, 0.3, 0.15, 0.1, 0.08], [0.68, 0.6, 0.55, 0.6, 0.8, 0.62]
    assert FIT(case_of(train=train, validation=held))
    assert FIT(case_of(train=train, validation=[0.68, 0.6, 0.55, 0.5, 0.48, 0.56])) is None  # one judgement is chance
    assert FIT(case_of(train=[0.65, 0.5, 0.4, 0.35, 0.3, 0.28], validation=held)) is None
    assert FIT(case_of(train=train, validation=[0.68, 0.4, 0.25, 0.27, 0.28, 0.27])) is None  # a small gap
