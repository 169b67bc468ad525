"""Intraclass correlation of measurements, e.g. millilitres by machine and by reader.

Shrout and Fleiss 1979; names and intervals after McGraw and Wong 1996.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class MeanSquares:
    """Analysis of variance of a complete table (targets n, raters k)."""

    n: int
    k: int
    between: float  # targets
    within: float  # within targets
    raters: float
    error: float


@dataclass(frozen=True)
class Icc:
    """An intraclass correlation with its F-based 95 % interval."""

    estimate: float
    low: float
    high: float


def mean_squares(values: np.ndarray) -> MeanSquares:
    """Mean squares of values (n targets, k raters), no cell missing, at least two of each."""
    values = np.asarray(values, dtype=float)
    n, k = values.shape
    if n < 2 or k < 2 or not np.all(np.isfinite(values)):
        raise ValueError("expected at least two targets and two raters, every cell filled")
    grand, targets, raters = values.mean(), values.mean(axis=1), values.mean(axis=0)
    between, columns = k * ((targets - grand) ** 2).sum(), n * ((raters - grand) ** 2).sum()
    within = ((values - targets[:, None]) ** 2).sum()
    return MeanSquares(
        n, k, between / (n - 1), within / (n * (k - 1)), columns / (k - 1), (within - columns) / ((n - 1) * (k - 1))
    )


def icc_oneway(values: np.ndarray, average: bool = False) -> Icc:
    """ICC(1,1), or ICC(1,k) of the raters' average: each target rated by other raters."""
    ms = mean_squares(values)
    return _from_f(ms.between / ms.within, ms.n - 1, ms.n * (ms.k - 1), ms.k, average)


def icc_consistency(values: np.ndarray, average: bool = False) -> Icc:
    """ICC(C,1) = Shrout-Fleiss (3,1), or (3,k): raters may differ by a constant."""
    ms = mean_squares(values)
    return _from_f(ms.between / ms.error, ms.n - 1, (ms.n - 1) * (ms.k - 1), ms.k, average)


def icc_agreement(values: np.ndarray, average: bool = False) -> Icc:
    """ICC(A,1) = Shrout-Fleiss (2,1), or (2,k): raters must agree in value. Interval after McGraw and Wong 1996."""
    ms = mean_squares(values)
    n, k = ms.n, ms.k
    single = (ms.between - ms.error) / (ms.between + (k - 1) * ms.error + k * (ms.raters - ms.error) / n)
    a, b = k * single / (n * (1 - single)), 1 + k * single * (n - 1) / (n * (1 - single))
    df = (a * ms.raters + b * ms.error) ** 2 / (
        (a * ms.raters) ** 2 / (k - 1) + (b * ms.error) ** 2 / ((n - 1) * (k - 1))
    )
    f_low, f_high = stats.f.ppf(0.975, n - 1, df), stats.f.ppf(0.975, df, n - 1)
    spread = k * ms.raters + (k * n - k - n) * ms.error
    low = n * (ms.between - f_low * ms.error) / (f_low * spread + n * ms.between)
    high = n * (f_high * ms.between - ms.error) / (spread + n * f_high * ms.between)
    ends = [single, low, high]
    return Icc(*(float(k * v / (1 + (k - 1) * v) if average else v) for v in ends))


def _from_f(f: float, df1: int, df2: int, k: int, average: bool) -> Icc:
    ratios = (f, f / stats.f.ppf(0.975, df1, df2), f * stats.f.ppf(0.975, df2, df1))
    return Icc(*(float(1 - 1 / v if average else (v - 1) / (v + k - 1)) for v in ratios))
