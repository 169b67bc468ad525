"""How far two scans of one knee may differ with nothing changed: repeatability, after Bland and Altman (1999)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Repeatability:
    """`coefficient` = 1.96 sqrt(2) within-subject SD: 95 % of differences of two scans stay below it."""

    n_knees: int
    mean: float
    within_sd: float
    coefficient: float
    low: float  # 95 % interval of the coefficient
    high: float


def repeatability(knees: Sequence[Sequence[tuple[float | None, float | None]]]) -> Repeatability | None:
    """Of pairs of values, grouped by knee; None with fewer than two knees that have any.

    The within-subject variance is the mean of half the squared differences. Its interval (chi-square) has as many
    degrees of freedom as knees, however many values a knee has: they are not independent.

    >>> found = repeatability([[(10.0, 11.0)], [(20.0, 18.0)], [(5.0, None)]])
    >>> found.n_knees, round(found.within_sd, 3), round(found.coefficient, 2)
    (2, 1.118, 3.1)
    """
    known = [[pair for pair in pairs if None not in pair] for pairs in knees]
    known = [pairs for pairs in known if pairs]
    if len(known) < 2:
        return None
    values = np.array([pair for pairs in known for pair in pairs])
    within = math.sqrt(float(np.mean((values[:, 0] - values[:, 1]) ** 2)) / 2)
    coefficient, df = 1.96 * math.sqrt(2) * within, len(known)
    low, high = (coefficient * math.sqrt(df / stats.chi2.ppf(q, df)) for q in (0.975, 0.025))
    return Repeatability(df, float(values.mean()), within, coefficient, low, high)
