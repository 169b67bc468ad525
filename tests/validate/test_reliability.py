import numpy as np
import pytest

from kneeline.validate.reliability import pool, reliability


def test_probabilities_that_hold_have_no_error():
    """Of every bin exactly the promised share is right."""
    probability = np.repeat([0.25, 0.75, 0.95], 400)
    right = np.concatenate([np.arange(400) < 400 * p for p in (0.25, 0.75, 0.95)])
    measured = reliability(probability, right, 1.0)
    assert measured.expected_calibration_error == pytest.approx(0, abs=1e-12)
    assert measured.points() == pytest.approx(np.array([[p, p, 1 / 3] for p in (0.25, 0.75, 0.95)]))


def test_overconfidence_is_its_error():
    measured = reliability(np.full(10, 0.9), np.arange(10) < 6, 1.0)
    assert measured.expected_calibration_error == pytest.approx(0.3)
    assert (measured.promised, measured.right) == pytest.approx((0.9, 0.6))


def test_errors_of_opposite_sign_do_not_cancel():
    measured = reliability(np.repeat([0.55, 0.85], 10), np.concatenate([np.arange(10) < 8, np.arange(10) < 6]), 1.0)
    assert measured.promised == pytest.approx(measured.right)
    assert measured.expected_calibration_error == pytest.approx(0.25)


def test_knees_are_pooled_by_volume_not_by_voxels():
    """A thousand small voxels, all right, and ten large ones, none right, of equal volume."""
    thin = reliability(np.full(1000, 0.95), np.ones(1000, bool), 0.1)
    thick = reliability(np.full(10, 0.95), np.zeros(10, bool), 10.0)
    assert pool([thin, thick]).right == pytest.approx(0.5)
    assert pool([]) is None


def test_certainty_of_one_is_in_the_last_bin():
    assert reliability(np.array([1.0]), np.array([True]), 1.0).volume_mm3[-1] == 1


@pytest.mark.parametrize("value", [-0.1, 1.5, np.nan])
def test_what_is_no_probability_is_an_error(value):
    with pytest.raises(ValueError, match="expected probabilities"):
        reliability(np.array([0.5, value]), np.array([True, True]), 1.0)
