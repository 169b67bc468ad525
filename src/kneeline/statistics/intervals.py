"""Confidence intervals of a proportion, for independent and for clustered observations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from statsmodels.stats.proportion import proportion_confint


class Interval(NamedTuple):
    """Ends of a two-sided interval."""

    low: float
    high: float


def wilson(count: float, n: float, level: float = 0.95) -> Interval:
    """Wilson score interval of count / n.

    >>> [round(end, 6) for end in wilson(13, 22)]
    [0.387348, 0.767442]
    """
    return _interval(count, n, level, "wilson")


def clopper_pearson(count: float, n: float, level: float = 0.95) -> Interval:
    """Clopper-Pearson (exact binomial) interval of count / n.

    >>> [round(end, 6) for end in clopper_pearson(13, 22)]
    [0.363547, 0.792907]
    """
    return _interval(count, n, level, "beta")


def _interval(count: float, n: float, level: float, method: str) -> Interval:
    if not 0 <= count <= n or n == 0:
        raise ValueError(f"expected 0 <= count <= n and n > 0, got {count} of {n}")
    low, high = proportion_confint(count, n, alpha=1 - level, method=method)
    # statsmodels leaves the end nan (beta) or a rounding error away from it when the count is 0 or n.
    return Interval(0.0 if count == 0 else float(low), 1.0 if count == n else float(high))


def effective_n(positive: Sequence[bool], groups: Sequence[str]) -> float:
    """Number of independent observations that tell as much about the proportion as these clustered ones.

    n / design effect, with the cluster-robust variance of the proportion (Korn and Graubard 1998), never above n and
    never below the number of groups. When all observations are alike their correlation is unknown: number of groups.
    """
    values = np.asarray(positive, dtype=float)
    members = np.unique(np.asarray(groups), return_inverse=True)[1]
    n, n_groups, share = len(values), int(members.max()) + 1, values.mean()
    if n_groups == n:
        return float(n)
    if n_groups == 1 or share in (0.0, 1.0):
        return float(n_groups)
    totals = np.bincount(members, weights=values - share)
    variance = n_groups / (n_groups - 1) * float(totals @ totals) / n**2
    return float(np.clip(share * (1 - share) / variance, n_groups, n)) if variance > 0 else float(n)
