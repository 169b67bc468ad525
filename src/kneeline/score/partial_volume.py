"""What of a voxel's signal is the meniscus' own.

A voxel on the border is partly cartilage, fluid or fat, and so is one at the end of the meniscus, where it fills a part
of the slice only. The outline tells how much to expect, but not exactly: it is known to half a pixel within an image,
and between images only to lie somewhere. So two answers are made for each voxel, one with the share that the outline
says and one with the least that may be meniscus, and the darker one is believed. What is bright after that is bright
whatever its neighbours are; where they are much brighter than a lesion (fat without fat suppression, fluid in a T2
image), little can be said of a border, and little is.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.special import ndtr

from kneeline.score.frame import Knee, box_in_images
from kneeline.score.references import in_plane_depth

# Blur of an image across a border (SD, pixels): the pixel itself and a usual point spread.
BORDER_BLUR_PIXELS = 0.45
# An outline is known to this much.
OUTLINE_PIXELS = 0.5
# Share of a slice's spacing over which it is averaged: the rest is the gap between slices.
SLICE_FILL = 0.88
# At least half of a voxel is what it is labelled as.
LEAST_SHARE = 0.5
# A voxel is surely outside if less of it than this is meniscus.
OUTSIDE_SHARE = 0.05
# Where the outline ends before the next image, at a place `t` of the way there (shape-based interpolation), the part of
# the voxel that is lost towards it is at most LOST_SLOPE * (LOST_FROM - t): 97 % of voxels in simulated knees with
# slices of 2 to 4 mm, whose true labels hold what fills most of a voxel.
LOST_FROM = 0.6
LOST_SLOPE = 0.75
# In-plane reach (SD, pixels) of the tissue that shares a border voxel; wider where none is so near.
NEAR_PIXELS = (1.0, 2.0, 6.0)
# Where a Gaussian ends (SDs), and how far from the meniscus that is at most.
TRUNCATE = 4.0
NEAR_REACH_PIXELS = round(TRUNCATE * max(NEAR_PIXELS))


def outline_height(mask: np.ndarray, knee: Knee) -> np.ndarray:
    """Signed in-plane distance (mm) of each voxel's centre to the outline of its image, positive inside."""
    height = in_plane_depth(mask, knee) - in_plane_depth(~mask, knee)
    return np.where(mask, np.maximum(height, 0.01), np.minimum(height, -0.01)).astype(np.float32)


def meniscal_share(height: np.ndarray, knee: Knee) -> np.ndarray:
    """How much of each voxel is meniscus, 0-1, from the outlines of its image and of the two next to it.

    Between two images the outline is the zero of their interpolated height (shape-based interpolation, Herman 1992).
    Shares under 3 % are given as 0.
    """
    limit = knee.slice_spacing_mm
    blur = BORDER_BLUR_PIXELS * knee.pixel_mm
    neighbours = beside(height, knee.slice_axis)
    # Two SDs outside all three outlines nothing is left to integrate.
    some = np.maximum(height, np.maximum(*neighbours)) > -2 * blur
    here = np.clip(height[some], -limit, limit)
    total = np.zeros_like(here)
    for neighbour in neighbours:
        there = np.clip(neighbour[some], -limit, limit)
        for part in (0.0, 0.2, 0.4):
            # The middle of the slice belongs to both sides, half to each.
            weight = 0.1 if part == 0 else 0.2
            total += weight * ndtr((here + part * (there - here)) / blur)
    share = np.zeros(height.shape, np.float32)
    share[some] = total
    return share


def own_ratio(ratio: np.ndarray, height: np.ndarray, knee: Knee) -> tuple[np.ndarray, np.ndarray]:
    """Least signal ratio that the meniscal part of each voxel can have, and the most that its other part may add.

    Both are 0 outside the meniscus.

    Parameters
    ----------
    ratio
        Signal ratio of the image, 0 dark meniscus, 1 bright reference.
    height
        See `outline_height`.
    """
    pixel, spacing = knee.pixel_mm, knee.slice_spacing_mm
    inside = height > 0
    outside = meniscal_share(height, knee) < OUTSIDE_SHARE
    near = _level_of(ratio, outside, knee, inside | np.any(beside(inside, knee.slice_axis), axis=0))
    blur = BORDER_BLUR_PIXELS * pixel
    heights, levels = (
        [array[inside] for array in beside(x, knee.slice_axis)] for x in (height, np.maximum(ratio, near))
    )
    value, near, height = ratio[inside], near[inside], height[inside]
    here = np.clip(height, 0, spacing)
    answers = []
    for shift, most in ((0.0, False), (OUTLINE_PIXELS * pixel, True)):
        lost = ndtr((shift - height) / blur)
        added = lost * np.maximum(near, 0)
        for other, level in zip(heights, levels, strict=True):
            place = here / np.maximum(here + np.clip(-other, 0, spacing), 1e-6)
            if most:
                part = (LOST_FROM - place) * LOST_SLOPE
            else:
                part = (SLICE_FILL / 2 - place) / SLICE_FILL
            part = np.where(other < 0, np.clip(part, 0, 1 - LEAST_SHARE), 0)
            lost += part
            added += part * np.maximum(level, 0)
        # Majority: never more than half, whatever the parts add up to.
        over = np.maximum(lost / (1 - LEAST_SHARE), 1)
        lost, added = lost / over, added / over
        answers.append((value - added) / (1 - lost))
    own, most_added = np.zeros((2, *inside.shape), np.float32)
    own[inside], most_added[inside] = np.minimum(*answers), added
    return own, most_added


def beside(array: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """The array of the image before and of the image after, the first and last repeated."""
    n = array.shape[axis]
    before = np.concatenate([array.take([0], axis), array.take(range(n - 1), axis)], axis)
    after = np.concatenate([array.take(range(1, n), axis), array.take([n - 1], axis)], axis)
    return before, after


def _level_of(ratio: np.ndarray, tissue: np.ndarray, knee: Knee, wanted: np.ndarray) -> np.ndarray:
    """Level of some tissue, carried in its image to where it is wanted and not; 1 in images that have none, and
    elsewhere."""
    level = np.ones(ratio.shape, np.float32)
    missing = wanted.copy()
    weight, value = tissue.astype(np.float32), np.where(tissue, ratio, 0).astype(np.float32)
    for pixels in NEAR_PIXELS:
        sigma = [0.0 if axis == knee.slice_axis else pixels for axis in range(3)]
        box = box_in_images(missing, knee, round(TRUNCATE * pixels))
        if box is None:
            break
        near = ndimage.gaussian_filter(weight[box], sigma, truncate=TRUNCATE)
        found = missing[box] & (near > 0.02)
        level[box][found] = ndimage.gaussian_filter(value[box], sigma, truncate=TRUNCATE)[found] / near[found]
        missing[box][found] = False
    return level
