"""Agreement of two or more raters on grades, some of them missing: Fleiss, Gwet, Krippendorff, Kendall.

Ratings are codes 0 .. q-1 in an array (items, raters), nan where a rater gave none. What a coefficient needs is a row
of features an item; features add up over items, so that resampled runners are a weighted sum.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from kneeline.statistics.agreement import weights


def counts_of(ratings: np.ndarray, q: int) -> np.ndarray:
    """How many raters gave each grade to each item, (items, q)."""
    return (np.asarray(ratings)[:, :, None] == np.arange(q)).sum(axis=1).astype(float)


# --- Krippendorff -----------------------------------------------------------------------------------------------------


def coincidences(ratings: np.ndarray, q: int) -> np.ndarray:
    """Pairs of grades within each item, each rating counted once, (items, q * q); zero with fewer than two ratings."""
    counts = counts_of(ratings, q)
    m = counts.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(q)
    return (pairs * np.where(m >= 2, 1 / np.maximum(m - 1, 1), 0)[:, None, None]).reshape(len(counts), -1)


def alpha(sums: np.ndarray, difference: str | np.ndarray = "ordinal") -> np.ndarray:
    """Krippendorff's alpha (...) from summed coincidences (..., q * q); nan where only one grade was ever given.

    `difference`: `nominal`, `ordinal` (Krippendorff's, from the ranks that the grades have in these ratings),
    `interval` (squared), or squared differences of the grades (q, q).
    """
    q = math.isqrt(np.shape(sums)[-1])
    table = np.reshape(sums, (*np.shape(sums)[:-1], q, q))
    totals = table.sum(axis=-1)
    n = totals.sum(axis=-1)
    if isinstance(difference, np.ndarray):
        far = difference
    elif difference == "nominal":
        far = 1 - np.eye(q)
    else:
        place = np.cumsum(totals, axis=-1) - totals / 2 if difference == "ordinal" else np.arange(q)
        far = (place[..., :, None] - place[..., None, :]) ** 2
    expected = (totals[..., :, None] * totals[..., None, :] * far).sum(axis=(-2, -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(expected > 1e-12, 1 - (n - 1) * (table * far).sum(axis=(-2, -1)) / expected, np.nan)


# --- Fleiss and Gwet --------------------------------------------------------------------------------------------------


def rater_features(ratings: np.ndarray, q: int) -> np.ndarray:
    """Rated at all; by two or more; agreement of its pairs, plain and with quadratic weights; shares of the grades;
    disagreement of its pairs about each grade: (items, 4 + 2q)."""
    counts = counts_of(ratings, q)
    m = counts.sum(axis=1)
    paired = m >= 2
    pairs = np.where(paired, m * (m - 1), 1)
    agree = [
        np.where(paired, (counts * (counts @ weights(q, kind) - 1)).sum(axis=1) / pairs, 0)
        for kind in ("unweighted", "quadratic")
    ]
    share = counts / np.maximum(m, 1)[:, None]
    apart = np.where(paired[:, None], counts * (m[:, None] - counts) / pairs[:, None], 0)
    return np.column_stack([m >= 1, paired, *agree, share, apart])


def fleiss(sums: np.ndarray) -> np.ndarray:
    """Fleiss' kappa (...) from summed `rater_features`; nan where only one grade was ever given.

    With missing ratings each item weighs the same in the grades' shares, as in R irrCAC.
    """
    observed, share = _agreement(sums, 2), _shares(sums)
    chance = (share**2).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(1 - chance > 1e-12, (observed - chance) / (1 - chance), np.nan)


def fleiss_of_grade(sums: np.ndarray, grade: int) -> np.ndarray:
    """Fleiss' kappa of one grade against all others (...); nan where it was never, or always, given."""
    share = _shares(sums)
    q = share.shape[-1]
    apart = sums[..., 4 + q + grade] / np.maximum(sums[..., 1], 1)
    spread = share[..., grade] * (1 - share[..., grade])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread > 1e-12, 1 - apart / spread, np.nan)


