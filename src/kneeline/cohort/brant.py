"""Check of proportional odds: do the terms' log odds ratios differ between the cut-points? (Brant 1990)

One binary logit is fitted at each cut; a Wald test asks whether the slopes are equal. For knees clustered in runners
the joint covariance is the runner-clustered sandwich instead of Brant's model-based one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from kneeline.cohort.ordinal import OrdinalFit, fit_cumulative_logit
from kneeline.errors import Refusal


@dataclass(frozen=True)
class Wald:
    """Wald chi-square test."""

    chi2: float
    df: int
    p_value: float


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
        `one_cut` when there are two grades only; whatever `fit_cumulative_logit` raises at a cut.
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
    covariance = _joint_covariance(fits, x, w, groups)
    k = len(names) + 1
    slopes = np.array([fit.params[1:] for fit in fits])
    errors = np.sqrt(np.diag(covariance)).reshape(len(fits), k)[:, 1:]
    by_term = {name: _equal(slopes, covariance, k, [i]) for i, name in enumerate(names)}
    return BrantCheck(_equal(slopes, covariance, k, list(range(len(names)))), by_term, cuts, slopes, errors)


def _fit_at(cut: str, above: np.ndarray, x: np.ndarray, names: Sequence[str], weights: np.ndarray) -> OrdinalFit:
    try:
        return fit_cumulative_logit(above, x, names, weights=weights)
    except Refusal as refusal:
        raise Refusal(refusal.code, f"at the cut {cut}: {refusal.reason}") from None


def _joint_covariance(fits: Sequence[OrdinalFit], x: np.ndarray, w: np.ndarray, groups: Sequence | None) -> np.ndarray:
    """Covariance (cuts * (1 + p)) of all cuts' parameters together; the threshold is minus an intercept."""
    design = np.column_stack([-np.ones(len(x)), x])
    above = [fit.predict(x)[:, 1] for fit in fits]
    breads = [fit.covariance for fit in fits]
    k = design.shape[1]
    meat = np.zeros((len(fits) * k, len(fits) * k))
    if groups is None:
        for a in range(len(fits)):
            for b in range(a, len(fits)):
                # Being above the higher cut implies being above the lower one.
                common = w * (above[b] - above[a] * above[b])
                block = (design * common[:, None]).T @ design
                meat[a * k : (a + 1) * k, b * k : (b + 1) * k] = block
                meat[b * k : (b + 1) * k, a * k : (a + 1) * k] = block.T
    else:
        scores = np.hstack([fit._cuts.scores(fit.params) * w[:, None] for fit in fits])
        members = np.unique(np.asarray(groups), return_inverse=True)[1]
        totals = np.zeros((members.max() + 1, scores.shape[1]))
        np.add.at(totals, members, scores)
        meat = totals.T @ totals * len(totals) / (len(totals) - 1)
    bread = np.zeros_like(meat)
    for a, inverse in enumerate(breads):
        bread[a * k : (a + 1) * k, a * k : (a + 1) * k] = inverse
    return bread @ meat @ bread


def _equal(slopes: np.ndarray, covariance: np.ndarray, k: int, which: Sequence[int]) -> Wald:
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
    return Wald(chi2, len(contrasts), float(stats.chi2.sf(chi2, len(contrasts))))
