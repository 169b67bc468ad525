"""Oracles: R coin and irr (Stuart-Maxwell), R irr (Bhapkar), R mcnemar.test."""

import numpy as np
import pytest
from tests.cohort.test_agreement import VISION

from kneeline.statistics.marginal import homogeneity, mcnemar, stuart_maxwell


def pairs_of(table):
    return np.array([(a, b) for a, row in enumerate(table) for b, n in enumerate(row) for _ in range(n)])


def test_vision():
    found = stuart_maxwell(VISION)
    assert (found.p_value, found.df) == (pytest.approx(0.00753, rel=1e-3), 3)
    pairs = pairs_of(VISION)
    bhapkar = homogeneity(*pairs.T, range(len(pairs)))
    assert (bhapkar.p_value, bhapkar.df) == (pytest.approx(0.00747, rel=1e-3), 3)
    assert bhapkar.chi2 == pytest.approx(found.chi2 / (1 - found.chi2 / len(pairs)), rel=1e-9)


def test_two_grades_are_mcnemar():
    found = stuart_maxwell([[794, 150], [86, 570]])
    assert (found.chi2, found.p_value) == pytest.approx((17.3559, 3.0993e-05), rel=1e-4)


def test_approval_ratings():
    """R mcnemar.test on Agresti's approval ratings, without and with the continuity correction."""
    plain, corrected = mcnemar(150, 86), mcnemar(150, 86, corrected=True)
    assert (plain.chi2, plain.p_value) == pytest.approx((17.3559, 3.0993e-05), rel=1e-4)
    assert (corrected.chi2, corrected.p_value) == pytest.approx((16.8178, 4.1146e-05), rel=1e-4)
    assert mcnemar(0, 0) is None
    assert mcnemar(3, 3, corrected=True).chi2 == 0


def test_each_pair_twice_in_its_runner_changes_nothing():
    pairs = pairs_of([[5, 3, 0], [1, 6, 4], [0, 1, 3]])
    once = homogeneity(*pairs.T, range(len(pairs)))
    twice = homogeneity(*np.repeat(pairs, 2, axis=0).T, np.repeat(range(len(pairs)), 2))
    assert twice == once


def test_nothing_to_test_where_all_pairs_agree():
    assert homogeneity([0, 1, 2], [0, 1, 2], [1, 2, 3]) is None
    assert stuart_maxwell(np.diag([3, 4])) is None
