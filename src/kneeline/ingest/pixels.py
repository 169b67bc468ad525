"""Pixel values of chosen frames: each file is opened once, each frame decoded once, into one array.

Uncompressed values are read straight from their place in the file; compressed ones through pydicom's decoders (its own
for RLE, GDCM's for JPEG lossless, JPEG-LS and JPEG 2000), in a process of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kneeline.errors import Refusal
from kneeline.ingest.frames import Frame, frame_count
from kneeline.ingest.headers import DEFLATED, File, number
from kneeline.ingest.isolated import DecoderError, decode
from kneeline.ingest.limits import MAX_PACKED_BYTES, MAX_VOXELS, too_large

_NATIVE = {
    "1.2.840.10008.1.2": "<",
    "1.2.840.10008.1.2.1": "<",
    "1.2.840.10008.1.2.2": ">",
}

# JPEG, JPEG-LS and JPEG 2000; the values of other encodings may carry old overlays in their upper bits.
_JPEG = "1.2.840.10008.1.2.4."


def check_readable(frames: list[Frame]) -> None:
    """Refuse what cannot become pixel values, from headers and file sizes alone.

    Raises
    ------
    Refusal
        `no_pixels`, `too_large`, `truncated_pixels`, `unsupported_compression`, `not_grayscale`, `bad_pixel_format`,
        `bad_values`.
    """
    without = sum(not f.file.has_pixels for f in frames)
    if without or not frames[0].rows or not frames[0].columns:
        raise Refusal(
            "no_pixels",
            f"expected pixels in every file, {without or len(frames)} of {len(frames)} image(s) have none; "
            "export the series again",
        )
    voxels = sum(f.rows * f.columns for f in frames)
    if voxels > MAX_VOXELS:
        raise too_large(voxels)
    for frame in frames:
        if (
            number(frame.file.get("SamplesPerPixel"), 1) != 1
            or frame.file.get("PhotometricInterpretation") != "MONOCHROME2"
        ):
            raise Refusal(
                "not_grayscale",
                "expected plain grey images (MONOCHROME2), these are colour or inverted, as screenshots are; "
                "send the original series",
            )
    formats = {_Format.of(f.file) for f in frames}
    if not all(f.is_sound for f in formats) or len({(f.allocated, f.signed) for f in formats}) > 1:
        raise Refusal(
            "bad_pixel_format",
            "expected pixels of 8, 16 or 32 bits, the lowest of them used and alike in all images, the header declares "
            "others; export the series again",
        )
    for file in {id(f.file): f.file for f in frames}.values():
        _check_length(file)
    if len({f.rescale_held for f in frames}) > 1:
        raise Refusal(
            "bad_values",
            "expected a rescale slope and intercept in all images or in none, some lack them; export the series again",
        )
    _check_syntax({f.file.syntax for f in frames})


@dataclass(frozen=True)
class _Format:
    """Bits of a stored value."""

    allocated: float
    stored: float
    high: float
    signed: float

    @classmethod
    def of(cls, file: File) -> _Format:
        stored = number(file.get("BitsStored"), 0)
        high = number(file.get("HighBit"), stored - 1)
        signed = number(file.get("PixelRepresentation"), 0)
        return cls(number(file.get("BitsAllocated"), 0), stored, high, signed)

    @property
    def is_sound(self) -> bool:
        """The standard's present rule; values that start at a higher bit went out of use with it."""
        return (
            self.allocated in (8, 16, 32)
            and 1 <= self.stored <= self.allocated
            and self.high == self.stored - 1
            and self.signed in (0, 1)
            and self.stored % 1 == 0
        )


def _check_length(file: File) -> None:
    """Plain values must fill what they are declared to fill: a wrong number of rows or columns shows nowhere else."""
    if file.syntax not in _NATIVE:
        if file.path.stat().st_size > MAX_PACKED_BYTES:
            raise Refusal(
                "too_large",
                f"expected at most {MAX_PACKED_BYTES >> 20} MB in a compressed file, this one has more; "
                "export the series again",
            )
        return
    wanted = _frame_bytes(file) * frame_count(file)
    if file.pixel_bytes < wanted:
        raise truncated()
    # Writers pad to an even length, some to more; a row or column that is declared too few is more than that.
    line = min(int(file.get("Rows")), int(file.get("Columns"))) * int(file.get("BitsAllocated")) // 8
    if file.pixel_bytes - wanted >= max(line, 2):
        raise Refusal(
            "bad_pixel_format",
            "expected as many pixel values as rows, columns and frames declare, at least one file holds more; "
            "export the series again",
        )


