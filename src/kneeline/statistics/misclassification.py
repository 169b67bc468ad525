"""What a machine's grades say about the reader's, when a subset of the knees has both.

Grades are given as positions 0..J-1. A misclassification matrix M[t, g] is the probability that the machine says g of
a knee to which the reader gives t; its rows add up to 1. Two estimates of prevalence:

- matrix method: the shares q of the machine's grades are M'p, solved for p (Rogan and Gladen 1978 for two grades);
- predictive values: the reader's shares within each machine grade, weighted by q (Marshall 1990). It needs knees of
  each machine grade among the validated, and is the more precise when these belong to the cohort.

And one of a cumulative logit of the reader's grade when most knees have only the machine's: maximum likelihood of the
model and of M together, in which a validated knee contributes p(t | x) M[t, g] and any other the sum of that over t
(Lyles and others 2011). Which knees were read may depend on the machine's grade and on x, not on what the reader saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from kneeline.errors import Refusal
from kneeline.statistics.ordinal import fit_cumulative_logit
from kneeline.statistics.sandwich import cluster_covariance

# Prior weight of a row of M, spread evenly: a confusion that was never seen is rare, not impossible (Perks).
PRIOR = 1.0
# Below this the machine hardly tells the grades apart, and M cannot be turned round.
LEAST_SINGULAR = 0.1
_EM_STEPS = 2000


def confusion_shares(counts: np.ndarray) -> np.ndarray:
    """M (..., J, J) from counts (..., J, J) by reader (rows) and machine; nan in a row without knees."""
    with np.errstate(invalid="ignore"):
        return counts / counts.sum(axis=-1, keepdims=True)


def matrix_prevalence(shares: np.ndarray, m: np.ndarray) -> np.ndarray:
    """The reader's shares (..., J) from the machine's (..., J) and M (..., J, J).

    Where the solution of M'p = q leaves [0, 1], the likeliest p within is given instead. nan where M is singular.

    >>> matrix_prevalence(np.array([0.70, 0.30]), np.array([[0.90, 0.10], [0.15, 0.85]])).round(6)
    array([0.733333, 0.266667])
    """
    shares, m = np.asarray(shares, dtype=float), np.asarray(m, dtype=float)
    j = shares.shape[-1]
    q, turned = np.broadcast_to(shares, m.shape[:-1]).reshape(-1, j), np.swapaxes(m, -1, -2).reshape(-1, j, j)
    found = np.full(q.shape, np.nan)
    sound = np.isfinite(turned).all(axis=(1, 2)) & np.isfinite(q).all(axis=1)
    sound[sound] = np.linalg.cond(turned[sound]) < 1e8
    found[sound] = np.linalg.solve(turned[sound], q[sound][..., None])[..., 0]
    outside = np.flatnonzero(sound & ~((found >= 0) & (found <= 1)).all(axis=1))
    if len(outside):
        p = np.full((len(outside), j), 1 / j)
        for _ in range(_EM_STEPS):
            expected = np.einsum("bgt,bt->bg", turned[outside], p)
            ratio = np.divide(q[outside], expected, out=np.zeros_like(expected), where=expected > 0)
            p = p * np.einsum("bgt,bg->bt", turned[outside], ratio)
        found[outside] = p
    return found.reshape(m.shape[:-1])


def predictive_prevalence(shares: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The reader's shares (..., J) from the machine's (..., J) and counts (..., J, J) by reader (rows) and machine.

    nan where a machine grade that occurs has no validated knee.
    """
    columns = counts.sum(axis=-2)
    with np.errstate(invalid="ignore", divide="ignore"):
        given = counts / columns[..., None, :]
    weighted = np.where(shares[..., None, :] > 0, given * shares[..., None, :], 0.0)
    return weighted.sum(axis=-1)


# --- the model --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Corrected:
    """A cumulative logit of the reader's grade.

    Fields
    ------
    coefficients, covariance
        Log odds ratios (p,) and their runner-clustered covariance (p, p), factor G / (G - 1).
    confusion
        M (K, J, J) for each group of knees that has an error of its own.
    posterior
        Probability of each grade (n, J), of every knee given all that is known of it; 1 for the reader's own.
    peak, curvature
        All parameters, and the inverse of the likelihood's information per knee: where a fit of nearly the same knees
        may start from.
    """

    coefficients: np.ndarray
    covariance: np.ndarray
    confusion: np.ndarray
    posterior: np.ndarray
    peak: np.ndarray
    curvature: np.ndarray | None = None


@dataclass(frozen=True)
class Knees:
    """Knees of which all have the machine's grade (n,), some the reader's (n,) (-1 where not), and terms x (n, p).

    `group` (n,) 0..K-1: knees between which the error may differ. `weights` (n,): how often each counts.
    """

    machine: np.ndarray
    reader: np.ndarray
    x: np.ndarray
    group: np.ndarray
    weights: np.ndarray

    @property
    def n_grades(self) -> int:
        return int(max(self.machine.max(), self.reader.max())) + 1


