"""Intervals and joint tests by t and T-squared; what is written when an end is infinite."""

import math

import numpy as np
import pytest
from scipy import stats

from kneeline.cohort.answer import Coefficient, joint_test, values_row, wald
from kneeline.errors import Refusal


def test_one_value_alone_is_its_t_test():
    (found,) = wald(["a"], [0.8], [0.3], 25)
    f, p = joint_test(np.array([0.8]), np.array([[0.09]]), 25)
    assert f == pytest.approx((0.8 / 0.3) ** 2)
    assert p == pytest.approx(found.p)
    assert (found.low, found.high) == pytest.approx((0.8 - 2.059539 * 0.3, 0.8 + 2.059539 * 0.3))


def test_level_of_the_joint_test_with_a_covariance_from_few_runners():
    """Means of normal vectors, their covariance estimated from 12 of them: exact by Hotelling 1931."""
    rng = np.random.default_rng(1)
    p = []
    for _ in range(2000):
        rows = rng.normal(size=(12, 4)) @ np.array([[1, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 2, 1], [0, 0, 0, 1]])
        p.append(joint_test(rows.mean(axis=0), np.cov(rows.T) / 12, 11)[1])
    # Binomial noise of 2000 draws: 0.05 +- 0.010 (two standard errors).
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.012)
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_more_contrasts_than_runners_are_refused():
    with pytest.raises(Refusal, match="4 runners for a test of 5 contrasts"):
        joint_test(np.ones(5), np.eye(5), 3)


def test_an_infinite_end_is_missing_and_ratios_are_exponentials():
    found = Coefficient("a", math.log(2), None, -math.inf, 800.0, 0.2)
    assert values_row(found, "odds_ratio") == {
        "estimate": pytest.approx(2), "ci_low": 0.0, "ci_high": None, "p_value": 0.2
    }  # fmt: skip
    assert values_row(found, "mean_difference")["ci_low"] is None
