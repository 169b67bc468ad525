"""Bright signal inside a meniscus: connected components, and whether they reach an articular surface.

The difficulty is the edge. A pixel on the meniscus' border is partly cartilage or fluid and bright without being
diseased; yet a tear is bright right up to the border. So:

1. What neighbours add to a voxel is taken away first (`partial_volume`).
2. Bright tissue that runs in from outside on a broad front, through the capsular side or the free edge, is not
   meniscus, whatever the outline says (`_outside_tissue`).
3. A component needs bright voxels deeper than `rim_mm` inside the meniscus. From them, and from there only, it may grow
   through the rim to the border. A dark seam before the border stops it.
4. It touches where it comes within `contact_mm` of an articular face: a piece of border that faces femur or tibia.
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
from skimage.morphology import reconstruction

from kneeline.grading import SIGNAL, SignalRule
from kneeline.labels import Label
from kneeline.score.frame import OUT_OF_REACH_MM, Knee, box_in_images, distance_in_images
from kneeline.score.partial_volume import NEAR_REACH_PIXELS, beside, meniscal_share, outline_height, own_ratio

# Least share of a core voxel that is meniscus.
CORE_SHARE = 0.8
# An articular face lies opposite a joint surface no farther than this, at no more than this angle from its normal.
FACING_MM = 4.0
FACING_COSINE = 0.5
# Outside tissue inside the outline: no darker than this, reached from outside on a way of this width along which the
# signal never falls below this share of its own, and in images between others no deeper than an outline errs.
SPILL_RATIO = 0.35
WAY_PIXELS = 3
SPILL_SHARE = 0.9
SPILL_MM = 3.0

# One pixel at the border may be noise.
CONTACT_PIXELS = 2

FEMORAL_SURFACE = (Label.FEMUR, Label.FEMORAL_CARTILAGE)
TIBIAL_SURFACE = (Label.TIBIA, Label.MEDIAL_TIBIAL_CARTILAGE, Label.LATERAL_TIBIAL_CARTILAGE)


@dataclass(frozen=True, eq=False)
class Component:
    """One hyperintense component.

    voxels: (N, 3) indices; extent_mm: largest distance of two of its voxels; surface_distance_mm: from its nearest
    voxel's centre to the nearest articular face (None if no image shows one); superior_mm, inferior_mm: the same to the
    face towards the femur and to that towards the tibia; contact_slices: images with contact;
    surface: the articular surface it touches there, `superior`, `inferior`, `both` or None; way_mm: the line that
    surface_distance_mm is the length of, (2, 3) mm in the world.
    """

    voxels: np.ndarray
    volume_mm3: float
    extent_mm: float
    surface_distance_mm: float | None
    contact_slices: tuple[int, ...]
    surface: str | None
    way_mm: np.ndarray | None = None
    superior_mm: float | None = None
    inferior_mm: float | None = None


@dataclass(frozen=True, eq=False)
class Tissue:
    """A meniscus as tissue.

    mask: its voxels, holes within an image filled; height_mm: signed in-plane distance to its outline, positive inside;
    core: voxels whose signal is surely its own; inner: voxels with meniscus in the image before and in the one after;
    superior_mm, inferior_mm: in-plane distance to the nearest articular face towards femur and tibia, OUT_OF_REACH_MM
    where there is none and beyond the box of the meniscus; open_mm: the same to the rest of the border, the capsular
    side and the free edge.
    """

    mask: np.ndarray
    height_mm: np.ndarray
    core: np.ndarray
    inner: np.ndarray
    superior_mm: np.ndarray
    inferior_mm: np.ndarray
    open_mm: np.ndarray

    @property
    def surface_mm(self) -> np.ndarray:
        return np.minimum(self.superior_mm, self.inferior_mm)


def box_within_reach(knee: Knee, label: Label) -> tuple[slice, slice, slice]:
    """The box around a meniscus beyond which nothing has a say in its components."""
    return box_in_images(knee.mask(label), knee, max(_pixels(FACING_MM, knee) + 2, NEAR_REACH_PIXELS), images=2)


def _pixels(length_mm: float, knee: Knee) -> int:
    """So many pixels reach at least this far within an image."""
    return int(np.ceil(length_mm / min(s for axis, s in enumerate(knee.spacing_mm) if axis != knee.slice_axis)))


def meniscus_tissue(knee: Knee, label: Label, rule: SignalRule = SIGNAL) -> Tissue:
    """`knee` is a crop around the meniscus."""
    mask = _fill_holes(knee.mask(label), knee.slice_axis)
    height = outline_height(mask, knee)
    core = mask & (height >= rule.rim_mm) & (meniscal_share(height, knee) >= CORE_SHARE)
    inner = mask & np.all(beside(mask, knee.slice_axis), axis=0)
    return Tissue(mask, height, core, inner, *_distance_to_faces(mask, height, knee))


def _fill_holes(mask: np.ndarray, slice_axis: int) -> np.ndarray:
    """A hole within one image is surely meniscus: bright signal that was not recognised as such."""
    flat = ndimage.generate_binary_structure(2, 1)
    plane = np.expand_dims(flat, slice_axis)
    return ndimage.binary_fill_holes(mask, plane)


def _distance_to_faces(mask: np.ndarray, height: np.ndarray, knee: Knee) -> tuple[np.ndarray, ...]:
    """In-plane distance (mm) from each voxel's centre to the border that faces the femur, the tibia, neither."""
    plane = [axis for axis in range(3) if axis != knee.slice_axis]
    outside = ndimage.binary_dilation(mask, _in_plane(knee)) & ~mask
    sigma = np.array([0.0 if axis == knee.slice_axis else 1.5 for axis in range(3)])
    smooth = ndimage.gaussian_filter(np.clip(height, -3, 3), sigma)
    outward = np.stack([-np.gradient(smooth, knee.spacing_mm[axis], axis=axis)[outside] for axis in plane])
    outward /= np.maximum(np.linalg.norm(outward, axis=0), 1e-9)
    near = box_in_images(mask, knee, 1 + _pixels(FACING_MM, knee))
    faces, neither = [], outside.copy()
    for labels in (FEMORAL_SURFACE, TIBIAL_SURFACE):
        face = np.zeros_like(mask)
        step = _step_to(knee.mask(*labels) & ~mask, outside, near, knee)
        reach = np.sqrt((step * step).sum(0))
        cosine = (np.where(reach <= FACING_MM, step, 0) * outward).sum(0) / np.maximum(reach, 1e-9)
        # An outer voxel that is joint surface itself (reach 0) needs no direction.
        face[outside] = (reach <= FACING_MM) & ((reach == 0) | (cosine >= FACING_COSINE))
        faces.append(face)
        neither &= ~face
    box = box_in_images(mask, knee, 1)
    return tuple(_distance_to(face, box, knee) for face in (*faces, neither))


