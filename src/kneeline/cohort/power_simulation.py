"""Power by simulation: planned studies are drawn, and each is put through the model of the analysis itself.

Grades follow proportional odds over the two groups exactly; the two knees of a runner are tied by a normal copula
whose correlation gives the ridits the stated intraclass correlation. So formula and simulation mean the same study.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats
from scipy.special import expit, logit, ndtr

from kneeline.cohort.design import Data
from kneeline.cohort.families import fit_ordinal
from kneeline.errors import Refusal


@dataclass(frozen=True)
class Study:
    """A planned study: grade shares over all knees, exposed and other runners, knees a runner, odds ratio, ICC."""

    shares: tuple[float, ...]
    odds_ratio: float
    exposed: int
    others: int
    knees: int = 1
    icc: float = 0.0


@dataclass(frozen=True)
class Simulated:
    """How many of the simulated studies showed p < alpha, and in how many the model could not be fitted."""

    studies: int
    shown: int
    refused: int


def simulate_power(study: Study, studies: int, seed: int, alpha: float = 0.05, jobs: int = 1) -> Simulated:
    """Analyse so many simulated studies; the result depends on the seed, not on the number of processes."""
    plan = (study, *_distribution(study), alpha)
    seeds = np.random.SeedSequence(seed).spawn(studies)
    if jobs == 1:
        found = [_show(plan, seed) for seed in seeds]
    else:
        with ProcessPoolExecutor(jobs) as pool:
            found = list(pool.map(_show, [plan] * studies, seeds, chunksize=max(1, studies // (4 * jobs))))
    return Simulated(studies, found.count(True), found.count(None))


def draw_grades(study: Study, rng: np.random.Generator) -> np.ndarray:
    """Grades of one study (runners, knees), the exposed runners first."""
    return _draw(study, *_distribution(study), rng)


def _show(plan: tuple, seed: np.random.SeedSequence) -> bool | None:
    """Whether one simulated study shows an association; None if its model is refused."""
    study, thresholds, latent, alpha = plan
    grades = _draw(study, thresholds, latent, np.random.default_rng(seed))
    runners = np.repeat(np.arange(len(grades)), study.knees)
    exposed = (runners < study.exposed).astype(float)
    try:
        answer = fit_ordinal(Data(grades.ravel(), exposed[:, None], ("rearfoot",), runners))
    except Refusal:
        return None
    return bool(answer["rearfoot"].p < alpha)


def _draw(study: Study, thresholds: np.ndarray, latent: float, rng: np.random.Generator) -> np.ndarray:
    runners = study.exposed + study.others
    own = rng.standard_normal((runners, study.knees))
    shared = rng.standard_normal((runners, 1))
    uniform = ndtr(np.sqrt(latent) * shared + np.sqrt(1 - latent) * own)
    shift = np.where(np.arange(runners) < study.exposed, np.log(study.odds_ratio), 0.0)
    below = expit(thresholds[None, :] - shift[:, None])
    return (uniform[:, :, None] > below[:, None, :]).sum(axis=2)


def _distribution(study: Study) -> tuple[np.ndarray, float]:
    """Thresholds of the unexposed, and the correlation of the latent normals of a runner's knees."""
    below = np.cumsum(study.shares)[:-1]
    share, beta = study.exposed / (study.exposed + study.others), np.log(study.odds_ratio)

    def mixed(threshold: float, target: float) -> float:
        return share * expit(threshold - beta) + (1 - share) * expit(threshold) - target

    reach = abs(beta) + 1
    thresholds = np.array(
        [optimize.brentq(mixed, logit(p) - reach, logit(p) + reach, args=(p,), xtol=1e-12) for p in below]
    )
    return thresholds, latent_correlation(study.shares, study.icc) if study.knees > 1 else 0.0


def latent_correlation(shares: Sequence[float], icc: float) -> float:
    """Correlation of two standard normals that gives the ridits of grades cut from them the correlation `icc`."""
    if icc in (0, 1):
        return float(icc)
    below = np.cumsum(shares)[:-1]
    cuts = stats.norm.ppf(below)
    ridits = np.concatenate([[0], below]) + np.asarray(shares) / 2
    steps, variance = np.diff(ridits), float(np.asarray(shares) @ (ridits - 0.5) ** 2)

    def excess(rho: float) -> float:
        # Covariance of two step functions: sum over their steps of P(X > a, Y > b) - P(X > a) P(Y > b).
        grid = np.array([[a, b] for a in cuts for b in cuts])
        both = stats.multivariate_normal.cdf(grid, mean=[0, 0], cov=[[1, rho], [rho, 1]]).reshape(len(cuts), -1)
        return float(steps @ (both - np.outer(below, below)) @ steps) / variance - icc

    return float(optimize.brentq(excess, 0, 1 - 1e-9, xtol=1e-7))
