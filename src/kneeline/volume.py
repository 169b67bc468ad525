"""Images and where they are: the one module that knows affines and image files.

World coordinates are RAS+ millimetres: x grows to the patient's Right, y to the Anterior, z to the Superior.
(DICOM's own are LPS+; `ingest` converts once.) An image is an array with axes (I, J, K) and a (4, 4) affine that
takes voxel indices to world millimetres. The orientation code names the direction in which each index grows:
in a volume of orientation "RIP", `array[5, 10, 20]` lies further to the Right than `array[4, 10, 20]`, further
Inferior than `array[5, 9, 20]` and further Posterior than `array[5, 10, 19]`.

The canonical sagittal view is "RIP": `array[i]` is then a sagittal image as a radiologist shows it, superior up and
anterior to the left.

Heavy libraries (nibabel, SimpleITK) are imported where they are used.
"""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

Laterality = Literal["L", "R"]
SAGITTAL = "RIP"
# Where values start in a NIfTI-1 file without extensions.
_DATA_OFFSET = 352

_AXES = (("L", "R"), ("P", "A"), ("I", "S"))


def medial_sign(laterality: Laterality) -> int:
    """The sign of world x in which medial lies: -1 in a right knee, +1 in a left one.

    The only place where medial and lateral are decided.
    """
    if laterality == "R":
        return -1
    if laterality == "L":
        return 1
    raise ValueError(f"laterality must be 'L' or 'R', not {laterality!r}")


def other_side(laterality: Laterality) -> Laterality:
    return {"L": "R", "R": "L"}[laterality]


@dataclass(frozen=True, eq=False)
class Geometry:
    """Shape and place of a volume without its pixels."""

    shape: tuple[int, int, int]
    affine: np.ndarray

    @cached_property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Edge lengths of a voxel along I, J, K, (mm); includes the gap between slices."""
        return tuple(float(v) for v in np.linalg.norm(self.affine[:3, :3], axis=0))

    @property
    def voxel_mm3(self) -> float:
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def origin_mm(self) -> np.ndarray:
        """World position of the centre of voxel (0, 0, 0)."""
        return self.affine[:3, 3]

    @property
    def orientation(self) -> str:
        """Direction of growth of I, J, K as three letters of LRPAIS: the nearest world axes."""
        return "".join(_AXES[a][int(s > 0)] for a, s in zip(*_axes_of(self.affine), strict=True))

    def to_world(self, ijk: np.ndarray) -> np.ndarray:
        """Voxel indices, (..., 3), to world mm, (..., 3)."""
        return np.asarray(ijk, float) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_voxel(self, xyz: np.ndarray) -> np.ndarray:
        """World mm, (..., 3), to (fractional) voxel indices, (..., 3)."""
        inverse = np.linalg.inv(self.affine)
        return np.asarray(xyz, float) @ inverse[:3, :3].T + inverse[:3, 3]

    def same_as(self, other: Geometry, tolerance_mm: float = 1e-3) -> bool:
        return self.shape == other.shape and bool(np.abs(self.affine - other.affine).max() <= tolerance_mm)


@dataclass(frozen=True, eq=False)
class Volume:
    """An (I, J, K) array and its (4, 4) voxel -> RAS+ mm affine. Label volumes hold integers."""

    array: np.ndarray
    affine: np.ndarray

    def __post_init__(self):
        if self.array.ndim != 3:
            raise ValueError(f"a volume has three axes, this array has shape {self.array.shape}")
        affine = np.asarray(self.affine, float)
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine)) < 1e-9:
            raise ValueError(f"the affine must be a finite invertible (4, 4) matrix, not\n{affine}")
        object.__setattr__(self, "affine", affine)

    @cached_property
    def geometry(self) -> Geometry:
        return Geometry(self.array.shape, self.affine)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.array.shape

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        return self.geometry.spacing_mm

    @property
    def voxel_mm3(self) -> float:
        return self.geometry.voxel_mm3

    @property
    def orientation(self) -> str:
        return self.geometry.orientation

    def with_array(self, array: np.ndarray) -> Volume:
        """Another image on the same grid."""
        if array.shape != self.shape:
            raise ValueError(f"expected an array of shape {self.shape}, got {array.shape}")
        return Volume(array, self.affine)


def _axes_of(affine: np.ndarray) -> tuple[list[int], list[int]]:
    """For each voxel axis the nearest world axis (each used once) and the sign of its growth."""
    cosines = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    world, signs = [0, 0, 0], [1, 1, 1]
    left = np.abs(cosines)
    for _ in range(3):
        w, v = np.unravel_index(np.argmax(left), (3, 3))
        world[v], signs[v] = int(w), 1 if cosines[w, v] > 0 else -1
        left[w, :] = left[:, v] = -1
    return world, signs


def reorient(volume: Volume, codes: str = SAGITTAL) -> Volume:
    """The same voxels with axes permuted and flipped so that the orientation reads `codes`; nothing is resampled."""
    world, signs = _axes_of(volume.affine)
    wanted = [next(a for a, pair in enumerate(_AXES) if c in pair) for c in codes]
    if sorted(wanted) != [0, 1, 2]:
        raise ValueError(f"an orientation names each of L/R, P/A, I/S once, not {codes!r}")
    array, affine = volume.array, volume.affine
    order = [world.index(w) for w in wanted]
    array = array.transpose(order)
    affine = affine[:, [*order, 3]].copy()
    for axis, code in enumerate(codes):
        if signs[order[axis]] != (1 if code == _AXES[wanted[axis]][1] else -1):
            array = np.flip(array, axis)
            affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
            affine[:3, axis] *= -1
    return Volume(array, affine)


def mirror(volume: Volume) -> Volume:
    """The knee of the other side: world x changes its sign, voxels stay as they are."""
    return Volume(volume.array, np.diag([-1.0, 1, 1, 1]) @ volume.affine)


def resample(volume: Volume, geometry: Geometry, *, labels: bool = False, outside: float = 0) -> Volume:
    """`volume` on another grid: linear, or nearest neighbour for labels. Uses SimpleITK."""
    import SimpleITK as sitk

    image = sitk.Resample(
        to_sitk(volume),
        to_sitk(Volume(np.broadcast_to(np.uint8(0), geometry.shape), geometry.affine)),
        sitk.Transform(),
        sitk.sitkNearestNeighbor if labels else sitk.sitkLinear,
        float(outside),
    )
    return Volume(sitk.GetArrayFromImage(image).transpose(2, 1, 0), geometry.affine)


def to_sitk(volume: Volume):
    """A SimpleITK image (LPS+ world) of the same voxels."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.array.transpose(2, 1, 0)))
    lps = np.diag([-1.0, -1, 1, 1]) @ volume.affine
    image.SetSpacing(volume.spacing_mm)
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / volume.spacing_mm).ravel().tolist())
    return image


