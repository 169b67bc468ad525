"""Cartilage thickness along the normals of the bone beneath it.

The bone's surface comes from marching cubes on its smoothed mask; from each vertex a ray runs along the outward normal,
and the thickness is the integral of the smoothed cartilage mask along it. Smoothing moves tissue along the ray but
makes none, so the integral is exact for a flat layer whatever the smoothing, also for one thinner than a voxel; a
threshold would lose it. Where no cartilage begins at the bone the thickness is 0: bone is bare.

Stacks of thick slices are first interpolated between their outlines (signed distances, Herman 1992) to the thickness
that one pixel has, so that surfaces oblique to the slices have true normals. That cannot bring back what lies between
slices: such plates are flagged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from kneeline.grading import grade_cartilage
from kneeline.labels import CARTILAGES, Label
from kneeline.score.defects import find_defects
from kneeline.score.frame import INTERPOLATE_ABOVE_MM, Knee, canonical, distance_in_images, to_scanner
from kneeline.score.pits import open_pits
from kneeline.score.places import Place
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
# The map goes on over bare bone this far from cartilage: into the widest defect that is still focal.
AROUND_MM = 7.0
# Grid for interpolated stacks.
FINE_MM = 0.8
# Thick images graze a surface whose normal is nearer than 60 degrees to the direction across them: the angle's cosine.
GRAZED_COSINE = 0.5
VERTEX_MM = 0.9  # distance of vertices, about
MIN_VERTICES = 50
# Share of a plate's outline that must be as bright as fluid to be flagged.
FLUID_SHARE = 0.05


@dataclass(frozen=True, eq=False)
class ThicknessMap:
    """Thickness over the bone's surface under and around one plate.

    points_mm (N, 3) on the bone, in the right-knee world of `Knee`; normals (N, 3) outwards; area_mm2 (N,) of surface
    that each point stands for; thickness_mm (N,), 0 where the bone is bare; seen (N,), False where thick images graze
    the surface and what lies between them is a guess.
    """

    points_mm: np.ndarray
    normals: np.ndarray
    area_mm2: np.ndarray
    thickness_mm: np.ndarray
    seen: np.ndarray

    @property
    def covered(self) -> np.ndarray:
        """Thickness where there is cartilage."""
        return self.thickness_mm[self.thickness_mm > 0]

    @property
    def mean_mm(self) -> float:
        """Mean thickness of the area that cartilage covers."""
        return float(np.average(self.thickness_mm, weights=self.area_mm2 * (self.thickness_mm > 0)))


def measure_cartilage(knee: Knee, contrast: str | None = None) -> list[Row]:
    """The rows of `find_cartilage` alone."""
    return find_cartilage(knee, contrast)[0]


def find_cartilage(knee: Knee, contrast: str | None = None) -> tuple[list[Row], list[Place]]:
    """One row of tables.CARTILAGE (without knee keys) a plate; a plate that is not outlined has missing values. With
    the points of the bone's surface that lie under the defects.

    `contrast` is the contrast class of the image, None if unknown: pits are sought where it suppresses fat.
    """
    pits = open_pits(knee, contrast)
    rows: list[Row] = []
    places = []
    for label in CARTILAGES:
        row: Row = {
            "plate": label.label_name,
            "thickness_mean_mm": None,
            "thickness_p5_mm": None,
            "defect_area_mm2": None,
            "defect_depth_pct": None,
            "defect_judged_pct": None,
        }
        surface = thickness_map(pits.knee, label)
        if surface is None:
            flags = ["not_segmented"]
        else:
            row["thickness_mean_mm"] = surface.mean_mm
            row["thickness_p5_mm"] = float(np.quantile(surface.covered, 0.05))
            defects = find_defects(surface)
            row |= {f"defect_{name}": getattr(defects, name) for name in ("area_mm2", "depth_pct", "judged_pct")}
            if defects.defect.any():
                under = surface.points_mm[defects.defect]
                places.append(Place("cartilage", "defect_area_mm2", [{"plate": label.label_name}], points=under))
            flags = ["experimental"]
            if knee.slice_spacing_mm > INTERPOLATE_ABOVE_MM:
                flags.append("interpolated_outlines")
            if pits.opened_mm3[label] >= FLUID_SHARE * knee.count(label) * knee.labels.voxel_mm3:
                flags.append("fluid_in_outline")
        row = as_stored(row)
        grade = grade_cartilage(row["defect_area_mm2"], row["defect_depth_pct"], row["defect_judged_pct"])
        if surface is not None and grade is None:
            flags.append("too_little_judged")
        rows.append(row | {"cartilage_grade": grade, "flags": ",".join(flags)})
    return rows, places


def thickness_rows(image: Volume, labels: Volume, laterality: str, contrast: str | None = None) -> list[Row]:
    """Rows of tables.THICKNESS: the maps of all plates, in the world of the scan."""
    knee = open_pits(canonical(image, labels, laterality), contrast).knee
    rows: list[Row] = []
    for label in CARTILAGES:
        surface = thickness_map(knee, label)
        if surface is None:
            continue
        defects = find_defects(surface)
        own = (surface.thickness_mm > 0) | defects.defect
        columns = {
            **dict(zip(("x_mm", "y_mm", "z_mm"), to_scanner(surface.points_mm[own], laterality).T, strict=True)),
            "thickness_mm": surface.thickness_mm[own],
            "reference_mm": defects.reference_mm[own],
            "defect": defects.defect[own],
        }
        rows += [
            {"plate": label.label_name, **dict(zip(columns, values, strict=True))}
            for values in zip(*(column.tolist() for column in columns.values()), strict=True)
        ]
    return rows


def thickness_map(knee: Knee, label: Label) -> ThicknessMap | None:
    """The map of one plate; None where it is not outlined, or not on its bone."""
    box = knee.box(label, margin_mm=AROUND_MM)
    if box is None:
        return None
    part = knee.crop(box)
    cartilage, bone = (_interpolated(part, part.mask(x)) for x in (label, BONE_UNDER[label]))
    spacing = np.array(bone.spacing_mm)
    surface = ndimage.gaussian_filter(bone.array, BONE_SIGMA_MM / spacing, truncate=3)
    if surface.min() >= 0.5 or surface.max() <= 0.5:
        return None
    layer = ndimage.gaussian_filter(cartilage.array, CARTILAGE_SIGMA_MM / spacing, truncate=3)
    vertices, area = _vertices(surface, spacing, layer)
    if len(vertices) < MIN_VERTICES:
        return None
    normals = _outward(surface, vertices, spacing)
    thickness = _along_rays(layer, vertices, normals, spacing)
    if (thickness > 0).sum() < MIN_VERTICES:
        return None
    thick = knee.slice_spacing_mm > INTERPOLATE_ABOVE_MM
    seen = np.abs(normals[:, knee.slice_axis]) <= (GRAZED_COSINE if thick else 1)
    # Grid axes are orthogonal: their directions turn normals into the world.
    turn = bone.affine[:3, :3] / spacing
    return ThicknessMap(bone.geometry.to_world(vertices), normals @ turn.T, area, thickness, seen)


def _interpolated(knee: Knee, mask: np.ndarray) -> Volume:
    """A mask as float32; from thick slices on a finer grid, interpolated between the outlines of its images."""
    axis = knee.slice_axis
    if knee.slice_spacing_mm <= INTERPOLATE_ABOVE_MM or not mask.any():
        return knee.labels.with_array(mask.astype(np.float32))
    height = distance_in_images(~mask, knee) - distance_in_images(mask, knee)
    limit = knee.slice_spacing_mm
    height = knee.labels.with_array(np.clip(height, -limit, limit).astype(np.float32))
    parts = int(np.ceil(knee.slice_spacing_mm / FINE_MM))
    affine, shape = height.affine.copy(), list(height.shape)
    affine[:3, axis] /= parts
    shape[axis] = (shape[axis] - 1) * parts + 1
    fine = resample(height, Geometry(tuple(shape), affine), outside=-limit)
    # Half a pixel on each side of the outline: the share of a pixel it leaves inside.
    return Volume(np.clip(fine.array / knee.pixel_mm + 0.5, 0, 1).astype(np.float32), affine)


def _vertices(surface: np.ndarray, spacing: np.ndarray, layer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (fractional indices) of the bone's surface that have cartilage around them, (N, 3), and the area (mm2)
    that each stands for, (N,)."""
    from skimage.measure import marching_cubes

    near = _widened(layer > 0.3, np.maximum((2 * AROUND_MM / spacing).round().astype(int), 1))
    step = max(int(round(VERTEX_MM / spacing.min())), 1)
    vertices, faces, *_ = marching_cubes(surface, 0.5, step_size=step, mask=near, allow_degenerate=False)
    corners = vertices[faces] * spacing
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    third = np.repeat(np.linalg.norm(across, axis=1) / 6, 3)
    area = np.bincount(faces.ravel(), third, len(vertices))
    # The box around the plate cuts the bone; a vertex on its wall belongs to no surface.
    whole = ((vertices > 1) & (vertices < np.array(surface.shape) - 2)).all(1)
    return vertices[whole], area[whole]


