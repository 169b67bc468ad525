"""Joint fluid of a chosen volume: a film over the cartilage, then the suprapatellar pouch, gutters and recesses."""

from __future__ import annotations

import numpy as np

from kneeline.simulate.bones import Bones, Frame
from kneeline.simulate.parameters import Knee
from kneeline.simulate.shapes import Grid, smooth_step

# A recess opens at once to about this depth: thinner films are not seen.
_THINNEST_MM = 1.0
_FULLEST_MM = 45.0
_HIGHEST_MM = 84.0  # the pouch ends inside the usual field of view


def pouch_top_z(knee: Knee, bones: Bones) -> float:
    """World z of the pouch's upper end."""
    return min(upper_pole_z(knee, bones.pose.patella) + knee.pouch_height_mm, _HIGHEST_MM)


def upper_pole_z(knee: Knee, patella: Frame) -> float:
    """World z of the patella's upper pole on its axis."""
    middle = knee.patella_thickness_mm * 0.5
    return float(patella.to_world(np.array([0.0, middle, knee.patella_height_mm / 2]))[2])


def filling_order(knee: Knee, bones: Bones, grid: Grid) -> np.ndarray:
    """How full the joint must be before fluid reaches a voxel; infinite where it never does.

    In millimetres of distension of the pouch at its widest; the film on cartilage is a tenth as deep.
    """
    s, t = knee.scale, knee.trochlea_radius_mm
    full = np.full(grid.shape, np.float32(np.inf))
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

    # Between opposed cartilages and around the menisci: a film that is always there.
    opposed = np.minimum(tibia - tibial, patella - patellar)
    gap = d - cover
    between = (cover > 0.3) & (gap < 1.3) & (opposed < 1.3)
    order = np.minimum(order, np.where(between, 1.2 * np.maximum(gap, 0) + 0.6 * opposed, np.inf))
    beside = smooth_step(np.abs(x), 0.72 * width, 0.92 * width)
    gutter = beside * smooth_step(z, -0.35 * width, -0.1 * width) * smooth_step(z, 0.75 * width, 0.4 * width)
    gutter = gutter * smooth_step(y, -4, 12) * smooth_step(y, 38 * s, 28 * s) * 0.22
    order = np.minimum(order, _order(d - 0.8 - cover, gutter, 3.0))
    behind = smooth_step(y, -10 * s, -17 * s) * smooth_step(z, -20 * s, -12 * s) * smooth_step(z, 22 * s, 10 * s)
    behind = behind * smooth_step(np.abs(x), 10, 15) * 0.25
    order = np.minimum(order, _order(d - cover, behind, 1.0))
    notch = (np.abs(x) < 9) & (d > 0.5) & (z < 0) & (y > -8) & (y < 24 * s)
    order = np.minimum(order, np.where(notch, _order(d - 0.6, np.float32(0.22), 4.0), np.inf))
    full[box] = order
    return full


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
