"""NIfTI with an optional JSON sidecar: the same rules as for DICOM where a NIfTI can break them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kneeline.errors import Refusal
from kneeline.ingest.admit import ISOTROPIC_RATIO
from kneeline.ingest.frames import MAX_VOXELS
from kneeline.volume import Geometry

_UNIT_MM = {"meter": 1000.0, "micron": 1e-3}


@dataclass(frozen=True, eq=False)
class NiftiImage:
    """A NIfTI file that has been looked at but not read."""

    path: Path
    image: Any  # nibabel image with its data still on the disk
    geometry: Geometry
    n_echoes: int
    sidecar: dict[str, Any]

    @property
    def slice_axis(self) -> int:
        """The axis of the largest spacing; in nearly cubic voxels the one nearest to left-right."""
        spacing = np.array(self.geometry.spacing_mm)
        if spacing.max() <= ISOTROPIC_RATIO * spacing.min():
            return int(np.abs(self.geometry.affine[0, :3] / spacing).argmax())
        return int(spacing.argmax())


def open_nifti(path: Path) -> NiftiImage:
    """Look at a NIfTI file's header and sidecar.

    Raises
    ------
    Refusal
        `unreadable_file`, `bad_geometry`, `too_large`, `not_three_dimensional`.
    """
    import nibabel

    try:
        image = nibabel.load(path)
    except MemoryError:
        raise
    except Exception:  # nibabel raises many kinds on damaged bytes
        raise Refusal(
            "unreadable_file", "expected a NIfTI image, the file cannot be read as one; convert or copy it again"
        ) from None
    shape = tuple(int(n) for n in image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if np.prod(shape, dtype=float) > MAX_VOXELS:
        raise Refusal("too_large", "expected at most a thousand million voxels, the header declares more")
    if len(shape) not in (3, 4) or min(shape[:3]) < 1:
        raise Refusal(
            "not_three_dimensional",
            f"expected a 3-D image or a 4-D one with echoes, this has {len(shape)} axes; convert one series",
        )
    sidecar = read_sidecar(path)
    if len(shape) == 4 and _echo_times(sidecar, shape[3]) is None:
        raise Refusal(
            "not_three_dimensional",
            "expected the echo times of a 4-D image in its sidecar (EchoTimes, seconds), there are none; "
            "add them or convert one echo",
        )
    return NiftiImage(path, image, Geometry(shape[:3], _affine(image)), shape[3] if len(shape) == 4 else 1, sidecar)


def read_nifti(nifti: NiftiImage) -> np.ndarray:
    """(I, J, K, echo) values; integers stay (u)int16 where they fit and are not scaled, else float32.

    Raises
    ------
    Refusal
        `truncated_pixels`, `bad_values`.
    """
    try:
        array = np.asanyarray(nifti.image.dataobj)
    except MemoryError:
        raise
    except Exception:
        raise Refusal(
            "truncated_pixels",
            "expected as many voxels as the header declares, the file ends too early or is damaged; copy it again",
        ) from None
    array = array.reshape(*nifti.geometry.shape, nifti.n_echoes)
    if array.dtype.kind not in "iuf":
        raise Refusal("not_grayscale", "expected one number a voxel, this NIfTI holds colours or complex numbers")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise Refusal(
                "bad_values", "expected a number in every voxel, some are not finite; convert the image again"
            )
        return array.astype(np.float32)
    for dtype in (np.int16, np.uint16):
        if np.iinfo(dtype).min <= array.min() and array.max() <= np.iinfo(dtype).max:
            return array.astype(dtype)
    return array.astype(np.float32)


def read_sidecar(path: Path) -> dict[str, Any]:
    """The JSON file of the same name, empty when there is none or it is not an object."""
    stem = path.name.removesuffix(".gz").removesuffix(".nii")
    try:
        content = json.loads((path.parent / f"{stem}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def echo_times_ms(nifti: NiftiImage) -> list[float] | None:
    return _echo_times(nifti.sidecar, nifti.n_echoes) if nifti.n_echoes > 1 else None


def _echo_times(sidecar: dict[str, Any], count: int) -> list[float] | None:
    times = sidecar.get("EchoTimes")
    if not isinstance(times, list) or len(times) != count:
        return None
    good = all(isinstance(t, int | float) and not isinstance(t, bool) and 0 < t < 2 for t in times)
    return [round(t * 1000, 6) for t in times] if good and len(set(times)) == count else None


def _affine(image: Any) -> np.ndarray:
    header = image.header
    try:
        coded = int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0
        unit = header.get_xyzt_units()[0]
        affine = np.array(image.affine, float)
    except Exception:  # other formats that nibabel reads, or damaged codes
        coded, unit, affine = False, "mm", np.full((4, 4), np.nan)
    if not coded or not np.isfinite(affine).all() or abs(np.linalg.det(affine)) < 1e-9:
        raise Refusal(
            "bad_geometry",
            "expected an orientation in the NIfTI header (sform or qform), there is none and the sides are unknown; "
            "convert the DICOM series again",
        )
    return np.diag([_UNIT_MM.get(unit, 1.0)] * 3 + [1.0]) @ affine
