import numpy as np
import pytest
from scipy import stats

from kneeline.cohort.power import ordinal_power, ordinal_sample_size

MIX = [0.5, 0.3, 0.15, 0.05]


def test_hmisc_popower():
    assert ordinal_power([0.1, 0.2, 0.4, 0.3], 1.2, 500, 500) == pytest.approx(0.351, abs=5e-4)
    assert ordinal_power(MIX, 2, 13, 13) == pytest.approx(0.145, abs=5e-4)
    assert ordinal_power(MIX, 4, 13, 13) == pytest.approx(0.439, abs=5e-4)


def test_hmisc_posamsize():
    assert ordinal_sample_size([0.1, 0.2, 0.4, 0.3], 1.2) == pytest.approx(3148.3, rel=1e-4)
    assert [ordinal_sample_size(MIX, ratio) for ratio in (2, 3, 4)] == pytest.approx([232.1, 92.4, 58.0], abs=0.05)


def test_odds_ratio_and_its_inverse_have_the_same_power():
    assert ordinal_power(MIX, 3, 10, 16) == pytest.approx(ordinal_power(MIX, 1 / 3, 16, 10))


def test_formula_meets_simulation():
    rng = np.random.default_rng(11)
    cuts = np.array([0.0, 1.2, 2.6])
    draw = lambda shift, n: (rng.logistic(shift, 1, n)[:, None] > cuts).sum(axis=1)  # noqa: E731
    ratio, n = 3.0, 40
    averaged = np.bincount(np.r_[draw(0, 200_000), draw(np.log(ratio), 200_000)], minlength=4) / 400_000
    first, second = (draw(shift, 2000 * n).reshape(2000, n) for shift in (0, np.log(ratio)))
    tests = stats.mannwhitneyu(first, second, axis=1, use_continuity=False, method="asymptotic")
    assert np.mean(tests.pvalue < 0.05) == pytest.approx(ordinal_power(averaged, ratio, n, n), abs=0.03)


def test_shares_must_add_up():
    with pytest.raises(ValueError, match="add up to 1"):
        ordinal_power([0.5, 0.2], 2, 10, 10)
