"""Does one rater give higher grades than another? Homogeneity of the two raters' grade distributions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Homogeneity:
    """Chi-square of equal distributions, its degrees of freedom and p-value."""

    chi2: float
    df: int
    p_value: float


def stuart_maxwell(table: Sequence[Sequence[float]]) -> Homogeneity | None:
    """Stuart 1955, Maxwell 1970: variance as if the distributions were equal. A 2x2 table gives McNemar's chi-square.

    None where no pair differs.
    """
    table = np.asarray(table, dtype=float)
    table = table[np.ix_(*2 * [(table.sum(axis=0) + table.sum(axis=1)) > 0])]
    shift = (table.sum(axis=1) - table.sum(axis=0))[:-1]
    spread = (np.diag(table.sum(axis=0) + table.sum(axis=1)) - table - table.T)[:-1, :-1]
    return _wald(shift, spread)


def mcnemar(up: int, down: int, corrected: bool = False) -> Homogeneity | None:
    """McNemar's chi-square of paired yes/no findings that appeared (`up`) or vanished (`down`), on request with
    Edwards' continuity correction (as R mcnemar.test); None where no pair differs. For few pairs take the exact test.
    """
    if up + down == 0:
        return None
    chi2 = max(0, abs(up - down) - corrected) ** 2 / (up + down)
    return Homogeneity(chi2, 1, float(stats.chi2.sf(chi2, 1)))


def homogeneity(first: Sequence[int], second: Sequence[int], runners: Sequence) -> Homogeneity | None:
    """Wald test with the empirical variance, pairs (n,) clustered in runners; None where no pair differs.

    With one pair a runner this is Bhapkar's test (1966).
    """
    first, second = np.asarray(first), np.asarray(second)
    grades = np.union1d(first, second)[:-1]
    steps = (first[:, None] == grades).astype(float) - (second[:, None] == grades)
    members = np.unique(np.asarray(runners), return_inverse=True)[1]
    totals = np.zeros((int(members.max()) + 1, len(grades)))
    np.add.at(totals, members, steps)
    return _wald(totals.sum(axis=0), totals.T @ totals - np.outer(totals.sum(axis=0), totals.mean(axis=0)))


def _wald(shift: np.ndarray, spread: np.ndarray) -> Homogeneity | None:
    rank = int(np.linalg.matrix_rank(spread)) if spread.size else 0
    if rank == 0:
        return None
    chi2 = float(shift @ np.linalg.pinv(spread) @ shift)
    return Homogeneity(chi2, rank, float(stats.chi2.sf(chi2, rank)))
