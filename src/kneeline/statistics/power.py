"""Power of a two-group comparison of an ordinal grade under proportional odds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

FORMULA = "Whitehead 1993 with the finite-sample variance of Hmisc popower: n1 n2 n (1 - sum p^3) / (3 (n + 1)^2)"


def ordinal_power(shares: Sequence[float], odds_ratio: float, n1: int, n2: int, alpha: float = 0.05) -> float:
    """Power of a two-sided test; `shares` are the grades' proportions averaged over the two groups.

    >>> round(ordinal_power([0.1, 0.2, 0.4, 0.3], 1.2, 500, 500), 3)
    0.351
    """
    n = n1 + n2
    information = n1 * n2 * n * (1 - _cubes(shares)) / (3 * (n + 1) ** 2)
    return float(stats.norm.cdf(abs(math.log(odds_ratio)) * math.sqrt(information) - stats.norm.ppf(1 - alpha / 2)))


def ordinal_sample_size(shares: Sequence[float], odds_ratio: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """Total n of two equal groups (Whitehead 1993): 12 (z_a + z_b)^2 / (log OR^2 (1 - sum p^3)), not rounded.

    >>> [round(ordinal_sample_size([0.5, 0.3, 0.15, 0.05], ratio), 1) for ratio in (2, 3, 4)]
    [232.1, 92.4, 58.0]
    """
    z = stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power)
    return float(12 * z**2 / (math.log(odds_ratio) ** 2 * (1 - _cubes(shares))))


def design_effect(knees: float, icc: float) -> float:
    """By how much the variance of a comparison of runners grows when each gives `knees` knees that are alike.

    `icc` is the correlation of two knees' ridits (mid-ranks as shares), the scores that the comparison adds up. With
    unequal numbers of knees, `knees` is their sum of squares over their sum.

    >>> [round(2 / design_effect(2, icc), 2) for icc in (0, 0.5, 1)]
    [2.0, 1.33, 1.0]
    """
    return 1 + (knees - 1) * icc


def clustered_power(
    shares: Sequence[float], odds_ratio: float, n1: float, n2: float, effect: float = 1.0, alpha: float = 0.05
) -> float:
    """Power with n1 and n2 knees in the groups, each counted as 1 / `effect` of an independent knee."""
    return ordinal_power(shares, odds_ratio, n1 / effect, n2 / effect, alpha)


def runners_needed(
    shares: Sequence[float],
    odds_ratio: float,
    power: float = 0.8,
    *,
    exposed: float = 0.5,
    knees: int = 1,
    icc: float = 0.0,
    alpha: float = 0.05,
) -> float:
    """Runners for that power, a share `exposed` of them in one group, not rounded.

    Whitehead 1993 for unequal groups, 3 z^2 / (a (1 - a) log OR^2 (1 - sum p^3)) knees, times the design effect.
    """
    halves = ordinal_sample_size(shares, odds_ratio, power, alpha)
    return halves / (4 * exposed * (1 - exposed)) * design_effect(knees, icc) / knees


def ridit_icc(grades: Sequence[float], runners: Sequence) -> float | None:
    """Intraclass correlation of the ridits of knees' grades within runners, by one-way analysis of variance.

    Unequal numbers of knees are allowed; from 0 to 1. None when no runner has two knees, or all grades are alike.
    """
    ranks = stats.rankdata(grades) / len(grades)
    members = np.unique(np.asarray(runners), return_inverse=True)[1]
    count, n = np.bincount(members), len(ranks)
    if len(count) == n or len(count) < 2 or np.ptp(ranks) == 0:
        return None
    totals, mean = np.bincount(members, ranks), ranks.mean()
    between = float((count * (totals / count - mean) ** 2).sum()) / (len(count) - 1)
    within = float(((ranks - (totals / count)[members]) ** 2).sum()) / (n - len(count))
    size = (n - float((count**2).sum()) / n) / (len(count) - 1)
    return float(np.clip((between - within) / (between + (size - 1) * within), 0, 1))


def fisher_power(p1: float, p2: float, n1: int, n2: int, alpha: float = 0.05) -> float:
    """Probability that Fisher's two-sided exact test shows p < alpha when the true shares are p1 of n1 and p2 of n2.

    Exact, over all tables.

    >>> round(fisher_power(6 / 13, 4 / 13, 13, 13), 3)
    0.077
    """
    first, second = (stats.binom.pmf(np.arange(n + 1), n, p) for n, p in ((n1, p1), (n2, p2)))
    power = 0.0
    for column in range(n1 + n2 + 1):
        a = np.arange(max(0, column - n2), min(n1, column) + 1)
        likely = stats.hypergeom.pmf(a, n1 + n2, column, n1)
        p_values = np.array([likely[likely <= one * (1 + 1e-7)].sum() for one in likely])
        power += float((first[a] * second[column - a])[p_values < alpha].sum())
    return power


def _cubes(shares: Sequence[float]) -> float:
    shares = np.asarray(shares, dtype=float)
    if np.any(shares < 0) or abs(shares.sum() - 1) > 1e-9:
        raise ValueError(f"expected proportions that add up to 1, got {shares.tolist()}")
    return float((shares**3).sum())
