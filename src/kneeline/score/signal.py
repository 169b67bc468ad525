"""Bright signal inside a meniscus: connected components, and whether they reach an articular surface.

The difficulty is the edge. A pixel on the meniscus' border is partly cartilage or fluid and bright without being
diseased; yet a tear is bright right up to the border. So:

1. A component needs a core: bright voxels deeper than `rim_mm` inside the meniscus that lie in it through the
   thickness of the slice.
2. From its deep voxels, and from there only, it may grow through the rim to the border, over pixels that stay bright
   after what their share of outside tissue explains has been taken away. A dark seam before the border stops it.
3. It touches where it comes within `contact_mm` of an articular face: a piece of border that faces femur or tibia.
   The capsular side and the free edge face neither.

Distances to the surface are measured within single images, as a radiologist does: between slices there is no more
than the next slice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist
from scipy.special import ndtr

from kneeline.grading import SIGNAL, SignalRule
from kneeline.labels import Label
from kneeline.score.frame import OUT_OF_REACH_MM, Knee
from kneeline.score.references import in_plane_depth

# Least share of a core voxel that is meniscus.
CORE_SHARE = 0.8
# Where outside tissue is taken away, a voxel counts as at least this much meniscus: below, noise would be blown up.
RIM_SHARE = 0.5
# Least volume of a component's core, and least part of its deep voxels: a few sure voxels do not vouch for a smear.
CORE_MM3 = 2.0
CORE_PART = 0.1
# Blur of an image across a border (SD, pixels): the pixel itself and a usual point spread.
BORDER_BLUR_PIXELS = 0.45
# An articular face lies opposite a joint surface no farther than this, at no more than this angle from its normal.
FACING_MM = 4.0
FACING_COSINE = 0.5

FEMORAL_SURFACE = (Label.FEMUR, Label.FEMORAL_CARTILAGE)
TIBIAL_SURFACE = (Label.TIBIA, Label.MEDIAL_TIBIAL_CARTILAGE, Label.LATERAL_TIBIAL_CARTILAGE)


@dataclass(frozen=True, eq=False)
class Component:
    """One hyperintense component.

    voxels: (N, 3) indices; extent_mm: largest distance of two of its voxels; surface_distance_mm: from its nearest
    voxel's centre to the nearest articular face (None if no image shows one); contact_slices: images with contact.
    """

    voxels: np.ndarray
    volume_mm3: float
    extent_mm: float
    surface_distance_mm: float | None
    contact_slices: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Tissue:
    """A meniscus as tissue.

    mask: its voxels, holes within an image filled; share: how much of each voxel is meniscus, 0-1; depth_mm: in-plane
    depth below its border; core: voxels whose signal is surely its own; surface_mm: in-plane distance to the nearest
    articular face, OUT_OF_REACH_MM where there is none.
    """

    mask: np.ndarray
    share: np.ndarray
    depth_mm: np.ndarray
    core: np.ndarray
    surface_mm: np.ndarray


def meniscus_tissue(knee: Knee, label: Label, rule: SignalRule = SIGNAL) -> Tissue:
    """`knee` is a crop around the meniscus."""
    mask = _fill_holes(knee.mask(label), knee.slice_axis)
    depth = in_plane_depth(mask, knee)
    height = depth - in_plane_depth(~mask, knee)
    height = np.where(mask, np.maximum(height, 0.01), np.minimum(height, -0.01))
    share = _share(height, knee)
    core = mask & (depth >= rule.rim_mm) & (share >= CORE_SHARE)
    return Tissue(mask, share, depth, core, _distance_to_articular_faces(mask, height, knee))


def _fill_holes(mask: np.ndarray, slice_axis: int) -> np.ndarray:
    """A hole within one image is surely meniscus: bright signal that was not recognised as such."""
    flat = ndimage.generate_binary_structure(2, 1)
    plane = np.expand_dims(flat, slice_axis)
    return ndimage.binary_fill_holes(mask, plane)


def _share(height: np.ndarray, knee: Knee) -> np.ndarray:
    """How much of each voxel is meniscus, from the outlines of its image and of the two next to it.

    height: signed in-plane distance to the outline (mm, positive inside). Between two images the outline is the zero
    of their interpolated height (shape-based interpolation, Herman 1992).
    """
    axis, limit = knee.slice_axis, knee.slice_spacing_mm
    height = np.clip(height, -limit, limit)
    before = np.concatenate([height.take([0], axis), height.take(range(height.shape[axis] - 1), axis)], axis)
    after = np.concatenate([height.take(range(1, height.shape[axis]), axis), height.take([-1], axis)], axis)
    blur = BORDER_BLUR_PIXELS * knee.pixel_mm
    total = np.zeros_like(height)
    for part in (-0.4, -0.2, 0.0, 0.2, 0.4):
        neighbour = after if part > 0 else before
        total += ndtr((height + abs(part) * (neighbour - height)) / blur)
    return (total / 5).astype(np.float32)


def _distance_to_articular_faces(mask: np.ndarray, height: np.ndarray, knee: Knee) -> np.ndarray:
    """In-plane distance (mm) from each voxel's centre to the nearest articular face of the mask."""
    plane = [axis for axis in range(3) if axis != knee.slice_axis]
    neighbours = np.expand_dims(ndimage.generate_binary_structure(2, 1), knee.slice_axis)
    outside = ndimage.binary_dilation(mask, neighbours) & ~mask
    sigma = np.array([0.0 if axis == knee.slice_axis else 1.5 for axis in range(3)])
    smooth = ndimage.gaussian_filter(np.clip(height, -3, 3), sigma)
    outward = np.stack([-np.gradient(smooth, knee.spacing_mm[axis], axis=axis)[outside] for axis in plane])
    outward /= np.maximum(np.linalg.norm(outward, axis=0), 1e-9)
    here = np.stack(np.nonzero(outside))
    facing = np.zeros(here.shape[1], bool)
    for labels in (FEMORAL_SURFACE, TIBIAL_SURFACE):
        surface = knee.mask(*labels) & ~mask
        if not surface.any():
            continue
        distance, nearest = ndimage.distance_transform_edt(~surface, sampling=knee.in_plane_mm, return_indices=True)
        reach = distance[outside]
        step = np.stack([(nearest[axis][outside] - here[axis]) * knee.spacing_mm[axis] for axis in plane])
        cosine = (step * outward).sum(0) / np.maximum(reach, 1e-9)
        # An outer voxel that is joint surface itself (reach 0) needs no direction.
        facing |= (reach <= FACING_MM) & ((reach == 0) | (cosine >= FACING_COSINE))
    faces = np.zeros_like(mask)
    faces[tuple(here[:, facing])] = True
    if not faces.any():
        return np.full(mask.shape, OUT_OF_REACH_MM, np.float32)
    distance = ndimage.distance_transform_edt(~faces, sampling=knee.in_plane_mm) - 0.5 * knee.pixel_mm
    return np.minimum(distance, OUT_OF_REACH_MM).astype(np.float32)


