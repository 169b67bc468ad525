"""Fluid that is not the joint's: popliteal (Baker's) cysts and what lies in front of the patella.

The joint's posterior recesses lie on the condyles. So fluid behind them and further than `CYST_GAP_MM` from femur,
tibia and menisci is a cyst if it is separate, or if the neck by which it hangs on the joint's fluid is narrow for its
size. The neck is looked for from that distance outwards, as a full recess may lie before it. A recess that is only
distended is broadly in contact with what lies nearer at every distance, and stays joint fluid. In the same way fluid
straight in front of the patella is a bursa's, unless it is broadly one with the joint's.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from kneeline.score.axes import Axes
from kneeline.score.frame import Knee
from kneeline.score.recesses import BELOW, CELL_MM, FEMUR, PATELLA, Cells

CYST_ML = 1.0
CYST_GAP_MM = 4.0
_NECKS_MM = (CYST_GAP_MM, 6.0, 8.0, 10.0, 12.0)
# Area of the neck as a share of the cyst's volume to the power 2/3 (a ball's cross-section is 1.2 of it).
NECK_SHARE = 0.4
# Behind the condyles' middle, this high above the femur's end, as much image as this must lie for the absence of a cyst
# to be seen.
CYST_ROOM_MM = 10.0
_CONDYLES_MM = 20.0


def bursa_voxels(fluid: np.ndarray, spacing_mm, cells: Cells, voxels: np.ndarray, coordinates) -> np.ndarray:
    """Which voxels of the fluid lie in front of the patella, outside the joint, (N,) bool.

    fluid: mask; voxels: its (N, 3) indices; coordinates: where they lie along the femur's axes, (N, 3) mm.
    """
    patella, at = cells.mask(*PATELLA), cells.at(coordinates)
    behind = np.cumsum(patella, axis=1, dtype=np.int16)
    before = behind[at] > (behind[:, -1:] - behind)[at]  # more of the patella lies behind the place than ahead of it
    return _hanging_on(np.flatnonzero(before), fluid, spacing_mm, voxels, 0.0)


def condyles_back(cells: Cells) -> float:
    """Forward coordinate of the back of the condyles."""
    return float(np.quantile(np.nonzero(cells.mask(*FEMUR))[1], 0.005) * CELL_MM + cells.low[1])


def behind_in_view(knee: Knee, axes: Axes, cells: Cells) -> bool:
    """Whether the image goes on behind the condyles far enough to show a cyst."""
    femur = np.argwhere(cells.mask(*FEMUR)) * CELL_MM + cells.low
    place = axes.to_world(
        np.array([femur[:, 0].mean(), condyles_back(cells) - CYST_ROOM_MM, femur[:, 2].min() + _CONDYLES_MM])
    )
    voxel = knee.labels.geometry.to_voxel(place)
    return bool((voxel > -0.5).all() and (voxel < np.array(knee.labels.shape) - 0.5).all())


def cyst_voxels(fluid: np.ndarray, spacing_mm, cells: Cells, voxels: np.ndarray, coordinates: np.ndarray) -> np.ndarray:
    """Which voxels of the fluid belong to a cyst, (N,) bool.

    fluid: mask; voxels: its (N, 3) indices; coordinates: where they lie along the femur's axes, (N, 3) mm.
    """
    behind = coordinates[:, 1] < condyles_back(cells)
    if behind.sum() * np.prod(spacing_mm) < CYST_ML * 1000:
        return np.zeros(len(voxels), bool)
    gap = ndimage.distance_transform_edt(~cells.mask(*FEMUR, *BELOW))[cells.at(coordinates[behind])] * CELL_MM
    cyst = np.zeros(len(voxels), bool)
    for distance in _NECKS_MM:
        far = np.flatnonzero(behind)[gap > distance]
        cyst |= _hanging_on(far[~cyst[far]], fluid, spacing_mm, voxels, CYST_ML * 1000)
    return cyst


def _hanging_on(part: np.ndarray, fluid: np.ndarray, spacing_mm, voxels: np.ndarray, least_mm3: float) -> np.ndarray:
    """Of a part of the fluid (indices into `voxels`) the pieces that the rest touches by a neck at most."""
    chosen = np.zeros(len(voxels), bool)
    if not len(part):
        return chosen
    first = voxels[part].min(0)
    box = tuple(slice(max(a - 1, 0), b + 2) for a, b in zip(first, voxels[part].max(0), strict=True))
    places = tuple((voxels[part] - [s.start for s in box]).T)
    mask = np.zeros(fluid[box].shape, bool)
    mask[places] = True
    rest = fluid[box] & ~mask
    pieces, n = ndimage.label(mask, np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel(), minlength=n + 1) * np.prod(spacing_mm)
    for k in np.flatnonzero(sizes[1:] >= least_mm3) + 1:
        if _contact_mm2(pieces == k, rest, spacing_mm) <= NECK_SHARE * sizes[k] ** (2 / 3):
            chosen[part[pieces[places] == k]] = True
    return chosen


def _contact_mm2(one: np.ndarray, other: np.ndarray, spacing_mm) -> float:
    """Area of the faces at which two masks meet."""
    area = 0.0
    for axis in range(3):
        here, there = ([slice(None)] * 3 for _ in range(2))
        here[axis], there[axis] = slice(1, None), slice(None, -1)
        here, there = tuple(here), tuple(there)
        faces = np.count_nonzero(one[here] & other[there]) + np.count_nonzero(one[there] & other[here])
        area += faces * np.prod(spacing_mm) / spacing_mm[axis]
    return float(area)
