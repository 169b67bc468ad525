"""The frame in which a knee is measured: every knee as a right one, in the canonical sagittal view.

Mirroring a left knee first makes the mirror law (equal rows, side swapped) true by construction, and re-ordering the
axes makes every measurement independent of how the scanner stored its slices. Nothing is resampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from kneeline.labels import Label
from kneeline.volume import SAGITTAL, Volume, medial_sign, mirror, reorient

# Spacings within this share of the largest count as equal; the first of them (sagittal images) is the slice axis.
SAME_SPACING = 0.05


@dataclass(frozen=True, eq=False)
class Knee:
    """Image and labels on one grid: a right knee in "RIP" order, array axes lateral, inferior, posterior.

    The image keeps its numbers as they came until a part is cut out (`crop`: float32): nothing looks at all of it.
    """

    image: Volume
    labels: Volume

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        return self.image.spacing_mm

    @cached_property
    def slice_axis(self) -> int:
        """The array axis across the images: that of the largest spacing."""
        spacing = np.array(self.spacing_mm)
        return int(np.argmax(spacing >= (1 - SAME_SPACING) * spacing.max()))

    @property
    def slice_spacing_mm(self) -> float:
        return self.spacing_mm[self.slice_axis]

    @cached_property
    def pixel_mm(self) -> float:
        """The larger pixel edge within an image."""
        return max(s for axis, s in enumerate(self.spacing_mm) if axis != self.slice_axis)

    @cached_property
    def in_plane_mm(self) -> tuple[float, float, float]:
        """Sampling for distances within single images: other images are out of reach."""
        spacing = list(self.spacing_mm)
        spacing[self.slice_axis] = OUT_OF_REACH_MM
        return tuple(spacing)

    def mask(self, *labels: Label) -> np.ndarray:
        return is_one_of(self.labels.array, labels)

    @cached_property
    def _shown(self) -> tuple[np.ndarray, ...]:
        """Along each axis the labels that each plane across it holds, as bits. One pass for all labels."""
        bit = np.zeros(256, np.uint16)
        for label in Label:
            bit[label] = 1 << label
        n_i, n_j, n_k = self.labels.shape
        i, j, k = (np.zeros(n, np.uint16) for n in (n_i, n_j, n_k))
        for number in range(n_i):
            plane = bit[self.labels.array[number]]
            rows = np.bitwise_or.reduce(plane, axis=1)
            i[number] = np.bitwise_or.reduce(rows)
            j |= rows
            k |= np.bitwise_or.reduce(plane, axis=0)
        return i, j, k

    def holds(self, *labels: Label) -> bool:
        return self.box(*labels) is not None

    def box(self, *labels: Label, margin_mm: float = 0.0):
        """Slices of the smallest box that holds some labels and a margin on each side; None without any."""
        wanted = np.uint16(sum(1 << label for label in labels))
        planes = [np.flatnonzero(bits & wanted) for bits in self._shown]
        if not planes[0].size:
            return None
        margins = (int(np.ceil(margin_mm / spacing)) for spacing in self.spacing_mm)
        return tuple(
            slice(max(int(used[0]) - margin, 0), min(int(used[-1]) + margin + 1, n))
            for used, margin, n in zip(planes, margins, self.labels.shape, strict=True)
        )

    def count(self, *labels: Label) -> int:
        """Number of voxels."""
        box = self.box(*labels)
        return 0 if box is None else int(np.count_nonzero(is_one_of(self.labels.array[box], labels)))

    def world(self, mask: np.ndarray, at_most: int | None = None) -> np.ndarray:
        """Centres of the voxels of a mask, (N, 3) mm, in this (right-knee) world; evenly thinned to about `at_most`."""
        places = np.flatnonzero(mask)
        if at_most:
            places = places[:: max(len(places) // at_most, 1)]
        return self.labels.geometry.to_world(np.stack(np.unravel_index(places, mask.shape), axis=-1))

    def crop(self, box: tuple[slice, slice, slice]) -> Knee:
        image = crop(self.image, box)
        return Knee(image.with_array(np.ascontiguousarray(image.array, np.float32)), crop(self.labels, box))


# Images further apart than this are interpolated between their outlines; edges in them mix with what lies beside.
INTERPOLATE_ABOVE_MM = 1.6
# Contrast classes (tables.SERIES) in which fat and marrow are dark, so that what is bright is water, and those in which
# they are as bright as a lesion or brighter. In gradient echoes (DESS) water alone is excited as a rule.
FAT_SUPPRESSED, FAT_BRIGHT = ("PDFS", "T2FS"), ("PD", "T2", "T1")
# Larger than any knee: an in-plane distance map holds at least this where the image has no target.
OUT_OF_REACH_MM = 1e4


def is_one_of(array: np.ndarray, labels: Sequence[Label]) -> np.ndarray:
    """Where an array holds one of a few labels: `numpy.isin`, many times faster."""
    found = array == labels[0]
    for label in labels[1:]:
        found |= array == label
    return found


def canonical(image: Volume, labels: Volume, laterality: str) -> Knee:
    """Any labelled knee in the frame of measurement.

    Raises
    ------
    ValueError
        If image and labels are not on one grid.
    """
    if not image.geometry.same_as(labels.geometry):
        raise ValueError(f"image {image.shape} and labels {labels.shape} must be on one grid")
    if medial_sign(laterality) > 0:
        image, labels = mirror(image), mirror(labels)
    image, labels = reorient(image, SAGITTAL), reorient(labels, SAGITTAL)
    return Knee(
        image,
        Volume(np.ascontiguousarray(labels.array, np.uint8), labels.affine),
    )


def thinning(knee: Knee, pixel_mm: float) -> list[int]:
    """Which voxels to keep along each axis, every how many, for spacings of about `pixel_mm`."""
    return [max(round(pixel_mm / spacing), 1) for spacing in knee.spacing_mm]


def thinned(knee: Knee, pixel_mm: float) -> Knee:
    """The knee on a coarser grid: voxels left out, nothing averaged."""
    steps = thinning(knee, pixel_mm)
    every = tuple(slice(None, None, step) for step in steps)
    scale = np.diag([*steps, 1.0])
    return Knee(*(Volume(np.ascontiguousarray(v.array[every]), v.affine @ scale) for v in (knee.image, knee.labels)))


def to_scanner(points_mm: np.ndarray, laterality: str) -> np.ndarray:
    """Points (N, 3) of the right-knee world back in the world of the scan."""
    return points_mm * ([-1, 1, 1] if medial_sign(laterality) > 0 else [1, 1, 1])


def crop(volume: Volume, box: tuple[slice, slice, slice]) -> Volume:
    affine = volume.affine.copy()
    affine[:3, 3] = volume.geometry.to_world(np.array([s.start for s in box]))
    return Volume(volume.array[box], affine)


def distance_in_images(mask: np.ndarray, knee: Knee) -> np.ndarray:
    """Distance (mm) of each voxel's centre to the nearest voxel of a mask in its own image; float32.

    OUT_OF_REACH_MM in images without any. The same as a distance transform with `Knee.in_plane_mm`, in a third of its
    time.
    """
    sampling = [s for axis, s in enumerate(knee.spacing_mm) if axis != knee.slice_axis]
    distance = np.full(mask.shape, OUT_OF_REACH_MM, np.float32)
    images, outside = (np.moveaxis(a, knee.slice_axis, 0) for a in (distance, ~mask))
    for k in np.flatnonzero(~outside.all((1, 2))):
        images[k] = ndimage.distance_transform_edt(outside[k], sampling=sampling)
    return distance


def box_around(mask: np.ndarray, spacing_mm: tuple[float, float, float], margin_mm: float):
    """Slices of the smallest box that holds a mask and `margin_mm` on each side; None for an empty mask."""
    return _box(mask, [int(np.ceil(margin_mm / spacing)) for spacing in spacing_mm])


def deeper_than(length_mm: float, mask: np.ndarray, knee: Knee, *, in_images: bool = False) -> np.ndarray:
    """Voxels of a mask farther than a short length from all outside it (`in_images`: in their own image): many times
    faster than a distance transform. What lies beyond the volume is not known to be outside."""
    spacing = np.array(knee.in_plane_mm if in_images else knee.spacing_mm)
    most = (length_mm / spacing).astype(int)
    offsets = np.indices(2 * most + 1).reshape(3, -1).T
    offsets = offsets[np.sqrt((((offsets - most) * spacing) ** 2).sum(1)) <= length_mm]
    inside = np.pad(mask, [(n, n) for n in most], constant_values=True)
    deeper = mask.copy()
    for offset in offsets:
        deeper &= inside[tuple(slice(o, o + n) for o, n in zip(offset, mask.shape, strict=True))]
    return deeper


def box_in_images(mask: np.ndarray, knee: Knee, pixels: int, images: int = 0):
    """Slices of the smallest box that holds a mask, this many pixels around it within its images and this many images
    more on either side; None for an empty mask."""
    return _box(mask, [images if axis == knee.slice_axis else pixels for axis in range(3)])


def _box(mask: np.ndarray, margins: list[int]):
    box = []
    for axis, margin in enumerate(margins):
        used = np.flatnonzero(mask.any(tuple(a for a in range(3) if a != axis)))
        if not used.size:
            return None
        box.append(slice(max(int(used[0]) - margin, 0), min(int(used[-1]) + margin + 1, mask.shape[axis])))
    return tuple(box)
