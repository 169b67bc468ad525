"""Which part of the joint's cavity a place belongs to, by where it lies from the femur.

Above the patella's upper pole everything in front of and beside the femur is suprapatellar. Below it a place belongs to
that side of the femur from which it is reached most directly: in front of it lies the patellofemoral joint (as far as
the patella is wide, and nearer to the patella than to the tibia and menisci), at its sides the gutters (back to the
hindmost quarter of the condyles), below it and between the condyles the femorotibial joint, behind the condyles the
posterior recesses. "Most directly" is the shortest of the straight ways forward, back, up and sideways to the femur's
core, the bone without its outer 5 mm: on a film along the surface that is the direction in which the surface faces,
the border lying at 45 degrees.

All of it is worked out once for cells on a grid along the femur's own axes, in which a fluid voxel then looks up its
recess.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from kneeline.grading import RECESSES
from kneeline.labels import Label
from kneeline.score.axes import Axes, sample
from kneeline.score.frame import Knee, is_one_of

CELL_MM = 2.0
CORE_MM = 5.0
# A recess whose first millimetres off the femur are imaged to less than this share is not in view. Fluid lies there
# first; where it reaches further, it shows by running into the image's border.
_SHELL_MM, _SEEN_SHARE = 4.0, 0.9
_MARGIN_MM = 8.0
# Beside the condyles' hindmost part, as a share of their depth, lies no gutter.
_BEHIND_SHARE = 0.25
# Nor between the condyles: within this share of the femur's half width.
_INNER_SHARE = 0.5
FEMUR = (Label.FEMUR, Label.FEMORAL_CARTILAGE)
PATELLA = (Label.PATELLA, Label.PATELLAR_CARTILAGE)
BELOW = (
    Label.TIBIA,
    Label.MEDIAL_TIBIAL_CARTILAGE,
    Label.LATERAL_TIBIAL_CARTILAGE,
    Label.MEDIAL_MENISCUS,
    Label.LATERAL_MENISCUS,
)
SUPRAPATELLAR, PATELLOFEMORAL, MEDIAL, LATERAL, FEMOROTIBIAL, POSTERIOR = range(1, len(RECESSES) + 1)


@dataclass(frozen=True, eq=False)
class Cells:
    """A knee's labels on cells along the femur's axes: array axes lateral, forward, up.

    low: coordinates (mm) of the first cell's centre; seen: which cells lie inside the image.
    """

    labels: np.ndarray
    seen: np.ndarray
    low: np.ndarray

    def mask(self, *labels: Label) -> np.ndarray:
        return is_one_of(self.labels, labels)

    def coordinate(self, axis: int) -> np.ndarray:
        """Coordinates (mm) of the cells along an axis, ready to broadcast."""
        shape = [1, 1, 1]
        shape[axis] = -1
        return (self.low[axis] + CELL_MM * np.arange(self.labels.shape[axis])).reshape(shape)

    def at(self, coordinates: np.ndarray) -> tuple[np.ndarray, ...]:
        """Indices of the cells at coordinates (N, 3) mm; beyond the grid the nearest."""
        index = np.rint((coordinates - self.low) / CELL_MM).astype(np.intp)
        return tuple(np.clip(index, 0, np.array(self.labels.shape) - 1).T)


@dataclass(frozen=True)
class Patella:
    """Where the patella is, in coordinates of the femur's axes (mm)."""

    pole: float  # level of the upper pole
    middle: float  # lateral coordinate of its midline
    forward: float
    width: tuple[float, float]  # medial and lateral margin
    whole: bool  # false where the image ends within it: then the midline and the pouch's width are not known


def find_patella(knee: Knee, axes: Axes) -> Patella | None:
    box = knee.box(Label.PATELLA)
    if box is None:
        return None
    part = knee.crop(box)
    points = axes.coordinates(part.world(part.mask(Label.PATELLA)))
    across, forward, level = points.T
    low, high = np.quantile(across, [0.005, 0.995])
    return Patella(
        # Rounding must not lift the level of the pole above itself.
        pole=float(np.quantile(level, 0.998)) + 1e-6,
        middle=float(np.median(across)),
        forward=float(np.median(forward)),
        width=(float(low), float(high)),
        whole=box[0].start > 0 and box[0].stop < knee.labels.shape[0],
    )


def make_cells(knee: Knee, axes: Axes) -> Cells:
    """Labels around femur, patella and fluid."""
    reach = axes.coordinates(sample(knee, *FEMUR, *PATELLA, Label.JOINT_FLUID))
    # At multiples of the cell, wherever the fluid ends: more fluid moves no cell.
    low, high = np.floor((reach.min(0) - _MARGIN_MM) / CELL_MM) * CELL_MM, reach.max(0) + _MARGIN_MM
    shape = np.ceil((high - low) / CELL_MM).astype(int) + 1
    # An affine map from cell to voxel, axis by axis: the whole grid is three sums.
    to_voxel = np.linalg.inv(knee.labels.affine)
    start = to_voxel[:3, :3] @ axes.to_world(low) + to_voxel[:3, 3] + 0.5
    steps = (to_voxel[:3, :3] @ axes.matrix.T * CELL_MM).astype(np.float32)
    place, seen = [], np.ones(shape, bool)
    for v in range(3):
        i, j, k = (steps[v, a] * np.arange(shape[a], dtype=np.float32) for a in range(3))
        index = np.floor((i + np.float32(start[v]))[:, None, None] + j[:, None] + k).astype(np.int32)
        seen &= (index >= 0) & (index < knee.labels.shape[v])
        place.append(index)
    labels = np.zeros(shape, np.uint8)
    labels[seen] = knee.labels.array[tuple(index[seen] for index in place)]
    return Cells(labels, seen, low)


