import numpy as np
import pytest

from kneeline import validate
from kneeline.labels import Label
from kneeline.validate import Case


def case(seed, contrast, thickness, dice, fluid, grades, refused=None):
    return Case(seed, contrast, thickness, {Label.FEMUR: dice} if dice else {}, fluid, grades, [(0, 0)], refused)


def test_dice_of_two_shifted_cubes_is_nine_tenths():
    cube = np.zeros((14, 14, 14), bool)
    cube[:10, :10, :10] = True
    assert validate.dice(cube, np.roll(cube, 1, 0)) == pytest.approx(0.9, abs=1e-12)
    assert validate.dice(cube, cube) == 1
    assert validate.dice(cube, ~cube) == 0


def test_the_page_shows_means_failures_and_refusals():
    page = validate.page(
        [
            case(9000, "PDFS", 3.0, 0.9, (10.0, 12.0), [(0, 0), (3, 2)]),
            case(9001, "PD", 3.0, 0.7, (20.0, 18.0), [(1, 1), (2, None)]),
            case(9002, "T1", 3.0, None, (5.0, None), [], refused="not_a_knee"),
        ]
    )
    assert "| femur | 0.800 (0.700) |" in page
    assert "seed 9002, T1: not_a_knee" in page
    assert "| all | 2 | 15.0 | +0.0 |" in page
    assert "| true 3 | 0 | 0 | 1 | 0 |" in page
    assert "3 regions, 1 not graded" in page


def test_no_knee_at_all_is_not_an_error():
    assert "n/a" in validate.page([])
