"""Risks of the four joint cells, adjusted by marginal standardisation: what the mean risk of all knees would be by the
model if every runner belonged to one cell and kept their own covariates.

The model is a logit of the finding on both exposures, their product and the covariates, knees within a runner counted
together (working independence). The covariance of the four risks comes from influence functions by runner, which hold
both the uncertainty of the coefficients and that of who happened to be studied (Terza 2016; Hernan and Robins 2020,
chapter 13). Without covariates the risks are the observed shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import expit, log_expit

from kneeline.statistics.bootstrap import canonical_order, draws
from kneeline.statistics.newton import climb

_CELLS = ((0, 0), (1, 0), (0, 1), (1, 1))  # (first, second): neither, first only, second only, both
_STEPS = 25
_LARGEST_STEP = 5.0
_WORST_CONDITION = 1e9


@dataclass(frozen=True)
class StandardisedRisks:
    """Risks of the cells neither, first only, second only, both, and how each runner pulls at them."""

    risks: np.ndarray
    influence: np.ndarray  # (n_runners, 4), columns sum to 0
    _having: np.ndarray  # (n_runners,) knees with the finding
    _knees: np.ndarray  # (n_runners,)
    _covariates: np.ndarray  # (n_runners, p)
    _design: np.ndarray  # (n_runners, 4 + p)
    _params: np.ndarray

    @property
    def n_runners(self) -> int:
        return len(self._knees)

    @cached_property
    def covariance(self) -> np.ndarray:
        """Of the four risks (4, 4), with the small-sample factor G / (G - 1)."""
        return self.influence.T @ self.influence * self.n_runners / (self.n_runners - 1)

    @property
    def log_covariance(self) -> np.ndarray:
        """Of the logarithms of the risks (4, 4)."""
        return self.covariance / np.outer(self.risks, self.risks)

    def replicates(self, n: int, seed: int) -> np.ndarray:
        """Risks (n, 4) in resamples of the runners, the model fitted anew in each; nan where it has no finite fit."""
        return np.vstack([self._refit(block) for block in draws(self.n_runners, n, seed)])

    def _refit(self, weights: np.ndarray) -> np.ndarray:
        params = _newton(self._design, self._having, self._knees, weights, self._params)
        return _mean_risks(params, self._covariates, self._knees * weights)


def standardise(
    finding: np.ndarray, first: np.ndarray, second: np.ndarray, covariates: np.ndarray, runners: np.ndarray
) -> StandardisedRisks:
    """Standardised risks of knees (n,) with a yes/no finding; exposures (n,) and covariates (n, p) of their runners.

    Raises
    ------
    Refusal
        `collinear` or `not_converged`.
    """
    _, members = np.unique(runners, return_inverse=True)
    n_runners = int(members.max()) + 1
    knees = np.bincount(members).astype(float)
    having = np.bincount(members, weights=np.asarray(finding, dtype=float))
    one = np.empty(n_runners, dtype=int)
    one[members] = np.arange(len(members))
    first, second, covariates = first[one], second[one], covariates[one]
    # Standardised columns: the same model, in numbers that Newton's method likes.
    spread = covariates.std(axis=0)
    covariates = (covariates - covariates.mean(axis=0)) / np.where(spread > 0, spread, 1)
    order = canonical_order(first, second, covariates, knees, having)
    first, second, covariates = first[order], second[order], covariates[order]
    knees, having = knees[order], having[order]
    design = np.column_stack([np.ones(n_runners), first, second, first * second, covariates])
    peak = climb(lambda params: _evaluate(params, design, having, knees), np.zeros(design.shape[1]))
    risks = _mean_risks(peak.params, covariates, knees)
    residual = having - knees * expit(design @ peak.params)
    pull = np.linalg.solve(peak.information, (design * residual[:, None]).T).T
    influence = np.empty((n_runners, 4))
    total = knees.sum()
    for cell, exposures in enumerate(_CELLS):
        moved = _set_to(exposures, covariates)
        share = expit(moved @ peak.params)
        slope = (knees * share * (1 - share)) @ moved / total
        influence[:, cell] = knees * (share - risks[cell]) / total + pull @ slope
    return StandardisedRisks(risks, influence, having, knees, covariates, design, peak.params)


def _set_to(exposures: tuple[int, int], covariates: np.ndarray) -> np.ndarray:
    first, second = exposures
    return np.column_stack([np.tile([1.0, first, second, first * second], (len(covariates), 1)), covariates])


def _mean_risks(params: np.ndarray, covariates: np.ndarray, knees: np.ndarray) -> np.ndarray:
    """Risks (..., 4) of parameters (..., 4 + p), the mean over knees (..., n_runners)."""
    own = params[..., 4:] @ covariates.T
    shifts = [params[..., :4] @ (1.0, a, b, a * b) for a, b in _CELLS]
    sums = [(knees * expit(own + np.expand_dims(shift, -1))).sum(axis=-1) for shift in shifts]
    return np.stack(sums, axis=-1) / knees.sum(axis=-1)[..., None]


def _evaluate(params: np.ndarray, design: np.ndarray, having: np.ndarray, knees: np.ndarray):
    eta = design @ params
    share = expit(eta)
    value = float(having @ log_expit(eta) + (knees - having) @ log_expit(-eta))
    information = (design * (knees * share * (1 - share))[:, None]).T @ design
    return value, design.T @ (having - knees * share), information


def _newton(
    design: np.ndarray, having: np.ndarray, knees: np.ndarray, weights: np.ndarray, start: np.ndarray
) -> np.ndarray:
    """Fits (b, k) with runner weights (b, n), all at once, from a start that is near; nan where a fit does not settle.

    A resample without runners of a cell, or separated, has an information that is singular, or becomes so.
    """
    k = design.shape[1]
    pairs = np.einsum("ni,nj->nij", design, design).reshape(len(design), k * k)
    params = np.tile(start, (len(weights), 1))
    moving = np.ones(len(weights), dtype=bool)
    for _ in range(_STEPS):
        drawn = weights[moving]
        share = expit(params[moving] @ design.T)
        information = ((drawn * knees * share * (1 - share)) @ pairs).reshape(-1, k, k)
        gradient = (drawn * (having - knees * share)) @ design
        sound = np.linalg.cond(information) < _WORST_CONDITION
        information[~sound] = np.eye(k)
        step = np.clip(np.linalg.solve(information, gradient[..., None])[..., 0], -_LARGEST_STEP, _LARGEST_STEP)
        step[~sound] = np.nan
        params[moving] += step
        moving[moving] = np.abs(step).max(axis=1) > 1e-8
        if not moving.any():
            break
    params[moving] = np.nan
    return params
