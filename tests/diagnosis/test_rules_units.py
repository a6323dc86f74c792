"""Rules on dead and saturated units, on records written by hand."""

import pytest

from tests.diagnosis.cases import LOOKS, case_of, with_vital
from trainwell.diagnosis import RULES

FLAT = [0.7] * 100
KINDS = [("dead-units", "dead-fraction", 0.7), ("saturated-units", "saturated-fraction", 0.5)]


@pytest.mark.parametrize(("kind", "signal", "bound"), KINDS)
def test_most_of_a_layer_lost_from_the_start_is_found(kind: str, signal: str, bound: float) -> None:
    finding = RULES[kind](case_of(layers=with_vital("hidden.1", signal, bound + 0.1)))
    assert finding and finding.severity == "warning" and finding.layer == "hidden.1" and finding.step == 1
    assert finding.evidence["measured"] == bound + 0.1 and finding.evidence["threshold"] == bound
    assert RULES[kind](case_of(layers=with_vital("hidden.1", signal, bound))) is None


@pytest.mark.parametrize(("kind", "signal", "bound"), KINDS)
def test_lost_units_of_a_network_that_does_not_learn_are_critical(kind: str, signal: str, bound: float) -> None:
    finding = RULES[kind](case_of(layers=with_vital("hidden.1", signal, bound + 0.1), loss=FLAT))
    assert finding and finding.severity == "critical"


@pytest.mark.parametrize(("kind", "signal", "bound"), KINDS)
def test_units_lost_on_the_way_of_a_good_training_are_an_information(kind: str, signal: str, bound: float) -> None:
    later = [0.1] * 10 + [bound + 0.1] * (len(LOOKS) - 10)
    finding = RULES[kind](case_of(layers=with_vital("hidden.1", signal, later)))
    assert finding and finding.severity == "info" and finding.step == LOOKS[10]


def test_a_layer_that_died_on_the_way_is_a_warning_even_so() -> None:
    later = [0.1] * 10 + [0.95] * (len(LOOKS) - 10)
    finding = RULES["dead-units"](case_of(layers=with_vital("hidden.1", "dead-fraction", later)))
    assert finding and finding.severity == "warning"


def test_a_unit_silent_in_one_look_is_not_dead() -> None:
    flicker = [0.8, 0.8, 0.4] * 5 + [0.8, 0.8]
    assert RULES["dead-units"](case_of(layers=with_vital("hidden.1", "dead-fraction", flicker))) is None


def test_the_layer_that_lost_most_is_told() -> None:
    layers = with_vital("hidden.0", "dead-fraction", 0.8)
    layers["hidden.1"]["dead-fraction"] = 0.9
    finding = RULES["dead-units"](case_of(layers=layers))
    assert finding and finding.layer == "hidden.1"


def test_two_looks_are_not_enough() -> None:
    assert RULES["dead-units"](case_of(layers=with_vital("hidden.1", "dead-fraction", [1.0, 1.0]))) is None


@pytest.mark.parametrize(("shares", "found"), [((0.1, 0.6, 0.95, 1.0), True), ((0.1, 0.6, 0.8, 0.85), False)])
def test_two_looks_far_apart_are_enough_to_see_a_wall(shares: tuple[float, ...], found: bool) -> None:
    case = case_of(layers={"hidden.0": {"activation-std": 1.0}, "output": {"activation-std": 1.0}}, loss=FLAT)
    for step, share in zip((4, 16, 64, 256), shares, strict=True):
        case.record.add(step, "hidden.0", "dead-fraction", [0], [share])
    assert (RULES["dead-units"](case) is not None) == found
