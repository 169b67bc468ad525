"""Pits that the outline covers: cartilage voxels that are as bright as joint fluid.

A network that has learnt intact plates draws them whole, also over a defect full of fluid. Where fluid is clearly
brighter than cartilage in the image at hand, a voxel nearer to fluid than to the cartilage around it is therefore taken
for fluid before thickness is measured. Where it is not (T1, DESS, no fluid in view), the outline stays as it is; and
where fat is not suppressed, because there fat beside the cartilage is as bright.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from kneeline.labels import CARTILAGES, Label
from kneeline.score.frame import FAT_SUPPRESSED, Knee, thinned, thinning
from kneeline.volume import Volume

# Fluid must be this many times as bright as cartilage. Project decision; up to 1.6 times, noise of intact cartilage
# still passes the middle between the two and opens false pits (docs/scoring.md).
MIN_RATIO = 1.3
MIN_FLUID_VOXELS = 200
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
    if contrast not in FAT_SUPPRESSED or box is None or knee.count(Label.JOINT_FLUID) < MIN_FLUID_VOXELS:
        return nothing
    part = knee.crop(box)
    level = _level(part)
    if level is None or not (wet := part.mask(Label.JOINT_FLUID)).any():
        return nothing
    bright = float(np.median(level[wet]))
    if bright < MIN_RATIO:
        return nothing
    labels = knee.labels.array.copy()
    inside = labels[box]
    found = part.mask(*CARTILAGES) & (level > (1 + bright) / 2)
    volumes = {label: float((found & (inside == label)).sum() * knee.labels.voxel_mm3) for label in CARTILAGES}
    inside[found] = Label.JOINT_FLUID
    return Opened(Knee(knee.image, Volume(labels, knee.labels.affine)), volumes)


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
