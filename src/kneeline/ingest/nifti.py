"""NIfTI with an optional JSON sidecar: the same rules as for DICOM where a NIfTI can break them.

The header is parsed by nibabel from its 348 (540) bytes. Values are read here, forward and in blocks, so that neither a
declared size nor a gzip stream decides how much memory is taken; extensions are skipped unread.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kneeline.errors import Refusal
from kneeline.ingest.admit import ISOTROPIC_RATIO
from kneeline.ingest.geometry import SPACING_TOLERANCE, sheared
from kneeline.ingest.limits import MAX_PLACE_MM, MAX_SIDECAR_BYTES, MAX_VOXELS, PIXEL_MM, too_large
from kneeline.ingest.unpack import Damaged, Unpacked
from kneeline.ingest.walk import is_file
from kneeline.volume import Geometry

_UNIT_MM = {"meter": 1000.0, "micron": 1e-3}
_BLOCK = 1 << 20
# Extensions between header and values are skipped by reading; none is this long.
_MAX_OFFSET = 1 << 24
# gzip packs a thousandfold at best: a smaller file cannot hold what it declares.
_BEST_PACKING = 1100
# Both of a header's places for one grid may differ by rounding.
_SAME_PLACE_MM = 0.1
# Nothing that a scanner measures; beyond it differences overflow.
_MAX_VALUE = 1e12


@dataclass(frozen=True, eq=False)
class NiftiImage:
    """A NIfTI file that has been looked at but not read."""

    path: Path
    header: Any  # nibabel header
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
        `unreadable_file`, `bad_geometry`, `sheared_stack`, `too_large`, `truncated_pixels`, `not_grayscale`,
        `not_three_dimensional`.
    """
    try:
        with Unpacked(path) as stream:
            header = _parse(stream.read(540))
            size, packed = stream.size, stream.packed
        shape = tuple(int(n) for n in header.get_data_shape())
        offset, item = int(header["vox_offset"]), header.get_data_dtype().itemsize
    except MemoryError:
        raise
    except Exception:  # nibabel raises many kinds on damaged bytes
        raise Refusal(
            "unreadable_file", "expected a NIfTI image, the file cannot be read as one; convert or copy it again"
        ) from None
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if np.prod(shape, dtype=float) > MAX_VOXELS:
        raise too_large(np.prod(shape, dtype=float))
    if len(shape) not in (3, 4) or min(shape) < 1:
        raise Refusal(
            "not_three_dimensional",
            f"expected a 3-D image or a 4-D one with echoes, this has {len(shape)} axes; convert one series",
        )
    if header.get_data_dtype().kind not in "iuf":
        raise Refusal("not_grayscale", "expected one number a voxel, this NIfTI holds colours or complex numbers")
    _check_length(int(np.prod(shape)) * item, line=min(shape[:3]) * item, offset=offset, size=size, packed=packed)
    sidecar = read_sidecar(path)
    if len(shape) == 4 and _echo_times(sidecar, shape[3]) is None:
        raise Refusal(
            "not_three_dimensional",
            "expected the echo times of a 4-D image in its sidecar (EchoTimes, seconds), there are none; "
            "add them or convert one echo",
        )
    geometry = Geometry(shape[:3], _affine(header))
    _check_place(header, geometry)
    return NiftiImage(path, header, geometry, shape[3] if len(shape) == 4 else 1, sidecar)


def _parse(start: bytes) -> Any:
    """Header of NIfTI-1 or NIfTI-2 with its values behind it in the same file."""
    import nibabel

    first = {start[:4], start[:4][::-1]}
    kind, magic = nibabel.Nifti1Header, start[344:348]
    if (540).to_bytes(4, "little") in first:
        kind, magic = nibabel.Nifti2Header, start[4:8]
    if magic not in (b"n+1\0", b"n+2\0"):
        raise ValueError("no single-file NIfTI")
    block = start[: kind.template_dtype.itemsize]
    header, written = kind(block, check=True), kind(block, check=False)
    # nibabel sets a code that does not exist to 0, so that another orientation in the header would count.
    if any(int(header[code]) != int(written[code]) for code in ("sform_code", "qform_code")):
        raise ValueError("a code of orientation that does not exist")
    return header


def _check_length(values: int, *, line: int, offset: int, size: int, packed: bool) -> None:
    """Values must fill the file: a wrong number of rows or columns shows nowhere else."""
    if not 0 <= offset <= _MAX_OFFSET:
        raise Refusal(
            "unreadable_file", "expected values behind the header, it places them elsewhere; convert it again"
        )
    if offset + values > (size * _BEST_PACKING + 4096 if packed else size):
        raise _truncated()
    if not packed and size - offset - values >= line:
        raise _too_long()


def _truncated() -> Refusal:
    return Refusal(
        "truncated_pixels",
        "expected as many voxels as the header declares, the file ends too early or is damaged; copy it again",
    )


def _too_long() -> Refusal:
    return Refusal(
        "bad_pixel_format",
        "expected as many voxels as the header declares, the file holds more; convert the image again",
    )


