"""The synovial membrane: a thin lining of the joint's cavity where its fluid lies against fat.

The membrane is thinner than the voxels of a simulated knee. So a voxel is lined or not, and what is kept is the volume:
mean thickness times the area of fluid that faces fat, whatever the spacing. Which voxels those are follows a thickness
that changes smoothly from place to place; where it fills a share of a voxel, that share of the voxels there is lined,
evenly spread.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from kneeline.simulate.shapes import Grid
from kneeline.simulate.soft import Noise

# Thickness follows a log-normal field: patches about this large, and the spread of the logarithm, with which 0.4 mm on
# average comes to the 1.8 mm that were the most in healthy knees (Knee.synovium_mm) in one place of 400.
PATCH_MM, LOG_SPREAD = 7.0, 0.6
# The membrane is nowhere thicker than this many times its mean.
_MOST = 4.5
# Smoothing (SD) of the fluid for the directions in which its surface faces.
_FACING_MM = 1.2
# Powers of the root of x^4 = x + 1: their multiples fill space evenly (Roberts 2018, generalised golden ratio).
_EVEN = (0.8191725134, 0.6710436067, 0.5497004779)


def line(fluid: np.ndarray, fat: np.ndarray, mean_mm: float, grid: Grid, seed: int) -> np.ndarray:
    """Voxels of the membrane between fluid and fat, a mask like theirs; its mean thickness is `mean_mm`.

    fluid, fat: masks on the grid; the membrane takes the place of fat.
    """
    lined = np.zeros_like(fluid)
    if not fluid.any() or mean_mm <= 0:
        return lined
    h = grid.spacing_mm
    used = [np.flatnonzero(fluid.any(tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    margin = int(np.ceil(_MOST * mean_mm / h)) + 1
    box = tuple(slice(max(u[0] - margin, 0), u[-1] + margin + 1) for u in used)
    fluid, fat, grid = fluid[box], fat[box], grid.crop(box)
    count = round(mean_mm * facing_mm2(fluid, fat, h) / h**3)
    away = ndimage.distance_transform_edt(~fluid, sampling=h).astype(np.float32)
    places = np.nonzero(fat & (away < _MOST * mean_mm + h))
    thickness = np.exp(Noise(seed, grid).smooth(PATCH_MM, LOG_SPREAD)[places] - np.float32(LOG_SPREAD**2 / 2))
    turn = sum(i * step for i, step in zip(places, _EVEN, strict=True)) % 1
    # The membrane fills a voxel to the share of 1 + (thickness - away) / h.
    left = away[places] - np.float32(mean_mm) * np.minimum(thickness, _MOST) + np.float32(h) * turn
    chosen = np.argsort(left, kind="stable")[:count]
    lined[box][tuple(i[chosen] for i in places)] = True
    return lined


def facing_mm2(fluid: np.ndarray, fat: np.ndarray, spacing_mm: float) -> float:
    """Area of the fluid's surface that faces fat (mm2).

    Each face between a voxel of fluid and one of fat stands for its projection on the true surface, the cosine of the
    angle between their normals.
    """
    smooth = ndimage.gaussian_filter(fluid.astype(np.float32), _FACING_MM / spacing_mm)
    slope = np.gradient(smooth)
    length = np.sqrt(sum(s * s for s in slope))
    area = 0.0
    for axis in range(3):
        cosine = np.abs(slope[axis]) / np.maximum(length, 1e-9)
        low, high = ([slice(None)] * 3 for _ in range(2))
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        low, high = tuple(low), tuple(high)
        for inside, outside in ((low, high), (high, low)):
            area += float(cosine[outside][fluid[inside] & fat[outside]].sum(dtype=float))
    return area * spacing_mm**2
