"""Marrow that is bright on fat-suppressed images, in the bone under the cartilage (oedema-like lesions and cysts).

Marrow is read on the scale of the menisci: 0 is the bone's own marrow, 1 the hyaline cartilage next to it, smoothed to
a local level, which takes the coil's shading out. Only spin echoes with fat suppression are read: without it marrow is
bright everywhere, and gradient echoes hide the lesions (Roemer, Osteoarthritis Cartilage 2009;17:1115).

What else is bright in a bone: red marrow and the physeal scar, which lie far from the joint or are paler; vessels,
thin; and pixels at the bone's edge that hold cartilage or fluid. So only the zone under cartilage is read, its
outermost millimetres are left out, and a component must reach up to the cartilage and be of some size.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from kneeline.grading import MARROW, MarrowRule, grade_marrow
from kneeline.labels import CARTILAGES, Label
from kneeline.score.frame import FAT_SUPPRESSED, INTERPOLATE_ABOVE_MM, Knee, box_around, deeper_than, thinned
from kneeline.score.places import Place
from kneeline.score.references import contrast_to_noise, measure_brightness, measure_dark, signal_ratio
from kneeline.score.rows import as_stored
from kneeline.tables import Row

BONES = {Label.FEMUR: "femur", Label.TIBIA: "tibia", Label.PATELLA: "patella"}
# The cartilage of each bone: under it lies its zone, not under what faces it across the joint.
PLATES = {
    Label.FEMUR: (Label.FEMORAL_CARTILAGE,),
    Label.TIBIA: (Label.MEDIAL_TIBIAL_CARTILAGE, Label.LATERAL_TIBIAL_CARTILAGE),
    Label.PATELLA: (Label.PATELLAR_CARTILAGE,),
}
# The zone: bone this near to its cartilage, and this deep below its own surface. Project decision.
ZONE_MM, EDGE_MM = 12.0, 2.0
# A component that nowhere comes this near to cartilage is not subchondral.
REACH_MM = 5.0
# Marrow this bright, as a share of cartilage: fat suppression has failed.
SUPPRESSED_BELOW = 0.9
# Nothing smaller than this is looked for, so finer pixels are skipped.
PIXEL_MM = 0.7
# Reach of the smoothing over a pixel.
SMOOTH_MM = 3 * PIXEL_MM
# A zone with fewer voxels says nothing.
MIN_VOXELS = 200


def measure_marrow(knee: Knee, contrast: str | None, rule: MarrowRule = MARROW) -> list[Row]:
    """The rows of `find_marrow` alone."""
    return find_marrow(knee, contrast, rule)[0]


def find_marrow(knee: Knee, contrast: str | None, rule: MarrowRule = MARROW) -> tuple[list[Row], list[Place]]:
    """One row of tables.MARROW (without knee keys) for femur, tibia and patella; missing values where marrow cannot be
    read, with the reason among the flags. With the bright components that count."""
    readable = contrast in FAT_SUPPRESSED
    part = _around_the_joint(knee) if readable else None
    brightness = measure_brightness(part) if part is not None else None
    rows: list[Row] = []
    places = []
    for bone, name in BONES.items():
        row: Row = {"bone": name, **dict.fromkeys(("zone_mm3", "hyperintense_mm3", "hyperintense_extent_mm"))}
        if not knee.holds(bone):
            flag = "not_segmented"
        elif not readable:
            flag = "not_fat_suppressed"
        elif brightness is None:
            flag = "no_reference"
        elif not all(part.holds(plate) for plate in PLATES[bone]):
            flag = "no_cartilage"
        else:
            box = part.box(*PLATES[bone], margin_mm=ZONE_MM + EDGE_MM)
            here = part.crop(box)
            reach = _distance(_deep_inside(here.mask(bone), here), here.mask(*PLATES[bone]), here)
            found, flag, bright = _read(here, brightness.level[box], reach, reach <= ZONE_MM, rule)
            row |= found
            if len(bright):
                facts = {"counted": True, "component_mm3": round(found["hyperintense_mm3"], 4)}
                voxels = _of_whole(bright, here, knee)
                places.append(Place("marrow", "hyperintense_mm3", [{"bone": name}], voxels=voxels, facts=facts))
        row = as_stored(row)
        grade = grade_marrow(row["hyperintense_mm3"], row["hyperintense_extent_mm"])
        flags = ["experimental", *([flag] if flag else [])]
        rows.append(row | {"marrow_grade": grade, "flags": ",".join(flags)})
    return rows, places


def _of_whole(voxels: np.ndarray, part: Knee, knee: Knee) -> np.ndarray:
    """Voxels of the knee, (N, 3), that those of a thinned part of it stand for."""
    steps = np.rint(np.array(part.spacing_mm) / np.array(knee.spacing_mm)).astype(int)
    first = np.rint(knee.labels.geometry.to_voxel(part.labels.geometry.to_world(voxels))).astype(int)
    block = np.indices(steps).reshape(3, -1).T
    own = (first[:, None] + block).reshape(-1, 3)
    return own[(own < knee.labels.shape).all(1)]


def _around_the_joint(knee: Knee) -> Knee | None:
    """The box around all cartilage and the zone below it, fine pixels thinned out."""
    box = knee.box(*CARTILAGES, margin_mm=ZONE_MM + EDGE_MM)
    return None if box is None else thinned(knee.crop(box), PIXEL_MM)


def _deep_inside(bone: np.ndarray, knee: Knee) -> np.ndarray:
    """A bone's voxels that hold nothing but bone."""
    inside = deeper_than(EDGE_MM, bone, knee)
    if knee.slice_spacing_mm > INTERPOLATE_ABOVE_MM:
        across = [1, 1, 1]
        across[knee.slice_axis] = 3
        inside &= ndimage.binary_erosion(bone, np.ones(across), border_value=1)
    return inside


