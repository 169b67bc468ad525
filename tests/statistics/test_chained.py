import numpy as np
import pytest
from scipy.special import expit

from kneeline.statistics.chained import DONORS, Incomplete, impute


def _gaps(values, share, seed):
    """Values with gaps completely at random, in every column."""
    with_gaps = values.copy()
    with_gaps[np.random.default_rng(seed).random(values.shape) < share] = np.nan
    return with_gaps


def _draw(n, seed):
    rng = np.random.default_rng(seed)
    a = rng.normal(10, 2, n)
    b = (rng.random(n) < expit(a - 10)).astype(float)
    y = 0.5 * a + b + rng.normal(size=n)
    return np.column_stack([a, b]), y[:, None]


def test_what_is_known_stays():
    values, y = _draw(80, 1)
    gaps = _gaps(values, 0.3, 2)
    completed = impute(Incomplete(gaps, (False, True), y), m=3, seed=4)
    assert completed.shape == (3, 80, 2)
    known = ~np.isnan(gaps)
    for one in completed:
        np.testing.assert_array_equal(one[known], gaps[known])
        assert not np.isnan(one).any()


def test_imputed_values_are_ones_that_occur():
    """Predictive mean matching borrows from other runners; yes-or-no variables stay so."""
    values, y = _draw(80, 1)
    gaps = _gaps(values, 0.3, 2)
    for one in impute(Incomplete(gaps, (False, True), y), m=3, seed=4):
        assert set(one[:, 0]) <= set(gaps[~np.isnan(gaps[:, 0]), 0])
        assert set(one[:, 1]) <= {0, 1}


def test_a_set_depends_on_its_seed_and_place_alone():
    values, y = _draw(40, 1)
    data = Incomplete(_gaps(values, 0.3, 2), (False, True), y)
    few, many = impute(data, 2, seed=7), impute(data, 4, seed=7)
    np.testing.assert_array_equal(few, many[:2])
    assert not np.array_equal(many[0], many[1])
    assert not np.array_equal(few, impute(data, 2, seed=8))


def test_relations_are_kept():
    """Means and regressions of the completed data are those of the data before the gaps."""
    values, y = _draw(4000, 3)
    completed = impute(Incomplete(_gaps(values, 0.3, 5), (False, True), y), m=3, seed=1, cycles=5)

    def slopes(one):
        return np.linalg.lstsq(np.column_stack([np.ones(4000), one]), y[:, 0], rcond=None)[0]

    truth = np.array([0, 0.5, 1.0])
    found = np.mean([slopes(one) for one in completed], axis=0)
    assert found == pytest.approx(truth, abs=0.25)
    assert found[1:] == pytest.approx(truth[1:], abs=0.08)
    assert completed[:, :, 0].mean() == pytest.approx(10, abs=0.15)
    assert completed[:, :, 1].mean() == pytest.approx(0.5, abs=0.03)


def test_the_product_is_kept_when_it_is_asked_for_and_diluted_when_not():
    rng = np.random.default_rng(9)
    n = 6000
    a, b = rng.normal(size=n), (rng.random(n) < 0.5).astype(float)
    y = 0.2 * a + 0.3 * b + 1.0 * a * b + rng.normal(size=n)
    gaps = _gaps(np.column_stack([a, b]), 0.4, 10)

    def product(pair):
        sets = impute(Incomplete(gaps, (False, True), y[:, None], pair), m=2, seed=1, cycles=5)
        designs = [np.column_stack([np.ones(n), one, one[:, 0] * one[:, 1]]) for one in sets]
        return np.mean([np.linalg.lstsq(x, y, rcond=None)[0][3] for x in designs])

    assert product((1, 0)) == pytest.approx(1.0, abs=0.08)
    assert product(None) < 0.8


def test_a_separated_variable_gets_finite_draws():
    x = np.arange(40.0)
    values = np.column_stack([x, (x >= 20).astype(float)])
    values[[3, 35], 1] = np.nan
    completed = impute(Incomplete(values, (False, True), np.zeros((40, 1))), m=20, seed=2)
    assert completed[:, 3, 1].mean() < 0.3
    assert completed[:, 35, 1].mean() > 0.7


def test_matching_carries_the_uncertainty_of_the_regression():
    """One value is missing among forty: matched to the fitted line alone, it could only be one of DONORS."""
    rng = np.random.default_rng(5)
    x = np.linspace(-1, 1, 40)
    values = (2 * x + rng.normal(size=40))[:, None]
    values[20] = np.nan
    sets = impute(Incomplete(values, (False,), x[:, None]), 80, seed=1)
    assert len(set(sets[:, 20, 0])) > DONORS + 2
