"""Intraclass correlation of measurements, e.g. millilitres by machine and by reader.

Shrout and Fleiss 1979; names and intervals after McGraw and Wong 1996.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class MeanSquares:
    """Analysis of variance of a complete table (targets n, raters k), or of many such tables with the same raters."""

    n: np.ndarray
    k: int
    between: np.ndarray  # targets
    within: np.ndarray  # within targets
    raters: np.ndarray
    error: np.ndarray


@dataclass(frozen=True)
class Icc:
    """An intraclass correlation with its F-based 95 % interval."""

    estimate: float
    low: float
    high: float


def icc_features(values: np.ndarray) -> np.ndarray:
    """What intraclass correlations are computed from, a row a target: (n, k) -> (n, 3 + k).

    1, squared sum over raters, sum of squares, the value of each rater; all zero where a rater is missing (nan). They
    add up over targets, so that resampled targets are a weighted sum. Values should be centred for accuracy.
    """
    complete = np.isfinite(values).all(axis=1)
    filled = np.where(complete[:, None], values, 0.0)
    return np.column_stack([complete, filled.sum(axis=1) ** 2, (filled**2).sum(axis=1), filled])


def mean_squares_of_sums(sums: np.ndarray) -> MeanSquares:
    """Mean squares (...) from sums of `icc_features` (..., 3 + k)."""
    sums = np.asarray(sums, dtype=float)
    n, rows, squares, columns = sums[..., 0], sums[..., 1], sums[..., 2], sums[..., 3:]
    k = columns.shape[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        correction = columns.sum(axis=-1) ** 2 / (n * k)
        between, raters = rows / k - correction, (columns**2).sum(axis=-1) / n - correction
        within = squares - rows / k
        error = np.maximum(0, within - raters)
        return MeanSquares(
            n, k, between / (n - 1), within / (n * (k - 1)), raters / (k - 1), error / ((n - 1) * (k - 1))
        )


def mean_squares(values: np.ndarray) -> MeanSquares:
    """Mean squares of values (n targets, k raters), no cell missing, at least two of each."""
    values = np.asarray(values, dtype=float)
    n, k = values.shape
    if n < 2 or k < 2 or not np.all(np.isfinite(values)):
        raise ValueError("expected at least two targets and two raters, every cell filled")
    return mean_squares_of_sums(icc_features(values - values.mean()).sum(axis=0))


def single_oneway(ms: MeanSquares) -> np.ndarray:
    return _ratio(ms.between - ms.within, ms.between + (ms.k - 1) * ms.within)


def single_consistency(ms: MeanSquares) -> np.ndarray:
    return _ratio(ms.between - ms.error, ms.between + (ms.k - 1) * ms.error)


def single_agreement(ms: MeanSquares) -> np.ndarray:
    excess = ms.k * (ms.raters - ms.error) / ms.n
    return _ratio(ms.between - ms.error, ms.between + (ms.k - 1) * ms.error + excess)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """nan where all values are the same: there is nothing to agree about."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(whole > 1e-12, part / whole, np.nan)


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
    single = single_agreement(ms)
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