def _distance(inside: np.ndarray, mask: np.ndarray, knee: Knee) -> np.ndarray:
    """Distance (mm) of the voxels inside something to the nearest of a mask; infinite elsewhere."""
    nearest = ndimage.distance_transform_edt(
        ~mask, sampling=knee.spacing_mm, return_distances=False, return_indices=True
    )
    distance = np.full(mask.shape, np.inf, np.float32)
    steps = (nearest[axis][inside] - at for axis, at in enumerate(np.nonzero(inside)))
    distance[inside] = np.sqrt(sum((step * mm) ** 2 for step, mm in zip(steps, knee.spacing_mm, strict=True)))
    return distance


def _read(
    knee: Knee, level: np.ndarray, reach: np.ndarray, zone: np.ndarray, rule: MarrowRule
) -> tuple[Row, str | None, np.ndarray]:
    """Measurements of one bone's zone, a flag if there are none, and the bright voxels that count, (N, 3). reach:
    distance (mm) from its cartilage."""
    none = np.empty((0, 3), int)
    values = level[zone]
    dark = measure_dark(values) if values.size >= MIN_VOXELS else None
    if dark is None:
        return {}, "no_reference", none
    if dark.level > SUPPRESSED_BELOW:
        return {}, "fat_not_suppressed", none
    if contrast_to_noise(dark) < rule.min_contrast_to_noise:
        return {}, "low_contrast", none
    least = max(rule.hyperintense_ratio, float(signal_ratio(rule.times_marrow * dark.level, dark)))
    box = box_around(zone, knee.spacing_mm, SMOOTH_MM)
    level, reach, zone = level[box], reach[box], zone[box]
    bright = zone & (_smooth(signal_ratio(level, dark), zone, knee) >= least)
    pieces, count = ndimage.label(bright, np.ones((3, 3, 3)))
    nearest_mm = ndimage.minimum(reach, pieces, np.arange(1, count + 1)) if count else []
    volume, longest, counted = 0.0, 0.0, [none]
    start = np.array([s.start for s in box])
    for number, (own, nearest) in enumerate(zip(ndimage.find_objects(pieces), nearest_mm, strict=True), start=1):
        at = np.argwhere(pieces[own] == number)
        size = len(at) * knee.labels.voxel_mm3
        if nearest <= REACH_MM and size >= rule.min_component_mm3:
            volume += size
            longest = max(longest, _extent_mm(at, np.array(knee.spacing_mm)))
            counted.append(at + start + [s.start for s in own])
    found = {"hyperintense_mm3": volume, "hyperintense_extent_mm": longest}
    return {"zone_mm3": float(zone.sum() * knee.labels.voxel_mm3), **found}, None, np.concatenate(counted)


def _smooth(ratio: np.ndarray, zone: np.ndarray, knee: Knee) -> np.ndarray:
    """Mean over about a pixel within each image, of the zone's own voxels: single bright pixels are noise."""
    sigma = [0 if axis == knee.slice_axis else PIXEL_MM / s for axis, s in enumerate(knee.spacing_mm)]
    weight = ndimage.gaussian_filter(zone.astype(np.float32), sigma, truncate=2)
    mean = ndimage.gaussian_filter(np.where(zone, ratio, 0).astype(np.float32), sigma, truncate=2)
    return mean / np.maximum(weight, 1e-3)


def _extent_mm(voxels: np.ndarray, spacing: np.ndarray) -> float:
    """Length (mm) of voxels (N, 3) along their longest principal axis, the voxels' own size included."""
    centred = (voxels - voxels.mean(0)) * spacing
    axis = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    return float(np.ptp(centred @ axis) + np.linalg.norm(axis * spacing))
