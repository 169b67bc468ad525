"""Agreement: of ordinal grades (weighted kappa, Gwet's AC1 and AC2) and of measured values (Bland and Altman).

A table counts pairs: rows by the first rater, columns by the second, the same grades in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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


def kappa(table: np.ndarray, kind: str = "unweighted") -> Agreement | None:
    """Cohen's (weighted) kappa with the standard error of Fleiss, Cohen and Everitt (1969).

    None when both raters used one and the same grade: chance agreement is then 1.
    """
    p, n = _shares(table)
    w = weights(len(p), kind)
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    chance = float(rows @ w @ columns)
    if n == 0 or 1 - chance < 1e-12:
        return None
    estimate = (float((w * p).sum()) - chance) / (1 - chance)
    mean_w = np.add.outer(w @ columns, rows @ w)
    spread = float((p * (w - mean_w * (1 - estimate)) ** 2).sum())
    variance = (spread - (estimate - chance * (1 - estimate)) ** 2) / (n * (1 - chance) ** 2)
    return Agreement(estimate, math.sqrt(max(0.0, variance)))


def gwet(table: np.ndarray, kind: str = "unweighted") -> Agreement | None:
    """Gwet's AC1 (unweighted) or AC2 (weighted), which stays meaningful when one grade is very common; Gwet 2014.

    None without pairs or with fewer than two possible grades.
    """
    p, n = _shares(table)
    q = len(p)
    if n == 0 or q < 2:
        return None
    w = weights(q, kind)
    share = (p.sum(axis=1) + p.sum(axis=0)) / 2
    chance = float(w.sum() / (q * (q - 1)) * (share * (1 - share)).sum())
    estimate = (float((w * p).sum()) - chance) / (1 - chance)
    slope = w.sum() / (q * (q - 1)) * (1 - np.add.outer(share, share) / 2)
    one = (w - chance) / (1 - chance) - 2 * (1 - estimate) * (slope - chance) / (1 - chance)
    variance = float((p * (one - estimate) ** 2).sum()) / n
    return Agreement(estimate, math.sqrt(variance))


def _shares(table: np.ndarray) -> tuple[np.ndarray, float]:
    table = np.asarray(table, dtype=float)
    n = float(table.sum())
    return table / n if n else table, n


def resampled(counts: np.ndarray, statistic: Callable[[np.ndarray], Agreement | None], seed: int = SEED) -> np.ndarray:
    """Estimates from resampled clusters (knees, runners), (up to RESAMPLES,): those that are defined.

    `counts` has a table of pairs a cluster, (clusters, grades, grades). Regions of a knee are not independent, knees
    are.
    """
    size = len(counts)
    draws = np.random.default_rng(seed).multinomial(size, [1 / size] * size, RESAMPLES)
    found = map(statistic, np.tensordot(draws.astype(float), counts, axes=1))
    return np.array([again.estimate for again in found if again])


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
        values = resampled(tallies, lambda table: kappa(table, "quadratic"))
        low, high = (float(v) for v in np.percentile(values, (2.5, 97.5)))
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
    from scipy import stats

    known = [(t, f) for t, f in pairs if t is not None and f is not None]
    true, found = (tuple(v) for v in zip(*known, strict=True)) if known else ((), ())
    bias = low = high = limit_low = limit_high = None
    if known:
        difference = np.subtract(found, true)
        bias = float(difference.mean())
    if len(known) >= 3:
        sd = float(difference.std(ddof=1))
        reach = float(stats.t.ppf(0.975, len(known) - 1)) * sd / len(known) ** 0.5
        low, high = bias - reach, bias + reach
        limit_low, limit_high = bias - 1.96 * sd, bias + 1.96 * sd
    return ValueAgreement(name, unit, true, found, bias, low, high, limit_low, limit_high, len(pairs) - len(known))
