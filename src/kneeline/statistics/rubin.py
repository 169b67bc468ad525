"""Rubin's rules: one estimate from several imputed data sets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Pooled:
    """Pooled estimate; `df` are Barnard and Rubin's (1999), `riv` the relative increase in variance, `fmi` the fraction
    of missing information."""

    estimate: float
    within: float
    between: float
    total: float
    df: float
    riv: float
    fmi: float

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        reach = float(stats.t.ppf(0.5 + level / 2, self.df)) * math.sqrt(self.total)
        return self.estimate - reach, self.estimate + reach


def pool(estimates: Sequence[float], variances: Sequence[float], complete_df: float) -> Pooled:
    """Pool two or more estimates; `complete_df` are the degrees of freedom had nothing been missing (n - k)."""
    m = len(estimates)
    if m < 2 or len(variances) != m:
        raise ValueError(f"expected two or more estimates, each with a variance, got {m} and {len(variances)}")
    within, between = float(np.mean(variances)), float(np.var(estimates, ddof=1))
    extra = (1 + 1 / m) * between
    total = within + extra
    share = extra / total
    observed = (complete_df + 1) / (complete_df + 3) * complete_df * (1 - share)
    df = 1 / (1 / observed + (share**2 / (m - 1) if share else 0.0))
    riv = extra / within
    return Pooled(float(np.mean(estimates)), within, between, total, df, riv, (riv + 2 / (df + 3)) / (1 + riv))