def read_volume(path: str | os.PathLike) -> Volume:
    """Read a 3-D NIfTI file.

    Raises
    ------
    ValueError
        If the file is no NIfTI, is not three-dimensional, or has no usable affine.
    """
    image = _load(path)
    array = np.asanyarray(image.dataobj)
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim != 3:
        raise ValueError(f"expected a 3-D image, {Path(path).name} has shape {array.shape}")
    return Volume(array, image.affine)


def read_echoes(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Read a 4-D NIfTI file: array (I, J, K, echo) and affine."""
    image = _load(path)
    array = np.asanyarray(image.dataobj)
    if array.ndim != 4:
        raise ValueError(f"expected a 4-D image, {Path(path).name} has shape {array.shape}")
    return array, image.affine


def _load(path):
    import nibabel

    try:
        return nibabel.load(path)
    except (nibabel.filebasedimages.ImageFileError, OSError, EOFError) as error:
        raise ValueError(f"{Path(path).name} cannot be read as NIfTI: {error}") from error


def write_volume(path: str | os.PathLike, volume: Volume) -> None:
    """Write NIfTI (.nii.gz), the same bytes for the same volume, complete or not at all."""
    write_array(path, volume.array, volume.affine)


def write_array(path: str | os.PathLike, array: np.ndarray, affine: np.ndarray) -> None:
    """Write a 3-D or 4-D array as NIfTI, the same bytes for the same input, complete or not at all."""
    import nibabel

    image = nibabel.Nifti1Image(array, affine)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1, strip_shears=True)
    header = image.header
    header.set_xyzt_units("mm")
    header.set_slope_inter(1, 0)
    header["vox_offset"] = _DATA_OFFSET
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        # No file name and no time in the gzip header: equal volumes give equal files.
        with open(partial, "wb") as raw:
            with gzip.GzipFile("", "wb", 3, raw, mtime=0) as packed:
                packed.write(header.binaryblock.ljust(_DATA_OFFSET, b"\0"))
                # By slabs along the slowest axis of the file: a copy of the whole as bytes would double the memory.
                for slab in np.moveaxis(array, -1, 0):
                    packed.write(slab.astype(header.get_data_dtype(), copy=False).tobytes(order="F"))
            raw.flush()
            os.fsync(raw.fileno())  # before the rename, as `tables.write_bytes` does
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
