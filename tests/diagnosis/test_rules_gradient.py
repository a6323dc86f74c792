"""Rules on gradients, on records written by hand."""

import math

import pytest

from tests.diagnosis.cases import LOOKS, WELL, case_of, everywhere, with_vital
from trainwell.base import Outcome
from trainwell.diagnosis import RULES, Finding

FLAT = [0.7] * 100


def found(kind: str, **parts: object) -> Finding | None:
    return RULES[kind](case_of(**parts))  # pyright: ignore[reportArgumentType]


def test_a_training_that_goes_well_gives_no_finding() -> None:
    assert [kind for kind, rule in RULES.items() if rule(case_of())] == []


def test_a_first_layer_with_a_thousandth_of_the_last_ones_gradient_is_found() -> None:
    finding = found("vanishing-gradient", layers=with_vital("hidden.0", "gradient-norm", 0.5e-3 * 0.9), loss=FLAT)
    assert finding and finding.severity == "critical" and finding.layer == "hidden.0" and finding.step == 1
    assert finding.evidence["measured"] == pytest.approx(0.9e-3)
    assert found("vanishing-gradient", layers=with_vital("hidden.0", "gradient-norm", 0.5e-3 * 1.1), loss=FLAT) is None


def test_a_gradient_that_comes_into_its_own_has_not_vanished() -> None:
    waking = [1e-6] * 6 + [0.3] * (len(LOOKS) - 6)
    assert found("vanishing-gradient", layers=with_vital("hidden.0", "gradient-norm", waking)) is None


def test_faint_gradients_everywhere_are_found_when_nothing_is_learned() -> None:
    faint = everywhere("gradient-norm", 1e-4)
    assert found("vanishing-gradient", layers=faint, loss=FLAT)
    assert found("vanishing-gradient", layers=faint) is None, "a loss that falls to a third has had its gradient"


def test_no_gradient_at_all_is_not_called_vanishing() -> None:
    assert found("vanishing-gradient", layers=everywhere("gradient-norm", 0.0), loss=FLAT) is None


def test_large_gradients_with_signals_that_grow_are_exploding() -> None:
    growing = {"hidden.0": 1.0, "hidden.1": 40.0, "output": 90.0}
    layers = {name: {**WELL[name], "gradient-norm": 100.0, "activation-std": std} for name, std in growing.items()}
    finding = found("exploding-gradient", layers=layers)
    assert finding and finding.severity == "warning" and finding.evidence["measured"] == 40.0
    calm = {name: {**vitals, "gradient-norm": 1.0} for name, vitals in layers.items()}
    assert found("exploding-gradient", layers=calm) is None, "growth alone does no harm"
    even = everywhere("gradient-norm", 100.0)
    assert found("exploding-gradient", layers=even) is None, "a large loss alone is another matter"


def test_a_gradient_that_grows_a_thousandfold_is_exploding_from_that_step() -> None:
    burst = [0.5] * 8 + [900.0, 5000.0] + [1e4] * (len(LOOKS) - 10)
    finding = found("exploding-gradient", layers=with_vital("hidden.1", "gradient-norm", burst))
    assert finding and finding.layer == "hidden.1" and finding.step == LOOKS[8]


def test_one_look_at_a_large_gradient_is_forgiven() -> None:
    once = [0.5] * 8 + [5000.0] + [0.5] * (len(LOOKS) - 9)
    assert found("exploding-gradient", layers=with_vital("hidden.1", "gradient-norm", once)) is None


def test_nan_is_located_at_its_earliest_step_and_nearest_its_source() -> None:
    nan, n = float("nan"), len(LOOKS)
    layers = everywhere("gradient-norm", [0.5] * 4 + [nan] * (n - 4))
    layers["hidden.1"]["activation-mean"] = [0.1] * 4 + [nan] * (n - 4)
    layers["output"]["activation-mean"] = [0.1] * 4 + [nan] * (n - 4)
    finding = found("non-finite", layers=layers, loss=[0.7] * 9 + [nan] * 91)
    assert finding and finding.severity == "critical"
    assert (finding.step, finding.layer, finding.evidence["figure"]) == (10, "hidden.1", "activation-mean")
    assert finding.evidence["last_finite_loss"] == pytest.approx(0.7)


def test_an_infinite_gradient_is_told_of_the_layer_nearest_the_loss() -> None:
    layers = everywhere("gradient-norm", [0.5, math.inf])
    finding = found("non-finite", layers=layers)
    assert finding and finding.layer == "output" and finding.step == 2


def test_a_training_that_ended_as_diverged_is_found_without_any_nan_on_record() -> None:
    finding = found("non-finite", outcome=Outcome("diverged", 120, 50))
    assert finding and finding.step == 120


def test_rules_say_nothing_of_an_empty_record() -> None:
    empty = case_of(loss=[], layers={})
    assert [kind for kind, rule in RULES.items() if rule(empty)] == []
