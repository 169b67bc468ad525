"""Generalised estimating equations for a yes/no finding of knees that are clustered in runners (Liang and Zeger 1986).

Logit link, one working correlation for any two knees of a runner, scale 1. Errors by Mancl and DeRouen 2001, which are
of the right size with few runners. The same equations as statsmodels' `GEE`, which goes from runner to runner in Python
and takes two minutes for 10 000 knees; it is the oracle of the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from kneeline.errors import Refusal
from kneeline.statistics.sandwich import cluster_sums


@dataclass(frozen=True)
class GeeFit:
    """`params` and `covariance` (p,), (p, p) in the order of the design's columns; `alpha` the working correlation."""

    params: np.ndarray
    covariance: np.ndarray
    alpha: float


def fit_gee_logit(outcome: Sequence[bool], design: np.ndarray, groups: Sequence) -> GeeFit:
    """Fit a yes/no outcome (n,) on design (n, p), an intercept among its columns; groups (n,) are the clusters.

    Raises
    ------
    Refusal
        `not_converged` when the equations have no finite solution (a separated outcome, collinear terms).
    """
    y = np.asarray(outcome, dtype=float)
    members = np.unique(np.asarray(groups), return_inverse=True)[1]
    size = np.bincount(members)
    failure = Refusal("not_converged", "the estimating equations did not converge; use fewer terms")
    params, alpha = np.zeros(design.shape[1]), 0.0
    for _ in range(100):
        score, information = _equations(params, alpha, y, design, members, size)
        try:
            step = np.linalg.solve(information.sum(axis=0), score.sum(axis=0))
        except np.linalg.LinAlgError:
            raise failure from None
        params = params + step * min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-300))
        before, alpha = alpha, _correlation(params, y, design, members, size)
        if not np.all(np.isfinite(params)) or np.abs(design @ params).max() > 30:
            raise failure
        if np.abs(step).max() < 1e-9 and abs(alpha - before) < 1e-9:
            try:
                covariance = _mancl_derouen(*_equations(params, alpha, y, design, members, size))
            except np.linalg.LinAlgError:
                raise failure from None  # without one runner the others tell nothing about a term
            return GeeFit(params, covariance, alpha)
    raise failure


def _equations(params, alpha, y, design, members, size) -> tuple[np.ndarray, np.ndarray]:
    """Each group's score (G, p) and expected information (G, p, p)."""
    share = expit(design @ params)
    root = np.sqrt(share * (1 - share))
    scaled, residual = design * root[:, None], (y - share) / root
    # Inverse of the exchangeable correlation matrix: (identity - weight * ones) / (1 - alpha).
    weight = alpha / (1 + (size - 1) * alpha)
    columns, residuals = cluster_sums(scaled, members), cluster_sums(residual, members)
    score = cluster_sums(scaled * residual[:, None], members) - columns * (weight * residuals)[:, None]
    information = cluster_sums(scaled[:, :, None] * scaled[:, None, :], members)
    information = information - weight[:, None, None] * columns[:, :, None] * columns[:, None, :]
    return score / (1 - alpha), information / (1 - alpha)


def _correlation(params, y, design, members, size) -> float:
    """Mean product of the Pearson residuals of two knees of a runner, degrees of freedom as in statsmodels."""
    pairs = float((size * (size - 1) / 2).sum())
    n, p = design.shape
    if pairs <= p:
        return 0.0
    share = expit(design @ params)
    residual = (y - share) / np.sqrt(share * (1 - share))
    squares = cluster_sums(residual**2, members)
    products = ((cluster_sums(residual, members) ** 2 - squares) / 2).sum()
    alpha = products / (squares.sum() / (n - p)) / (pairs - p)
    # The matrix must stay invertible for the largest group.
    return float(np.clip(alpha, -0.99 / max(1, size.max() - 1), 0.99))


def _mancl_derouen(score: np.ndarray, information: np.ndarray) -> np.ndarray:
    """Sandwich (p, p) with each group's residual freed of its own pull: its influence is (I - I_g)^-1 score_g."""
    total = information.sum(axis=0)
    influence = np.linalg.solve(total - information, score[:, :, None])[:, :, 0]
    return influence.T @ influence
