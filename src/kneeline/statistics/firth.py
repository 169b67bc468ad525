"""Firth's penalised logit: finite estimates for rare findings and separated data.

The log-likelihood is increased by half the log determinant of the Fisher information (Firth 1993; Heinze and Schemper
2002). Intervals are profile penalised-likelihood intervals, p-values penalised likelihood-ratio tests; in restricted
fits the penalty stays that of the full design, as in R's logistf.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import expit, log_expit

from kneeline.statistics.newton import Peak, climb, profile_interval


@dataclass(frozen=True)
class FirthFit:
    """A fitted penalised logit; the first parameter is the intercept.

    `standard_errors` is the classical form: inverse unpenalised information at the penalised estimate.
    """

    names: tuple[str, ...]
    params: np.ndarray
    standard_errors: np.ndarray
    penalised_log_likelihood: float
    _y: np.ndarray
    _design: np.ndarray
    _peak: Peak

    def profile_interval(self, name: str, level: float = 0.95) -> tuple[float, float]:
        """Profile penalised-likelihood interval of a coefficient (log odds)."""
        return profile_interval(self._evaluate, self._peak, self.names.index(name), level, self._curvature)

    def likelihood_ratio(self, names: Sequence[str] | None = None, at: float = 0.0) -> tuple[float, float]:
        """Penalised likelihood-ratio chi-square and p-value of the named terms (default: all but intercept) being `at`.

        The profile interval of a term holds the values of which this p is above 0.05.
        """
        dropped = self.names[1:] if names is None else names
        start = np.where(np.isin(self.names, list(dropped)), at, self.params)
        kept = [i for i, name in enumerate(self.names) if name not in dropped]
        restricted = climb(self._evaluate, start, kept, largest_step=1.0, curvature=self._curvature)
        statistic = max(0.0, 2 * (self._peak.value - restricted.value))
        return statistic, float(stats.chi2.sf(statistic, len(dropped)))

    def _evaluate(self, params: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        return _evaluate(params, self._y, self._design)

    def _curvature(self, params: np.ndarray) -> np.ndarray:
        return _curvature(params, self._design)


def fit_firth(outcome: Sequence[bool], x: np.ndarray, names: Sequence[str]) -> FirthFit:
    """Fit a yes/no outcome (n,) on x (n, p); an intercept is added.

    Raises
    ------
    Refusal
        `not_converged` or `collinear`.
    """
    y = np.asarray(outcome, dtype=float)
    design = np.column_stack([np.ones(len(y)), np.asarray(x, dtype=float)])
    peak = climb(
        lambda params: _evaluate(params, y, design),
        np.zeros(design.shape[1]),
        largest_step=1.0,
        curvature=lambda params: _curvature(params, design),
    )
    errors = np.sqrt(np.diag(np.linalg.inv(peak.information)))
    return FirthFit(("intercept", *names), peak.params, errors, peak.value, y, design, peak)


def _evaluate(params: np.ndarray, y: np.ndarray, design: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Penalised log-likelihood, its gradient, and the information without the penalty.

    Not the curvature of the penalised likelihood: from far away that leads to the nearer of several peaks of sparse
    data instead of the higher one.
    """
    eta = design @ params
    share = expit(eta)
    weight = share * (1 - share)
    information = (design * weight[:, None]).T @ design
    sign, log_determinant = np.linalg.slogdet(information)
    if sign <= 0:
        return -np.inf, np.zeros(len(params)), np.eye(len(params))
    leverage = weight * np.einsum("ij,jk,ik->i", design, np.linalg.inv(information), design)
    value = float(y @ log_expit(eta) + (1 - y) @ log_expit(-eta) + 0.5 * log_determinant)
    return value, design.T @ (y - share + leverage * (0.5 - share)), information


def _curvature(params: np.ndarray, design: np.ndarray) -> np.ndarray:
    """Minus the Hessian of the penalised log-likelihood (k, k), whatever the outcome.

    With the hat matrix H of the weighted design, d H_ii / d eta_j = [i = j] (1 - 2 p_i) H_ii - H_ij^2 (1 - 2 p_j).
    """
    share = expit(design @ params)
    weight = share * (1 - share)
    information = (design * weight[:, None]).T @ design
    rows = (design * np.sqrt(weight)[:, None]) @ np.linalg.cholesky(np.linalg.inv(information))
    leverage = (rows**2).sum(axis=1)
    # H_ij^2 = squares_i . squares_j
    squares = (rows[:, :, None] * rows[:, None, :]).reshape(len(rows), -1)
    lean = 0.5 - share
    own = (design * (leverage * (2 * lean**2 - weight))[:, None]).T @ design
    pulled = (design * lean[:, None]).T @ squares
    return information - own + 2 * pulled @ pulled.T
