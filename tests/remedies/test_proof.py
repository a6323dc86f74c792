"""Whether a remedy helped: quantiles in closed form, chance, and how often nothing is taken for something."""

import math

import numpy as np
import pytest

from trainwell.remedies.proof import STUDENT, promising, proven, row_noise

NAN = math.nan


def test_quantiles_of_student_are_those_of_the_closed_forms_and_of_simulation() -> None:
    few, p = 0.999, 0.995
    assert STUDENT[1] == pytest.approx(math.tan(math.pi * (few - 0.5)), abs=1e-3)
    assert STUDENT[2] == pytest.approx((2 * few - 1) * math.sqrt(2 / (1 - (2 * few - 1) ** 2)), abs=1e-3)
    draw = np.random.default_rng(0)
    for freedom in (4, 9):
        normal, chi = draw.normal(size=400_000), draw.chisquare(freedom, 400_000)
        assert STUDENT[freedom] == pytest.approx(np.quantile(normal / np.sqrt(chi / freedom), p), rel=0.02)


def test_a_gain_far_beyond_the_noise_helped() -> None:
    proof = proven([0.50, 0.52, 0.48], [0.90, 0.91, 0.92])
    assert proof.helped and proof.gain == pytest.approx(0.41) and proof.seeds == 3
    gains = np.array([0.40, 0.39, 0.44])
    assert proof.needed == pytest.approx(22.327 * gains.std(ddof=1) / math.sqrt(3), rel=1e-4)


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
    assert proven([NAN] * 3, [0.88, 0.91, 0.92], smallest=0.01, worst=0.0).helped
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
    assert accepted < 0.01
    smaller = np.mean([proven(a.tolist(), b.tolist(), smallest=1.0).helped for a, b in scores])
    assert smaller <= accepted


def arm(draw: np.random.Generator, rows: float, training: float, alike: bool) -> np.ndarray:
    """Scores of five seeds without effect: noise of the training, and luck with the rows of four parts, or with all."""
    luck = draw.normal(0, rows / math.sqrt(6)) if alike else draw.normal(0, rows / math.sqrt(2), 4)[[0, 1, 2, 3, 0]]
    return 0.5 + luck + draw.normal(0, training, 5)


@pytest.mark.covers("D15")
@pytest.mark.parametrize("alike", [False, True], ids=["luck by part", "the same luck in all parts"])
@pytest.mark.parametrize(("rows", "training"), [(0.05, 0.0), (0.05, 0.02), (0.02, 0.02), (0.005, 0.05)])
def test_three_looks_together_rarely_prove_a_change_without_effect(rows: float, training: float, alike: bool) -> None:
    draw, accepted, cures = np.random.default_rng(2), 0, 1500
    noise = {n: row_noise([(i % 4, rows**2) for i in range(n)]) for n in (3, 5)}

    def helped(a: np.ndarray, b: np.ndarray, n: int) -> bool:
        return proven(a[:n].tolist(), b[:n].tolist(), smallest=0.01, worst=0.0, rows=noise[n]).helped

    for _ in range(cures):
        a, b, c = (arm(draw, rows, training, alike) for _ in range(3))
        better = b if b[:3].mean() > c[:3].mean() else c
        accepted += helped(a, b, 3) or helped(a, c, 3) or helped(a, better, 5)
    assert accepted / cures < 0.02  # 0.01 and three deviations of a count


def test_what_rows_judged_by_may_favour_is_no_gain() -> None:
    untouched, treated = [0.500, 0.501, 0.499], [0.560, 0.561, 0.559]
    assert proven(untouched, treated, rows=0.01).helped
    refused = proven(untouched, treated, rows=0.03)
    assert not refused.helped and refused.needed == pytest.approx(0.09, rel=0.01) and "noise" in refused.why


def test_evidence_is_plain_values() -> None:
    verified = proven([0.5], [0.9]).verified()
    assert verified["helped"] is False and verified["needed"] is None and verified["before"] == 0.5
