"""Does a share rise or fall along ordered groups? Cochran-Armitage test for a trend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Trend:
    """Chi-square with one degree of freedom and its two-sided p-value."""

    chi2: float
    p_value: float


def trend_in_shares(counts: Sequence[int], sizes: Sequence[int], scores: Sequence[float] | None = None) -> Trend | None:
    """Trend of counts / sizes over groups with the given scores (by default 0, 1, 2, ...); as R prop.trend.test.

    Members are independent. None where everybody or nobody has the finding, or only one score has members.
    """
    counts, sizes = np.asarray(counts, dtype=float), np.asarray(sizes, dtype=float)
    scores = np.arange(len(counts)) if scores is None else np.asarray(scores, dtype=float)
    share = counts.sum() / sizes.sum()
    centred = scores - sizes @ scores / sizes.sum()
    variance = share * (1 - share) * float(sizes @ centred**2)
    if variance <= 0:
        return None
    chi2 = float(centred @ (counts - sizes * share)) ** 2 / variance
    return Trend(chi2, float(stats.chi2.sf(chi2, 1)))
