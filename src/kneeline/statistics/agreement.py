"""Agreement: of ordinal grades (weighted kappa, Gwet's AC1 and AC2) and of measured values (Bland and Altman).

A table counts pairs: rows by the first rater, columns by the second, the same grades in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from kneeline import grading

RESAMPLES = 2000
SEED = 2006
LEAST_CLUSTERS = 5  # fewer say nothing about how much clusters differ


@dataclass(frozen=True)
class Agreement:
    """A chance-corrected coefficient and its large-sample standard error (pairs independent)."""

    estimate: float
    se: float


def weights(size: int, kind: str) -> np.ndarray:
    """Agreement weights (size, size): 1 on the diagonal; `unweighted`, `linear` or `quadratic` off it."""
    distance = np.abs(np.subtract.outer(np.arange(size), np.arange(size))) / max(1, size - 1)
    return {"unweighted": (distance == 0).astype(float), "linear": 1 - distance, "quadratic": 1 - distance**2}[kind]


def kappa_estimates(tables: np.ndarray, kind: str = "unweighted") -> np.ndarray:
    """Cohen's (weighted) kappa of each table, tables (..., q, q) -> (...).

    nan when both raters used one and the same grade: chance agreement is then 1.
    """
    p, n = _shares(tables)
    w = weights(p.shape[-1], kind)
    chance = np.einsum("...i,ij,...j", p.sum(axis=-1), w, p.sum(axis=-2))
    observed = (w * p).sum(axis=(-2, -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((n > 0) & (1 - chance > 1e-12), (observed - chance) / (1 - chance), np.nan)


def gwet_estimates(tables: np.ndarray, kind: str = "unweighted") -> np.ndarray:
    """Gwet's AC1 (unweighted) or AC2 (weighted) of each table, tables (..., q, q) -> (...); nan without pairs.

    It stays meaningful when one grade is very common; Gwet 2014.
    """
    p, n = _shares(tables)
    q = p.shape[-1]
    if q < 2:
        return np.full(n.shape, np.nan)
    w = weights(q, kind)
    share = (p.sum(axis=-1) + p.sum(axis=-2)) / 2
    chance = w.sum() / (q * (q - 1)) * (share * (1 - share)).sum(axis=-1)
    return np.where(n > 0, ((w * p).sum(axis=(-2, -1)) - chance) / (1 - chance), np.nan)


def kappa(table: np.ndarray, kind: str = "unweighted") -> Agreement | None:
    """Kappa of one table with the standard error of Fleiss, Cohen and Everitt (1969); None where it is not defined."""
    estimate = float(kappa_estimates(table, kind))
    if math.isnan(estimate):
        return None
    p, n = _shares(table)
    w = weights(len(p), kind)
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    chance = float(rows @ w @ columns)
    mean_w = np.add.outer(w @ columns, rows @ w)
    spread = float((p * (w - mean_w * (1 - estimate)) ** 2).sum())
    variance = (spread - (estimate - chance * (1 - estimate)) ** 2) / (n * (1 - chance) ** 2)
    return Agreement(estimate, math.sqrt(max(0.0, variance)))


def gwet(table: np.ndarray, kind: str = "unweighted") -> Agreement | None:
    """AC1 or AC2 of one table with its standard error (Gwet 2014); None without pairs or with one possible grade."""
    estimate = float(gwet_estimates(table, kind))
    if math.isnan(estimate):
        return None
    p, n = _shares(table)
    q = len(p)
    w = weights(q, kind)
    share = (p.sum(axis=1) + p.sum(axis=0)) / 2
    chance = float(w.sum() / (q * (q - 1)) * (share * (1 - share)).sum())
    slope = w.sum() / (q * (q - 1)) * (1 - np.add.outer(share, share) / 2)
    one = (w - chance) / (1 - chance) - 2 * (1 - estimate) * (slope - chance) / (1 - chance)
    variance = float((p * (one - estimate) ** 2).sum()) / n
    return Agreement(estimate, math.sqrt(variance))


def _shares(tables: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tables (..., q, q) as shares of their own totals, and the totals (...)."""
    tables = np.asarray(tables, dtype=float)
    n = tables.sum(axis=(-2, -1))
    return tables / np.where(n > 0, n, 1)[..., None, None], n


