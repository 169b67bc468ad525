import pytest
from scipy import stats

from kneeline.statistics.rubin import pool


def test_barnard_rubin():
    # R mice::pool.scalar(n = 26, k = 3).
    pooled = pool([1.10, 0.95, 1.30, 1.05, 1.20], [0.090, 0.085, 0.100, 0.088, 0.095], complete_df=23)
    assert (pooled.estimate, pooled.within, pooled.between, pooled.total) == pytest.approx(
        (1.12, 0.0916, 0.01825, 0.1135)
    )
    assert (pooled.df, pooled.riv, pooled.fmi) == pytest.approx((14.777558, 0.239083, 0.283746), rel=1e-5)
    low, high = pooled.interval()
    assert high - low == pytest.approx(2 * stats.t.ppf(0.975, 14.777558) * 0.1135**0.5)


def test_equal_imputations_lose_nothing():
    pooled = pool([2.0, 2.0, 2.0], [0.5, 0.5, 0.5], complete_df=1e9)
    assert (pooled.estimate, pooled.total, pooled.riv) == (2.0, 0.5, 0.0)
    assert pooled.df == pytest.approx(1e9)


def test_one_imputation_cannot_be_pooled():
    with pytest.raises(ValueError, match="two or more"):
        pool([1.0], [0.1], 20)
