"""Pixel values of chosen frames: each file is opened once, each frame decoded once, into one array.

Uncompressed values are read straight from their place in the file; compressed ones through pydicom's decoders (its own
for RLE, GDCM's for JPEG lossless, JPEG-LS and JPEG 2000).
"""

from __future__ import annotations

import numpy as np

from kneeline.errors import Refusal
from kneeline.ingest.frames import MAX_VOXELS, Frame, too_large
from kneeline.ingest.headers import DEFLATED, File

_NATIVE = {
    "1.2.840.10008.1.2": "<",
    "1.2.840.10008.1.2.1": "<",
    "1.2.840.10008.1.2.2": ">",
}


def check_readable(frames: list[Frame]) -> None:
    """Refuse what cannot become pixel values, from headers and file sizes alone.

    Raises
    ------
    Refusal
        `no_pixels`, `too_large`, `truncated_pixels`, `unsupported_compression`, `not_grayscale`, `bad_pixel_format`.
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
        file = frame.file
        if int(file.get("SamplesPerPixel", 1)) != 1 or file.get("PhotometricInterpretation") != "MONOCHROME2":
            raise Refusal(
                "not_grayscale",
                "expected plain grey images (MONOCHROME2), these are colour or inverted, as screenshots are; "
                "send the original series",
            )
        if file.get("BitsAllocated") not in (8, 16, 32) or not 1 <= file.get("BitsStored", 0) <= file.get(
            "BitsAllocated"
        ):
            raise Refusal(
                "bad_pixel_format",
                "expected pixels of 8, 16 or 32 bits, the header declares others; export the series again",
            )
        if file.syntax in _NATIVE and file.pixel_bytes < _frame_bytes(file) * ((frame.index or 0) + 1):
            raise truncated()
    _check_syntax({f.file.syntax for f in frames})


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
    for group in slots.values():
        _read_file([frames[s] for s in group], out, group)
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


def _read_file(frames: list[Frame], out: np.ndarray, slots: list[int]) -> None:
    file = frames[0].file
    if file.syntax in _NATIVE:
        with open(file.path, "rb") as stream:
            for frame, slot in zip(frames, slots, strict=True):
                out[slot] = _native_frame(stream, file, frame)
        return
    try:
        for (_, array), slot in zip(_decoded(file, [f.index or 0 for f in frames]), slots, strict=True):
            out[slot] = _clean_bits(array, file)
    except MemoryError:
        raise
    except Exception:  # decoders raise many kinds on damaged streams
        raise truncated() from None


def _native_frame(stream, file: File, frame: Frame) -> np.ndarray:
    kind = "i" if file.get("PixelRepresentation", 0) else "u"
    dtype = np.dtype(f"{_NATIVE[file.syntax]}{kind}{file.get('BitsAllocated') // 8}")
    stream.seek(file.pixel_offset + (frame.index or 0) * _frame_bytes(file))
    values = np.fromfile(stream, dtype, frame.rows * frame.columns)
    if values.size < frame.rows * frame.columns:
        raise truncated()
    return _clean_bits(values.reshape(frame.rows, frame.columns), file)


def _decoded(file: File, indices: list[int]):
    from pydicom import dcmread
    from pydicom.pixels import get_decoder

    dataset = dcmread(file.path, force=True)
    if file.syntax == DEFLATED:
        array = dataset.pixel_array.reshape(-1, int(dataset.Rows), int(dataset.Columns))
        return [(i, array[i]) for i in indices]
    decoded = get_decoder(file.syntax).iter_array(dataset, indices=indices, raw=True)
    return ((i, array) for i, (array, _) in zip(indices, decoded, strict=True))


def _clean_bits(values: np.ndarray, file: File) -> np.ndarray:
    """Only the bits that BitsStored and HighBit name are the value: others may hold old overlays."""
    allocated, stored = values.dtype.itemsize * 8, int(file.get("BitsStored"))
    high = int(file.get("HighBit", stored - 1))
    if stored == allocated or not stored - 1 <= high < allocated:
        return values
    native = values.astype(values.dtype.newbyteorder("="))
    # Left to the top, then right: keeps the sign of signed values and drops what lies above and below.
    return (native << (allocated - 1 - high)) >> (allocated - stored)


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
