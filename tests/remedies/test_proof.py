"""Whether a remedy helped: quantiles in closed form, chance, and how often nothing is taken for something."""

import math

import numpy as np
import pytest

from trainwell.remedies.proof import STUDENT, promising, proven

NAN = math.nan


def test_quantiles_of_student_are_those_of_the_closed_forms_and_of_simulation() -> None:
    p = 0.975
    assert STUDENT[1] == pytest.approx(math.tan(math.pi * (p - 0.5)), abs=1e-3)
    assert STUDENT[2] == pytest.approx((2 * p - 1) * math.sqrt(2 / (1 - (2 * p - 1) ** 2)), abs=1e-3)
    draw = np.random.default_rng(0)
    for freedom in (4, 9):
        normal, chi = draw.normal(size=400_000), draw.chisquare(freedom, 400_000)
        assert STUDENT[freedom] == pytest.approx(np.quantile(normal / np.sqrt(chi / freedom), p), rel=0.02)


def test_a_gain_far_beyond_the_noise_helped() -> None:
    proof = proven([0.50, 0.52, 0.48], [0.90, 0.91, 0.92])
    assert proof.helped and proof.gain == pytest.approx(0.41) and proof.seeds == 3
    gains = np.array([0.40, 0.39, 0.44])
    assert proof.needed == pytest.approx(4.303 * gains.std(ddof=1) / math.sqrt(3))


def test_one_seed_and_two_that_differ_prove_nothing() -> None:
    assert not proven([0.5], [0.9]).helped
    assert not proven([0.5, 0.5], [0.6, 0.9]).helped


def test_a_gain_below_the_smallest_that_counts_did_not_help() -> None:
    assert proven([0.500, 0.500, 0.500], [0.506, 0.506, 0.506]).helped
    assert not proven([0.500, 0.500, 0.500], [0.506, 0.506, 0.506], smallest=0.01).helped


def test_untouched_trainings_that_scatter_widely_cannot_hide_that_all_treated_ones_are_better() -> None:
    proof = proven([0.1, 0.5, 0.8], [0.95, 0.96, 0.96], smallest=0.01)
    assert proof.gain < proof.needed and proof.helped and "every training" in proof.why


def test_a_failed_training_is_the_worst() -> None:
    assert proven([NAN] * 3, [0.88, 0.91, 0.92], smallest=0.01).failed == (3, 0)
    assert proven([NAN] * 3, [0.88, 0.91, 0.92], smallest=0.01).helped
    assert not proven([0.5, 0.5, 0.5], [0.9, 0.9, NAN], smallest=0.01).helped
    assert not proven([NAN] * 3, [NAN] * 3).helped
    assert proven([NAN] * 3, [0.9] * 3, worst=0.0).before == 0.0


def test_a_loss_did_not_help_and_is_not_promising() -> None:
    assert not proven([0.9, 0.9, 0.9], [0.5, 0.6, 0.5]).helped
    assert not promising([0.9, 0.9, 0.9], [0.5, 0.6, 0.5])
    assert promising([0.5, 0.5, 0.5], [0.7, 0.5, 0.9])


@pytest.mark.covers("D15")
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("noise", ["normal", "heavy tails"])
def test_a_change_without_effect_is_rarely_accepted(seeds: int, noise: str) -> None:
    draw = np.random.default_rng(1)
    size = (4000, 2, seeds)
    scores = draw.normal(size=size) if noise == "normal" else draw.standard_t(2, size=size)
    accepted = np.mean([proven(a.tolist(), b.tolist()).helped for a, b in scores])
    separated = 0.02 if seeds == 3 else 1 / math.comb(2 * seeds, seeds)
    assert accepted < 0.025 + separated + 0.005  # Student's test, or complete separation
    smaller = np.mean([proven(a.tolist(), b.tolist(), smallest=1.0).helped for a, b in scores])
    assert smaller < 0.03 and smaller < accepted


def test_evidence_is_plain_values() -> None:
    verified = proven([0.5], [0.9]).verified()
    assert verified["helped"] is False and verified["needed"] is None and verified["before"] == 0.5
