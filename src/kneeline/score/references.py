"""Grey values that mean something: 0 for dark meniscus, 1 for the bright reference of the same scan.

MR images have no absolute scale, and a surface coil makes the same tissue brighter near it. So each meniscus is read
against its own surroundings: the bright reference is the hyaline cartilage next to it (or the joint fluid, where there
is no cartilage to read), smoothed to a local level; the dark reference is the dark part of the meniscus itself, as a
share of that level. Mucoid signal relaxes much like cartilage, so 1 is what a full-blown lesion looks like in any
contrast.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from kneeline.grading import SIGNAL, SignalRule
from kneeline.labels import BONES, CARTILAGES, Label
from kneeline.score.frame import Knee, box_around, deeper_than, distance_in_images, thinning

# Scale on which the bright reference may change: the coil's shading does, tissue does not; and the cells, small against
# it, for which it is worked out.
FIELD_SIGMA_MM, FIELD_CELL_MM = 15.0, 2.5
# Share of the labelled voxels that may be darker than the image's zero: noise.
FLOOR_QUANTILE = 0.01
# So few images show no meniscus.
_LEAST_IMAGES = 4
# Fewer reference voxels than this are not trusted.
MIN_REFERENCE_VOXELS = 40
# A meniscus this much (share of the bright reference) darker than the other lends it its dark level:
# the other is bright all over (maceration, magic angle) and has no dark tissue of its own.
BORROW_ABOVE = 0.15
# Dark meniscus is nearly as dark as cortical bone; this much above it, what was outlined is hardly meniscus.
ABOVE_CORTEX = 0.5


@dataclass(frozen=True, eq=False)
class Brightness:
    """The image of a meniscus' surroundings, from its darkest tissue (0) to the local bright reference (1).

    level: (I, J, K); source: what served as reference, `cartilage` or `joint_fluid`.
    """

    level: np.ndarray
    source: str


def measure_brightness(knee: Knee) -> Brightness | None:
    """`knee` is a crop around one meniscus. None where neither cartilage nor fluid can serve."""
    floor = _floor(knee)
    if floor is None or min(knee.image.shape) < _LEAST_IMAGES:
        return None
    image = knee.image.array - floor
    for source, labels in (("cartilage", CARTILAGES), ("joint_fluid", (Label.JOINT_FLUID,))):
        tissue = knee.mask(*labels)
        # No border within a pixel.
        core = deeper_than(1.499 * knee.pixel_mm, tissue, knee, in_images=True)
        for voxels in (core, tissue):
            if voxels.sum() >= MIN_REFERENCE_VOXELS:
                field = _local_level(image, voxels, knee)
                if field is not None:
                    return Brightness(image / field, source)
    return None


def _floor(knee: Knee) -> np.float32 | None:
    """The darkest that labelled tissue gets, cortical bone as a rule: the image's zero, so that a constant added to all
    its values changes nothing. Unlabelled voxels have no say: a border of zeros around an image is no tissue."""
    tissue = knee.image.array[knee.labels.array > 0]
    return np.float32(np.quantile(tissue, FLOOR_QUANTILE)) if tissue.size else None


def in_plane_depth(mask: np.ndarray, knee: Knee) -> np.ndarray:
    """Distance of each voxel of a mask to the mask's edge within its own image (mm); 0 outside."""
    depth = np.zeros(mask.shape, np.float32)
    # The nearest outside voxel is never beyond the layer around the mask's box.
    box = box_around(mask, knee.spacing_mm, 1e-6)
    if box is not None:
        distance = distance_in_images(~mask[box], knee)
        depth[box] = np.maximum(distance - 0.5 * knee.pixel_mm, 0) * mask[box]
    return depth


