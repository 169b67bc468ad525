"""Cumulative logit with a random intercept a runner: what goes with a higher grade in one and the same runner.

log odds of a grade at or below j are threshold_j - x'b - sigma u, u standard normal and shared by a runner's knees.
The integral over u is done by adaptive Gauss-Hermite quadrature (Pinheiro and Bates 1995), nodes around each runner's
own mode; the climb is Newton's method with gradient and Hessian of that sum (Louis 1982). R's `ordinal::clmm` with
nAGQ = 10 is the oracle of the tests, brute-force integration the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import expit, log_expit

from kneeline.errors import Refusal
from kneeline.statistics.ordinal import OrdinalFit, fit_cumulative_logit
from kneeline.statistics.sandwich import cluster_sums

NODES = 10
# Variance of the logistic distribution: what is left within a runner on the latent scale.
LOGISTIC_VARIANCE = math.pi**2 / 3
# Standard deviations of the intercept beyond which its estimate is nothing, or everything.
_NO_SPREAD, _ALL_SPREAD = 0.03, 8.0


@dataclass(frozen=True)
class MixedFit:
    """A fitted model. Parameters are ordered: thresholds, coefficients; `sigma` is the intercept's standard deviation.

    Fields
    ------
    covariance
        (k + 1, k + 1) of parameters and log sigma; of the parameters alone, (k, k), when sigma is 0.
    modes
        Each runner's most likely intercept sigma * u (G,), in the sorted order of the runners.
    without
        The same model without the intercept.
    """

    names: tuple[str, ...]
    params: np.ndarray
    sigma: float
    covariance: np.ndarray
    log_likelihood: float
    modes: np.ndarray
    without: OrdinalFit

    @property
    def icc(self) -> float:
        """Share of the latent variance that lies between runners."""
        return self.sigma**2 / (self.sigma**2 + LOGISTIC_VARIANCE)

    def icc_interval(self, level: float = 0.95) -> tuple[float, float] | None:
        """From a normal log sigma; None when sigma is 0."""
        if not self.sigma:
            return None
        reach = float(stats.norm.ppf(0.5 + level / 2)) * math.sqrt(self.covariance[-1, -1])
        ends = (self.sigma * math.exp(side * reach) for side in (-1, 1))
        low, high = (1 / (1 + LOGISTIC_VARIANCE / sigma**2) for sigma in ends)
        return low, high

    def spread_p(self) -> float:
        """Likelihood-ratio p of no spread between runners; half a chi-square, sigma 0 lies on the edge."""
        ratio = max(0.0, 2 * (self.log_likelihood - self.without.log_likelihood))
        return 0.5 * float(stats.chi2.sf(ratio, 1)) if self.sigma else 1.0


def fit_random_intercept(
    grades: Sequence[int], x: np.ndarray, names: Sequence[str], groups: Sequence, nodes: int = NODES
) -> MixedFit:
    """Fit grades (n,) on x (n, p), rows of the same group sharing an intercept.

    Raises
    ------
    Refusal
        `one_knee_each` when no group has two rows; `not_converged`; whatever `fit_cumulative_logit` raises.
    """
    members = np.unique(np.asarray(groups), return_inverse=True)[1]
    if len(members) == members.max(initial=-1) + 1:
        raise Refusal(
            "one_knee_each",
            "every runner has one knee; what is the runner's cannot be told from what is the knee's",
        )
    without = fit_cumulative_logit(grades, x, names)
    point, value, information, modes = _climb(Likelihood(without, members, nodes), without)
    sigma = math.exp(point[-1])
    if sigma < _NO_SPREAD:
        flat = np.zeros(len(modes))
        return MixedFit(without.names, without.params, 0.0, without.covariance, without.log_likelihood, flat, without)
    return MixedFit(without.names, point[:-1], sigma, np.linalg.inv(information), value, sigma * modes, without)


def _climb(likelihood: Likelihood, without: OrdinalFit) -> tuple[np.ndarray, float, np.ndarray, np.ndarray]:
    """The peak (parameters, log sigma), its height, the information and the modes there; or where sigma is nothing."""
    failure = Refusal("not_converged", "the likelihood with an intercept a runner has no peak that could be found")
    point = np.append(without.params * 1.2, 0.0)
    value, gradient, information, modes = likelihood.evaluate(point)
    for _ in range(60):
        step = _uphill(information, gradient)
        if float(gradient @ step) < 1e-11 * (1 + abs(value)) or point[-1] < math.log(_NO_SPREAD):
            return point, value, information, modes
        if point[-1] > math.log(_ALL_SPREAD):
            raise Refusal(
                "not_converged", "each runner's knees are too much alike: the spread between runners runs off"
            )
        size = min(1.0, 2.0 / float(np.abs(step).max()))
        for _ in range(12):
            tried = likelihood.evaluate(point + size * step, modes)
            if tried[0] >= value - 1e-10 * (1 + abs(value)):
                break
            size /= 2
        else:
            raise failure
        point = point + size * step
        value, gradient, information, modes = tried
    raise failure


def _uphill(information: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Newton's step, with the information lifted until it is positive definite."""
    lowest = float(np.linalg.eigvalsh(information)[0])
    top = float(np.abs(np.diag(information)).max())
    lift = max(0.0, 1e-8 * top - lowest) * (2 if lowest < 0 else 1)
    return np.linalg.solve(information + lift * np.eye(len(gradient)), gradient)


