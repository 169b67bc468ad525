"""What lies in a folder: every DICOM header, read once and without its pixels.

Only the tags named in `_TAGS` are ever asked for: names, ids, dates, comments and private tags stay in the file.
"""

from __future__ import annotations

import io
import os
import re
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from kneeline.ingest.limits import (
    MAX_DICOM_FILES,
    MAX_HEADERS_BYTES,
    MAX_INFLATED_BYTES,
    MAX_VALUE_BYTES,
    HeaderStream,
    too_many_files,
)
from kneeline.ingest.picture_files import picture_kind
from kneeline.ingest.walk import files_below

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
# Values up to this length are remembered.
_SHORT = 64
_UNDEFINED = 0xFFFFFFFF
_PIXELS = 0x7FE00010
# Those of floating point, too. A set: comparing one tag with another costs more than all else that is done with it.
_ANY_PIXELS = frozenset((_PIXELS, 0x7FE00008, 0x7FE00009))
_DICOM_NAMES = (".dcm", ".dicom", ".ima")
_NIFTI_NAMES = (".nii", ".nii.gz")
# A data set without preamble starts with group 0002 or 0008, little or big endian.
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")
# The file meta information's first element, after preamble and magic word.
_META_START = b"\x02\x00\x00\x00"


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
    _known: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def get(self, keyword: str, default: Any = None) -> Any:
        """`value_of` the header, looked up once: many rules ask for the same tags."""
        if keyword not in self._known:
            self._known[keyword] = value_of(self.header, keyword)
        value = self._known[keyword]
        return default if value is None else value

    @property
    def series(self) -> str | None:
        """SeriesInstanceUID."""
        return str(self.get("SeriesInstanceUID") or "") or None


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
    others: list[Path] = field(default_factory=list)  # nothing in them says DICOM
    pictures: set[str] = field(default_factory=set)  # formats of pictures among them
    budget: int = MAX_HEADERS_BYTES  # for headers that are larger than most, and deflated files


def scan_paths(paths: Iterable[str | os.PathLike]) -> Found:
    """Read all headers below some folders (or single files), in the order of their names.

    Raises
    ------
    Refusal
        `missing_path` when a path does not exist, `unreadable_folder`, `too_many_files`.
    """
    found = Found()
    seen = set()
    for path in paths:
        for file in files_below(Path(path)):
            if file not in seen:
                seen.add(file)
                _sort_in(file, found)
            if len(found.files) > MAX_DICOM_FILES:
                raise too_many_files()
    found.broken += _named_like_images(found)
    return found


def value_of(dataset: Any, keyword: str, default: Any = None) -> Any:
    """Value of a tag; `default` when it is absent, empty, endless or not what its type says."""
    try:
        tag = _tag_of(keyword)
        raw = dataset.get_item(tag)
        if raw is None:
            return default
        if isinstance(raw.value, bytes) and len(raw.value) > MAX_VALUE_BYTES:
            return _large_value(dataset, raw, keyword, default)
        if (
            raw.is_raw
            and isinstance(raw.value, bytes)
            and len(raw.value) <= _SHORT
            and not keyword.endswith("Sequence")
        ):
            value = _converted(raw._replace(value_tell=0), _charset(dataset))
        else:
            value = dataset[tag].value
    except Exception:  # a damaged value can fail in many ways inside the parser
        return default
    return default if value is None or isinstance(value, str) and not value.strip() else value


@lru_cache(maxsize=1 << 14)
def _converted(raw: Any, charset: tuple[str, ...]) -> Any:
    """The value of an element as pydicom reads it: most are the same in all files of a series, and cost more than all
    else that is done with a header. Nobody changes them."""
    from pydicom.dataelem import convert_raw_data_element

    return convert_raw_data_element(raw, encoding=list(charset)).value


def _charset(dataset: Any) -> tuple[str, ...]:
    names = dataset.original_character_set or "iso8859"
    return (names,) if isinstance(names, str) else tuple(names)


@cache
def _tag_of(keyword: str) -> Any:
    from pydicom.tag import Tag

    return Tag(keyword)


def _large_value(dataset: Any, raw: Any, keyword: str, default: Any) -> Any:
    """Items of a long sequence, as many as a header may have; no other wanted value is long."""
    from pydicom.dataelem import DataElement
    from pydicom.filereader import read_sequence

    if not keyword.endswith("Sequence"):
        return default
    stream = HeaderStream(io.BytesIO(raw.value), len(raw.value))
    items = read_sequence(stream, raw.is_implicit_VR, raw.is_little_endian, len(raw.value), "iso8859")
    dataset[raw.tag] = DataElement(raw.tag, "SQ", items)
    return items


def items_of(value: Any) -> list:
    """Items of a sequence; none where something else stands in its place."""
    from pydicom.sequence import Sequence

    return list(value) if isinstance(value, Sequence) else []


def number(value: Any, default: float | None = None) -> float | None:
    """A finite float, else `default`."""
    try:
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        return default
    return result if abs(result) < 1e12 else default


def numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """`count` finite floats, or None."""
    if value is None or isinstance(value, str | bytes) or not hasattr(value, "__len__") or len(value) != count:
        return None
    result = tuple(number(v) for v in value)
    return None if None in result else result


