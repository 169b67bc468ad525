"""What stands in a scan's files, read in the plainest way by another reader: pydicom and the NIfTI standard's fields.

It believes every header and sorts slices by position. It serves to judge mutants that kneeline accepted: a value that
stands once in a file, such as one pixel, can be damaged without leaving a contradiction; then the image must be what
the damaged file says, slice for slice.
"""

from __future__ import annotations

import gzip
import struct
import warnings
from pathlib import Path

import numpy as np
import pydicom

from kneeline.volume import Volume

_ANATOMICAL_MS = 18.0
_NIFTI_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}


def read(path: Path) -> Volume:
    """The image below a path; any exception means that this reader cannot tell."""
    files = [p for p in sorted(Path(path).rglob("*")) if p.is_file()]
    nifti = [p for p in files if p.name.endswith((".nii", ".nii.gz"))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _nifti(nifti[0]) if nifti else _dicom(files)


def _dicom(files: list[Path]) -> Volume:
    images = [image for path in files for image in _images(path)]
    times = sorted({t for t, *_ in images})
    if len(times) > 1 and len({tuple(np.round(p, 2)) for _, p, *_ in images}) < len(images):
        best = min(times, key=lambda t: abs(t - _ANATOMICAL_MS))
        images = [image for image in images if image[0] == best]
    _, _, orientation, spacing, _ = images[0]
    right, down = np.array(orientation[:3]), np.array(orientation[3:])
    normal = np.cross(right, down)
    images.sort(key=lambda image: float(np.dot(image[1], normal)))
    positions = np.array([image[1] for image in images])
    step = (positions[-1] - positions[0]) / (len(images) - 1)
    lps = np.eye(4)
    lps[:3] = np.column_stack([step, down * spacing[0], right * spacing[1], positions[0]])
    return Volume(np.stack([image[4] for image in images]), np.diag([-1.0, -1, 1, 1]) @ lps)


def _images(path: Path):
    """Echo time, position, orientation, spacing and values of each image of a file."""
    dataset = pydicom.dcmread(path, force=True)
    if "PixelData" not in dataset:
        return
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        dataset.file_meta.TransferSyntaxUID = f"1.2.840.10008.1.2{'' if implicit else '.1' if little else '.2'}"
    values = np.asarray(dataset.pixel_array)
    shared = dataset.get("SharedFunctionalGroupsSequence", [None])[0]
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or [None]
    if frames[0] is None:
        values = values[None]
    for index, frame in enumerate(frames):

        def tag(group, keyword, default=None, frame=frame):
            for place in (frame, shared):
                if place is not None and group in place and keyword in place[group][0]:
                    return place[group][0].get(keyword)
            found = dataset.get(keyword)
            return default if found is None or found == "" else found

        slope = float(tag("PixelValueTransformationSequence", "RescaleSlope", 1.0))
        intercept = float(tag("PixelValueTransformationSequence", "RescaleIntercept", 0.0))
        stored = values[index]
        if (slope, intercept) != (1.0, 0.0):
            stored = stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)
        time = tag("MREchoSequence", "EffectiveEchoTime") or tag("", "EchoTime", 0)
        yield (
            float(time),
            np.array([float(v) for v in tag("PlanePositionSequence", "ImagePositionPatient")]),
            [float(v) for v in tag("PlaneOrientationSequence", "ImageOrientationPatient")],
            [float(v) for v in tag("PixelMeasuresSequence", "PixelSpacing")],
            stored,
        )


def _nifti(path: Path) -> Volume:
    """By the fields of nifti1.h: little or big endian, sform before qform."""
    body = path.read_bytes()
    body = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
    end = "<" if struct.unpack("<i", body[:4])[0] == 348 else ">"

    def field(kind: str, at: int) -> tuple:
        return struct.unpack_from(end + kind, body, at)

    count, *shape = field("8h", 40)
    shape = shape[:count]
    (code,) = field("h", 70)
    pixdim, (offset, slope, inter) = field("8f", 76), field("3f", 108)
    qcode, scode = field("2h", 252)
    affine = np.eye(4)
    if scode > 0:
        affine[:3] = np.array(field("12f", 280)).reshape(3, 4)
    elif qcode > 0:
        b, c, d, *place = field("6f", 256)
        a = np.sqrt(max(1 - b * b - c * c - d * d, 0))
        turn = np.array(
            [
                [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
                [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
                [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
            ]
        )
        affine[:3, :3] = turn * [pixdim[1], pixdim[2], pixdim[3] * (-1 if pixdim[0] < 0 else 1)]
        affine[:3, 3] = place
    unit = {1: 1000.0, 3: 1e-3}.get(body[123] & 7, 1.0)
    values = np.frombuffer(body, np.dtype(end + _NIFTI_TYPES[code]), int(np.prod(shape)), int(offset))
    if slope != 0 and np.isfinite(slope) and (slope, inter) != (1, 0):
        values = values * np.float64(slope) + np.float64(inter)
    array = values.reshape(shape, order="F")
    return Volume(array.reshape(array.shape[:3]), np.diag([unit] * 3 + [1]) @ affine)
