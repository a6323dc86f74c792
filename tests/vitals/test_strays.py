"""Which share of numbers to predict lies anywhere: against shares that are planted, and noise of several kinds."""

import numpy as np
import pytest

from trainwell.vitals.strays import MOST, NONE, Strays, strays

DRAW = np.random.default_rng


def dealt_out(share: float, noise: float, seed: int) -> Strays:
    """Targets of which a share belongs to other rows, and what the best network says of such rows."""
    draw = DRAW(seed)
    truth = draw.normal(2.0, 3.0, MOST)
    anywhere = draw.random(MOST) < share
    targets = np.where(anywhere, draw.permutation(truth), truth) + noise * draw.normal(size=MOST)
    return strays((1 - share) * truth + share * truth.mean(), targets)


@pytest.mark.parametrize("share", [0.2, 0.35, 0.5, 0.65])
def test_the_share_and_the_slope_of_the_others_are_those_that_were_planted(share: float) -> None:
    for seed in range(3):
        told = dealt_out(share, 0.3, seed)
        assert abs(told.share - share) < 0.07 and abs(told.slope * (1 - share) - 1) < 0.05
        assert abs(told.spread - 0.1) < 0.02 and told.gain > 0.2 and 0.8 < told.fades < 1.2


@pytest.mark.parametrize("noise", ["normal", "student", "laplace", "growing"])
def test_noise_lies_along_a_line_of_slope_1_and_nothing_is_gained(noise: str) -> None:
    for seed in range(3):
        draw = DRAW(seed)
        truth = draw.normal(size=MOST)
        kinds = {
            "normal": draw.normal(size=MOST),
            "student": draw.standard_t(2, MOST),
            "laplace": draw.laplace(size=MOST),
            "growing": np.abs(truth) * draw.normal(size=MOST),
        }
        told = strays(truth, truth + 0.5 * kinds[noise])
        assert abs(told.slope - 1) < 0.12 and told.gain < 0.05


def test_the_newest_are_fitted_and_what_can_not_be_is_not() -> None:
    z = DRAW(1).normal(size=2 * MOST)
    assert strays(z, z + 0.1).samples == MOST
    for outputs, targets in ((z, 0 * z), (0 * z, z), (z * np.nan, z), (z[:1], z[:1])):
        assert strays(outputs, targets) is NONE