def _step_to(surface: np.ndarray, voxels: np.ndarray, box: tuple[slice, slice, slice], knee: Knee) -> np.ndarray:
    """From each voxel of a mask to the nearest of a surface in its image and a box, (2, N) mm; infinite without any."""
    sampling = np.array([s for axis, s in enumerate(knee.spacing_mm) if axis != knee.slice_axis])[:, None, None]
    step = np.full((2, *voxels.shape), np.inf)
    images = np.moveaxis(step[:, *box], knee.slice_axis + 1, 1)
    here, there = (np.moveaxis(a[box], knee.slice_axis, 0) for a in (voxels, surface))
    grid = np.indices(here.shape[1:])
    for k in np.flatnonzero(here.any((1, 2)) & there.any((1, 2))):
        nearest = ndimage.distance_transform_edt(
            ~there[k], sampling=sampling.ravel(), return_distances=False, return_indices=True
        )
        images[:, k] = (nearest - grid) * sampling
    return step[:, voxels]


def _distance_to(face: np.ndarray, box: tuple[slice, slice, slice], knee: Knee) -> np.ndarray:
    """In a box that holds the face; beyond it nobody asks."""
    distance = np.full(face.shape, OUT_OF_REACH_MM, np.float32)
    if face.any():
        distance[box] = np.minimum(distance_in_images(face[box], knee) - 0.5 * knee.pixel_mm, OUT_OF_REACH_MM)
    return distance


def _in_plane(knee: Knee, connectivity: int = 1) -> np.ndarray:
    """Neighbours within an image."""
    return np.expand_dims(ndimage.generate_binary_structure(2, connectivity), knee.slice_axis)


def _outside_tissue(ratio: np.ndarray, tissue: Tissue, knee: Knee) -> np.ndarray:
    """Voxels inside the outline that are bright tissue from outside: capsule, fat, fluid in a recess.

    One can wade to them from outside, through the capsular side or the free edge, on a way three pixels wide that is
    nowhere much darker than they are. A line of signal that runs out to the capsule is narrower, and signal inside the
    meniscus has a darker seam before it. Further in than an outline errs, that holds only for the end images, of which
    the meniscus may fill one half and outside tissue the other.
    """
    box = box_in_images(tissue.mask, knee, 1 + WAY_PIXELS)
    mask, open_mm, inner, near = (a[box] for a in (tissue.mask, tissue.open_mm, tissue.inner, ratio))
    joint_surface = knee.crop(box).mask(*FEMORAL_SURFACE, *TIBIAL_SURFACE) & ~mask
    size = [1 if axis == knee.slice_axis else WAY_PIXELS for axis in range(3)]
    entry = ~mask & (open_mm <= 0.5 * knee.pixel_mm + 1e-3)
    level = ndimage.grey_opening(np.where(joint_surface, -1, np.maximum(near, -1)), size=size)
    level = np.where(mask | entry, level, -1)
    start = np.where(entry, level, -1)
    passable = reconstruction(start, level, method="dilation", footprint=_in_plane(knee))
    wet = mask & (near >= SPILL_RATIO) & (passable >= SPILL_SHARE * near)
    wet &= (open_mm <= SPILL_MM) | ~inner
    found = np.zeros_like(tissue.mask)
    found[box] = ndimage.binary_opening(wet, _in_plane(knee))
    return found