def fleiss_z(ratings: np.ndarray, q: int) -> float:
    """Fleiss' kappa over its standard error if there were no agreement (Fleiss, Nee and Landis 1979); nan with missing
    ratings. Items are taken as independent."""
    counts = counts_of(ratings, q)
    n, m = len(counts), counts.sum(axis=1)
    if len(set(m.tolist())) != 1 or m[0] < 2:
        return math.nan
    share = counts.sum(axis=0) / counts.sum()
    other = 1 - share
    spread = float((share * other).sum())
    if spread < 1e-12:
        return math.nan
    variance = 2 * (spread**2 - float((share * other * (other - share)).sum())) / (n * m[0] * (m[0] - 1) * spread**2)
    return float(fleiss(rater_features(ratings, q).sum(axis=0)) / math.sqrt(variance)) if variance > 0 else math.nan


def conger_features(ratings: np.ndarray, q: int) -> np.ndarray:
    """Of items that every rater graded: one, agreement of its pairs, each rater's grade, (items, 2 + raters * q)."""
    ratings = np.asarray(ratings, dtype=float)
    complete = np.isfinite(ratings).all(axis=1)
    given = (ratings[:, :, None] == np.arange(q)).astype(float)
    m, counts = ratings.shape[1], given.sum(axis=1)
    agree = (counts * (counts - 1)).sum(axis=1) / (m * (m - 1))
    return np.column_stack([np.ones(len(ratings)), agree, given.reshape(len(ratings), m * q)]) * complete[:, None]


def conger(sums: np.ndarray, raters: int) -> np.ndarray:
    """Conger's (1980) "exact" kappa (...) from summed `conger_features`; nan where chance agreement is full.

    Each rater keeps their own shares of the grades, where Fleiss has the mean ones; of two raters it is Cohen's.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        means = sums[..., 1:] / sums[..., :1]
        share = means[..., 1:].reshape(*means.shape[:-1], raters, -1)
        chance = ((share.sum(axis=-2) ** 2).sum(axis=-1) - (share**2).sum(axis=(-2, -1))) / (raters * (raters - 1))
        return np.where(1 - chance > 1e-12, (means[..., 0] - chance) / (1 - chance), np.nan)


def gwet_many(sums: np.ndarray, kind: str = "unweighted") -> np.ndarray:
    """Gwet's AC1 (`unweighted`) or AC2 (`quadratic`), (...) from summed `rater_features`."""
    share = _shares(sums)
    q = share.shape[-1]
    total = weights(q, kind).sum()
    chance = total / (q * (q - 1)) * (share * (1 - share)).sum(axis=-1)
    return (_agreement(sums, 2 if kind == "unweighted" else 3) - chance) / (1 - chance)


def _agreement(sums: np.ndarray, column: int) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return sums[..., column] / sums[..., 1]


def _shares(sums: np.ndarray) -> np.ndarray:
    q = (sums.shape[-1] - 4) // 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return sums[..., 4 : 4 + q] / sums[..., :1]


# --- Kendall ----------------------------------------------------------------------------------------------------------


def kendall_w(ratings: np.ndarray) -> tuple[float, float, float]:
    """Kendall's W of complete ratings (items, raters), corrected for ties; chi-square on items - 1 and its p-value."""
    n, k = np.shape(ratings)
    ranks = stats.rankdata(ratings, axis=0)
    sizes = [np.unique(ranks[:, j], return_counts=True)[1] for j in range(k)]
    ties = sum(float((size**3 - size).sum()) for size in sizes)
    spread = float(((ranks.sum(axis=1) - k * (n + 1) / 2) ** 2).sum())
    most = k**2 * (n**3 - n) - k * ties
    if most <= 0:
        return math.nan, math.nan, math.nan
    w = 12 * spread / most
    chi2 = k * (n - 1) * w
    return w, chi2, float(stats.chi2.sf(chi2, n - 1))
