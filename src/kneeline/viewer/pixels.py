"""Pixels of a knee in a form that a page without network can unpack: small, and exact where that fits.

Eight bits are not enough: a reader narrows the window to the dark menisci, a tenth of the range, and would see steps.
So the page gets the scan's own whole numbers, predicted from their neighbours, the rest deflated: loss-free. A scan too
large for that is rounded to steps just wide enough to fit; on a stack of 160 slices they stay below its noise. Browsers
inflate by themselves, and nothing is decoded as a picture: no codec, no colour management, no canvas read back.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

# A knee's file on the page; a few bytes in a hundred need a second character there.
MAX_FILE_BYTES = 8_000_000
MAX_BYTES = int(0.965 * MAX_FILE_BYTES)
# Slices on which the step of a scan that is too large is tried.
_TRIED_SLICES = 12
# Values without a scale of their own (floats) start with twelve bits, more than any display shows.
_FLOAT_STEPS = 4095
_MOST_STEPS = 65535


@dataclass(frozen=True)
class Packed:
    """Deflated pixels; a pixel is `low + step * n` with a whole number n from 0 to `highest`."""

    data: bytes
    low: float
    step: float
    highest: int
    exact: bool

    def level(self, value: float) -> int:
        """The whole number n of a value."""
        return int(min(max(round((value - self.low) / self.step), 0), self.highest))


def pack(array: np.ndarray, max_bytes: int = MAX_BYTES) -> Packed:
    """Pack an (n, rows, columns) array; values that are not finite count as the lowest.

    The step is 1 for whole numbers, a 4095th of the range for others; if the data then exceed `max_bytes`, the smallest
    (to a few per cent) with which they fit.
    """
    low, high = _range(array)
    whole = array.dtype.kind in "iub"
    step = max(1.0, (high - low) / _MOST_STEPS) if whole else max((high - low) / _FLOAT_STEPS, 1e-30)
    most = max_bytes / max(array.size, 1)
    some = array[:: -(-len(array) // _TRIED_SLICES)]
    if _bytes_a_pixel(some, low, step) > most:
        step = _fitting_step(some, low, step, most)
    while True:
        data = deflate(array, low, step)
        highest = round((high - low) / step)
        if len(data) <= max_bytes or highest == 0:
            return Packed(data, low, step, highest, whole and step == 1.0)
        step *= 1.02


def _range(array: np.ndarray) -> tuple[float, float]:
    if array.dtype.kind == "f":
        array = array[np.isfinite(array)]
    return (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)


def _fitting_step(some: np.ndarray, low: float, step: float, most: float) -> float:
    """A wider step with which some of the slices take at most so many bytes a pixel: twice the step saves a bit."""
    for _ in range(6):
        over = _bytes_a_pixel(some, low, step) - most
        if -0.005 * most <= over <= 0:
            break
        step *= 2 ** (8 * over + 0.01)
    return step


def _bytes_a_pixel(some: np.ndarray, low: float, step: float) -> float:
    return len(deflate(some, low, step)) / max(some.size, 1)


def deflate(array: np.ndarray, low: float = 0.0, step: float = 1.0) -> bytes:
    """Zlib stream of an (n, rows, columns) array's whole numbers of steps above `low`, at most 65535: low bytes, then
    high bytes, of what the neighbours do not predict.

    A pixel is predicted by the mean, rounded down, of the one to the left and the one above (0 outside). What is left
    over wraps around 16 bits and is folded: 0, -1, 1, -2, ... become 0, 1, 2, 3, ...
    """
    planes = np.empty((2, *array.shape), np.uint8)
    for k, image in enumerate(array):
        q = _steps(image, low, step)
        rest = (q - ((_left(q) + _above(q)) >> 1)).astype(np.int16).astype(np.int32)
        folded = np.where(rest >= 0, 2 * rest, -2 * rest - 1)
        planes[0, k], planes[1, k] = folded & 255, folded >> 8
    # Looking longer for matches (level 6) saves nothing in what is mostly noise.
    squeeze = zlib.compressobj(4, zlib.DEFLATED, 15, 9, zlib.Z_FILTERED)
    return b"".join([*(squeeze.compress(plane) for plane in planes), squeeze.flush()])


def _steps(image: np.ndarray, low: float, step: float) -> np.ndarray:
    """Whole numbers of steps above `low`, int32."""
    if image.dtype.kind in "iub" and step == 1.0:
        return image.astype(np.int32) - int(low)
    return np.rint((np.where(np.isfinite(image), image, low).astype(np.float64) - low) / step).astype(np.int32)


def _left(q: np.ndarray) -> np.ndarray:
    out = np.zeros_like(q)
    out[:, 1:] = q[:, :-1]
    return out


def _above(q: np.ndarray) -> np.ndarray:
    out = np.zeros_like(q)
    out[1:] = q[:-1]
    return out


def as_script_text(data: bytes) -> bytes:
    """Bytes as the inside of a JavaScript string in windows-1252, where each byte is one character.

    A quarter shorter than base64. Line ends, quotes, backslashes and NUL are escaped.
    """
    for plain, escaped in _ESCAPES:
        data = data.replace(plain, escaped)
    return data


_ESCAPES = ((b"\\", b"\\\\"), (b'"', b'\\"'), (b"\n", b"\\n"), (b"\r", b"\\r"), (b"\0", b"\\x00"))