def find_components(ratio: np.ndarray, tissue: Tissue, knee: Knee, rule: SignalRule = SIGNAL) -> list[Component]:
    """Hyperintense components of a meniscus, largest first.

    Parameters
    ----------
    ratio
        Signal ratio of the image, 0 dark meniscus, 1 bright reference.
    """
    own, added = own_ratio(ratio, tissue.height_mm, knee)
    deep = tissue.height_mm >= rule.rim_mm
    # Deep inside, a dark neighbour (cortex, the next slice) is no reason to make a voxel brighter than it is.
    own[deep] = np.minimum(own, ratio)[deep]
    bright = (
        tissue.mask
        & (own >= rule.deep_ratio + (rule.hyperintense_ratio - rule.deep_ratio) * 2 * added)
        & ~_outside_tissue(ratio, tissue, knee)
    )
    inner = bright & deep
    labelled, count = ndimage.label(inner, ndimage.generate_binary_structure(3, 2))
    if not count:
        return []
    rim = rule.rim_mm + knee.pixel_mm
    box = box_in_images(inner, knee, _pixels(rim, knee))
    inner, bright, labelled = inner[box], bright[box], labelled[box]
    distance, nearest = ndimage.distance_transform_edt(~inner, sampling=knee.in_plane_mm, return_indices=True)
    grown = ndimage.binary_propagation(inner, _in_plane(knee), mask=bright & (distance <= rim))
    owner = np.where(grown, labelled[tuple(nearest)], 0)
    first = [s.start for s in box]
    found = [_measure(np.argwhere(owner == k) + first, own, tissue, knee, rule) for k in range(1, count + 1)]
    return sorted(found, key=lambda c: (-c.volume_mm3, tuple(c.voxels[0])))


def _measure(voxels: np.ndarray, own: np.ndarray, tissue: Tissue, knee: Knee, rule: SignalRule) -> Component:
    distance = tissue.surface_mm[tuple(voxels.T)]
    nearest = float(distance.min())
    # With large pixels the first voxel inside the border is already half a pixel away from it.
    limit = max(rule.contact_mm, 0.5 * knee.pixel_mm) + 1e-3
    # A component ends where its signal has fallen to half: blur alone carries some of it nearer to the surface.
    value = own[tuple(voxels.T)]
    reaches = (distance <= limit) & (value >= 0.5 * np.quantile(value, 0.9))
    slices, touching = np.unique(voxels[reaches, knee.slice_axis], return_counts=True)
    slices = slices[touching >= CONTACT_PIXELS]
    here = tuple(voxels[reaches & np.isin(voxels[:, knee.slice_axis], slices)].T)
    touched = [
        name
        for name, face in (("superior", tissue.superior_mm), ("inferior", tissue.inferior_mm))
        if np.count_nonzero(face[here] <= limit) >= CONTACT_PIXELS
    ]
    return Component(
        voxels=voxels,
        volume_mm3=len(voxels) * knee.image.voxel_mm3,
        extent_mm=_extent(knee.image.geometry.to_world(voxels)),
        surface_distance_mm=_in_reach(nearest),
        contact_slices=tuple(int(s) for s in slices),
        # Where the two faces meet, one pixel may be of each.
        surface=None if not slices.size else touched[0] if len(touched) == 1 else "both",
        way_mm=_way_to_surface(voxels[distance.argmin()], nearest, tissue, knee),
        superior_mm=_in_reach(float(tissue.superior_mm[tuple(voxels.T)].min())),
        inferior_mm=_in_reach(float(tissue.inferior_mm[tuple(voxels.T)].min())),
    )


def _in_reach(distance_mm: float) -> float | None:
    return distance_mm if distance_mm < OUT_OF_REACH_MM / 2 else None


def _way_to_surface(voxel: np.ndarray, distance_mm: float, tissue: Tissue, knee: Knee) -> np.ndarray | None:
    """From a voxel's centre to the articular face that is so near in its image: (2, 3) mm in the world."""
    if distance_mm >= OUT_OF_REACH_MM / 2:
        return None
    image = tissue.surface_mm.take(voxel[knee.slice_axis], knee.slice_axis)
    face = np.insert(np.argwhere(image <= image.min() + 1e-3), knee.slice_axis, voxel[knee.slice_axis], axis=1)
    steps = (face - voxel) * np.array(knee.spacing_mm)
    lengths = np.linalg.norm(steps, axis=1)
    nearest = int(lengths.argmin())
    start, centre = knee.image.geometry.to_world(np.stack([voxel, face[nearest]]))
    # The face is the border of its outer voxel, half a pixel before that one's centre.
    return np.stack([start, start + (centre - start) * max(distance_mm, 0.0) / lengths[nearest]])


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
