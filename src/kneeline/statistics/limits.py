"""Limits of agreement of two measurements of the same thing (Bland and Altman 1986), with intervals.

Independent differences: the limits are quantiles of a normal distribution, their intervals are exact (from the
non-central t distribution; Carkeet 2015). Differences in clusters, such as two knees of a runner: the standard
deviation joins the variance between and within clusters (Bland and Altman 1999, section 5), the intervals are left to
the resampling of clusters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

REACH = 1.96  # as Bland and Altman print it
EXACT = "exact intervals: t for the bias, non-central t for the limits (Carkeet 2015)"


@dataclass(frozen=True)
class Limits:
    """Bias of the differences and its 95 % limits, each with a 95 % interval."""

    bias: float
    sd: float
    low: float
    high: float
    bias_interval: tuple[float, float]
    low_interval: tuple[float, float]
    high_interval: tuple[float, float]


def limits_of_agreement(differences: Sequence[float]) -> Limits:
    """Limits of independent differences (n,), n >= 3."""
    values = np.asarray(differences, dtype=float)
    n = len(values)
    if n < 3:
        raise ValueError(f"expected at least three differences, got {n}")
    bias, sd = float(values.mean()), float(values.std(ddof=1))
    reach = float(stats.t.ppf(0.975, n - 1)) * sd / math.sqrt(n)
    # (mean - limit) / (sd / sqrt n) is minus a non-central t: its quantiles bound the limit.
    inner, outer = (stats.nct.ppf([0.025, 0.975], n - 1, REACH * math.sqrt(n)) / math.sqrt(n)).tolist()
    return Limits(
        bias,
        sd,
        bias - REACH * sd,
        bias + REACH * sd,
        (bias - reach, bias + reach),
        (bias - outer * sd, bias - inner * sd),
        (bias + inner * sd, bias + outer * sd),
    )


def cluster_sums(differences: Sequence[float], clusters: Sequence) -> np.ndarray:
    """What the limits of clustered differences are computed from, one row a cluster (G, 6).

    1, members, their squared number, sum, sum of squares, squared sum over members.
    """
    values = np.asarray(differences, dtype=float)
    members = np.unique(np.asarray(clusters), return_inverse=True)[1]
    count, total = np.bincount(members), np.bincount(members, values)
    return np.column_stack(
        [np.ones(len(count)), count, count**2, total, np.bincount(members, values**2), total**2 / count]
    )


def limits_from_sums(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bias, lower and upper limit (...) from sums over clusters (..., 6).

    Variance components by one-way analysis of variance of unequal groups; a negative one counts as none. With one
    member a cluster these are the plain mean and standard deviation.
    """
    groups, n, squared, total, squares, between = np.moveaxis(np.asarray(sums, dtype=float), -1, 0)
    bias = total / n
    with np.errstate(divide="ignore", invalid="ignore"):
        across = (between - n * bias**2) / (groups - 1)
        within = np.where(n > groups, (squares - between) / np.where(n > groups, n - groups, 1), 0)
        size = (n - squared / n) / (groups - 1)
        variance = np.maximum(0, (across - within) / size) + within
    sd = np.sqrt(np.maximum(0, variance))
    return bias, bias - REACH * sd, bias + REACH * sd
