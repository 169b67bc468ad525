"""Cumulative logit: log odds of a grade at or below j are threshold_j - x'b (proportional odds, McCullagh 1980).

A positive coefficient means higher grades. Maximum likelihood by Newton's method with analytic gradient and Hessian;
statsmodels' OrderedModel, which has no cluster-robust errors, is the independent check in the tests.
Columns named `nominal` get one coefficient per threshold (partial proportional odds).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import expit, log_expit, logit

from kneeline.errors import Refusal
from kneeline.statistics.newton import Evaluate, Peak, climb, profile_interval
from kneeline.statistics.rank import refuse_collinear
from kneeline.statistics.sandwich import cluster_covariance, cluster_influences
from kneeline.statistics.separation import blamed_parameters, separating_parameters

# Log odds. On separated data the climb stops about 30 away, where its steps no longer raise the likelihood.
_FAR_OUT = 12


@dataclass(frozen=True)
class _Cuts:
    """The design seen from each observation's two cut-points; rows of zeros where there is no cut.

    upper, lower: (n, k). The probability of the observed grade is expit(upper @ params) - expit(lower @ params).
    """

    upper: np.ndarray
    lower: np.ndarray
    top: np.ndarray  # (n,) no cut above
    bottom: np.ndarray  # (n,) no cut below
    weights: np.ndarray

    def evaluate(self, params: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Log-likelihood, gradient (k,), observed information (k, k)."""
        a, b = self._ends(params)
        gap = a - b
        if np.any(gap <= 0):
            return -np.inf, np.zeros(len(params)), np.eye(len(params))
        value = float(self.weights @ (log_expit(a) + log_expit(-b) + np.log1p(-np.exp(-gap))))
        scores = self.scores(params)
        waa, wbb, common = self._curvatures(a, b)
        u, low, w = self.upper, self.lower, self.weights
        cross = (u * (w * common)[:, None]).T @ low
        information = (u * (w * waa)[:, None]).T @ u + (low * (w * wbb)[:, None]).T @ low - cross - cross.T
        return value, self.weights @ scores, information

    def scores(self, params: np.ndarray) -> np.ndarray:
        """Gradient of each observation's log-likelihood (n, k), unweighted."""
        a, b = self._ends(params)
        r = 1 / np.expm1(a - b)
        return self.upper * (expit(-a) + r)[:, None] - self.lower * (expit(b) + r)[:, None]

    def information_roots(self, params: np.ndarray) -> np.ndarray:
        """R (n, 2, k) with R'R minus the Hessian of each observation's log-likelihood, unweighted."""
        waa, wbb, common = self._curvatures(*self._ends(params))
        # Cholesky factor of the Hessian by both ends; without a cut above, the first column is 0.
        first = np.sqrt(waa)
        across = np.divide(-common, first, out=np.zeros_like(first), where=first > 0)
        second = np.sqrt(np.maximum(wbb - across**2, 0))
        u, low = self.upper, self.lower
        return np.stack([u * first[:, None] + low * across[:, None], low * second[:, None]], axis=1)

    @staticmethod
    def _curvatures(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Minus the second derivatives by both ends, and the mixed one (n,), of log(expit(a) - expit(b))."""
        r = 1 / np.expm1(a - b)
        common = r * (1 + r)
        return expit(a) * expit(-a) + common, expit(b) * expit(-b) + common, common

    def _ends(self, params: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.where(self.top, np.inf, self.upper @ params), np.where(self.bottom, -np.inf, self.lower @ params)


@dataclass(frozen=True)
class OrdinalFit:
    """A fitted cumulative logit. Parameters are ordered: thresholds, coefficients, nominal coefficients.

    Fields
    ------
    names
        Name of each parameter; thresholds are `0|1`, `1|2`, ...
    levels
        Observed grades, low to high.
    """

    names: tuple[str, ...]
    levels: tuple[int, ...]
    params: np.ndarray
    log_likelihood: float
    covariance: np.ndarray
    n: float
    _cuts: _Cuts
    _peak: Peak

    @property
    def n_thresholds(self) -> int:
        return len(self.levels) - 1

    @cached_property
    def standard_errors(self) -> np.ndarray:
        """From the inverse observed information (k,)."""
        return np.sqrt(np.diag(self.covariance))

    def cluster_covariance(self, groups: Sequence) -> np.ndarray:
        """Cluster-robust covariance (k, k), corrected for leverage: for t tests and intervals with few runners."""
        influences = self.cluster_influences(groups)
        return influences.T @ influences

    def cluster_influences(self, groups: Sequence) -> np.ndarray:
        """What each group adds to the estimates' errors (G, k), groups sorted; see `sandwich.cluster_influences`."""
        weights = self._cuts.weights
        scores = self._cuts.scores(self.params) * weights[:, None]
        roots = self._cuts.information_roots(self.params) * np.sqrt(weights)[:, None, None]
        return cluster_influences(self.covariance, scores, roots, groups)

    def plain_cluster_covariance(self, groups: Sequence, small_sample: bool = True) -> np.ndarray:
        """Cluster-robust covariance (k, k) as other programs print it; see `sandwich.cluster_covariance`."""
        scores = self._cuts.scores(self.params) * self._cuts.weights[:, None]
        return cluster_covariance(self.covariance, scores, groups, small_sample)

    def profile_interval(self, name: str, level: float = 0.95) -> tuple[float, float]:
        """Profile-likelihood interval of a parameter (independent observations)."""
        return profile_interval(self._cuts.evaluate, self._peak, self.names.index(name), level)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Probability of each level (m, J) at covariate rows x (m, p); proportional-odds models only."""
        j = self.n_thresholds
        below = expit(self.params[None, :j] - (np.atleast_2d(x) @ self.params[j:])[:, None])
        edges = np.hstack([np.zeros((len(below), 1)), below, np.ones((len(below), 1))])
        return np.diff(edges, axis=1)


def fit_cumulative_logit(
    grades: Sequence[int],
    x: np.ndarray,
    names: Sequence[str],
    *,
    nominal: np.ndarray | None = None,
    nominal_names: Sequence[str] = (),
    weights: Sequence[float] | None = None,
) -> OrdinalFit:
    """Fit grades (n,) on x (n, p); `weights` are frequencies.

    Raises
    ------
    Refusal
        `one_level`, `collinear`, `separation` (names the terms) or `not_converged`.
    """
    grades, x = np.asarray(grades), np.asarray(x, dtype=float)
    x = x[:, None] if x.ndim == 1 else x
    w = np.ones(len(grades)) if weights is None else np.asarray(weights, dtype=float)
    grades, x = grades[w > 0], x[w > 0]
    z = np.zeros((len(grades), 0)) if nominal is None else np.asarray(nominal, dtype=float)[w > 0]
    w = w[w > 0]
    levels, codes = np.unique(grades, return_inverse=True)
    if len(levels) < 2:
        only = f"every observation has grade {levels[0]}" if len(levels) else "there are no observations"
        raise Refusal("one_level", f"the outcome needs two grades or more to be modelled; {only}")
    refuse_collinear(np.hstack([x, z]), [*names, *nominal_names])
    j, p, q = len(levels) - 1, x.shape[1], z.shape[1]

    def rows_at(cut: np.ndarray) -> np.ndarray:
        present = (cut >= 0) & (cut < j)
        rows = np.zeros((len(cut), j + p + j * q))
        at = np.flatnonzero(present)
        rows[at, cut[at]] = 1
        rows[at, j : j + p] = -x[at]
        for column in range(q):
            rows[at, j + p + column * j + cut[at]] = -z[at, column]
        return rows

    cuts = _Cuts(rows_at(codes), rows_at(codes - 1), codes == j, codes == 0, w)
    label = [f"{low}|{high}" for low, high in zip(levels[:-1], levels[1:], strict=True)]
    all_names = (*label, *names, *(f"{name} at {cut}" for name in nominal_names for cut in label))
    shares = np.cumsum([w[codes == level].sum() for level in range(j)]) / w.sum()
    peak = _climb_or_tell(cuts, np.concatenate([logit(shares), np.zeros(p + j * q)]), all_names, j)
    levels_out = tuple(int(level) for level in levels)
    covariance = np.linalg.inv(peak.information)
    return OrdinalFit(tuple(all_names), levels_out, peak.params, peak.value, covariance, float(w.sum()), cuts, peak)


def _climb_or_tell(cuts: _Cuts, start: np.ndarray, names: Sequence[str], n_thresholds: int) -> Peak:
    """The peak of the likelihood; of separated data, which have none, the refusal that names the terms.

    A concave likelihood that has a peak nearby has no other, so the linear programme of `separation` is asked only when
    the climb fails or ends where probabilities are nearly 0 or 1: it would cost more than the fit.
    """
    peak, failure = None, None
    try:
        peak = climb(cuts.evaluate, start)
        ends = np.concatenate([cuts.upper @ peak.params, cuts.lower @ peak.params])
        if np.abs(ends).max() < _FAR_OUT:
            return peak
    except Refusal as refusal:
        failure = refusal
    ends = cuts.upper[~cuts.top], cuts.lower[~cuts.bottom]
    running_off = separating_parameters(*ends)
    if running_off:
        terms = [i for i in running_off if i >= n_thresholds]
        raise separation_refusal([names[i] for i in (blamed_parameters(*ends, terms) if terms else running_off)])
    if failure:
        raise failure
    return peak


def separation_refusal(terms: Sequence[str]) -> Refusal:
    return Refusal(
        "separation",
        f"the outcome is separated by {', '.join(terms)}: no finite estimate exists; "
        "see the models of grade 1 or more, penalised or exact where data are sparse",
    )


__all__ = ["Evaluate", "OrdinalFit", "fit_cumulative_logit", "separation_refusal"]