@lru_cache(maxsize=1)
def draws(clusters: int, seed: int = SEED) -> np.ndarray:
    """How often each cluster is drawn in each resample, (RESAMPLES, clusters): drawn with replacement, as many again.

    A statistic that is a function of sums over clusters needs no more than `draws(...) @ sums`. Regions of a knee are
    not independent, and two knees of a runner are not: the clusters are knees or runners.
    """
    return np.random.default_rng(seed).multinomial(clusters, [1 / clusters] * clusters, RESAMPLES).astype(float)


def percentile_interval(values: np.ndarray) -> tuple[float, float] | None:
    """Middle 95 % of the resamples in which the statistic is defined; None when it is in fewer than nine of ten."""
    known = values[np.isfinite(values)]
    if len(known) < 0.9 * len(values):
        return None
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)


# --- one rater against another, or a machine against the truth --------------------------------------------------------


@dataclass(frozen=True, eq=False)
class GradeAgreement:
    """`confusion[true][predicted]` counts; kappa (quadratic weights) is None when it is not defined (all in one grade).

    The interval is from resampling knees; None with fewer than LEAST_CLUSTERS.
    """

    name: str
    confusion: np.ndarray
    kappa: float | None
    ci_low: float | None
    ci_high: float | None
    n_missing: int

    @property
    def n(self) -> int:
        return int(self.confusion.sum())

    @property
    def exact(self) -> float | None:
        return float(np.trace(self.confusion) / self.n) if self.n else None

    @property
    def within_one(self) -> float | None:
        off = np.abs(np.subtract.outer(np.arange(len(self.confusion)), np.arange(len(self.confusion))))
        return float(self.confusion[off <= 1].sum() / self.n) if self.n else None


def agree_on_grades(name: str, knees: Sequence[Sequence[tuple[int | None, int | None]]]) -> GradeAgreement:
    """Agreement over (true, predicted) pairs, grouped by knee for the interval."""
    tallies = np.zeros((len(knees), len(grading.GRADES), len(grading.GRADES)), int)
    missing = 0
    for tally, pairs in zip(tallies, knees, strict=True):
        for true, found in pairs:
            if true is None or found is None:
                missing += 1
            else:
                tally[true, found] += 1
    confusion = tallies.sum(axis=0)
    estimate = kappa(confusion, "quadratic")
    low = high = None
    if estimate and len(knees) >= LEAST_CLUSTERS:
        again = np.tensordot(draws(len(knees)), tallies, axes=1)
        low, high = percentile_interval(kappa_estimates(again, "quadratic")) or (None, None)
    return GradeAgreement(name, confusion, estimate and estimate.estimate, low, high, missing)


@dataclass(frozen=True)
class ValueAgreement:
    """Predicted minus true: bias with 95 % interval, limits of agreement; None where too few pairs."""

    name: str
    unit: str
    true: tuple[float, ...]
    predicted: tuple[float, ...]
    bias: float | None
    bias_low: float | None
    bias_high: float | None
    limit_low: float | None
    limit_high: float | None
    n_missing: int

    @property
    def n(self) -> int:
        return len(self.true)

    @property
    def mean_absolute_error(self) -> float | None:
        return float(np.abs(np.subtract(self.predicted, self.true)).mean()) if self.n else None


def agree_on_values(name: str, unit: str, pairs: Sequence[tuple[float | None, float | None]]) -> ValueAgreement:
    """Bland-Altman figures of predicted minus true (1986)."""
    known = [(t, f) for t, f in pairs if t is not None and f is not None]
    true, found = (tuple(v) for v in zip(*known, strict=True)) if known else ((), ())
    bias = low = high = limit_low = limit_high = None
    if known:
        bias = float(np.subtract(found, true).mean())
    if len(known) >= 3:
        from kneeline.statistics.limits import limits_of_agreement

        limits = limits_of_agreement(np.subtract(found, true))
        (low, high), limit_low, limit_high = limits.bias_interval, limits.low, limits.high
    return ValueAgreement(name, unit, true, found, bias, low, high, limit_low, limit_high, len(pairs) - len(known))
