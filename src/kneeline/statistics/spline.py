"""Restricted cubic splines: a dose response that may bend between its knots and is straight beyond them (Harrell)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

QUANTILES = {
    3: (0.10, 0.50, 0.90),
    4: (0.05, 0.35, 0.65, 0.95),
    5: (0.05, 0.275, 0.50, 0.725, 0.95),
}


def harrell_knots(values: Sequence[float], n_knots: int) -> np.ndarray:
    """Knots at Harrell's quantiles (linear interpolation, R type 7).

    >>> harrell_knots(range(1, 201), 4)
    array([ 10.95,  70.65, 130.35, 190.05])
    """
    return np.quantile(np.asarray(values, dtype=float), QUANTILES[n_knots])


def rcs_basis(x: Sequence[float], knots: Sequence[float]) -> np.ndarray:
    """Columns (n, knots - 1): x itself, then the non-linear terms, divided by the squared span of the knots.

    Same as R's Hmisc::rcspline.eval(norm = 2, inclx = TRUE). Knots must rise.

    >>> rcs_basis([40.0], [10, 25, 45, 80]).round(4)
    array([[40.    ,  5.5102,  0.6888]])
    """
    x, t = np.asarray(x, dtype=float), np.asarray(knots, dtype=float)
    if len(t) < 3 or np.any(np.diff(t) <= 0):
        raise ValueError(f"expected three or more rising knots, got {t.tolist()}")
    cube = lambda knot: np.clip(x - knot, 0, None) ** 3  # noqa: E731
    last, before = t[-1], t[-2]
    columns = [x]
    for knot in t[:-2]:
        bent = (
            cube(knot) - cube(before) * (last - knot) / (last - before) + cube(last) * (before - knot) / (last - before)
        )
        columns.append(bent / (last - t[0]) ** 2)
    return np.column_stack(columns)