def _widened(mask: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Where a box of this size (voxels along each axis) meets a mask: `ndimage.maximum_filter`, many times faster."""
    for axis, length in enumerate(size):
        padding = [(0, 0)] * 3
        padding[axis] = (length // 2, length - length // 2 - 1)
        mask, reached = np.moveaxis(np.pad(mask, padding), axis, 0), 1
        while reached < length:
            step = min(reached, length - reached)
            mask, reached = mask[:-step] | mask[step:], reached + step
        mask = np.moveaxis(mask, 0, axis)
    return mask


def _outward(surface: np.ndarray, vertices: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Unit normals out of the bone in mm, (N, 3): down the smoothed mask's slope."""
    slope = np.empty_like(vertices, dtype=float)
    for axis in range(3):
        step = np.zeros(3)
        step[axis] = BONE_SIGMA_MM / spacing[axis]
        ahead, behind = (ndimage.map_coordinates(surface, (vertices + s * step).T, order=1) for s in (1, -1))
        slope[:, axis] = (behind - ahead) / BONE_SIGMA_MM
    return slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-9)


def _along_rays(layer: np.ndarray, vertices: np.ndarray, normals: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Thickness (mm) of the first stretch of cartilage on each ray that meets one near the bone, else 0."""
    t = np.arange(RAY_FROM_MM, RAY_TO_MM, RAY_STEP_MM)
    points = vertices.T[:, :, None] + t * (normals / spacing).T[:, :, None]
    value = ndimage.map_coordinates(layer, points, order=1)
    inside = value >= 0.5
    first = inside.argmax(1)
    attached = inside.any(1) & (t[first] <= ATTACHED_MM)
    # The stretch ends where nothing is left on either side of its first full sample.
    index = np.arange(len(t))
    empty = value < 0.02
    after, before = empty & (index > first[:, None]), empty & (index < first[:, None])
    ahead = np.where(after.any(1), after.argmax(1), len(t))
    behind = np.where(before.any(1), len(t) - 1 - before[:, ::-1].argmax(1), -1)
    own = (index > behind[:, None]) & (index < ahead[:, None])
    return np.where(attached, (value * own).sum(1) * RAY_STEP_MM, 0.0)
