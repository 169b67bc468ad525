import numpy as np
import pytest
from scipy import stats

from kneeline.statistics.power import (
    clustered_power,
    design_effect,
    fisher_power,
    ordinal_power,
    ordinal_sample_size,
    ridit_icc,
    runners_needed,
)

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


def test_two_knees_count_as_as_many_as_their_correlation_lets_them():
    """52 knees of 26 runners: 40.0, 34.7 and 30.6 independent ones at a correlation of 0.3, 0.5 and 0.7."""
    assert [52 / design_effect(2, icc) for icc in (0.3, 0.5, 0.7)] == pytest.approx([40.0, 34.7, 30.6], abs=0.05)
    assert clustered_power(MIX, 3, 26, 26, design_effect(2, 1)) == pytest.approx(ordinal_power(MIX, 3, 13, 13))
    assert clustered_power(MIX, 3, 26, 26, design_effect(2, 0)) == ordinal_power(MIX, 3, 26, 26)


def test_runners_needed_are_those_of_the_named_formula():
    assert [runners_needed(MIX, ratio) for ratio in (2, 3, 4)] == pytest.approx([232.1, 92.4, 58.0], abs=0.05)
    # Two knees that say the same are worth one; two independent ones halve the runners.
    assert runners_needed(MIX, 2, knees=2, icc=1) == runners_needed(MIX, 2)
    assert runners_needed(MIX, 2, knees=2) == pytest.approx(runners_needed(MIX, 2) / 2)
    # One in ten in the smaller group: 0.25 / 0.09 as many.
    assert runners_needed(MIX, 2, exposed=0.9) == pytest.approx(runners_needed(MIX, 2) * 0.25 / 0.09)


def test_icc_of_ridits():
    assert ridit_icc([0, 0, 1, 1, 2, 2], [1, 1, 2, 2, 3, 3]) == 1
    assert ridit_icc([0, 1, 0, 1], [1, 1, 2, 2]) == 0
    assert ridit_icc([0, 1, 2], [1, 2, 3]) is None
    assert ridit_icc([1, 1, 1, 1], [1, 1, 2, 2]) is None


def test_power_of_fishers_test_with_13_runners_a_group():
    """R: power at 6/13 against 4/13, actual size at 10/26, power at 70 % against 20 %."""
    assert fisher_power(6 / 13, 4 / 13, 13, 13) == pytest.approx(0.077, abs=5e-4)
    assert fisher_power(10 / 26, 10 / 26, 13, 13) == pytest.approx(0.0255, abs=5e-5)
    assert fisher_power(0.7, 0.2, 13, 13) == pytest.approx(0.69, abs=5e-3)