def truncated() -> Refusal:
    return Refusal(
        "truncated_pixels",
        "expected as many pixel values as the header declares, at least one file ends too early or cannot be decoded; "
        "copy the series again",
    )


def read_pixels(frames: list[Frame]) -> np.ndarray:
    """(n, rows, columns) values of frames of one size, in their order, with each frame's own rescale applied.

    Stored integers stay (u)int16 where no frame is rescaled; else float32.

    Raises
    ------
    Refusal
        `truncated_pixels`.
    """
    rescaled = any((f.slope, f.intercept) != (1.0, 0.0) for f in frames)
    out = np.empty((len(frames), frames[0].rows, frames[0].columns), _result_type(frames, rescaled))
    slots: dict[int, list[int]] = {}
    for slot, frame in enumerate(frames):
        slots.setdefault(id(frame.file), []).append(slot)
    packed = []
    for group in slots.values():
        if frames[group[0]].file.syntax in _NATIVE:
            _read_native([frames[s] for s in group], out, group)
        else:
            packed.append(group)
    if packed:
        _read_packed(frames, out, packed)
    if rescaled:
        for slot, frame in enumerate(frames):
            out[slot] *= np.float32(frame.slope)
            out[slot] += np.float32(frame.intercept)
    return out


def _result_type(frames: list[Frame], rescaled: bool) -> type:
    stored = {(f.file.get("BitsStored"), bool(f.file.get("PixelRepresentation", 0))) for f in frames}
    if rescaled or max(bits for bits, _ in stored) > 16:
        return np.float32
    signed = {s for _, s in stored}
    if signed == {True}:
        return np.int16
    if signed == {False}:
        return np.uint16
    return np.float32


def _read_native(frames: list[Frame], out: np.ndarray, slots: list[int]) -> None:
    file = frames[0].file
    with open(file.path, "rb") as stream:
        for frame, slot in zip(frames, slots, strict=True):
            out[slot] = _native_frame(stream, file, frame)


def _read_packed(frames: list[Frame], out: np.ndarray, groups: list[list[int]]) -> None:
    """Decode the files of which `groups` holds the slots."""
    asked = [(frames[g[0]].file.path, frames[g[0]].file.syntax, [frames[s].index or 0 for s in g]) for g in groups]
    slots = [slot for group in groups for slot in group]
    try:
        for slot, array in zip(slots, decode(asked), strict=True):
            if array.shape != out.shape[1:]:
                raise truncated()
            file = frames[slot].file
            out[slot] = values = _clean_bits(array, file)
            # A stream may be damaged where it tells its number of bits: then values exceed those of the header.
            if file.syntax.startswith(_JPEG) and array.dtype.kind == "u" and not np.array_equal(values, array):
                raise truncated()
    except DecoderError:
        raise truncated() from None


def _native_frame(stream, file: File, frame: Frame) -> np.ndarray:
    kind = "i" if file.get("PixelRepresentation", 0) else "u"
    dtype = np.dtype(f"{_NATIVE[file.syntax]}{kind}{file.get('BitsAllocated') // 8}")
    stream.seek(file.pixel_offset + (frame.index or 0) * _frame_bytes(file))
    values = np.fromfile(stream, dtype, frame.rows * frame.columns)
    if values.size < frame.rows * frame.columns:
        raise truncated()
    return _clean_bits(values.reshape(frame.rows, frame.columns), file)


def _clean_bits(values: np.ndarray, file: File) -> np.ndarray:
    """Only the lowest bits, as many as BitsStored names, are the value: others may hold old overlays."""
    unused = values.dtype.itemsize * 8 - int(file.get("BitsStored"))
    if unused <= 0:
        return values
    native = values.astype(values.dtype.newbyteorder("="))
    # Left to the top, then right: keeps the sign of signed values and drops what lies above.
    return (native << unused) >> unused


def _frame_bytes(file: File) -> int:
    return int(file.get("Rows")) * int(file.get("Columns")) * int(file.get("BitsAllocated")) // 8


def _check_syntax(syntaxes: set[str]) -> None:
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID

    for syntax in sorted(syntaxes - set(_NATIVE) - {DEFLATED}):
        try:
            usable = get_decoder(syntax).is_available
        except NotImplementedError:
            usable = False
        if not usable:
            # A UID that the standard does not name is text from the header.
            name = UID(syntax).name if UID(syntax).name != syntax else "a compression unknown to the DICOM standard"
            raise Refusal(
                "unsupported_compression",
                f"expected uncompressed pixels, RLE, JPEG lossless, JPEG-LS or JPEG 2000, these are {name}; "
                "export the series uncompressed",
            )