def _local_level(image: np.ndarray, voxels: np.ndarray, knee: Knee) -> np.ndarray | None:
    """Smooth level of some tissue, carried to where the tissue is not; None if it has no signal."""
    middle = float(np.median(image[voxels]))
    if middle <= 0:
        return None
    # Mislabelled neighbours (bone, fluid) must not pull the level.
    low, high = np.quantile(image[voxels], [0.1, 0.9])
    value = np.zeros(image.shape, np.float32)
    value[voxels] = np.clip(image[voxels], low, high) / middle
    steps = thinning(knee, FIELD_CELL_MM)
    sigma = [FIELD_SIGMA_MM / (step * mm) for step, mm in zip(steps, knee.spacing_mm, strict=True)]
    level, weight = (
        ndimage.gaussian_filter(_cell_sums(array, steps), sigma, mode="constant")
        for array in (value, voxels.astype(np.float32))
    )
    # Far from all reference tissue the weight vanishes; there the middle level stands in.
    floor = 0.01 * float(weight.max())
    return _between_cells(middle * (level + floor) / (weight + floor), steps, image.shape)


def _cell_sums(array: np.ndarray, steps: list[int]) -> np.ndarray:
    """Sums over cells of `steps` voxels along each axis; the last cell may have fewer."""
    for axis, step in enumerate(steps):
        array = np.add.reduceat(array, np.arange(0, array.shape[axis], step), axis)
    return array


def _between_cells(cells: np.ndarray, steps: list[int], shape: tuple[int, ...]) -> np.ndarray:
    """Values of cells at each voxel, linear between the cells' centres."""
    for axis, (step, length) in enumerate(zip(steps, shape, strict=True)):
        place = np.clip((np.arange(length) - (step - 1) / 2) / step, 0, cells.shape[axis] - 1)
        low = np.minimum(place.astype(int), max(cells.shape[axis] - 2, 0))
        part = (place - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        first, second = (cells.take(np.minimum(low + k, cells.shape[axis] - 1), axis) for k in (0, 1))
        second -= first
        second *= part
        first += second
        cells = first
    return cells


@dataclass(frozen=True)
class DarkLevel:
    """Level of dark meniscus, its noise (robust SD), both as shares of the bright reference; voxels it rests on."""

    level: float
    noise: float
    n_voxels: int


def measure_dark(values: np.ndarray) -> DarkLevel | None:
    """Dark level of a meniscus from the brightness of its inner voxels, robust against lesions filling part of it.

    The median of the values nearer to dark than to bright, where dark is that median itself.

    Examples
    --------
    >>> measure_dark(np.repeat([0.1, 0.2, 0.3, 0.9], 20)).level
    0.2
    """
    if not values.size:
        return None
    dark = float(np.quantile(values, 0.1))
    for _ in range(20):
        lower = values[values <= (dark + 1) / 2] if dark < 1 else values
        fresh = float(np.median(lower))
        if fresh == dark:
            break
        dark = fresh
    noise = 1.4826 * float(np.median(np.abs(lower - dark)))
    return DarkLevel(round(dark, 12), noise, int(values.size))


def choose_dark(own: DarkLevel, other: DarkLevel | None) -> tuple[DarkLevel, bool]:
    """The dark level to use, and whether it was borrowed from the knee's other meniscus."""
    if other is not None and own.level > other.level + BORROW_ABOVE:
        return other, True
    return own, False


def contrast_to_noise(dark: DarkLevel) -> float:
    return (1 - dark.level) / max(dark.noise, 1e-6)


def has_contrast(dark: DarkLevel, cortex: float | None, rule: SignalRule = SIGNAL) -> bool:
    """Whether signal can be told from dark meniscus: contrast against noise, and against cortical bone."""
    if contrast_to_noise(dark) < rule.min_contrast_to_noise:
        return False
    return cortex is None or dark.level - cortex <= ABOVE_CORTEX


def measure_cortex(knee: Knee, brightness: Brightness) -> float | None:
    """Brightness of cortical bone: the dark tenth of the bones' outermost 2 mm; None without bones."""
    bone = knee.mask(*BONES)
    shell = brightness.level[bone & ~deeper_than(2.0 + 0.5 * knee.pixel_mm, bone, knee, in_images=True)]
    return float(np.quantile(shell, 0.1)) if shell.size >= MIN_REFERENCE_VOXELS else None


def signal_ratio(brightness: np.ndarray, dark: DarkLevel) -> np.ndarray:
    """0 = dark meniscus, 1 = bright reference."""
    return (brightness - dark.level) / (1 - dark.level)