def fit_corrected(knees: Knees, runners: Sequence, *, near: Corrected | None = None) -> Corrected:
    """Maximum likelihood of model and error together.

    `near` is a fit of the same knees with other weights, from which the search starts; the covariance is then nan.

    Raises
    ------
    Refusal
        `uninformative` when the machine's grades hardly depend on the reader's; `not_converged`; and those of
        `fit_cumulative_logit`, which gives the start.
    """
    j, p, k = knees.n_grades, knees.x.shape[1], int(knees.group.max()) + 1
    # Standardised terms: one size of step suits all parameters.
    middle, spread = knees.x.mean(axis=0), knees.x.std(axis=0)
    z = (knees.x - middle) / np.where(spread > 0, spread, 1)
    likelihood = _Likelihood(knees, z, j, p, k)
    start = near.peak if near else np.concatenate([_start_model(knees, z, j), _start_confusion(knees, k, j)])
    options = {"gtol": 1e-5, "maxiter": 500, "hess_inv0": near.curvature if near else None}
    found = minimize(likelihood.loss, start, jac=True, method="BFGS", options=options)
    if not np.all(np.isfinite(found.x)) or np.abs(found.jac).max() > 1e-2:
        raise Refusal("not_converged", "no peak of the likelihood with misclassification was found")
    slopes = found.x[j - 1 : j - 1 + p] / np.where(spread > 0, spread, 1)
    _, confusion, posterior = likelihood.parts(found.x)
    if np.linalg.svd(confusion, compute_uv=False).min() < LEAST_SINGULAR:
        raise Refusal("uninformative", "the machine's grades hardly depend on the reader's; nothing can be corrected")
    if near:
        return Corrected(slopes, np.full((p, p), np.nan), confusion, posterior, found.x)
    scores = likelihood.scores(found.x) * knees.weights[:, None]
    inverse = np.linalg.inv(likelihood.information(found.x))
    inverse = (inverse + inverse.T) / 2
    of_slopes = slice(j - 1, j - 1 + p)
    scale = np.where(spread > 0, spread, 1)
    covariance = cluster_covariance(inverse, scores, runners)[of_slopes, of_slopes] / np.outer(scale, scale)
    return Corrected(slopes, covariance, confusion, posterior, found.x, inverse * knees.weights.sum())


def _start_model(knees: Knees, z: np.ndarray, j: int) -> np.ndarray:
    """Thresholds and slopes of the machine's grades as they are."""
    naive = fit_cumulative_logit(knees.machine, z, [str(i) for i in range(z.shape[1])], weights=knees.weights)
    if naive.n_thresholds != j - 1:
        raise Refusal("grades_missing", "the reader gave a grade that the machine never gave; join grades first")
    cuts = naive.params[: j - 1]
    return np.concatenate([cuts[:1], np.log(np.diff(cuts)), naive.params[j - 1 :]])


def _start_confusion(knees: Knees, k: int, j: int) -> np.ndarray:
    """Log odds of each wrong grade against the right one, from the validated knees and the prior."""
    counts = np.full((k, j, j), PRIOR / j)
    read = knees.reader >= 0
    np.add.at(counts, (knees.group[read], knees.reader[read], knees.machine[read]), knees.weights[read])
    logs = np.log(counts)
    return (logs - np.einsum("ktt->kt", logs)[..., None])[:, _off(j)].ravel()


def _off(j: int) -> np.ndarray:
    """Where (J, J) the machine is wrong."""
    return ~np.eye(j, dtype=bool)


