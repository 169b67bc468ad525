"""Oracles: Bland and Altman 1986 (peak flow, Wright against mini meter); exact limits by simulation of their law."""

import math

import numpy as np
import pytest

from kneeline.statistics.limits import cluster_sums, limits_from_sums, limits_of_agreement

PEAK_FLOW = np.array(
    [
        [494, 512], [395, 430], [516, 520], [434, 428], [476, 500], [557, 600], [413, 364], [442, 380], [650, 658],
        [433, 445], [417, 432], [656, 626], [267, 260], [478, 477], [178, 259], [423, 350], [427, 451],
    ],
    dtype=float,
)  # fmt: skip


def test_peak_flow():
    found = limits_of_agreement(PEAK_FLOW[:, 0] - PEAK_FLOW[:, 1])
    assert (found.bias, found.sd) == pytest.approx((-2.117647, 38.765130), rel=1e-6)
    assert (found.low, found.high) == pytest.approx((-78.097301, 73.862007), rel=1e-6)
    # The paper's own limits are 2 standard deviations wide.
    assert (found.bias - 2 * found.sd, found.bias + 2 * found.sd) == pytest.approx((-79.647907, 75.412613), rel=1e-6)
    n = len(PEAK_FLOW)
    assert (found.sd / math.sqrt(n), math.sqrt(3 * found.sd**2 / n)) == pytest.approx((9.401925, 16.284612), rel=1e-6)
    # The paper's own interval of the bias: -22.0 to 17.8 (t with 16 degrees of freedom).
    assert found.bias_interval == pytest.approx((-22.0, 17.8), abs=0.06)
    # Its rough intervals of the limits (-114.3 to -45.1, and 40.9 to 110.1 around +-2 SD) lie near the exact ones.
    assert found.low_interval == pytest.approx((-114.3, -45.1), abs=10)
    assert found.low_interval[0] < found.low < found.low_interval[1]
    assert np.corrcoef(PEAK_FLOW.T)[0, 1] == pytest.approx(0.943279, rel=1e-5)


def test_exact_intervals_hold_the_true_limit_in_95_of_100():
    rng = np.random.default_rng(7)
    found = [limits_of_agreement(values) for values in rng.normal(2, 3, (1000, 8))]
    for true, ends in ((2 + 1.96 * 3, "high_interval"), (2 - 1.96 * 3, "low_interval"), (2, "bias_interval")):
        held = np.mean([getattr(f, ends)[0] <= true <= getattr(f, ends)[1] for f in found])
        assert held == pytest.approx(0.95, abs=0.02)


def test_one_difference_a_runner_is_the_plain_case():
    differences = PEAK_FLOW[:, 0] - PEAK_FLOW[:, 1]
    plain = limits_of_agreement(differences)
    sums = cluster_sums(differences, range(len(differences))).sum(axis=0)
    assert [float(v) for v in limits_from_sums(sums)] == pytest.approx([plain.bias, plain.low, plain.high])


def test_variance_between_and_within_runners_is_joined():
    """Knees of runners: true SD of a difference is sqrt(4 + 1); counts of knees differ."""
    rng = np.random.default_rng(3)
    runners = np.repeat(np.arange(4000), rng.integers(1, 4, 4000))
    differences = rng.normal(0, 2, 4000)[runners] + rng.normal(0, 1, len(runners)) + 1
    bias, low, high = (float(v) for v in limits_from_sums(cluster_sums(differences, runners).sum(axis=0)))
    assert (bias, low, high) == pytest.approx((1, 1 - 1.96 * math.sqrt(5), 1 + 1.96 * math.sqrt(5)), abs=0.12)


def test_two_differences_have_no_limits():
    with pytest.raises(ValueError, match="at least three"):
        limits_of_agreement([1, 2])