def _named_like_images(found: Found) -> Iterable[Broken]:
    """Files without a sign of DICOM whose names differ from a DICOM file's beside them in nothing but numbers."""
    names = {(f.path.parent, _pattern(f.path)) for f in found.files}
    return [Broken(p.parent, None) for p in found.others if (p.parent, _pattern(p)) in names]


def _pattern(path: Path) -> str:
    name, count = re.subn(r"\d+", "#", path.name)
    return name if count else ""


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
    claims = start[128:132] == b"DICM" or start[132:136] == _META_START
    if not claims and start[:2] not in _FIRST_GROUPS:
        found.pictures |= {picture_kind(start)} - {None}
        if name.endswith(_DICOM_NAMES):
            found.broken.append(Broken(path.parent, None))
        else:
            found.others.append(path)
        return
    claims = claims or name.endswith(_DICOM_NAMES)
    try:
        file, cost = _read_header(path, start, found.budget)
        found.budget -= cost
    except MemoryError:
        raise
    except Exception:  # pydicom raises many kinds on damaged bytes
        file = None
    if file is None or not _is_whole(file):
        if claims:
            found.broken.append(Broken(path.parent, file.series if file is not None else None))
        else:
            found.others.append(path)
    elif file.get("SOPClassUID") != DICOMDIR and file.syntax != "":
        found.files.append(file)


def _read_header(path: Path, start: bytes, budget: int) -> tuple[File | None, int]:
    """The file, and what its header took of the budget; no file when its header takes more than is left."""
    size = path.stat().st_size
    deflated = DEFLATED.encode() in start[:400]
    cost = 0
    if deflated:
        cost = _inflated_bytes(path, start, budget)
        if cost > budget:
            return None, 0
    # Nearly all headers end within the first bytes; parsing them in memory is twice as fast as seeking in the file.
    place = None
    if not deflated:
        with suppress(Exception):  # a sequence that is cut where these bytes end
            header, place, end = _parse_to_pixels(io.BytesIO(start))
    if place is None:
        with open(path, "rb") as raw:
            stream = raw if deflated else HeaderStream(raw, size)
            header, place, end = _parse_to_pixels(stream)
        cost += 0 if deflated else stream.taken
    if cost > budget:
        return None, 0
    # Skipping a value beyond the end leaves the position there: the header itself is cut.
    cut = place is None and end > size and not deflated
    if header.file_meta.get("MediaStorageSOPClassUID") == DICOMDIR:
        header.SOPClassUID = DICOMDIR
    elif cut:
        return File(path, _only_series(header), "", False, None, 0), cost
    syntax = str(header.file_meta.get("TransferSyntaxUID") or _syntax_found(header))
    if deflated or place is None:
        return File(path, header, syntax, place is not None, None, 0), cost
    offset, length = place
    return File(path, header, syntax, True, offset, 0 if length == _UNDEFINED else min(length, size - offset)), cost


def _syntax_found(header: Any) -> str:
    """The uncompressed transfer syntax in which a header without one was found to be written."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    implicit, little_endian = header.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little_endian else ExplicitVRBigEndian


def _is_whole(file: File) -> bool:
    """Objects without images (reports, presentation states) have no rows; an MR image without them has lost its end."""
    if file.get("SOPClassUID") in MR_CLASSES:
        return bool(file.get("SeriesInstanceUID") and file.get("Rows"))
    return bool(file.get("SOPClassUID") or file.get("Rows"))


def _parse_to_pixels(stream: BinaryIO) -> tuple[Any, tuple[int, int] | None, int]:
    """Header, where the pixels' value starts and its declared length (None without pixels), and the end position.

    Values of floating point are no pixels: MR images have none, and nothing here reads them.
    """
    from pydicom.filereader import read_partial

    place: list[tuple[int, int]] = []

    def at_pixels(tag, _vr, length) -> bool:
        if tag not in _ANY_PIXELS:
            return False
        if tag == _PIXELS:
            place.append((stream.tell(), length))
        return True

    header = read_partial(stream, at_pixels, force=True, specific_tags=_tags())
    header.buffer = None  # pydicom keeps the stream: the first bytes of thousands of files
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


def _inflated_bytes(path: Path, start: bytes, budget: int) -> int:
    """How large a deflated file unfolds, counted no further than one byte beyond the budget.

    Raises
    ------
    ValueError, zlib.error
        When it is no deflated DICOM file.
    """
    # The file meta information is never deflated; its first element tells its length.
    if start[128:136] != b"DICM" + _META_START:
        raise ValueError("no file meta information")
    most = min(budget, MAX_INFLATED_BYTES) + 1
    if path.stat().st_size > most:  # what follows the stream is read, too
        return budget + 1
    inflate, count = zlib.decompressobj(-zlib.MAX_WBITS), 0
    with open(path, "rb") as stream:
        stream.seek(144 + int.from_bytes(start[140:144], "little"))
        while not inflate.eof and count < most and (block := inflate.unconsumed_tail or stream.read(1 << 20)):
            count += len(inflate.decompress(block, 1 << 24))
    return budget + 1 if count >= most else count
