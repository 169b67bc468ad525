import math

import numpy as np
import pytest

from kneeline.validate.repeat import repeatability


def test_the_within_subject_sd_is_that_of_an_analysis_of_variance():
    """Three knees twice: 10/12, 20/19, 30/33. Within-knee mean square by hand: (2^2 + 1 + 3^2) / 2 / 3."""
    found = repeatability([[(10.0, 12.0)], [(20.0, 19.0)], [(30.0, 33.0)]])
    assert found.within_sd == pytest.approx(math.sqrt(14 / 6))
    assert found.coefficient == pytest.approx(1.96 * math.sqrt(2 * 14 / 6))
    assert found.mean == pytest.approx(124 / 6)
    # chi-square with 3 degrees of freedom: 0.2158 and 9.3484
    assert found.low == pytest.approx(found.coefficient * math.sqrt(3 / 9.3484), rel=1e-4)
    assert found.high == pytest.approx(found.coefficient * math.sqrt(3 / 0.2158), rel=1e-3)


def test_ninety_five_of_a_hundred_differences_stay_below_the_coefficient():
    rng = np.random.default_rng(4)
    true = rng.uniform(5, 50, 4000)
    scans = true + rng.normal(0, 0.7, (2, 4000))
    found = repeatability([[pair] for pair in scans.T])
    assert found.within_sd == pytest.approx(0.7, rel=0.03)
    assert (np.abs(scans[0] - scans[1]) < found.coefficient).mean() == pytest.approx(0.95, abs=0.01)


def test_a_knee_counts_once_however_many_values_it_has():
    few, many = repeatability([[(1.0, 2.0)]] * 4), repeatability([[(1.0, 2.0)] * 6] * 4)
    assert (few.n_knees, many.n_knees) == (4, 4)
    assert (few.low, few.high) == pytest.approx((many.low, many.high))


def test_what_was_measured_once_only_is_left_out():
    assert repeatability([[(1.0, 2.0), (3.0, None)], [(None, 1.0)], []]) is None
    assert repeatability([[(1.0, 2.0), (3.0, None)], [(2.0, 2.0)]]).n_knees == 2