class Likelihood:
    """The integrated log-likelihood of a model whose rows belong to `members` (n,), numbered from 0."""

    def __init__(self, fit: OrdinalFit, members: np.ndarray, nodes: int = NODES):
        self.cuts, self.members = fit._cuts, members
        self.nodes, weights = np.polynomial.hermite.hermgauss(nodes)
        self.log_weights = np.log(weights) + self.nodes**2 - 0.5 * math.log(math.pi)

    def evaluate(
        self, point: np.ndarray, start: np.ndarray | None = None
    ) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        """Log-likelihood, gradient and observed information (by the parameters and log sigma), modes u (G,).

        Gradient and information are those of the quadrature sum with its nodes where they are.
        """
        params, sigma = point[:-1], math.exp(point[-1])
        a, b = self.cuts._ends(params)
        n_groups, k = int(self.members.max()) + 1, len(point)
        if np.any(a - b <= 0):
            return -np.inf, np.zeros(k), np.eye(k), np.zeros(n_groups)
        modes, scales = self._modes(a, b, sigma, np.zeros(n_groups) if start is None else start)
        u = modes[:, None] + math.sqrt(2) * scales[:, None] * self.nodes
        shift = (sigma * u)[self.members]
        above, below = a[:, None] - shift, b[:, None] - shift
        gap = log_expit(above) + log_expit(-below) + np.log1p(-np.exp(b - a))[:, None]
        terms = cluster_sums(gap, self.members) - u**2 / 2 + self.log_weights + np.log(scales)[:, None]
        top = terms.max(axis=1, keepdims=True)
        share = np.exp(terms - top)
        total = share.sum(axis=1, keepdims=True)
        value = float((top + np.log(total)).sum())
        gradient, information = self._derivatives(a, b, above, below, shift, share / total)
        return value, gradient, information, modes

    def _modes(self, a: np.ndarray, b: np.ndarray, sigma: float, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each group's highest point of the integrand, a concave function, and the width there."""
        u = start
        for _ in range(50):
            shift = sigma * u[self.members]
            above, below = expit(a - shift), expit(b - shift)
            slope = cluster_sums(sigma * (above + below - 1), self.members) - u
            bend = 1 + cluster_sums(sigma**2 * (above * (1 - above) + below * (1 - below)), self.members)
            step = np.clip(slope / bend, -2, 2)
            u = u + step
            if np.abs(step).max() < 1e-10:
                break
        return u, bend**-0.5

    def _derivatives(self, a, b, above, below, shift, share) -> tuple[np.ndarray, np.ndarray]:
        """Expectations over the nodes (n, nodes), weighted by `share` (G, nodes) of each group's own."""
        cuts, post = self.cuts, share[self.members]
        r = (1 / np.expm1(a - b))[:, None]
        common = r * (1 + r)
        p_above, p_below = expit(above), expit(below)
        by_above, by_below = 1 - p_above + r, -(p_below + r)
        by_shift = -(by_above + by_below)
        w_above, w_below = p_above * (1 - p_above), p_below * (1 - p_below)
        # Each group's score at each of its nodes (G, nodes, k): what varies over them is information lost.
        score = np.concatenate(
            [
                cuts.upper[:, None, :] * by_above[:, :, None] + cuts.lower[:, None, :] * by_below[:, :, None],
                (by_shift * shift)[:, :, None],
            ],
            axis=2,
        )
        score = cluster_sums(score, self.members)
        mean = np.einsum("gq,gqk->gk", share, score)
        spread = np.einsum("gq,gqk,gql->kl", share, score, score, optimize=True) - mean.T @ mean
        over = lambda values: (post * values).sum(axis=1)  # noqa: E731
        e_above, e_below, e_common = over(w_above), over(w_below), common[:, 0]
        u, low = cuts.upper, cuts.lower
        cross = (u * e_common[:, None]).T @ low
        within = (u * (e_above + e_common)[:, None]).T @ u + (low * (e_below + e_common)[:, None]).T @ low
        information = np.empty((u.shape[1] + 1,) * 2)
        information[:-1, :-1] = within - cross - cross.T
        information[-1, :-1] = -(over(shift * w_above) @ u + over(shift * w_below) @ low)
        information[:-1, -1] = information[-1, :-1]
        information[-1, -1] = (over(shift**2 * (w_above + w_below)) - over(by_shift * shift)).sum()
        return mean.sum(axis=0), information - spread


__all__ = ["LOGISTIC_VARIANCE", "NODES", "Likelihood", "MixedFit", "fit_random_intercept"]
