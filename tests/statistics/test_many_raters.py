"""Oracles: R irr (Fleiss 1971, Kendall), R irrCAC (raw4raters, missing ratings), Krippendorff 2011 (same data)."""

import numpy as np
import pytest
from tests.cohort.test_agreement import SEXUAL_FUN, gwet
from tests.statistics.test_icc import ANXIETY

from kneeline.statistics.many_raters import (
    alpha,
    coincidences,
    conger,
    conger_features,
    fleiss,
    fleiss_of_grade,
    fleiss_z,
    gwet_many,
    kendall_w,
    rater_features,
)

# 30 patients by 6 raters in 5 diagnoses: how many raters gave each diagnosis (Fleiss 1971).
DIAGNOSES = np.array(
    list(
        "000600300301401000060303020400004022031020040000061005011040033001005002031"
        "005013001251000020401020300006010500201320040100410501040002020401050000006"
    ),
    dtype=int,
).reshape(30, 5)
NAN = np.nan
# 12 units by 4 raters in 5 categories, 7 ratings missing.
RAW4 = (
    np.array(
        [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
            [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
        ]
    ).T
    - 1
)


def test_fleiss_diagnoses():
    ratings = np.array([np.repeat(np.arange(5), counts) for counts in DIAGNOSES], dtype=float)
    sums = rater_features(ratings, 5).sum(axis=0)
    assert fleiss(sums) == pytest.approx(0.430245, rel=1e-5)
    assert fleiss_z(ratings, 5) == pytest.approx(17.65183, rel=1e-5)
    assert [fleiss_of_grade(sums, g) for g in range(5)] == pytest.approx([0.245, 0.245, 0.520, 0.471, 0.566], abs=6e-4)


def test_exact_kappa_of_the_diagnoses():
    """R irr::kappam.fleiss(exact = TRUE). Its raters' columns hold each patient's diagnoses in rising order."""
    ratings = np.array([np.repeat(np.arange(5), counts) for counts in DIAGNOSES], dtype=float)
    assert conger(conger_features(ratings, 5).sum(axis=0), 6) == pytest.approx(0.441809, rel=1e-5)


def test_exact_kappa_of_two_raters_is_cohens_and_needs_items_that_all_have_read():
    pairs = np.array([(a, b) for a in range(4) for b in range(4) for _ in range(SEXUAL_FUN[a][b])], dtype=float)
    features = conger_features(pairs, 4)
    assert conger(features.sum(axis=0), 2) == pytest.approx(0.129330, rel=1e-4)
    half_read = np.vstack([pairs, [[1.0, NAN]]])
    assert conger(conger_features(half_read, 4).sum(axis=0), 2) == pytest.approx(0.129330, rel=1e-4)
    assert np.isnan(conger(conger_features(np.zeros((4, 3)), 4).sum(axis=0), 3))


def test_missing_ratings():
    sums = rater_features(RAW4, 5).sum(axis=0)
    assert gwet_many(sums) == pytest.approx(0.775, abs=5e-4)
    assert gwet_many(sums, "quadratic") == pytest.approx(0.914, abs=5e-4)
    assert fleiss(sums) == pytest.approx(0.761, abs=5e-4)
    pairs = coincidences(RAW4, 5).sum(axis=0)
    assert alpha(pairs, "nominal") == pytest.approx(0.743, abs=5e-4)


def test_two_forms_of_ordinal_alpha():
    """Krippendorff's own metric depends on how often each grade was given; irrCAC's `ordinal` weights do not."""
    pairs = coincidences(RAW4, 5).sum(axis=0)
    assert alpha(pairs) == pytest.approx(0.815, abs=5e-4)
    assert alpha(pairs, "interval") == pytest.approx(0.849, abs=5e-4)
    steps = np.abs(np.subtract.outer(np.arange(5), np.arange(5)))
    assert alpha(pairs, steps * (steps + 1) / 2.0) == pytest.approx(0.834, abs=5e-4)


def test_kendall_w_of_the_anxiety_ratings():
    w, chi2, p = kendall_w(ANXIETY)
    assert w == pytest.approx(0.540, abs=5e-4)
    assert chi2 == pytest.approx(30.8, abs=0.05)
    assert p == pytest.approx(0.0429, abs=5e-5)


def test_two_raters_are_the_special_case_of_many():
    pairs = [(a, b) for a in range(4) for b in range(4) for _ in range(SEXUAL_FUN[a][b])]
    sums = rater_features(np.array(pairs, dtype=float), 4).sum(axis=0)
    assert gwet_many(sums) == pytest.approx(gwet(SEXUAL_FUN).estimate)
    assert gwet_many(sums, "quadratic") == pytest.approx(gwet(SEXUAL_FUN, "quadratic").estimate)


def test_full_agreement_is_one_and_a_single_grade_is_undefined():
    ratings = np.repeat([[0.0], [1.0], [3.0], [1.0]], 3, axis=1)
    sums = rater_features(ratings, 4).sum(axis=0)
    assert (fleiss(sums), gwet_many(sums), alpha(coincidences(ratings, 4).sum(axis=0))) == pytest.approx((1, 1, 1))
    same = np.zeros((4, 3))
    assert np.isnan(fleiss(rater_features(same, 4).sum(axis=0)))
    assert np.isnan(alpha(coincidences(same, 4).sum(axis=0)))


def test_raters_may_change_places_and_a_lone_rating_adds_nothing():
    pairs = coincidences(RAW4, 5).sum(axis=0)
    assert coincidences(RAW4[:, [2, 0, 3, 1]], 5).sum(axis=0) == pytest.approx(pairs)
    assert RAW4[-1].tolist()[1] == 2
    assert np.isnan(RAW4[-1]).sum() == 3
    assert coincidences(RAW4[:-1], 5).sum(axis=0) == pytest.approx(pairs)
