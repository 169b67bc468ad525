"""What lies in a folder: every DICOM header, read once and without its pixels.

Only the tags named in `_TAGS` are ever asked for: names, ids, dates, comments and private tags stay in the file.
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from kneeline.errors import Refusal

_TAGS = """
SOPClassUID SOPInstanceUID SeriesInstanceUID StudyInstanceUID SeriesNumber InstanceNumber Modality ImageType
BurnedInAnnotation BodyPartExamined Laterality ImageLaterality SeriesDescription ProtocolName StudyDescription
Manufacturer ManufacturerModelName MagneticFieldStrength ScanningSequence SequenceVariant ScanOptions
MRAcquisitionType EchoPulseSequence SequenceName PulseSequenceName RepetitionTime EchoTime
EffectiveEchoTime InversionTime FlipAngle
EchoTrainLength SliceThickness SpacingBetweenSlices PixelBandwidth ImagePositionPatient ImageOrientationPatient
PixelSpacing Rows Columns NumberOfFrames SamplesPerPixel PhotometricInterpretation BitsAllocated BitsStored HighBit
PixelRepresentation RescaleSlope RescaleIntercept SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence
"""

ENHANCED_CLASSES = ("1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.4")  # the second: legacy converted
MR_CLASSES = ("1.2.840.10008.5.1.4.1.1.4", *ENHANCED_CLASSES)
DEFLATED = "1.2.840.10008.1.2.1.99"
DICOMDIR = "1.2.840.10008.1.3.10"
_HEAD = 16384
_UNDEFINED = 0xFFFFFFFF
_DICOM_NAMES = (".dcm", ".dicom", ".ima")
_NIFTI_NAMES = (".nii", ".nii.gz")
# A data set without preamble starts with group 0002 or 0008, little or big endian.
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")
# A deflated file may unfold to a thousand times its size; no MR image needs this much. Project decision.
_MAX_INFLATED = 1 << 29


@dataclass(frozen=True, eq=False)
class File:
    """One readable DICOM file: its header and where its pixels are.

    `pixel_offset` is where the value of PixelData starts; None when there is none, or when the file is deflated.
    `pixel_bytes` is how much of it the file holds, 0 when its length is undefined (compressed).
    """

    path: Path
    header: Any  # pydicom.Dataset
    syntax: str
    has_pixels: bool
    pixel_offset: int | None
    pixel_bytes: int

    def get(self, keyword: str, default: Any = None) -> Any:
        return value_of(self.header, keyword, default)


@dataclass(frozen=True, eq=False)
class Broken:
    """A file that claims to be DICOM and cannot be read; `series` is known when the damage comes after it."""

    folder: Path
    series: str | None


@dataclass
class Found:
    files: list[File] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    nifti: list[Path] = field(default_factory=list)


def scan_paths(paths: Iterable[str | os.PathLike]) -> Found:
    """Read all headers below some folders (or single files), in the order of their names.

    Raises
    ------
    Refusal
        `missing_path` when a path does not exist.
    """
    found = Found()
    seen = set()
    for path in paths:
        for file in _files_below(Path(path)):
            if file not in seen:
                seen.add(file)
                _sort_in(file, found)
    return found


def value_of(dataset: Any, keyword: str, default: Any = None) -> Any:
    """Value of a tag; `default` when it is absent, empty or not what its type says."""
    try:
        value = dataset.get(keyword)
    except Exception:  # a damaged value can fail in many ways inside the parser
        return default
    return default if value is None or isinstance(value, str) and not value.strip() else value


def number(value: Any, default: float | None = None) -> float | None:
    """A finite float, else `default`."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        return default
    return result if abs(result) < 1e12 else default


def numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """`count` finite floats, or None."""
    if value is None or isinstance(value, str | bytes) or not hasattr(value, "__len__") or len(value) != count:
        return None
    result = tuple(number(v) for v in value)
    return None if None in result else result


def _files_below(path: Path) -> Iterable[Path]:
    if not path.exists():
        raise Refusal(
            "missing_path",
            "expected a DICOM folder or a NIfTI file, but nothing is at the path of the scans table; correct the path",
        )
    if path.is_file():
        # The index of a DICOM disc stands for the disc.
        return _files_below(path.parent) if path.name.upper() == "DICOMDIR" else [path]
    return _walk(path)


