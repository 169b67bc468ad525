"""How well two masks agree: overlap, and the distance between their surfaces in mm.

A surface voxel is a voxel of the mask with one of its six neighbours outside the mask. What lies beyond the image is
not known to be outside, so where the image cuts through a bone there is no surface: the cut would only flatter.
Distances are between centres of surface voxels in world mm, each to the nearest of the other surface, and exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from kneeline.volume import Geometry


@dataclass(frozen=True)
class SurfaceDistance:
    """Of two surfaces A and B. With a(b) the distances from A's voxels to B and the other way round:

    `hausdorff95_mm` is the larger of the two 95th percentiles, `mean_mm` (average symmetric surface distance) the mean
    of all distances of both directions together.
    """

    hausdorff95_mm: float
    mean_mm: float


def dice(one: np.ndarray, two: np.ndarray) -> float:
    """Overlap of two masks, 2 |A and B| / (|A| + |B|); 1 when both are empty.

    >>> cube = np.zeros((12, 12, 12), bool); cube[:10, :10, :10] = True
    >>> round(dice(cube, np.roll(cube, 1, 0)), 6)
    0.9
    """
    total = int(np.count_nonzero(one)) + int(np.count_nonzero(two))
    return 2 * int(np.count_nonzero(one & two)) / total if total else 1.0


def surface(mask: np.ndarray) -> np.ndarray:
    """Surface voxels of a mask, bool of the same shape.

    >>> surface(np.array([0, 1, 1, 1, 0], bool)).astype(int), surface(np.ones(3, bool)).astype(int)
    (array([0, 1, 0, 1, 0]), array([0, 0, 0]))
    """
    inner = mask.copy()
    for axis in range(mask.ndim):
        here, there = np.moveaxis(inner, axis, 0), np.moveaxis(mask, axis, 0)
        here[1:] &= there[:-1]
        here[:-1] &= there[1:]
    return mask & ~inner


def surface_distance(one: np.ndarray, two: np.ndarray, geometry: Geometry) -> SurfaceDistance | None:
    """Distance between the surfaces of two masks on one grid; None when either has no surface."""
    points = [geometry.to_world(np.argwhere(surface(mask))) for mask in (one, two)]
    if not all(map(len, points)):
        return None
    # Points of a grid need no balancing, and building is then several times faster.
    trees = [cKDTree(cloud, balanced_tree=False, compact_nodes=False) for cloud in points]
    there, back = trees[1].query(points[0])[0], trees[0].query(points[1])[0]
    return SurfaceDistance(
        float(max(np.percentile(there, 95), np.percentile(back, 95))),
        float(np.concatenate([there, back]).mean()),
    )
