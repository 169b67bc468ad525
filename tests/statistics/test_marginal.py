"""Oracles: R coin and irr (Stuart-Maxwell), R irr (Bhapkar), R mcnemar.test."""

import numpy as np
import pytest
from tests.cohort.test_agreement import VISION

from kneeline.statistics.marginal import homogeneity, stuart_maxwell


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


def test_each_pair_twice_in_its_runner_changes_nothing():
    pairs = pairs_of([[5, 3, 0], [1, 6, 4], [0, 1, 3]])
    once = homogeneity(*pairs.T, range(len(pairs)))
    twice = homogeneity(*np.repeat(pairs, 2, axis=0).T, np.repeat(range(len(pairs)), 2))
    assert twice == once


def test_nothing_to_test_where_all_pairs_agree():
    assert homogeneity([0, 1, 2], [0, 1, 2], [1, 2, 3]) is None
    assert stuart_maxwell(np.diag([3, 4])) is None