@dataclass(frozen=True)
class _Likelihood:
    """Parameters: first threshold, logarithms of the steps to the next, slopes (p,), log odds of wrong grades."""

    knees: Knees
    z: np.ndarray
    j: int
    p: int
    k: int

    def parts(self, params: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """log of the likelihood of each knee (n,), M (K, J, J), posterior (n, J)."""
        edges, _ = self._edges(params)
        confusion = self._confusion(params)
        joint = self._shares(edges) * confusion[self.knees.group, :, self.knees.machine]
        read = self.knees.reader >= 0
        joint[read] = np.where(np.arange(self.j) == self.knees.reader[read][:, None], joint[read], 0.0)
        total = joint.sum(axis=1)
        return np.log(total), confusion, joint / total[:, None]

    def loss(self, params: np.ndarray) -> tuple[float, np.ndarray]:
        """Minus the penalised log-likelihood and its gradient, per knee."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            logs, confusion, posterior = self.parts(params)
            value = self.knees.weights @ logs + PRIOR / self.j * np.log(confusion).sum()
            gradient = self._gradient(params, confusion, posterior)
        if not np.isfinite(value) or not np.all(np.isfinite(gradient)):
            return np.inf, np.zeros(len(params))
        n = self.knees.weights.sum()
        return -value / n, -gradient / n

    def scores(self, params: np.ndarray) -> np.ndarray:
        """Gradient of each knee's log-likelihood (n, parameters), without the prior."""
        knees, j = self.knees, self.j
        _, confusion, posterior = self.parts(params)
        errors = np.zeros((len(knees.machine), self.k, j, j))
        rows = np.arange(len(knees.machine))
        told = np.arange(j) == knees.machine[:, None]
        errors[rows, knees.group] = posterior[:, :, None] * (told[:, None, :] - confusion[knees.group])
        return np.hstack([self._model_scores(params, posterior), errors[:, :, _off(j)].reshape(len(rows), -1)])

    def information(self, params: np.ndarray) -> np.ndarray:
        """Minus the Hessian of the penalised log-likelihood, by central differences of its gradient."""
        step = 1e-5

        def gradient(at: np.ndarray) -> np.ndarray:
            _, confusion, posterior = self.parts(at)
            return self._gradient(at, confusion, posterior)

        moved = np.array(
            [(gradient(params - step * u) - gradient(params + step * u)) / (2 * step) for u in np.eye(len(params))]
        )
        return (moved + moved.T) / 2

    def _gradient(self, params: np.ndarray, confusion: np.ndarray, posterior: np.ndarray) -> np.ndarray:
        """Of the penalised log-likelihood; the same as the weighted sum of `scores` and the prior's."""
        knees, j = self.knees, self.j
        weighted = posterior * knees.weights[:, None]
        place = knees.group * j + knees.machine
        # Expected knees (K, J, J) by true and machine grade.
        counts = np.stack([np.bincount(place, weighted[:, t], self.k * j).reshape(self.k, j) for t in range(j)], axis=1)
        counts = counts + PRIOR / j
        errors = counts - confusion * counts.sum(axis=2, keepdims=True)
        model = knees.weights @ self._model_scores(params, posterior)
        return np.concatenate([model, errors[:, _off(j)].ravel()])

    def _model_scores(self, params: np.ndarray, posterior: np.ndarray) -> np.ndarray:
        """Scores of thresholds and slopes (n, J - 1 + p)."""
        edges, density = self._edges(params)
        ratio = posterior / self._shares(edges)
        # Raising a threshold takes from the grade above it and gives to the one below.
        by_cut = density * (ratio[:, :-1] - ratio[:, 1:])
        by_step = np.cumsum(by_cut[:, ::-1], axis=1)[:, ::-1]
        steps = np.exp(params[1 : self.j - 1])
        return np.hstack([by_step[:, :1], by_step[:, 1:] * steps, -by_cut.sum(axis=1)[:, None] * self.z])

    @staticmethod
    def _shares(edges: np.ndarray) -> np.ndarray:
        return np.maximum(np.diff(edges, axis=1), 1e-300)

    def _edges(self, params: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cumulative probabilities (n, J + 1) from 0 to 1, and the density at the inner ones (n, J - 1)."""
        cuts = np.cumsum(np.concatenate([params[:1], np.exp(params[1 : self.j - 1])]))
        below = expit(cuts - (self.z @ params[self.j - 1 : self.j - 1 + self.p])[:, None])
        n = len(below)
        return np.hstack([np.zeros((n, 1)), below, np.ones((n, 1))]), below * (1 - below)

    def _confusion(self, params: np.ndarray) -> np.ndarray:
        logs = np.zeros((self.k, self.j, self.j))
        logs[:, _off(self.j)] = params[self.j - 1 + self.p :].reshape(self.k, -1)
        odds = np.exp(logs - logs.max(axis=-1, keepdims=True))
        return odds / odds.sum(axis=-1, keepdims=True)


def overimpute(knees: Knees, runners: np.ndarray, m: int, seed: int) -> np.ndarray:
    """The reader's grades (m, n), drawn for the knees that were not read (Blackwell, Honaker and King 2017).

    For each set the runners are resampled and the model fitted anew, which carries the uncertainty of the model and of
    the confusion matrix; then each grade is drawn from its probability under that fit. Knees that were read keep
    their grade. Sets whose resample has no fit are drawn again, up to twice as many as are asked for.

    Raises
    ------
    Refusal
        `not_converged` when more than half of the resamples have no fit; those of `fit_corrected`.
    """
    members = np.unique(runners, return_inverse=True)[1]
    n_runners = int(members.max()) + 1
    whole = fit_corrected(knees, runners)
    found: list[np.ndarray] = []
    for i in range(2 * m):
        rng = np.random.default_rng([seed, i])
        drawn = rng.multinomial(n_runners, np.full(n_runners, 1 / n_runners)).astype(float)[members]
        try:
            fitted = fit_corrected(replace(knees, weights=drawn), runners, near=whole)
        except Refusal:
            continue
        edges = np.cumsum(fitted.posterior, axis=1)[:, :-1]
        found.append((rng.random(len(edges))[:, None] > edges).sum(axis=1))
        if len(found) == m:
            return np.array(found)
    raise Refusal("not_converged", f"{2 * m - len(found)} of {2 * m} resamples of the runners had no fit")
