"""Chance-corrected agreement on ordinal grades: weighted kappa, Gwet's AC1 and AC2.

A table counts pairs: rows by the first rater, columns by the second, the same grades in the same order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Agreement:
    """A chance-corrected coefficient and its large-sample standard error (pairs independent)."""

    estimate: float
    se: float


def weights(size: int, kind: str) -> np.ndarray:
    """Agreement weights (size, size): 1 on the diagonal; `unweighted`, `linear` or `quadratic` off it."""
    distance = np.abs(np.subtract.outer(np.arange(size), np.arange(size))) / max(1, size - 1)
    return {"unweighted": (distance == 0).astype(float), "linear": 1 - distance, "quadratic": 1 - distance**2}[kind]


def kappa(table: np.ndarray, kind: str = "unweighted") -> Agreement | None:
    """Cohen's (weighted) kappa with the standard error of Fleiss, Cohen and Everitt (1969).

    None when both raters used one and the same grade: chance agreement is then 1.
    """
    p, n = _shares(table)
    w = weights(len(p), kind)
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    chance = float(rows @ w @ columns)
    if n == 0 or 1 - chance < 1e-12:
        return None
    estimate = (float((w * p).sum()) - chance) / (1 - chance)
    mean_w = np.add.outer(w @ columns, rows @ w)
    spread = float((p * (w - mean_w * (1 - estimate)) ** 2).sum())
    variance = (spread - (estimate - chance * (1 - estimate)) ** 2) / (n * (1 - chance) ** 2)
    return Agreement(estimate, math.sqrt(max(0.0, variance)))


def gwet(table: np.ndarray, kind: str = "unweighted") -> Agreement | None:
    """Gwet's AC1 (unweighted) or AC2 (weighted), which stays meaningful when one grade is very common; Gwet 2014.

    None without pairs or with fewer than two possible grades.
    """
    p, n = _shares(table)
    q = len(p)
    if n == 0 or q < 2:
        return None
    w = weights(q, kind)
    share = (p.sum(axis=1) + p.sum(axis=0)) / 2
    chance = float(w.sum() / (q * (q - 1)) * (share * (1 - share)).sum())
    estimate = (float((w * p).sum()) - chance) / (1 - chance)
    slope = w.sum() / (q * (q - 1)) * (1 - np.add.outer(share, share) / 2)
    one = (w - chance) / (1 - chance) - 2 * (1 - estimate) * (slope - chance) / (1 - chance)
    variance = float((p * (one - estimate) ** 2).sum()) / n
    return Agreement(estimate, math.sqrt(variance))


def _shares(table: np.ndarray) -> tuple[np.ndarray, float]:
    table = np.asarray(table, dtype=float)
    n = float(table.sum())
    return table / n if n else table, n
