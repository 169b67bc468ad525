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

from kneeline.statistics.newton import Curvature, Evaluate, Peak, climb, profile_interval
from kneeline.statistics.rank import refuse_collinear


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
    _x: np.ndarray
    _scale: _Scale

    def profile_interval(self, name: str, level: float = 0.95) -> tuple[float, float]:
        """Profile penalised-likelihood interval of a coefficient (log odds)."""
        scale, evaluate, curvature = self._surface([name])
        which = self.names.index(name)
        params = scale.inward(self.params)
        value, _, information = evaluate(params)
        ends = profile_interval(evaluate, Peak(params, value, information), which, level, curvature)
        return ends[0] / float(scale.units[which]), ends[1] / float(scale.units[which])

    def likelihood_ratio(self, names: Sequence[str] | None = None, at: float = 0.0) -> tuple[float, float]:
        """Penalised likelihood-ratio chi-square and p-value of the named terms (default: all but intercept) being `at`.

        The profile interval of a term holds the values of which this p is above 0.05.
        """
        dropped = self.names[1:] if names is None else names
        scale, evaluate, curvature = self._surface(dropped)
        params = scale.inward(self.params)
        start = np.where(np.isin(self.names, list(dropped)), at * scale.units, params)
        kept = [i for i, name in enumerate(self.names) if name not in dropped]
        restricted = climb(evaluate, start, kept, largest_step=1.0, curvature=curvature)
        statistic = max(0.0, 2 * (evaluate(params)[0] - restricted.value))
        return statistic, float(stats.chi2.sf(statistic, len(dropped)))

    def _surface(self, fixed: Sequence[str]) -> tuple[_Scale, Evaluate, Curvature]:
        """The penalised likelihood to climb while the named parameters are fixed.

        The intercept is that of a knee whose terms are all 0, so it can be fixed in the terms' own units only.
        """
        scale = _Scale.none(self._x.shape[1]) if self.names[0] in fixed else self._scale
        return (scale, *_surface(self._y, scale.design(self._x)))


@dataclass(frozen=True)
class _Scale:
    """Terms in standard deviations from their mean: a search in years and kilogrammes as they come would stray where
    a parameter is fixed far out. The penalised likelihood is the same function but for a constant."""

    middle: np.ndarray
    spread: np.ndarray

    @staticmethod
    def of(x: np.ndarray) -> _Scale:
        return _Scale(x.mean(axis=0), x.std(axis=0))

    @staticmethod
    def none(n: int) -> _Scale:
        return _Scale(np.zeros(n), np.ones(n))

    @property
    def units(self) -> np.ndarray:
        """By what each parameter (1 + p,) is multiplied; the intercept also moves."""
        return np.append(1.0, self.spread)

    def design(self, x: np.ndarray) -> np.ndarray:
        return np.column_stack([np.ones(len(x)), (x - self.middle) / self.spread])

    def inward(self, params: np.ndarray) -> np.ndarray:
        return np.append(params[0] + self.middle @ params[1:], params[1:] * self.spread)

    def outward(self, params: np.ndarray) -> np.ndarray:
        slopes = params[1:] / self.spread
        return np.append(params[0] - self.middle @ slopes, slopes)


def fit_firth(outcome: Sequence[bool], x: np.ndarray, names: Sequence[str]) -> FirthFit:
    """Fit a yes/no outcome (n,) on x (n, p); an intercept is added.

    Raises
    ------
    Refusal
        `not_converged` or `collinear`.
    """
    y, x = np.asarray(outcome, dtype=float), np.asarray(x, dtype=float)
    x = x[:, None] if x.ndim == 1 else x
    refuse_collinear(x, names)
    scale = _Scale.of(x)
    evaluate, curvature = _surface(y, scale.design(x))
    peak = climb(evaluate, np.zeros(1 + x.shape[1]), largest_step=1.0, curvature=curvature)
    params = scale.outward(peak.params)
    value, _, information = _evaluate(params, y, _Scale.none(x.shape[1]).design(x))
    errors = np.sqrt(np.diag(np.linalg.inv(information)))
    return FirthFit(("intercept", *names), params, errors, value, y, x, scale)


def _surface(y: np.ndarray, design: np.ndarray) -> tuple[Evaluate, Curvature]:
    return lambda params: _evaluate(params, y, design), lambda params: _curvature(params, design)


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
