"""Pits that the outline covers: cartilage voxels that are as bright as joint fluid.

A network that has learnt intact plates draws them whole, also over a defect full of fluid. Where fluid is clearly
brighter than cartilage in the image at hand, what is well on the way to it, brighter than unevenness makes cartilage,
and large enough to be a defect, is therefore taken for fluid before thickness is measured. Where fluid is not brighter
(T1, DESS, no fluid in view), the outline stays as it is; and where fat is not suppressed, because there fat beside the
cartilage is as bright.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from kneeline.grading import CARTILAGE
from kneeline.labels import CARTILAGES, Label
from kneeline.score.defects import MIN_THINNING_MM
from kneeline.score.frame import FAT_SUPPRESSED, Knee, deeper_than, thinned, thinning
from kneeline.volume import Volume

# Fluid must be this many times as bright as cartilage. Project decision.
MIN_RATIO = 1.2
# A pit has come this far on the way from cartilage to fluid (a thick slice rarely holds fluid alone), and is brighter
# than cartilage by this many of its SDs, of noise and of patches of sound tissue: where fluid is little brighter, that
# share of the way is only one or two of them, and intact plates would be opened. Project decisions, by what they find
# and invent on simulated knees (docs/scoring.md).
SHARE, MIN_SDS = 0.4, 2.5
# Less than the least area of a defect, thinned by the least that counts, can be none: it is noise.
LEAST_MM3 = CARTILAGE.min_area_mm2 * MIN_THINNING_MM
MIN_VOXELS = 200
# Grid on which the coil's shading is measured, and the scale on which it changes.
FIELD_MM, FIELD_SIGMA_MM = 1.4, 15.0


@dataclass(frozen=True, eq=False)
class Opened:
    """The knee with pits opened, and their volume by plate (mm3)."""

    knee: Knee
    opened_mm3: dict[Label, float]


def open_pits(knee: Knee, contrast: str | None) -> Opened:
    """Cartilage voxels as bright as fluid become joint fluid, on fat-suppressed images (`contrast`)."""
    nothing = Opened(knee, dict.fromkeys(CARTILAGES, 0.0))
    box = knee.box(*CARTILAGES, margin_mm=FIELD_MM)
    if contrast not in FAT_SUPPRESSED or box is None or knee.count(Label.JOINT_FLUID) < MIN_VOXELS:
        return nothing
    part = knee.crop(box)
    level = _level(part)
    least = None if level is None else _least_level(level, part)
    if least is None:
        return nothing
    found = _large_enough(part.mask(*CARTILAGES) & (level > least), knee.labels.voxel_mm3)
    labels = knee.labels.array.copy()
    inside = labels[box]
    volumes = {label: float((found & (inside == label)).sum() * knee.labels.voxel_mm3) for label in CARTILAGES}
    inside[found] = Label.JOINT_FLUID
    return Opened(Knee(knee.image, Volume(labels, knee.labels.affine)), volumes)


def _least_level(level: np.ndarray, knee: Knee) -> float | None:
    """Level from which a voxel is fluid; None where fluid cannot be told from cartilage."""
    cartilage, wet = (_without_rim(knee.mask(*labels), knee) for labels in (CARTILAGES, (Label.JOINT_FLUID,)))
    if not wet.any():
        return None
    middle, high = (float(q) for q in np.quantile(level[cartilage], [0.5, 0.75]))
    bright = float(np.median(level[wet]))
    if bright < MIN_RATIO * middle:
        return None
    # Pits raise quantiles beyond the third quarter, partial volume lowers those below the median.
    spread = (high - middle) / 0.6745
    return middle + max(SHARE * (bright - middle), MIN_SDS * spread)


def _without_rim(mask: np.ndarray, knee: Knee) -> np.ndarray:
    """Voxels of a tissue that share none of their pixel with another; all of a tissue that has few of them."""
    inner = deeper_than(1.01 * knee.pixel_mm, mask, knee, in_images=True)
    return inner if np.count_nonzero(inner) >= MIN_VOXELS else mask


def _large_enough(found: np.ndarray, voxel_mm3: float) -> np.ndarray:
    pieces, _ = ndimage.label(found, np.ones((3, 3, 3)))
    large = np.bincount(pieces.ravel()) * voxel_mm3 >= LEAST_MM3
    large[0] = False
    return large[pieces]


def _level(knee: Knee) -> np.ndarray | None:
    """The image divided by the local level of cartilage, which follows the coil's shading; None without signal."""
    coarse = thinned(knee, FIELD_MM)
    cartilage = coarse.mask(*CARTILAGES)
    if not cartilage.any():
        return None
    values = coarse.image.array[cartilage]
    # Neighbours that share a voxel, and pits, must not pull the level.
    middle, low, high = (float(q) for q in np.quantile(values, [0.5, 0.1, 0.75]))
    if middle <= 0:
        return None
    known = np.where(cartilage, np.clip(coarse.image.array, low, high) / middle, 0).astype(np.float32)
    sigma = [FIELD_SIGMA_MM / s for s in coarse.spacing_mm]
    level, weight = (
        ndimage.gaussian_filter(a, sigma, mode="constant", truncate=2.5) for a in (known, cartilage.astype(np.float32))
    )
    floor = 0.01 * float(weight.max())
    field = middle * (level + floor) / (weight + floor)
    for axis, (length, step) in enumerate(zip(knee.image.shape, thinning(knee, FIELD_MM), strict=True)):
        field = np.take(np.repeat(field, step, axis), np.arange(length), axis)
    return knee.image.array / field
