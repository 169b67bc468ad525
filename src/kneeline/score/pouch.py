"""The suprapatellar pouch: how deep its fluid is, and whether the image holds all of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from kneeline.score.axes import Axes
from kneeline.score.frame import Knee
from kneeline.score.recesses import Patella, Recesses

# The pouch reaches 4-6 cm above the patella when full; with less image than this above the upper pole, or with its
# fluid this close to the image's border, its end may be cut off.
MIN_HEADROOM_MM = 20.0
BORDER_MM = 3.0
# Half width of the midline band, and where "lateral" begins, from the patella's midline.
MIDLINE_MM = 4.0
LATERAL_FROM_MM = 8.0
# A dark fold or a noisy pixel this wide does not break a run of fluid.
FOLD_MM = 1.0
# Lines on which depth is measured: from each other sideways and in height, and the step along them.
LINE_MM, LEVEL_MM, STEP_MM = 1.0, 1.0, 0.2
# Share of fluid from which an interpolated place is fluid; rounding must not decide about a place half way.
HALF = 0.499


@dataclass(frozen=True, eq=False)
class Depth:
    """A depth, and the line along which it was measured: (2, 3) mm in the right-knee world, None where it is 0."""

    mm: float
    line: np.ndarray | None = None


def measure_depths(
    knee: Knee, axes: Axes, parts: Recesses, patella: Patella, pouch: np.ndarray, voxels: np.ndarray
) -> tuple[Depth | None, Depth | None]:
    """Suprapatellar depth (mm) on the midline and lateral of it, as far as the image shows it.

    None where the image does not reach above the patella, and where it ends within the patella: the midline is then not
    known. pouch: mask of suprapatellar fluid; voxels: its (N, 3) indices.
    """
    if not parts.shown["suprapatellar"] or not patella.whole:
        return None, None
    midline, lateral = (-MIDLINE_MM, MIDLINE_MM), (LATERAL_FROM_MM, np.inf)
    return tuple(_deepest(knee, axes, patella, zone, pouch, voxels) for zone in (midline, lateral))


def _deepest(knee: Knee, axes: Axes, patella: Patella, zone, pouch: np.ndarray, voxels: np.ndarray) -> Depth:
    """Longest run of fluid (mm) on lines straight forward, at a distance within `zone` from the patella's midline.

    A run counts as far as the lines 1 mm above and below it have one as long: a ragged pixel is no depth. The mask is
    interpolated between voxels, so that runs end between them and between images. The lines start at the patella,
    wherever the fluid ends: more fluid moves no line.
    """
    if not len(voxels):
        return Depth(0.0)
    origin = np.array([patella.middle, 0.0, patella.pole + LEVEL_MM / 2])
    where = axes.coordinates(knee.labels.geometry.to_world(voxels)) - origin
    low, high = where.min(0) - max(knee.spacing_mm), where.max(0) + max(knee.spacing_mm)
    x = LINE_MM * np.arange(np.ceil(max(zone[0], low[0]) / LINE_MM), np.floor(min(zone[1], high[0]) / LINE_MM) + 1)
    level = LEVEL_MM * np.arange(max(np.floor(low[2] / LEVEL_MM), 0), np.ceil(high[2] / LEVEL_MM) + 1)
    along = STEP_MM * np.arange(np.floor(low[1] / STEP_MM), np.ceil(high[1] / STEP_MM) + 1)
    if not len(x):
        return Depth(0.0)
    first, last = np.maximum(voxels.min(0) - 1, 0), voxels.max(0) + 2
    part = np.pad(pouch[tuple(map(slice, first, last))].astype(np.float32), 1)
    grid = np.stack(np.meshgrid(x, level, along, indexing="ij"), axis=-1)[..., [0, 2, 1]] + origin
    places = knee.labels.geometry.to_voxel(axes.to_world(grid)) - (first - 1)
    inside = ndimage.map_coordinates(part, np.moveaxis(places, -1, 0).astype(np.float32), order=1) > HALF
    samples, ends = longest_runs(inside, round(FOLD_MM / STEP_MM))  # (x, level)
    runs = samples * STEP_MM
    beside = np.pad(runs, ((0, 0), (1, 1)))
    agreed = np.minimum(runs, np.minimum(beside[:, :-2], beside[:, 2:]))
    deepest = agreed.max()
    if not deepest:
        return Depth(0.0)
    # Three lines agree on the depth; one of them is as long as it and no longer.
    three = np.pad(agreed, ((0, 0), (1, 1)))
    near = np.maximum(agreed, np.maximum(three[:, :-2], three[:, 2:])) == deepest
    exact = np.argwhere((runs == deepest) & near)
    place = tuple(exact[len(exact) // 2])
    line = grid[place][[ends[place] - samples[place] + 1, ends[place]]]
    line[:, 1] += [-STEP_MM / 2, STEP_MM / 2]
    return Depth(float(deepest), axes.to_world(line))


def longest_runs(inside: np.ndarray, fold: int) -> tuple[np.ndarray, np.ndarray]:
    """Length of the longest run of True along the last axis, in samples, and its last sample; gaps of up to `fold`
    samples count as in it.

    >>> longest_runs(np.array([[1, 1, 0, 1, 0, 0, 1]], bool), 1)
    (array([4]), array([3]))
    """
    n = inside.shape[-1]
    place = np.arange(n)
    last = np.maximum.accumulate(np.where(inside, place, -1 - fold), axis=-1)
    after = np.flip(np.minimum.accumulate(np.flip(np.where(inside, place, n + fold), -1), axis=-1), -1)
    closed = inside | ((after - last <= fold + 1) & (last >= 0) & (after < n))
    outside = np.maximum.accumulate(np.where(closed, -1, place), axis=-1)
    length = place - outside
    return length.max(-1), length.argmax(-1)


def pouch_in_view(knee: Knee, axes: Axes, patella: Patella, voxels: np.ndarray) -> bool:
    """Whether the image goes on above the pouch: enough of it above the patella, and fluid ends before it does.

    voxels: (N, 3) indices of suprapatellar fluid; array axis 1 grows downwards, so its far end is no border here.
    """
    if not patella.whole:
        return False
    pole = axes.to_world(np.array([patella.middle, patella.forward, patella.pole]))
    if _way_out_mm(knee, pole, axes.up) < MIN_HEADROOM_MM:
        return False
    if not len(voxels):
        return True
    before, after = near_border(knee, voxels)
    after[:, 1] = False
    return not (before | after).any()


def near_border(knee: Knee, voxels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of some voxels, (N, 3) indices, lie within `BORDER_MM` of the image's first along each axis, and which of
    its last; each (N, 3) bool."""
    reach = BORDER_MM / np.array(knee.spacing_mm)
    return voxels <= reach, np.array(knee.labels.shape) - 1 - voxels <= reach


def _way_out_mm(knee: Knee, start: np.ndarray, direction: np.ndarray) -> float:
    """How far (mm) it is from a place in the world to the image's border; 0 outside it."""
    geometry = knee.labels.geometry
    voxel = geometry.to_voxel(start)
    step = geometry.to_voxel(start + direction) - voxel
    low, high = np.full(3, -0.5), np.array(geometry.shape) - 0.5
    if (voxel < low).any() or (voxel > high).any():
        return 0.0
    moves = step != 0
    return float(np.min((np.where(step > 0, high, low) - voxel)[moves] / step[moves]))