def find_components(ratio: np.ndarray, tissue: Tissue, knee: Knee, rule: SignalRule = SIGNAL) -> list[Component]:
    """Hyperintense components of a meniscus, largest first.

    Parameters
    ----------
    ratio
        Signal ratio of the image, 0 dark meniscus, 1 bright reference.
    """
    own = _own_ratio(ratio, tissue, knee)
    deep = tissue.depth_mm >= rule.rim_mm
    # Deep inside, a dark neighbour (cortex, the next slice) is no reason to make a voxel brighter than it is.
    own[deep] = np.minimum(own, ratio)[deep]
    bright = tissue.mask & (own >= _threshold(tissue, rule))
    inner = bright & deep
    labelled, count = ndimage.label(inner, ndimage.generate_binary_structure(3, 2))
    size = np.bincount(labelled[inner], minlength=count + 1)
    sure = np.bincount(labelled[inner & tissue.core], minlength=count + 1)
    enough = (sure >= CORE_PART * size) & (sure * knee.image.voxel_mm3 >= CORE_MM3)
    kept = np.flatnonzero(enough[1:]) + 1
    seeds = np.isin(labelled, kept)
    if not kept.size:
        return []
    plane = np.expand_dims(ndimage.generate_binary_structure(2, 1), knee.slice_axis)
    distance, nearest = ndimage.distance_transform_edt(~seeds, sampling=knee.in_plane_mm, return_indices=True)
    near = bright & (distance <= rule.rim_mm + knee.pixel_mm)
    grown = ndimage.binary_propagation(seeds, plane, mask=near)
    owner = np.where(grown, labelled[tuple(nearest)], 0)
    found = [_measure(np.argwhere(owner == k), tissue, knee, rule) for k in kept]
    return sorted(found, key=lambda c: (-c.volume_mm3, tuple(c.voxels[0])))


def _threshold(tissue: Tissue, rule: SignalRule) -> np.ndarray:
    """Least ratio of a hyperintense voxel: falls with depth, as what neighbours can add to it does."""
    depth = (tissue.depth_mm / rule.rim_mm - 1).clip(0, 1)
    return rule.hyperintense_ratio + depth * (rule.deep_ratio - rule.hyperintense_ratio)


def _own_ratio(ratio: np.ndarray, tissue: Tissue, knee: Knee) -> np.ndarray:
    """Ratio of the meniscal part of each voxel: what its outside part adds is taken away."""
    sigma = [1.5 / s for s in knee.spacing_mm]
    sigma[knee.slice_axis] = min(sigma[knee.slice_axis], 0.5)
    surely_outside = (tissue.share < 0.1).astype(np.float32)
    weight = ndimage.gaussian_filter(surely_outside, sigma)
    outside = ndimage.gaussian_filter(np.clip(ratio, 0, 2) * surely_outside, sigma)
    outside = np.where(weight > 1e-3, outside / np.maximum(weight, 1e-3), 1.0)
    share = np.maximum(tissue.share, RIM_SHARE)
    return (ratio - (1 - share) * outside) / share


def _measure(voxels: np.ndarray, tissue: Tissue, knee: Knee, rule: SignalRule) -> Component:
    distance = tissue.surface_mm[tuple(voxels.T)]
    nearest = float(distance.min())
    # With large pixels the first voxel inside the border is already half a pixel away from it.
    limit = max(rule.contact_mm, 0.5 * knee.pixel_mm) + 1e-3
    touching = voxels[distance <= limit, knee.slice_axis]
    return Component(
        voxels=voxels,
        volume_mm3=len(voxels) * knee.image.voxel_mm3,
        extent_mm=_extent(knee.image.geometry.to_world(voxels)),
        surface_distance_mm=nearest if nearest < OUT_OF_REACH_MM / 2 else None,
        contact_slices=tuple(int(s) for s in np.unique(touching)),
    )


def _extent(points: np.ndarray) -> float:
    """Largest distance between two points, (N, 3)."""
    if len(points) > 60:
        try:
            points = points[ConvexHull(points).vertices]
        except QhullError:  # flat: all voxels on one image
            centred = points - points.mean(0)
            flat = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
            points = flat[ConvexHull(flat).vertices] if np.ptp(flat, axis=0).min() > 1e-6 else flat
    return float(pdist(points).max()) if len(points) > 1 else 0.0
