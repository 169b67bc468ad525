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
    finite = np.isfinite(array)
    low, high = (float(v) for v in (array[finite].min(), array[finite].max())) if finite.any() else (0.0, 0.0)
    whole = array.dtype.kind in "iub"
    step = max(1.0, (high - low) / _MOST_STEPS) if whole else max((high - low) / _FLOAT_STEPS, 1e-30)
    values = np.where(finite, array, low).astype(np.float64) - low
    while True:
        numbers = np.rint(values / step).astype(np.uint16)
        data = deflate(numbers)
        if len(data) <= max_bytes or numbers.max() == 0:
            return Packed(data, low, step, int(numbers.max()), whole and step == 1.0)
        step = max(step * 1.03, _fitting_step(values, step, max_bytes / numbers.size))


def _fitting_step(values: np.ndarray, step: float, bytes_a_pixel: float) -> float:
    """A wider step with which some of the slices take so many bytes a pixel, by bisection of its logarithm."""
    some = values[:: -(-len(values) // _TRIED_SLICES)]
    narrow, wide = 0.0, 16.0
    while wide - narrow > 0.02:
        middle = (narrow + wide) / 2
        fits = len(deflate(np.rint(some / (step * 2**middle)).astype(np.uint16))) <= bytes_a_pixel * some.size
        narrow, wide = (narrow, middle) if fits else (middle, wide)
    return step * 2**wide


def deflate(numbers: np.ndarray) -> bytes:
    """Zlib stream of uint16 (n, rows, columns): low bytes, then high bytes, of what the neighbours do not predict.

    A pixel is predicted by the mean, rounded down, of the one to the left and the one above (0 outside). What is left
    over wraps around 16 bits and is folded: 0, -1, 1, -2, ... become 0, 1, 2, 3, ...
    """
    q = numbers.astype(np.int32)
    rest = (q - ((_left(q) + _above(q)) >> 1)).astype(np.int16).astype(np.int32)
    folded = np.where(rest >= 0, 2 * rest, -2 * rest - 1).astype(np.uint16).ravel()
    # Looking longer for matches (level 6) saves nothing in what is mostly noise.
    squeeze = zlib.compressobj(4, zlib.DEFLATED, 15, 9, zlib.Z_FILTERED)
    planes = ((folded & 255).astype(np.uint8).tobytes(), (folded >> 8).astype(np.uint8).tobytes())
    return b"".join([*(squeeze.compress(plane) for plane in planes), squeeze.flush()])


def _left(q: np.ndarray) -> np.ndarray:
    out = np.zeros_like(q)
    out[:, :, 1:] = q[:, :, :-1]
    return out


def _above(q: np.ndarray) -> np.ndarray:
    out = np.zeros_like(q)
    out[:, 1:] = q[:, :-1]
    return out


def as_script_text(data: bytes) -> bytes:
    """Bytes as the inside of a JavaScript string in windows-1252, where each byte is one character.

    A quarter shorter than base64. Line ends, quotes, backslashes and NUL are escaped.
    """
    for plain, escaped in _ESCAPES:
        data = data.replace(plain, escaped)
    return data


_ESCAPES = ((b"\\", b"\\\\"), (b'"', b'\\"'), (b"\n", b"\\n"), (b"\r", b"\\r"), (b"\0", b"\\x00"))