@dataclass(frozen=True, eq=False)
class Recesses:
    """The recess of every cell (1.. in the order of grading.RECESSES), and how much of each the image shows: the share
    of its cells next to the femur."""

    cells: Cells
    recess: np.ndarray
    shown: dict[str, float]

    def in_view(self, name: str) -> bool:
        return self.shown[name] >= _SEEN_SHARE


def divide(cells: Cells, patella: Patella) -> Recesses:
    femur = cells.mask(*FEMUR)
    recess, shortest = _by_direction(_deeper_than(femur, CORE_MM))
    recess = _by_landmarks(recess, cells, patella)
    recess[femur] = 0
    shell = (shortest < CORE_MM + _SHELL_MM) & (recess > 0)
    sizes, seen = (np.bincount(recess[part], minlength=len(RECESSES) + 1) for part in (shell, shell & cells.seen))
    shown = {name: float(seen[k] / max(sizes[k], 1)) for k, name in enumerate(RECESSES, start=1)}
    # Where no straight way leads to the core, and in the femur's outermost cells, the nearest place decides.
    unknown = recess == 0
    if unknown.any() and not unknown.all():
        nearest = ndimage.distance_transform_edt(unknown, return_distances=False, return_indices=True)
        recess = recess[tuple(nearest)]
    return Recesses(cells, recess, shown)


def _by_direction(core: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Recess of each cell by the most direct way to the femur's core, 0 where there is none; length of that way (mm).

    All of the front counts as patellofemoral here.
    """
    back, forward, up = _way(core, 1, -1), _way(core, 1, 1), _way(core, 2, 1)
    medially, laterally = _way(core, 0, -1), _way(core, 0, 1)
    shortest = np.min([back, forward, up, medially, laterally], axis=0)
    # The femur on both sides: the notch, where it is not the trochlear groove.
    between = np.isfinite(medially) & np.isfinite(laterally)
    rules = (
        (np.isinf(shortest), 0),
        (back == shortest, PATELLOFEMORAL),
        (between, FEMOROTIBIAL),
        (forward == shortest, POSTERIOR),
        (up == shortest, FEMOROTIBIAL),
        (medially == shortest, LATERAL),
    )
    return _first(rules, np.full(core.shape, np.uint8(MEDIAL))), shortest


def _by_landmarks(recess: np.ndarray, cells: Cells, patella: Patella) -> np.ndarray:
    """Recesses bounded by the patella, its upper pole, and the ends of the condyles."""
    across, forward, level = (cells.coordinate(axis) for axis in range(3))
    (left, right), (back, fore) = (
        np.quantile(np.nonzero(cells.mask(*FEMUR))[axis], [0.005, 0.995]) * CELL_MM + cells.low[axis] for axis in (0, 1)
    )
    front, gutter = recess == PATELLOFEMORAL, (recess == MEDIAL) | (recess == LATERAL)
    # Beside a condyle's inner wall, where the other condyle has no core at this height, lies the notch.
    inner = np.abs(across - (left + right) / 2) < _INNER_SHARE * (right - left) / 2
    hindmost = forward < back + _BEHIND_SHARE * (fore - back)
    within = (patella.width[0] <= across) & (across <= patella.width[1])
    at_patella = within & _nearer(cells.mask(*PATELLA), cells.mask(*BELOW))
    rules = (
        (recess == 0, 0),
        ((recess == POSTERIOR) | (gutter & hindmost & ~inner), POSTERIOR),
        (level > patella.pole, SUPRAPATELLAR),
        ((front | gutter) & at_patella, PATELLOFEMORAL),
        (front & (across < patella.width[0]), MEDIAL),
        (front & (across > patella.width[1]), LATERAL),
        (front | (gutter & inner), FEMOROTIBIAL),
    )
    return _first(rules, recess)


def _first(rules, otherwise: np.ndarray) -> np.ndarray:
    """The value of the first rule that holds in each cell."""
    holds, values = zip(*rules, strict=True)
    return np.select([np.broadcast_to(h, otherwise.shape) for h in holds], [np.uint8(v) for v in values], otherwise)


def _deeper_than(mask: np.ndarray, depth_mm: float) -> np.ndarray:
    inside = np.pad(mask, 1)
    return (ndimage.distance_transform_edt(inside) * CELL_MM > depth_mm)[1:-1, 1:-1, 1:-1]


def _way(mask: np.ndarray, axis: int, sign: int) -> np.ndarray:
    """Distance (mm) from each cell along an axis to the first cell of a mask, infinite where there is none."""
    n = mask.shape[axis]
    if sign > 0:
        return np.flip(_way(np.flip(mask, axis), axis, -1), axis)
    shape = [1, 1, 1]
    shape[axis] = n
    place = np.arange(n, dtype=np.float32).reshape(shape)
    last = np.maximum.accumulate(np.where(mask, place, np.float32(-np.inf)), axis)
    return (place - last) * np.float32(CELL_MM)


def _nearer(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Cells nearer to one mask than to another."""
    if not one.any() or not other.any():
        return np.full(one.shape, one.any())
    to_one, to_other = (ndimage.distance_transform_edt(~mask) for mask in (one, other))
    return to_one <= to_other
