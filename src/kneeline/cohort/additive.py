"""Interaction on the additive scale: RERI, AP and S with delta-method intervals (Hosmer and Lemeshow 1992).

Cells are given as (without the finding, with the finding), in the order neither, first only, second only, both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from kneeline.cohort.exact import Effect

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
    return interaction(cells, lambda no, yes: (math.log(yes / (no + yes)), 1 / yes - 1 / (no + yes)))


def interaction(cells: Cells, log_measure: Callable[[int, int], tuple[float, float]]) -> AdditiveInteraction:
    """For any measure of a cell whose logarithm and variance `log_measure(without, with)` gives."""
    logs, variances = zip(*(log_measure(no, yes) for no, yes in cells), strict=True)
    # Every ratio shares the reference cell, hence its variance.
    covariance = np.diag(variances[1:]) + variances[0]
    first, second, both = (math.exp(value - logs[0]) for value in logs[1:])
    reri = both - first - second + 1
    ap = reri / both
    relative = (first, second, both)
    reri_effect = _effect(reri, np.array([-first, -second, both]), covariance)
    ap_effect = _effect(ap, np.array([-first, -second, first + second - 1]) / both, covariance)
    excess, apart = both - 1, first + second - 2
    s_effect = None
    if excess * apart > 0:
        log_s = _effect(
            math.log(excess / apart), np.array([-first / apart, -second / apart, both / excess]), covariance
        )
        s_effect = Effect(*(math.exp(v) for v in (log_s.estimate, log_s.low, log_s.high)), log_s.p_value)
    return AdditiveInteraction(relative, reri_effect, ap_effect, s_effect)


def _effect(estimate: float, gradient: np.ndarray, covariance: np.ndarray) -> Effect:
    se = math.sqrt(float(gradient @ covariance @ gradient))
    reach = float(stats.norm.ppf(0.975)) * se
    return Effect(estimate, estimate - reach, estimate + reach, float(2 * stats.norm.sf(abs(estimate) / se)))
