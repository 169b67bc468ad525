"""Joint fluid of a chosen volume: a film over the cartilage, then the suprapatellar pouch, gutters and recesses.

What each voxel of fluid was put there as is kept (`Filling.piece`), so that the truth knows its recess without looking
at the shape of the fluid: `true_recesses`. `true_depths` measures the pouch along the femur's true axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from kneeline.grading import RECESSES
from kneeline.simulate.bones import Bones, Frame
from kneeline.simulate.parameters import Knee
from kneeline.simulate.shapes import Grid, smooth_step

# A recess opens at once to about this depth: thinner films are not seen.
_THINNEST_MM = 1.0
_FULLEST_MM = 45.0
_HIGHEST_MM = 84.0  # the pouch ends inside the usual field of view
# Depths are measured on the midline to this distance, and lateral of it from this distance on.
_MIDLINE_MM, _LATERAL_FROM_MM = 4.0, 8.0


class Piece(IntEnum):
    """What fluid was put there as."""

    NONE = 0
    POUCH = 1
    PATELLAR_FILM = 2
    TIBIAL_FILM = 3
    GUTTER = 4
    BEHIND = 5
    NOTCH = 6


@dataclass(frozen=True, eq=False)
class Filling:
    """How full the joint must be before fluid reaches a voxel (infinite where it never does), and as which `Piece`.

    `order` is in millimetres of distension of the pouch at its widest; the film on cartilage is a tenth as deep.
    """

    order: np.ndarray
    piece: np.ndarray


def pouch_top_z(knee: Knee, bones: Bones) -> float:
    """World z of the pouch's upper end."""
    return min(float(_upper_pole(knee, bones.pose.patella)[2]) + knee.pouch_height_mm, _HIGHEST_MM)


def _upper_pole(knee: Knee, patella: Frame) -> np.ndarray:
    """World place of the patella's upper pole on its axis, (3,) mm."""
    return patella.to_world(np.array([0.0, knee.patella_thickness_mm * 0.5, knee.patella_height_mm / 2]))


def plan_filling(knee: Knee, bones: Bones, grid: Grid) -> Filling:
    s, t = knee.scale, knee.trochlea_radius_mm
    full, pieces = np.full(grid.shape, np.float32(np.inf)), np.zeros(grid.shape, np.uint8)
    reach = knee.epicondylar_width_mm / 2 + 6
    box = grid.box((-reach, -42 * s, -26 * s), (reach, 999, 999))
    grid = grid.crop(box)
    femur, cover, tibia, tibial, patella, patellar = (
        field[box]
        for field in (
            bones.femur,
            bones.femoral_thickness,
            bones.tibia,
            bones.tibial_thickness,
            bones.patella,
            bones.patellar_thickness,
        )
    )
    y, z = bones.pose.femur.coordinates(grid)
    x = grid.x
    width = np.float32(knee.epicondylar_width_mm / 2)
    d = femur

    above = z - np.float32(0.42 * knee.trochlea_radius_mm)  # over the top of the trochlea
    top = np.float32(pouch_top_z(knee, bones) - bones.pose.femur.z)
    rise = np.clip(above / (top - 0.42 * knee.trochlea_radius_mm), -0.5, 1.2)
    # Pouch: a sack on the front of the femur, over the prefemoral fat.
    half = width * np.float32(0.62) * np.sqrt(np.clip(1.06 - rise**2 * 0.8, 0.02, 1))
    spread = np.clip(1 - (np.abs(x - 1.5) / half) ** 2.5, 0, 1)
    length = smooth_step(rise, 1.0, 0.55) * smooth_step(above, -10 * s, 6 * s) * smooth_step(y, 0.5 * t, 0.8 * t)
    sack = spread * length
    fat = knee.prefemoral_fat_mm * smooth_step(above, 0, 14 * s)
    order = _order(d - fat - cover * (above < 3), sack, 0.0)
    # Later the sack also grows upwards.
    order += 8 * smooth_step(rise, 0.4, 1.0)
    piece = np.full(order.shape, np.uint8(Piece.POUCH))

    # Between opposed cartilages and around the menisci: a film that is always there.
    below, before = tibia - tibial, patella - patellar
    opposed = np.minimum(below, before)
    gap = d - cover
    between = (cover > 0.3) & (gap < 1.3) & (opposed < 1.3)
    film = np.where(before < below, np.uint8(Piece.PATELLAR_FILM), np.uint8(Piece.TIBIAL_FILM))
    _claim(order, piece, np.where(between, 1.2 * np.maximum(gap, 0) + 0.6 * opposed, np.inf), film)
    beside = smooth_step(np.abs(x), 0.72 * width, 0.92 * width)
    gutter = 0.22 * beside * _oval((y - 17 * s) / (21 * s), (z - 0.2 * width) / (0.55 * width))
    _claim(order, piece, _order(d - 0.8 - cover, gutter, 3.0), Piece.GUTTER)
    # Behind each condyle, no further out than it.
    behind = 0.25 * smooth_step(y, -10 * s, -17 * s) * smooth_step(np.abs(x), 10, 15)
    behind = behind * _oval(
        (y + 17 * s) / (25 * s), (z - s) / (21 * s), np.maximum(np.abs(x) - 0.7 * width, 0) / (0.4 * width)
    )
    _claim(order, piece, _order(d - cover, behind, 1.0), Piece.BEHIND)
    notch = (np.abs(x) < 9) & (d > 0.5) & (z < 0) & (y > -8) & (y < 24 * s)
    _claim(order, piece, np.where(notch, _order(d - 0.6, np.float32(0.22), 4.0), np.inf), Piece.NOTCH)
    full[box], pieces[box] = order, piece
    return Filling(full, pieces)


