"""Does the machine know how sure it may be? Promised probability against what turned out to be true."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

BINS = 10  # of equal width, from 0 to 1


@dataclass(frozen=True, eq=False)
class Reliability:
    """What was promised and what was true, by bins of the promise; each array (BINS,), volumes in mm3.

    Weights are volumes, not voxels: a knee in thin slices counts as much as one in thick ones.
    """

    volume_mm3: np.ndarray
    promised_mm3: np.ndarray  # sum of probability times volume
    right_mm3: np.ndarray  # volume that truly is the structure

    @property
    def total_mm3(self) -> float:
        return float(self.volume_mm3.sum())

    @property
    def promised(self) -> float:
        """Mean probability."""
        return float(self.promised_mm3.sum() / self.total_mm3)

    @property
    def right(self) -> float:
        """Share that is right."""
        return float(self.right_mm3.sum() / self.total_mm3)

    @property
    def expected_calibration_error(self) -> float:
        """Mean over volume of |mean probability - share right| of its bin (Naeini 2015)."""
        return float(np.abs(self.promised_mm3 - self.right_mm3).sum() / self.total_mm3)

    def points(self) -> np.ndarray:
        """(bins that hold anything, 3): mean probability, share right, share of the volume."""
        held = self.volume_mm3 > 0
        volume = self.volume_mm3[held]
        return np.stack([self.promised_mm3[held] / volume, self.right_mm3[held] / volume, volume / volume.sum()], 1)


def reliability(probability: np.ndarray, right: np.ndarray, voxel_mm3: float) -> Reliability:
    """Of voxels that were given one label: `probability` (n,) promised for it, `right` (n,) whether it is so.

    >>> r = reliability(np.array([0.62, 0.68, 0.95]), np.array([True, False, True]), 2.0)
    >>> r.volume_mm3[6], round(r.promised_mm3[6], 3), r.right_mm3[6], round(r.expected_calibration_error, 3)
    (np.float64(4.0), np.float64(2.6), np.float64(2.0), 0.117)

    Raises
    ------
    ValueError
        If a probability is not between 0 and 1.
    """
    probability = np.asarray(probability, float)
    if probability.size and not (probability.min() >= 0 and probability.max() <= 1 + 1e-3):
        raise ValueError(f"expected probabilities, got {probability.min()} to {probability.max()}")
    index = np.minimum((probability * BINS).astype(int), BINS - 1)
    sums = [np.bincount(index, weights, BINS) for weights in (np.ones(index.size), probability, right)]
    return Reliability(*(total * voxel_mm3 for total in sums))


def pool(parts: Iterable[Reliability]) -> Reliability | None:
    """All together; None without any volume."""
    parts = list(parts)
    if not sum(part.total_mm3 for part in parts):
        return None
    return Reliability(
        sum(part.volume_mm3 for part in parts),
        sum(part.promised_mm3 for part in parts),
        sum(part.right_mm3 for part in parts),
    )
