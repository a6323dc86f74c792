"""Augmentations against loops over pixels."""

import pytest
import torch

from trainwell.ingredients.augmentations import AUGMENTATIONS, cutout, flip, shift
from trainwell.testing.augmentations import LAWS, SAMPLES, scene

pytestmark = pytest.mark.covers("R6")


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_an_augmentation_keeps_the_laws(name: str, law: str) -> None:
    LAWS[law](name)


def test_flip_mirrors_the_share_of_images_that_its_numbers_say() -> None:
    x, p, u = scene("flip")
    after = flip(x, p, u)
    for k, b in ((k, b) for k in range(len(x)) for b in range(SAMPLES)):
        mirrored = x[k, b][:, :, list(reversed(range(x.shape[-1])))]
        assert torch.equal(after[k, b], mirrored if u[k, b, 0] < p[k, 0] else x[k, b])


def test_shift_takes_each_pixel_from_its_neighbour_and_zeros_from_outside() -> None:
    x, most, u = scene("shift")
    after, (height, width) = shift(x, most, u), x.shape[-2:]
    for k, b in ((k, b) for k in range(len(x)) for b in range(SAMPLES)):
        n = 2 * int(most[k]) + 1
        down, right = (int(float(u[k, b, i]) * n) - int(most[k]) for i in (0, 1))
        for i, j in ((i, j) for i in range(height) for j in range(width)):
            inside = 0 <= i + down < height and 0 <= j + right < width
            expected = x[k, b, :, i + down, j + right] if inside else torch.zeros(x.shape[2])
            assert torch.equal(after[k, b, :, i, j], expected)


def test_shift_reaches_every_distance_equally_often() -> None:
    u = (torch.arange(700).reshape(1, 700, 1) / 700).expand(1, 700, 2)
    x = torch.zeros(1, 700, 1, 9, 9)
    x[..., 4, 4] = 1.0
    places = shift(x, torch.tensor([[3.0]]), u).flatten(2).argmax(dim=2).flatten() // 9
    assert torch.bincount(places, minlength=9).tolist() == [0, *[100] * 7, 0]


def test_cutout_blanks_a_square_around_its_pixel_and_keeps_the_rest() -> None:
    x, side, u = scene("cutout")
    after, (height, width) = cutout(x, side, u), x.shape[-2:]
    for k, b in ((k, b) for k in range(len(x)) for b in range(SAMPLES)):
        length = int(side[k])
        row, column = int(float(u[k, b, 0]) * height), int(float(u[k, b, 1]) * width)
        expected = x[k, b].clone()
        top, left = row - length // 2, column - length // 2
        expected[:, max(top, 0) : top + length, max(left, 0) : left + length] = 0.0
        assert torch.equal(after[k, b], expected)
