"""Oracle: R Hmisc::rcspline.eval (norm = 2), Harrell's quantiles."""

import numpy as np
import pytest
from patsy import cr

from kneeline.statistics.spline import harrell_knots, rcs_basis

KNOTS = [10, 25, 45, 80]


def test_basis():
    basis = rcs_basis([10, 16, 24, 32, 40, 55, 80], KNOTS)
    assert basis[:, 0].tolist() == [10, 16, 24, 32, 40, 55, 80]
    assert basis[:, 1] == pytest.approx([0, 0.0440816, 0.56, 2.1730612, 5.5102041, 18.1887755, 52.5], rel=1e-6)
    assert basis[:, 2] == pytest.approx([0, 0, 0, 0.07, 0.6887755, 5.1895044, 20.2040816], rel=1e-6)


@pytest.mark.parametrize(
    ("n_knots", "expected"),
    [
        (3, [20.9, 100.5, 180.1]),
        (4, [10.95, 70.65, 130.35, 190.05]),
        (5, [10.95, 55.725, 100.5, 145.275, 190.05]),
    ],
)
def test_harrell_knots(n_knots, expected):
    assert harrell_knots(range(1, 201), n_knots) == pytest.approx(expected)


def test_straight_beyond_the_outer_knots():
    for x in ([0, 4, 8], [80, 90, 100]):
        assert np.diff(rcs_basis(x, KNOTS), n=2, axis=0) == pytest.approx(0, abs=1e-9)


def test_spans_the_same_curves_as_patsys_natural_spline():
    x = np.linspace(5, 90, 60)
    inside = x[(x >= 10) & (x <= 80)]
    ours = np.column_stack([np.ones(len(inside)), rcs_basis(inside, KNOTS)])
    theirs = np.asarray(cr(inside, knots=KNOTS[1:-1], lower_bound=10, upper_bound=80))
    fitted = ours @ np.linalg.lstsq(ours, theirs, rcond=None)[0]
    assert fitted == pytest.approx(theirs, abs=1e-9)


def test_knots_must_rise():
    with pytest.raises(ValueError, match="rising knots"):
        rcs_basis([1.0], [10, 10, 20])
