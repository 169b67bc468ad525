"""Terms that cannot be told apart: a constant, a copy of another, a sum of others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kneeline.errors import Refusal

# Relative size below which a singular value of the scaled columns counts as none.
_NOTHING = 1e-10


def dependent_columns(x: np.ndarray) -> list[int]:
    """Columns of x (n, p) that take part in a linear dependency with one another or with a constant.

    >>> age = np.array([20.0, 30.0, 50.0])
    >>> dependent_columns(np.column_stack([age, [1.0, 0.0, 0.0], 2 * age - 18]))
    [0, 2]
    """
    x = np.asarray(x, dtype=float)
    if not x.shape[1]:
        return []
    # About the mean: what is left of a constant is rounding.
    spread = x - x.mean(axis=0)
    size = np.sqrt((spread**2).sum(axis=0))
    flat = size <= _NOTHING * np.sqrt((x**2).sum(axis=0))
    scaled = np.where(flat, 0.0, spread / np.where(size > 0, size, 1))
    values, axes = np.linalg.svd(np.linalg.qr(scaled, mode="r"))[1:]
    rank = int((values > _NOTHING * max(1.0, values.max(initial=0))).sum())
    return np.flatnonzero(np.abs(axes[rank:]).max(axis=0, initial=0) > 1e-6).tolist()


def refuse_collinear(x: np.ndarray, names: Sequence[str]) -> None:
    """Nothing if every term of x (n, p) can be told apart.

    Raises
    ------
    Refusal
        `collinear`, with the names of the terms.
    """
    found = [names[i] for i in dependent_columns(x)]
    if len(found) == 1:
        raise Refusal("collinear", f"{found[0]} has one value in all of these knees; leave it out")
    if found:
        said = f"{', '.join(found[:-1])} and {found[-1]}"
        raise Refusal("collinear", f"{said} cannot be told apart: one follows from the rest; leave one of them out")
