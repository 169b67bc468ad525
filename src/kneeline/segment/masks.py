"""Where a mask lies."""

from __future__ import annotations

import numpy as np


def middle(mask: np.ndarray) -> np.ndarray:
    """Mean index along each axis, (3,): from counts, several times faster than moments of every voxel."""
    counts = [np.count_nonzero(mask, axis=tuple({0, 1, 2} - {axis})) for axis in range(3)]
    return np.array([np.arange(len(count)) @ count / count.sum() for count in counts])


def bounding_box(mask: np.ndarray) -> tuple[slice, ...] | None:
    """The smallest box that holds a mask; None when it is empty."""
    filled = [np.flatnonzero(mask.any(tuple({*range(mask.ndim)} - {axis}))) for axis in range(mask.ndim)]
    return tuple(slice(int(f[0]), int(f[-1]) + 1) for f in filled) if filled[0].size else None