def read_nifti(nifti: NiftiImage) -> np.ndarray:
    """(I, J, K, echo) values; integers stay (u)int16 where they fit and are not scaled, else float32.

    The file is read to its end, so that a gzipped one proves its checksum.

    Raises
    ------
    Refusal
        `truncated_pixels`, `bad_pixel_format`, `bad_values`.
    """
    slope, inter = _scaling(nifti.header)
    dtype = nifti.header.get_data_dtype()
    narrow = {"i1": np.int16, "u1": np.int16, "i2": np.int16, "u2": np.uint16}.get(dtype.str[1:])
    scaled = (slope, inter) != (1.0, 0.0)
    out = np.empty(nifti.geometry.shape[0] * _rest(nifti), narrow if narrow and not scaled else np.float32)
    whole, place = dtype.kind != "f" and not scaled, 0
    for block in _blocks(nifti, dtype):
        # As nibabel scales: in double precision, rounded once.
        values = block.astype(np.float64) * slope + inter if scaled else block
        if whole and not narrow and np.abs(values.astype(np.float64)).max() > 65535:
            whole = False
        # Not finite fails the comparison, too.
        if out.dtype.kind == "f" and not (np.abs(values.astype(np.float64)) <= _MAX_VALUE).all():
            raise Refusal(
                "bad_values",
                f"expected a number below {_MAX_VALUE:g} in every voxel, some are not finite or larger; "
                "convert the image again",
            )
        out[place : place + len(values)] = values
        place += len(values)
    if whole:
        for fitting in (np.int16, np.uint16):
            if np.iinfo(fitting).min <= out.min() and out.max() <= np.iinfo(fitting).max:
                out = out.astype(fitting, copy=False)
                break
    return out.reshape(*nifti.geometry.shape, nifti.n_echoes, order="F")


def _rest(nifti: NiftiImage) -> int:
    return nifti.geometry.shape[1] * nifti.geometry.shape[2] * nifti.n_echoes


def _blocks(nifti: NiftiImage, dtype: np.dtype) -> Iterator[np.ndarray]:
    """The stored values in the order of the file, which must end behind them."""
    left = nifti.geometry.shape[0] * _rest(nifti)
    line = min(nifti.geometry.shape) * dtype.itemsize
    try:
        with Unpacked(nifti.path) as stream:
            stream.read(int(nifti.header["vox_offset"]))
            while left:
                data = stream.read(min(left, _BLOCK) * dtype.itemsize)
                if not data or len(data) % dtype.itemsize:
                    raise _truncated()
                left -= len(data) // dtype.itemsize
                yield np.frombuffer(data, dtype)
            if len(stream.read(line)) >= line:
                raise _too_long()
    except (OSError, Damaged):
        raise _truncated() from None


def _scaling(header: Any) -> tuple[float, float]:
    """Slope and intercept; a slope of 0 means none (NIfTI-1).

    Raises
    ------
    Refusal
        `bad_values`
    """
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or np.isnan(slope) and np.isnan(inter):
        return 1.0, 0.0
    if not np.isfinite([slope, inter]).all():
        raise Refusal("bad_values", "expected a scaling of values by numbers, the header's is not; convert it again")
    return slope, inter


def read_sidecar(path: Path) -> dict[str, Any]:
    """The JSON file of the same name, empty when there is none, it is endless or not an object."""
    stem = path.name.removesuffix(".gz").removesuffix(".nii")
    place = path.parent / f"{stem}.json"
    try:
        if not is_file(place) or place.stat().st_size > MAX_SIDECAR_BYTES:
            return {}
        content = json.loads(place.read_text(encoding="utf-8-sig"))
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


def _affine(header: Any) -> np.ndarray:
    try:
        coded = int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0
        unit = header.get_xyzt_units()[0]
        affine = np.array(header.get_best_affine(), float)
    except Exception:  # damaged codes or quaternions
        coded, unit, affine = False, "mm", np.full((4, 4), np.nan)
    if not coded or not np.isfinite(affine).all() or abs(np.linalg.det(affine)) < 1e-9:
        raise Refusal(
            "bad_geometry",
            "expected an orientation in the NIfTI header (sform or qform), there is none and the sides are unknown; "
            "convert the DICOM series again",
        )
    return np.diag([_UNIT_MM.get(unit, 1.0)] * 3 + [1.0]) @ affine


def _check_place(header: Any, geometry: Geometry) -> None:
    """A NIfTI header tells the grid up to three times: by sform, qform and voxel sizes. They must agree.

    Raises
    ------
    Refusal
        `bad_geometry`, `sheared_stack`.
    """
    spacing = np.array(geometry.spacing_mm)
    scale = np.linalg.norm(geometry.affine[:3, :3]) / np.linalg.norm(np.array(header.get_best_affine())[:3, :3])
    declared = np.abs(np.array(header["pixdim"][1:4], float)) * scale
    if (
        sorted(spacing)[0] < PIXEL_MM[0]
        or sorted(spacing)[1] > PIXEL_MM[1]
        or np.abs(geometry.origin_mm).max() > MAX_PLACE_MM
    ):
        raise Refusal(
            "bad_geometry",
            f"expected pixels of {PIXEL_MM[0]} to {PIXEL_MM[1]:g} mm within {MAX_PLACE_MM / 1000:g} m of the scanner's "
            "centre, the NIfTI header gives others; convert the DICOM series again",
        )
    if sheared(geometry.affine):
        raise Refusal(
            "sheared_stack",
            "expected axes at right angles, those of the NIfTI header are not; convert the DICOM series again",
        )
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in geometry.shape])).reshape(3, -1).T
    both = int(header["sform_code"]) > 0 and int(header["qform_code"]) > 0
    apart = 0.0
    if both:
        other = np.diag([scale] * 3 + [1.0]) @ np.array(_qform(header), float)
        apart = np.abs(geometry.to_world(corners) - Geometry(geometry.shape, other).to_world(corners)).max()
    if not (np.abs(declared - spacing) <= SPACING_TOLERANCE * spacing).all() or not apart <= _SAME_PLACE_MM:
        raise Refusal(
            "bad_geometry",
            "expected sform, qform and voxel sizes of the NIfTI header to tell one place, they contradict each other; "
            "convert the DICOM series again",
        )


def _qform(header: Any) -> np.ndarray:
    try:
        return header.get_qform()
    except Exception:  # a quaternion that is no rotation
        return np.full((4, 4), np.nan)
