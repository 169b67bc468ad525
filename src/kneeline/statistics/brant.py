"""Check of proportional odds: do the terms' log odds ratios differ between the cut-points? (Brant 1990)

One binary logit is fitted at each cut; a Wald test asks whether the slopes are equal. For knees clustered in runners
the joint covariance is the runner-clustered sandwich, corrected for leverage, instead of Brant's model-based one, and
the statistic is held against Hotelling's T-squared instead of chi-square: the covariance of many contrasts, estimated
from few runners, would raise false alarms (at 26 runners in every second cohort instead of every twentieth).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from kneeline.errors import Refusal
from kneeline.statistics.ordinal import OrdinalFit, fit_cumulative_logit


@dataclass(frozen=True)
class Wald:
    """Wald test: `chi2` on `df`; with `runners` it is Hotelling's T-squared, held against F on (df, runners - df)."""

    chi2: float
    df: int
    p_value: float
    runners: int | None = None


@dataclass(frozen=True)
class BrantCheck:
    """`omnibus` over all terms, `terms` one by one; slopes and standard_errors are (cuts, terms), log odds ratios."""

    omnibus: Wald
    terms: dict[str, Wald]
    cuts: tuple[str, ...]
    slopes: np.ndarray
    standard_errors: np.ndarray


def check_proportional_odds(
    grades: Sequence[int],
    x: np.ndarray,
    names: Sequence[str],
    *,
    weights: Sequence[float] | None = None,
    groups: Sequence | None = None,
) -> BrantCheck:
    """Brant's test of grades (n,) on x (n, p); clustered when `groups` (n,) are given.

    Raises
    ------
    Refusal
        `one_cut` when there are two grades only; `too_few_runners` when there are no more groups than contrasts;
        whatever `fit_cumulative_logit` raises at a cut.
    """
    grades, x = np.asarray(grades), np.asarray(x, dtype=float)
    w = np.ones(len(grades)) if weights is None else np.asarray(weights, dtype=float)
    levels = np.unique(grades[w > 0])
    if len(levels) < 3:
        raise Refusal("one_cut", "with two grades there is one cut-point, and nothing to compare")
    cuts = tuple(f">= {level}" for level in levels[1:])
    fits = [
        _fit_at(cut, (grades >= level).astype(int), x, names, w) for cut, level in zip(cuts, levels[1:], strict=True)
    ]
    runners, n_contrasts = None if groups is None else len(set(groups)), len(names) * (len(fits) - 1)
    if runners is not None and runners <= n_contrasts:
        raise Refusal("too_few_runners", f"{runners} runners for a test of {n_contrasts} contrasts between cuts")
    if runners is None:
        covariance = _model_covariance(fits, x, w)
    else:
        influences = np.hstack([fit.cluster_influences(groups) for fit in fits])
        covariance = influences.T @ influences
    k = len(names) + 1
    slopes = np.array([fit.params[1:] for fit in fits])
    errors = np.sqrt(np.diag(covariance)).reshape(len(fits), k)[:, 1:]
    by_term = {name: _equal(slopes, covariance, k, [i], runners) for i, name in enumerate(names)}
    omnibus = _equal(slopes, covariance, k, list(range(len(names))), runners)
    return BrantCheck(omnibus, by_term, cuts, slopes, errors)


def _fit_at(cut: str, above: np.ndarray, x: np.ndarray, names: Sequence[str], weights: np.ndarray) -> OrdinalFit:
    try:
        return fit_cumulative_logit(above, x, names, weights=weights)
    except Refusal as refusal:
        raise Refusal(refusal.code, f"at the cut {cut}: {refusal.reason}") from None


def _model_covariance(fits: Sequence[OrdinalFit], x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Brant's covariance (cuts * (1 + p)) of all cuts' parameters together; the threshold is minus an intercept."""
    design = np.column_stack([-np.ones(len(x)), x])
    above = [fit.predict(x)[:, 1] for fit in fits]
    k = design.shape[1]
    meat, bread = np.zeros((len(fits) * k, len(fits) * k)), np.zeros((len(fits) * k, len(fits) * k))
    for a in range(len(fits)):
        bread[a * k : (a + 1) * k, a * k : (a + 1) * k] = fits[a].covariance
        for b in range(a, len(fits)):
            # Being above the higher cut implies being above the lower one.
            common = w * (above[b] - above[a] * above[b])
            block = (design * common[:, None]).T @ design
            meat[a * k : (a + 1) * k, b * k : (b + 1) * k] = block
            meat[b * k : (b + 1) * k, a * k : (a + 1) * k] = block.T
    return bread @ meat @ bread


def _equal(slopes: np.ndarray, covariance: np.ndarray, k: int, which: Sequence[int], runners: int | None) -> Wald:
    """Test that the slopes `which` are the same at every cut."""
    n_cuts = len(slopes)
    contrasts = np.zeros(((n_cuts - 1) * len(which), n_cuts * k))
    for row, (cut, term) in enumerate((c, t) for c in range(1, n_cuts) for t in which):
        contrasts[row, 1 + term], contrasts[row, cut * k + 1 + term] = 1, -1
    stacked = np.zeros(n_cuts * k)
    for cut in range(n_cuts):
        stacked[cut * k + 1 : (cut + 1) * k] = slopes[cut]
    difference = contrasts @ stacked
    chi2 = float(difference @ np.linalg.solve(contrasts @ covariance @ contrasts.T, difference))
    df = len(contrasts)
    if runners is None:
        return Wald(chi2, df, float(stats.chi2.sf(chi2, df)))
    f = chi2 * (runners - df) / (df * (runners - 1))
    return Wald(chi2, df, float(stats.f.sf(f, df, runners - df)), runners)
