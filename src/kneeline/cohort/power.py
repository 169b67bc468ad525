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


def _cubes(shares: Sequence[float]) -> float:
    shares = np.asarray(shares, dtype=float)
    if np.any(shares < 0) or abs(shares.sum() - 1) > 1e-9:
        raise ValueError(f"expected proportions that add up to 1, got {shares.tolist()}")
    return float((shares**3).sum())
