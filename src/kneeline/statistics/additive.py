"""Interaction on the additive scale: RERI, AP and S by the delta method, MOVER and from resampled risks.

The four cells come in the order neither, first only, second only, both; neither is the reference.
Delta method: Hosmer and Lemeshow 1992. MOVER (method of variance estimates recovery): Zou 2008.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from kneeline.statistics.exact import Effect

# (without the finding, with the finding) in each cell
Cells = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class AdditiveInteraction:
    """`relative` (3,): odds or risk ratios of first only, second only and both, against neither.

    RERI > 0, AP > 0, S > 1: together more than the sum of each alone. S is missing when it is not defined.
    """

    relative: tuple[float, float, float]
    reri: Effect
    ap: Effect
    s: Effect | None


def from_risks(cells: Cells) -> AdditiveInteraction:
    """From risk ratios: right for a common finding in a cross-sectional sample. No cell may lack the finding."""
    return interaction(cells, log_risk)


def log_risk(without: int, having: int) -> tuple[float, float]:
    """Logarithm of a cell's risk and its variance."""
    return math.log(having / (without + having)), 1 / having - 1 / (without + having)


def interaction(cells: Cells, log_measure: Callable[[int, int], tuple[float, float]]) -> AdditiveInteraction:
    """For any measure of a cell whose logarithm and variance `log_measure(without, with)` gives."""
    return from_logs(*logs_of(cells, log_measure))


def logs_of(cells: Cells, log_measure: Callable[[int, int], tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms (4,) of independent cells and their covariance (4, 4)."""
    logs, variances = zip(*(log_measure(without, having) for without, having in cells), strict=True)
    return np.array(logs), np.diag(variances)


def from_logs(logs: np.ndarray, covariance: np.ndarray, df: float = math.inf) -> AdditiveInteraction:
    """Delta method from the logarithms (4,) of the cells' risks or odds and their covariance (4, 4).

    `df`: degrees of freedom of Student's t; infinite for the normal distribution.
    """
    covariance = _against(0, covariance)
    first, second, both = np.exp(logs[1:] - logs[0])
    reri = both - first - second + 1
    reri_effect = _effect(reri, np.array([-first, -second, both]), covariance, df)
    ap_effect = _effect(reri / both, np.array([-first, -second, first + second - 1]) / both, covariance, df)
    excess, apart = both - 1, first + second - 2
    s_effect = None
    if excess * apart > 0:
        gradient = np.array([-first / apart, -second / apart, both / excess])
        log_s = _effect(math.log(excess / apart), gradient, covariance, df)
        s_effect = Effect(*(math.exp(v) for v in (log_s.estimate, log_s.low, log_s.high)), log_s.p_value)
    return AdditiveInteraction((float(first), float(second), float(both)), reri_effect, ap_effect, s_effect)


def mover(logs: np.ndarray, covariance: np.ndarray, df: float = math.inf) -> tuple[Effect, Effect]:
    """RERI and AP with MOVER intervals, which follow the skewness of the ratios; no p-values.

    RERI is a sum of ratios to the reference cell, AP (1 - first/both - second/both + neither/both) one of ratios to the
    cell with both. S has no row of its own: from the symmetric intervals of its two logarithms MOVER gives the delta
    interval again.
    """
    return (
        _recovered(logs, covariance, base=0, signs={1: -1, 2: -1, 3: 1}, df=df),
        _recovered(logs, covariance, base=3, signs={1: -1, 2: -1, 0: 1}, df=df),
    )


def measures(risks: np.ndarray) -> np.ndarray:
    """RERI, AP and S (..., 3) of risks (..., 4); nan where a measure is not defined.

    >>> measures(np.array([0.1, 0.2, 0.3, 0.8])).round(4)
    array([4.    , 0.5   , 2.3333])
    """
    neither, first, second, both = np.moveaxis(np.asarray(risks, dtype=float), -1, 0)
    beyond = both - first - second + neither
    excess, apart = both - neither, first + second - 2 * neither
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.stack([beyond / neither, beyond / both, excess / apart], axis=-1)
    found[..., 2] = np.where(excess * apart > 0, found[..., 2], np.nan)
    found[~np.isfinite(found)] = np.nan
    return found


def _recovered(logs: np.ndarray, covariance: np.ndarray, base: int, signs: dict[int, int], df: float) -> Effect:
    """1 plus the signed sum of ratios to the base cell, with MOVER limits."""
    cells = list(signs)
    sign = np.array([signs[cell] for cell in cells])
    shared = _against(base, covariance, cells)
    errors = np.sqrt(np.diag(shared))
    correlation = shared / np.outer(errors, errors) * np.outer(sign, sign)
    ratios = np.exp(logs[cells] - logs[base])
    reach = float(stats.t.ppf(0.975, df)) * errors
    below, above = ratios - ratios * np.exp(-reach), ratios * np.exp(reach) - ratios
    down, up = np.where(sign > 0, below, above), np.where(sign > 0, above, below)
    estimate = 1 + float(sign @ ratios)
    return Effect(
        estimate, estimate - math.sqrt(down @ correlation @ down), estimate + math.sqrt(up @ correlation @ up)
    )


def _against(base: int, covariance: np.ndarray, cells: Sequence[int] = (1, 2, 3)) -> np.ndarray:
    """Covariance (3, 3) of the logarithms of the cells' ratios to the base: every ratio shares the base."""
    contrast = np.zeros((len(cells), len(covariance)))
    contrast[range(len(cells)), list(cells)] = 1
    contrast[:, base] = -1
    return contrast @ covariance @ contrast.T


def _effect(estimate: float, gradient: np.ndarray, covariance: np.ndarray, df: float) -> Effect:
    se = math.sqrt(float(gradient @ covariance @ gradient))
    reach = float(stats.t.ppf(0.975, df)) * se
    p_value = float(2 * stats.t.sf(abs(estimate) / se, df))
    return Effect(float(estimate), float(estimate - reach), float(estimate + reach), p_value)