def _claim(order: np.ndarray, piece: np.ndarray, earlier: np.ndarray, name) -> None:
    """Give a piece the voxels that it reaches before the pieces so far, in place."""
    first = earlier < order
    order[first] = earlier[first]
    piece[first] = name[first] if isinstance(name, np.ndarray) else name


def _oval(*from_centre) -> np.ndarray:
    """1 in the middle of a recess, 0 from its border on; `from_centre` in half axes."""
    return smooth_step(np.sqrt(sum(np.square(part) for part in from_centre)), 1.0, 0.6)


def _order(distance, depth, start) -> np.ndarray:
    order = np.maximum(distance, np.float32(_THINNEST_MM)) / np.maximum(depth, np.float32(1e-3)) + np.float32(start)
    order[(distance < -0.05) | (order > _FULLEST_MM)] = np.inf
    return order


def fill(order: np.ndarray, free: np.ndarray, count: int) -> np.ndarray:
    """The `count` free voxels that fluid reaches first.

    Raises
    ------
    ValueError
        If the joint cannot hold as much.
    """
    places = np.flatnonzero(free & np.isfinite(order))
    if count > places.size:
        raise ValueError(f"the joint holds at most {places.size} voxels of fluid, {count} were asked for")
    chosen = places[np.argsort(order.ravel()[places], kind="stable")[:count]]
    fluid = np.zeros(order.shape, bool)
    fluid.ravel()[chosen] = True
    return fluid


def true_recesses(knee: Knee, bones: Bones, grid: Grid, filling: Filling, fluid: np.ndarray) -> list[float]:
    """Volumes (mL) of the fluid in grading.RECESSES, in their order: by the piece it is of and the true landmarks."""
    i, j, k = np.nonzero(fluid)
    supra, patellofemoral, medial, lateral, femorotibial, posterior = range(len(RECESSES))
    piece, x = filling.piece[i, j, k], grid.x.ravel()[i]
    _, level = bones.pose.femur.coordinates(grid)
    above = level[0, j, k] > _pole_level(knee, bones)
    side = np.where(x < 0, medial, lateral)
    wide = np.abs(x - knee.patella_shift_mm) > knee.patella_width_mm / 2
    front = np.where(wide, side, patellofemoral)
    by_piece = {
        Piece.NONE: 0,
        Piece.POUCH: front,
        Piece.PATELLAR_FILM: front,
        Piece.TIBIAL_FILM: femorotibial,
        Piece.GUTTER: side,
        Piece.BEHIND: posterior,
        Piece.NOTCH: femorotibial,
    }
    recess = np.choose(piece, [by_piece[p] for p in Piece])
    recess[above & np.isin(piece, (Piece.POUCH, Piece.PATELLAR_FILM, Piece.GUTTER))] = supra
    return (np.bincount(recess, minlength=len(RECESSES)) * grid.spacing_mm**3 / 1000).tolist()


def true_depths(knee: Knee, bones: Bones, grid: Grid, filling: Filling, fluid: np.ndarray) -> tuple[float, float]:
    """Longest run of suprapatellar fluid (mm) straight forward along the femur's own axes: on the patella's midline,
    and from 8 mm lateral of it. Looked up in the nearest voxel of the fine grid every 0.25 mm.

    A run counts as far as the lines 1 mm above and below it have one as long: a single voxel is no depth.
    """
    frame, pole, step = bones.pose.femur, _pole_level(knee, bones), 0.25
    pouch = fluid & (filling.piece != Piece.BEHIND)
    along, levels = np.arange(0, 90, step), np.arange(pole + 0.5, pole + 70, 1.0)
    forward, level = np.meshgrid(along, levels, indexing="ij")
    _, y, z = np.moveaxis(frame.to_world(np.stack([0 * forward, forward, level], -1)), -1, 0)
    j = np.rint((y - grid.y.flat[0]) / grid.spacing_mm).astype(int)
    k = np.rint((z - grid.z.flat[0]) / grid.spacing_mm).astype(int)
    there = (j >= 0) & (j < grid.y.size) & (k >= 0) & (k < grid.z.size)
    from_midline = grid.x.ravel() - knee.patella_shift_mm
    depths = []
    for zone in (np.abs(from_midline) <= _MIDLINE_MM, from_midline >= _LATERAL_FROM_MM):
        run = longest = np.zeros((np.count_nonzero(zone), len(levels)), int)
        lines = pouch[zone]
        for s in range(len(along)):
            here = lines[:, j[s].clip(0, grid.y.size - 1), k[s].clip(0, grid.z.size - 1)] & there[s]
            run = (run + 1) * here
            longest = np.maximum(longest, run)
        shared = np.minimum(np.minimum(longest[:, :-2], longest[:, 1:-1]), longest[:, 2:])
        depths.append(float(shared.max(initial=0) * step))
    return depths[0], depths[1]


def _pole_level(knee: Knee, bones: Bones) -> float:
    """Height of the patella's upper pole along the femur, in the femur's own coordinates (mm)."""
    _, y, z = _upper_pole(knee, bones.pose.patella)
    frame = bones.pose.femur
    angle = np.deg2rad(frame.angle_deg)
    return float(-np.sin(angle) * (y - frame.y) + np.cos(angle) * (z - frame.z))
