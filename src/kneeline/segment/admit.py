"""Whether an image can be read at all: numbers, grid and size, before anything is computed."""

from __future__ import annotations

import numpy as np

from kneeline.errors import Refusal
from kneeline.segment.preprocess import PIXEL_MM
from kneeline.volume import SAGITTAL, Volume, reorient

# Spacing of any scanner's knee images, with room to spare (mm).
SPACING_MM = (0.1, 10.0)
# Larger than any coil that a knee is imaged in: the spacing in the header is wrong, or it is no knee (mm).
MOST_MM = 500.0
LEAST_SLICES = 6
# Slices, rows and columns at the network's pixel size: beyond it memory, not the knee, decides (20 bytes a
# pixel for the probabilities alone).
MOST_PIXELS = 4e7


def check_image(image: Volume) -> None:
    """
    Raises
    ------
    Refusal
        `not_grayscale`, `bad_values`, `bad_geometry`, `too_few_slices`, `too_large`.
    """
    if image.array.dtype.kind not in "iuf":
        raise Refusal(
            "not_grayscale",
            "expected one number a voxel, this image holds colours, complex numbers or only yes and no; convert the "
            "magnitude image",
        )
    if image.array.size == 0:
        raise Refusal("not_a_knee", f"expected an image of a knee, this one has no voxels (shape {image.shape})")
    spacing = np.array(image.spacing_mm)
    extent = spacing * image.shape
    words = " x ".join(f"{v:.3g}" for v in spacing)
    if spacing.min() < SPACING_MM[0] or spacing.max() > SPACING_MM[1] or extent.max() > MOST_MM:
        raise Refusal(
            "bad_geometry",
            f"expected voxels of {SPACING_MM[0]:g} to {SPACING_MM[1]:g} mm and a field of view of up to "
            f"{MOST_MM:g} mm, the header says {words} mm and {extent.max():.0f} mm; correct the spacing",
        )
    slices = reorient(image, SAGITTAL).shape[0]
    if slices < LEAST_SLICES:
        raise Refusal(
            "too_few_slices",
            f"expected at least {LEAST_SLICES} sagittal slices, this image has {slices}; send the whole series",
        )
    in_plane = image.array.size * image.voxel_mm3 / reorient(image, SAGITTAL).spacing_mm[0] / PIXEL_MM**2
    if in_plane > MOST_PIXELS:
        raise Refusal(
            "too_large",
            f"expected a knee in at most {MOST_PIXELS / 1e6:.0f} million pixels of {PIXEL_MM} mm, this image has "
            f"{in_plane / 1e6:.0f}; crop it to the knee or leave out slices",
        )
    if image.array.dtype.kind == "f" and not np.isfinite(image.array).all():
        raise Refusal("bad_values", "expected a number in every voxel, some are not finite; convert the image again")
