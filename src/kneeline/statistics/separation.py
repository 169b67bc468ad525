"""Separation: when a (cumulative) logit has no finite maximum-likelihood estimate.

The log-likelihood is concave. It has no peak exactly when there is a direction along which no observation's
probability falls and at least one rises for ever. Such a direction is found by linear programming
(binary case: Konis 2007, after Albert and Anderson 1984).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linprog


def separating_parameters(upper: np.ndarray, lower: np.ndarray) -> list[int]:
    """Parameters that run to infinity; empty when the estimate is finite.

    Parameters
    ----------
    upper, lower
        Rows (m, k) and (l, k): linear predictors of which the probability is an increasing, and a decreasing, function.
    """
    rows = np.unique(np.vstack([upper, -lower]), axis=0)
    k = rows.shape[1]
    scale = np.abs(rows).max(axis=0)
    rows = rows / np.where(scale > 0, scale, 1)

    def furthest(gain: np.ndarray) -> float:
        found = linprog(-gain, A_ub=-rows, b_ub=np.zeros(len(rows)), bounds=[(-1, 1)] * k, method="highs")
        return -float(found.fun)

    if furthest(rows.sum(axis=0)) < 1e-7:
        return []
    units = np.eye(k)
    return [i for i in range(k) if max(furthest(units[i]), furthest(-units[i])) > 1e-7]


def blamed_parameters(upper: np.ndarray, lower: np.ndarray, running_off: Sequence[int]) -> list[int]:
    """Of the parameters that run to infinity those without which no other would; all, if there is no such one.

    Where one term separates the outcome completely, all others may run off with it; it is the one to name.
    """
    alone = [
        i for i in running_off if not separating_parameters(*(np.delete(rows, i, axis=1) for rows in (upper, lower)))
    ]
    return alone or list(running_off)
