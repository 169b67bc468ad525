"""Oracles: R prop.trend.test on smokers among lung patients; statsmodels' test of ordinal association."""

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import Table

from kneeline.statistics.trend import trend_in_shares

SMOKERS, PATIENTS = [83, 90, 129, 70], [86, 93, 136, 82]


def test_smokers():
    found = trend_in_shares(SMOKERS, PATIENTS, [1, 2, 3, 4])
    assert (found.chi2, found.p_value) == pytest.approx((8.22492, 0.0041319), rel=1e-4)


def test_where_the_scores_begin_and_how_they_are_spaced_out():
    assert trend_in_shares(SMOKERS, PATIENTS).chi2 == pytest.approx(8.22492, rel=1e-4)
    assert trend_in_shares(SMOKERS, PATIENTS, [10, 20, 30, 40]).chi2 == pytest.approx(8.22492, rel=1e-4)
    assert trend_in_shares(SMOKERS, PATIENTS, [1, 2, 3, 9]).chi2 > 8.3


def test_statsmodels_has_the_same_but_for_its_variance():
    """A permutation variance has n - 1 where the binomial one has n."""
    table = np.column_stack([SMOKERS, np.subtract(PATIENTS, SMOKERS)])
    other = Table(table).test_ordinal_association()
    n = sum(PATIENTS)
    assert trend_in_shares(SMOKERS, PATIENTS).chi2 == pytest.approx(other.zscore**2 * n / (n - 1))


def test_no_finding_and_no_groups_have_no_trend():
    assert trend_in_shares([0, 0], [5, 6]) is None
    assert trend_in_shares([5, 6], [5, 6]) is None
    assert trend_in_shares([2], [6]) is None
