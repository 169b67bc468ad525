import numpy as np
import pytest

from kneeline.errors import Refusal
from kneeline.statistics.bootstrap import acceleration, bca_interval, canonical_order, draws


def test_every_replicate_draws_as_many_runners_as_there_are():
    blocks = list(draws(30, 120, seed=1))
    drawn = np.vstack(blocks)
    assert drawn.shape == (120, 30)
    assert np.all(drawn.sum(axis=1) == 30)
    assert np.array_equal(drawn, np.vstack(list(draws(30, 120, seed=1))))
    assert not np.array_equal(drawn, np.vstack(list(draws(30, 120, seed=2))))


def test_canonical_order_forgets_the_rows():
    a, b = np.array([2.0, 1, 1, np.nan]), np.array([0.0, 5, 4, 1])
    turned = [3, 1, 0, 2]
    first = np.column_stack([a, b])[canonical_order(a, b)]
    again = np.column_stack([a, b])[turned][canonical_order(a[turned], b[turned])]
    np.testing.assert_array_equal(first, again)


def test_bca_of_a_law_school_correlation():
    """Efron 1987: 15 law schools, correlation 0.776, BCa 90 % interval about (0.43, 0.92)."""
    lsat = np.array([576, 635, 558, 578, 666, 580, 555, 661, 651, 605, 653, 575, 545, 572, 594.0])
    gpa = np.array([3.39, 3.30, 2.81, 3.03, 3.44, 3.07, 3.00, 3.43, 3.36, 3.13, 3.12, 2.74, 2.76, 2.88, 2.96])

    def correlation(weights):
        share = weights / weights.sum()
        x, y = lsat - share @ lsat, gpa - share @ gpa
        return share @ (x * y) / np.sqrt((share @ x**2) * (share @ y**2))

    estimate = correlation(np.ones(15))
    assert estimate == pytest.approx(0.776, abs=5e-4)
    replicates = np.array([correlation(w) for block in draws(15, 4000, seed=3) for w in block])
    x, y = (lsat - lsat.mean()) / lsat.std(), (gpa - gpa.mean()) / gpa.std()
    influence = x * y - estimate * (x**2 + y**2) / 2
    low, high = bca_interval(estimate, replicates, influence, level=0.90)
    assert (low, high) == pytest.approx((0.43, 0.92), abs=0.02)
    # Percentiles alone do not know that the estimate is biased: their interval lies higher.
    assert low < np.quantile(replicates, 0.05)


def test_without_bias_and_skewness_bca_is_the_percentile_interval():
    values = np.concatenate([np.linspace(-1, 1, 2001)])
    assert bca_interval(0.0, values, np.array([-1.0, 1.0])) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))
    assert acceleration(np.ones(5)) == 0
    assert acceleration(np.array([0, 0, 0, 0, 1.0])) > 0


def test_undefined_and_lopsided_replicates_are_refused():
    values = np.linspace(-1, 1, 200)
    values[:3] = np.nan
    with pytest.raises(Refusal, match="not defined in 3 of 200"):
        bca_interval(0.0, values, np.array([-1.0, 1.0]))
    with pytest.raises(Refusal, match="same side"):
        bca_interval(2.0, np.linspace(-1, 1, 200), np.array([-1.0, 1.0]))


def test_the_interval_of_few_runners_is_taken_at_students_level():
    """Of the mean of eight symmetric values: quantiles of a resampling written apart, at sqrt(8/7) t on 7 df."""
    from scipy import stats

    from kneeline.statistics.resampled import Resampling, interval

    half = np.array([0.937, 2.271, 4.113, 7.029])
    values = np.r_[-half, half]
    means = values[np.random.default_rng(8).integers(0, 8, (60_000, 8))].mean(axis=1)
    reach = stats.t.ppf(0.975, 7) * (8 / 7) ** 0.5
    expected = np.quantile(means, stats.norm.cdf([-reach, reach]))
    sums = np.column_stack([np.ones(8), values])
    found = interval(sums, lambda s: s[..., 1] / s[..., 0], Resampling(60_000, 1))
    assert found == pytest.approx(tuple(expected), rel=0.03)