def _walk(folder: Path) -> Iterable[Path]:
    """Files below a folder by name; links to folders are followed, each real folder once."""
    entered = set()
    for where, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(where)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "__MACOSX")
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(where) / name


def _sort_in(path: Path, found: Found) -> None:
    name = path.name.lower()
    if name.endswith(_NIFTI_NAMES):
        found.nifti.append(path)
        return
    try:
        with open(path, "rb") as stream:
            start = stream.read(_HEAD)
    except OSError:
        found.broken.append(Broken(path.parent, None))
        return
    claims = start[128:132] == b"DICM"
    if not claims and start[:2] not in _FIRST_GROUPS:
        if name.endswith(_DICOM_NAMES):
            found.broken.append(Broken(path.parent, None))
        return
    claims = claims or name.endswith(_DICOM_NAMES)
    try:
        file = _read_header(path, start)
    except MemoryError:
        raise
    except Exception:  # pydicom raises many kinds on damaged bytes
        file = None
    if file is None or not _is_whole(file):
        if claims:
            series = file.get("SeriesInstanceUID") if file is not None else None
            found.broken.append(Broken(path.parent, str(series) if series else None))
    elif file.get("SOPClassUID") != DICOMDIR and file.syntax != "":
        found.files.append(file)


def _read_header(path: Path, start: bytes) -> File | None:
    from pydicom.uid import ImplicitVRLittleEndian

    size = path.stat().st_size
    deflated = DEFLATED.encode() in start[:400]
    if deflated and not _inflates_sanely(path, start):
        return None
    # Nearly all headers end within the first bytes; parsing them in memory is twice as fast as seeking in the file.
    in_memory = size > len(start) and not deflated
    with io.BytesIO(start) if in_memory else open(path, "rb") as stream:
        header, place, end = _parse_to_pixels(stream)
    if in_memory and place is None:
        with open(path, "rb") as stream:
            header, place, end = _parse_to_pixels(stream)
    # Skipping a value beyond the end leaves the position there: the header itself is cut.
    cut = place is None and end > size and not deflated
    if header.file_meta.get("MediaStorageSOPClassUID") == DICOMDIR:
        header.SOPClassUID = DICOMDIR
    elif cut:
        return File(path, _only_series(header), "", False, None, 0)
    syntax = str(header.file_meta.get("TransferSyntaxUID") or ImplicitVRLittleEndian)
    if deflated or place is None:
        return File(path, header, syntax, place is not None, None, 0)
    offset, length = place
    return File(path, header, syntax, True, offset, 0 if length == _UNDEFINED else min(length, size - offset))


def _is_whole(file: File) -> bool:
    """Objects without images (reports, presentation states) have no rows; an MR image without them has lost its end."""
    if file.get("SOPClassUID") in MR_CLASSES:
        return bool(file.get("SeriesInstanceUID") and file.get("Rows"))
    return bool(file.get("SOPClassUID") or file.get("Rows"))


def _parse_to_pixels(stream: BinaryIO) -> tuple[Any, tuple[int, int] | None, int]:
    """Header, where the pixels' value starts and its declared length (None without pixels), and the end position."""
    from pydicom.filereader import read_partial

    place: list[tuple[int, int]] = []

    def at_pixels(tag, _vr, length) -> bool:
        if tag in (0x7FE00010, 0x7FE00008, 0x7FE00009):
            place.append((stream.tell(), length))
            return True
        return False

    header = read_partial(stream, at_pixels, force=True, specific_tags=_tags())
    return header, place[0] if place else None, stream.tell()


@cache
def _tags() -> list[int]:
    from pydicom.datadict import tag_for_keyword

    return [tag_for_keyword(keyword) for keyword in _TAGS.split()]


def _only_series(header: Any) -> Any:
    from pydicom import Dataset

    kept = Dataset()
    kept.SeriesInstanceUID = value_of(header, "SeriesInstanceUID", "")
    return kept


def _inflates_sanely(path: Path, start: bytes) -> bool:
    # The file meta information is never deflated; its first element tells its length.
    if start[128:136] != b"DICM\x02\x00\x00\x00":
        return False
    body = path.read_bytes()[144 + int.from_bytes(start[140:144], "little") :]
    return len(zlib.decompressobj(-zlib.MAX_WBITS).decompress(body, _MAX_INFLATED)) < _MAX_INFLATED
