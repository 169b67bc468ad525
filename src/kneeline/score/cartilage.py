"""Cartilage thickness along the normals of the bone beneath it.

The bone's surface comes from marching cubes on its smoothed mask; from each vertex that carries cartilage a ray runs
along the outward normal, and the thickness is the integral of the smoothed cartilage mask along it. Smoothing moves
tissue along the ray but makes none, so the integral is exact for a flat layer whatever the smoothing, also for one
thinner than a voxel; a threshold would lose it.

Stacks of thick slices are first interpolated between their outlines (signed distances, Herman 1992) to the thickness
that one pixel has, so that surfaces oblique to the slices have true normals. That cannot bring back what lies between
slices: such plates are flagged.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from kneeline.labels import CARTILAGES, Label
from kneeline.score.frame import Knee, box_around
from kneeline.score.rows import as_stored
from kneeline.tables import Row
from kneeline.volume import Geometry, Volume, resample

BONE_UNDER = {
    Label.FEMORAL_CARTILAGE: Label.FEMUR,
    Label.MEDIAL_TIBIAL_CARTILAGE: Label.TIBIA,
    Label.LATERAL_TIBIAL_CARTILAGE: Label.TIBIA,
    Label.PATELLAR_CARTILAGE: Label.PATELLA,
}
# Smoothing (SD) of the bone for its surface and normals, and of the cartilage for its integral.
BONE_SIGMA_MM = 0.8
CARTILAGE_SIGMA_MM = 0.4
# Rays run from inside the bone to beyond the thickest cartilage.
RAY_FROM_MM, RAY_TO_MM, RAY_STEP_MM = -2.5, 8.0, 0.15
# Cartilage must begin within this distance of the bone's surface to be its own.
ATTACHED_MM = 1.5
# Images further apart than this are interpolated between their outlines, and the plate is flagged so.
INTERPOLATE_ABOVE_MM = 1.6
# Grid for interpolated stacks.
FINE_MM = 0.8
MIN_VERTICES = 50


def measure_cartilage(knee: Knee) -> list[Row]:
    """One row of tables.CARTILAGE (without knee keys) a plate; a plate that is not outlined has missing values."""
    rows = []
    for label in CARTILAGES:
        row: Row = {
            "plate": label.label_name,
            "thickness_mean_mm": None,
            "thickness_p5_mm": None,
            "defect_area_mm2": None,
            "cartilage_grade": None,
        }
        thickness = plate_thickness(knee, label)
        if thickness is None:
            flags = ["not_segmented"]
        else:
            row["thickness_mean_mm"] = float(thickness.mean())
            row["thickness_p5_mm"] = float(np.quantile(thickness, 0.05))
            # Focal defects are not read: the label shows where cartilage is, and thin ends of a plate look alike.
            flags = ["experimental"] + (
                ["interpolated_outlines"] if knee.slice_spacing_mm > INTERPOLATE_ABOVE_MM else []
            )
        rows.append(as_stored(row) | {"flags": ",".join(flags)})
    return rows


def plate_thickness(knee: Knee, label: Label) -> np.ndarray | None:
    """Thickness (mm) at each vertex of the bone's surface that the plate covers; None if there is no such place."""
    box = box_around(knee.mask(label), knee.spacing_mm, RAY_TO_MM / 2)
    if box is None:
        return None
    part = knee.crop(box)
    cartilage, bone = (_interpolated(part, part.mask(x)) for x in (label, BONE_UNDER[label]))
    spacing = np.array(bone.spacing_mm)
    surface = ndimage.gaussian_filter(bone.array, BONE_SIGMA_MM / spacing)
    if surface.min() >= 0.5 or surface.max() <= 0.5:
        return None
    layer = ndimage.gaussian_filter(cartilage.array, CARTILAGE_SIGMA_MM / spacing)
    vertices = _vertices(surface, spacing, layer)
    if len(vertices) < MIN_VERTICES:
        return None
    thickness = _along_rays(layer, vertices, _outward(surface, vertices, spacing), spacing)
    return thickness if len(thickness) >= MIN_VERTICES else None


def _interpolated(knee: Knee, mask: np.ndarray) -> Volume:
    """A mask as float32; from thick slices on a finer grid, interpolated between the outlines of its images."""
    axis = knee.slice_axis
    if knee.slice_spacing_mm <= INTERPOLATE_ABOVE_MM or not mask.any():
        return knee.labels.with_array(mask.astype(np.float32))
    height = ndimage.distance_transform_edt(mask, sampling=knee.in_plane_mm)
    height -= ndimage.distance_transform_edt(~mask, sampling=knee.in_plane_mm)
    limit = knee.slice_spacing_mm
    height = knee.labels.with_array(np.clip(height, -limit, limit).astype(np.float32))
    parts = int(np.ceil(knee.slice_spacing_mm / FINE_MM))
    affine, shape = height.affine.copy(), list(height.shape)
    affine[:3, axis] /= parts
    shape[axis] = (shape[axis] - 1) * parts + 1
    fine = resample(height, Geometry(tuple(shape), affine), outside=-limit)
    # Half a pixel on each side of the outline: the share of a pixel it leaves inside.
    return Volume(np.clip(fine.array / knee.pixel_mm + 0.5, 0, 1).astype(np.float32), affine)


def _vertices(surface: np.ndarray, spacing: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """Vertices (fractional indices) of the bone's surface that have cartilage near them, (N, 3)."""
    from skimage.measure import marching_cubes

    near = ndimage.maximum_filter(layer, np.maximum((2 * ATTACHED_MM / spacing).round().astype(int), 1)) > 0.3
    step = max(int(round(0.7 / spacing.min())), 1)
    vertices = marching_cubes(surface, 0.5, step_size=step, mask=near, allow_degenerate=False)[0]
    # The box around the plate cuts the bone; a vertex on its wall belongs to no surface.
    return vertices[((vertices > 1) & (vertices < np.array(surface.shape) - 2)).all(1)]


def _outward(surface: np.ndarray, vertices: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Unit normals out of the bone in mm, (N, 3): down the smoothed mask's slope."""
    slope = np.empty_like(vertices, dtype=float)
    for axis in range(3):
        step = np.zeros(3)
        step[axis] = BONE_SIGMA_MM / spacing[axis]
        ahead, behind = (ndimage.map_coordinates(surface, (vertices + s * step).T, order=1) for s in (1, -1))
        slope[:, axis] = behind - ahead
    return slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-9)


def _along_rays(layer: np.ndarray, vertices: np.ndarray, normals: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Thickness (mm) of the first stretch of cartilage on each ray that meets one near the bone."""
    t = np.arange(RAY_FROM_MM, RAY_TO_MM, RAY_STEP_MM)
    points = vertices[:, None] + t[:, None] * (normals / spacing)[:, None]
    value = ndimage.map_coordinates(layer, points.reshape(-1, 3).T, order=1).reshape(len(vertices), len(t))
    inside = value >= 0.5
    first = inside.argmax(1)
    attached = inside.any(1) & (t[first] <= ATTACHED_MM)
    value, first = value[attached], first[attached]
    # The stretch ends where nothing is left on either side of its first full sample.
    index = np.arange(len(t))
    empty = value < 0.02
    ahead = np.where(empty & (index > first[:, None]), index, len(t)).min(1)
    behind = np.where(empty & (index < first[:, None]), index, -1).max(1)
    own = (index > behind[:, None]) & (index < ahead[:, None])
    return (value * own).sum(1) * RAY_STEP_MM
