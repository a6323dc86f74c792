"""Rules on the learning rate, on records written by hand."""

from dataclasses import replace

import numpy as np
import pytest

from tests.diagnosis.cases import LOOKS, case_of, everywhere
from trainwell.base import Outcome
from trainwell.diagnosis import RULES

FLAT = [0.7] * 100
SMALL, LARGE = RULES["learning-rate-too-small"], RULES["learning-rate-too-large"]


def test_a_path_of_a_twentieth_of_the_weights_is_too_short() -> None:
    finding = SMALL(case_of(loss=FLAT, layers=everywhere("update-ratio", 4e-4)))  # 100 updates: 0.04
    assert finding and finding.severity == "critical"
    assert finding.evidence["measured"] == pytest.approx(0.04)
    assert SMALL(case_of(loss=FLAT, layers=everywhere("update-ratio", 6e-4))) is None


def test_one_layer_that_moves_is_enough() -> None:
    layers = everywhere("update-ratio", 1e-6)
    layers["output"]["update-ratio"] = 1e-3
    assert SMALL(case_of(loss=FLAT, layers=layers)) is None


def test_a_loss_that_fell_needs_no_longer_path() -> None:
    assert SMALL(case_of(layers=everywhere("update-ratio", 1e-5))) is None


def test_without_a_gradient_it_is_not_the_rate() -> None:
    layers = everywhere("update-ratio", 1e-6)
    for vitals in layers.values():
        vitals["gradient-norm"] = 1e-5
    assert SMALL(case_of(loss=FLAT, layers=layers)) is None


def test_a_training_that_has_just_begun_is_judged_by_its_pace_and_not_before_a_fifth() -> None:
    slow = everywhere("update-ratio", 4e-4)
    begun = case_of(loss=FLAT[:16], layers=everywhere("update-ratio", [4e-4] * 6))
    assert SMALL(begun) is None
    assert SMALL(case_of(loss=FLAT[:40], layers=slow)), "0.04 over all 100 updates at this pace"
    quick = everywhere("update-ratio", 1e-3)
    assert SMALL(case_of(loss=FLAT[:40], layers=quick)) is None, "0.04 so far, but 0.1 in the end"
    assert SMALL(case_of(loss=FLAT[:40], layers=quick, outcome=Outcome("stopped-early", 40, 10)))


def leaping(height: float, updates: int) -> np.ndarray:
    """A loss that begins at chance, leaps for some updates, and then falls."""
    return np.concatenate([[0.7, 0.7], np.full(updates, 0.7 * height), np.linspace(0.7, 0.2, 98 - updates)])


def thrown(ratio: float) -> dict:
    return everywhere("update-ratio", [ratio] * 5 + [1e-3] * (len(LOOKS) - 5))


def test_a_loss_that_leaps_under_large_updates_is_found() -> None:
    finding = LARGE(case_of(loss=leaping(3.5, 20), layers=thrown(0.3)))
    assert finding and finding.severity == "warning" and finding.step == 1
    assert finding.evidence["measured"] == pytest.approx(3.5)
    assert finding.evidence["updates_above_start"] == pytest.approx(20, abs=2)
    assert LARGE(case_of(loss=leaping(2.5, 20), layers=thrown(0.3))) is None
    assert LARGE(case_of(loss=leaping(3.5, 20), layers=thrown(0.05))) is None


def test_a_short_jolt_of_a_good_training_is_an_information() -> None:
    finding = LARGE(case_of(loss=leaping(5.0, 6), layers=thrown(0.3)))
    assert finding and finding.severity == "info"


def test_a_loss_that_becomes_nan_has_leapt() -> None:
    finding = LARGE(case_of(loss=[0.7, 5.0, 1e9] + [float("nan")] * 97, layers=thrown(5.0)))
    assert finding and finding.severity == "critical"


def test_large_updates_that_never_get_below_chance_are_found_without_a_leap() -> None:
    finding = LARGE(case_of(loss=FLAT, layers=everywhere("update-ratio", 0.2)))
    assert finding and finding.severity == "critical"
    assert LARGE(case_of(layers=everywhere("update-ratio", 0.2))) is None


def test_remedies_change_the_rate_of_the_plan() -> None:
    large = LARGE(case_of(loss=FLAT, layers=everywhere("update-ratio", 0.2), edits={"optimizer.learning_rate": 3.0}))
    assert large and [r.change for r in large.remedies][:2] == [
        {"optimizer.learning_rate": 1.0},
        {"optimizer.learning_rate": 0.3},
    ]
    small = SMALL(case_of(loss=FLAT, layers=everywhere("update-ratio", 1e-6), edits={"optimizer.learning_rate": 1e-6}))
    assert small and small.remedies[0].change == {"optimizer.learning_rate": 1e-5}


def test_of_a_loss_on_both_sides_of_zero_only_what_is_far_beyond_it_is_a_leap() -> None:
    losses = np.random.default_rng(0).normal(0.0, 0.7, 100)  # as a difference of two energies
    raised, thrown_off = losses.copy(), losses.copy()
    raised[40:60] += 5.0
    thrown_off[40:60] += 500.0
    for values, found in ((losses, False), (raised, False), (thrown_off, True)):
        case = replace(case_of(loss=values, layers=thrown(0.3)), chance_loss=None)
        assert (LARGE(case) is not None) == found
    assert LARGE(case_of(loss=raised, layers=thrown(0.3)))  # where chance is known, it is one
