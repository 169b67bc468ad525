"""Oracles: Shrout and Fleiss 1979 table 4 (R psych::ICC), R irr::icc on the anxiety data."""

import numpy as np
import pytest

from kneeline.statistics.agreement import kappa
from kneeline.statistics.icc import icc_agreement, icc_consistency, icc_oneway, mean_squares

SHROUT_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
ANXIETY = [
    [int(digit) for digit in row]
    for row in (
        "332 361 344 464 523 542 221 346 531 231 221 632 133 533 221 221 113 233 432 342".split()  # noqa: SIM905
    )
]


def test_mean_squares():
    ms = mean_squares(SHROUT_FLEISS)
    assert (ms.between, ms.within, ms.raters, ms.error) == pytest.approx(
        (11.241667, 6.263889, 32.486111, 1.019444), rel=1e-6
    )


@pytest.mark.parametrize(
    ("icc", "single", "average", "ends"),
    [
        (icc_oneway, 0.165742, 0.442797, (-0.133, 0.72)),
        (icc_agreement, 0.289764, 0.620051, (0.019, 0.76)),
        (icc_consistency, 0.714841, 0.909316, (0.342, 0.95)),
    ],
)
def test_shrout_fleiss(icc, single, average, ends):
    found = icc(SHROUT_FLEISS)
    assert found.estimate == pytest.approx(single, rel=1e-5)
    assert icc(SHROUT_FLEISS, average=True).estimate == pytest.approx(average, rel=1e-5)
    assert (found.low, found.high) == pytest.approx(ends, abs=5e-3)


def test_anxiety():
    agreement, consistency = icc_agreement(ANXIETY), icc_consistency(ANXIETY)
    assert (agreement.estimate, agreement.low, agreement.high) == pytest.approx(
        (0.197998, -0.038911, 0.493574), rel=1e-4
    )
    assert (consistency.estimate, consistency.low, consistency.high) == pytest.approx(
        (0.216049, -0.046258, 0.522259), rel=1e-4
    )


def test_weighted_kappa_of_the_first_two_anxiety_raters():
    """R irr::kappa2(anxiety[, 1:2], weight = "squared" and "equal"); 1 to 6."""
    table = np.zeros((6, 6))
    for first, second, _ in ANXIETY:
        table[first - 1, second - 1] += 1
    assert kappa(table, "quadratic").estimate == pytest.approx(0.297, abs=5e-4)
    assert kappa(table, "linear").estimate == pytest.approx(0.189, abs=5e-4)


def test_quadratic_kappa_is_the_intraclass_correlation_of_many():
    """Fleiss and Cohen 1973: with n items they differ by a term in 1/n."""
    rng = np.random.default_rng(1)
    true = rng.integers(0, 4, 5000)
    pairs = np.clip(true[:, None] + rng.integers(-1, 2, (5000, 2)) + [0, 1], 0, 4)
    table = np.zeros((5, 5))
    np.add.at(table, tuple(pairs.T), 1)
    assert kappa(table, "quadratic").estimate == pytest.approx(icc_agreement(pairs).estimate, rel=5e-4)
    assert kappa(table, "quadratic").estimate < 0.9 * icc_consistency(pairs).estimate


def test_a_constant_shift_hurts_agreement_only():
    truth = np.arange(12.0)
    shifted = np.column_stack([truth, truth + 5 + 0.01 * (-1) ** np.arange(12)])
    assert icc_consistency(shifted).estimate == pytest.approx(1, abs=1e-4)
    assert icc_agreement(shifted).estimate < 0.6


def test_a_missing_cell_is_an_error():
    with pytest.raises(ValueError, match="every cell filled"):
        mean_squares([[1, 2], [3, np.nan]])
