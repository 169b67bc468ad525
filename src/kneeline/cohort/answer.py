"""What every model family gives back, whatever it is: an `Answer`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats

from kneeline.errors import Refusal
from kneeline.tables import Row

# Estimates on these scales are exponentials of the model's coefficients.
RATIOS = ("odds_ratio", "mean_ratio")


class Coefficient(NamedTuple):
    """A parameter on the model's own scale: log odds, log ratio, or a difference.

    `error` is its standard error; None when the ends are not made of one (profile likelihood).
    """

    name: str
    value: float
    error: float | None
    low: float
    high: float
    p: float | None


@dataclass(frozen=True)
class Answer:
    """A fitted question.

    Fields
    ------
    scale
        What the coefficients of `terms` are reported as (ESTIMATES.scale).
    terms
        One a term of the data, in its order.
    method
        How it was done, in words.
    covariance
        (p, p) of the terms on the model's own scale; None where errors are not made of one.
    df
        Degrees of freedom of the intervals; None for normal or profile intervals.
    extras
        Other parameters (thresholds, ICC) with the scale of each, for rows of their own.
    warnings
        What a reader must know.
    """

    scale: str
    terms: tuple[Coefficient, ...]
    method: str
    covariance: np.ndarray | None = None
    df: float | None = None
    extras: tuple[tuple[str, Coefficient], ...] = ()
    warnings: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Coefficient:
        return next(term for term in self.terms if term.name == name)


def wald(names: Sequence[str], values: Sequence[float], errors: Sequence[float], df: float) -> tuple[Coefficient, ...]:
    """Coefficients with intervals and p by Student's t on `df` degrees of freedom."""
    reach = stats.t.ppf(0.975, df)
    return tuple(
        Coefficient(name, float(b), float(se), *_reach(b, se, reach), float(2 * stats.t.sf(abs(b) / se, df)))
        for name, b, se in zip(names, values, errors, strict=True)
    )


def _reach(value: float, error: float, reach: float) -> tuple[float, float]:
    return float(value - reach * error), float(value + reach * error)


def joint_test(values: np.ndarray, covariance: np.ndarray, df: float) -> tuple[float, float]:
    """F and p of all values (q,) being 0 together: Hotelling's T-squared, since the covariance (q, q) was estimated
    from `df` + 1 runners. With many runners it is the Wald chi-square divided by q."""
    q = len(values)
    if df < q:
        raise Refusal("too_few_runners", f"{df + 1:g} runners for a test of {q} contrasts together")
    f = float(values @ np.linalg.solve(covariance, values)) * (df + 1 - q) / (q * df)
    return f, float(stats.f.sf(f, q, df + 1 - q))


def values_row(found: Coefficient, scale: str) -> Row:
    """`estimate`, `ci_low`, `ci_high`, `p_value` as reported; an end that is not finite is missing."""
    values = [found.value, found.low, found.high]
    with np.errstate(over="ignore"):
        values = [*(np.exp(values) if scale in RATIOS else values), found.p]
    finite = [None if value is None or not np.isfinite(value) else float(value) for value in values]
    return dict(zip(("estimate", "ci_low", "ci_high", "p_value"), finite, strict=True))
