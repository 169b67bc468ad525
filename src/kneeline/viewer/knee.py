"""A knee as a stack of sagittal slices that a page can show."""

from __future__ import annotations

import numpy as np

from kneeline.viewer.pixels import MAX_BYTES, Packed, pack
from kneeline.volume import SAGITTAL, Volume, medial_sign, reorient

# First window: these percentiles of the pixels; the brightest fluid may saturate until the reader widens it.
_WINDOW_PERCENT = (1.0, 99.5)


def stack_of(volume: Volume, laterality: str) -> Volume:
    """The same voxels as sagittal slices from the most lateral to the most medial, superior up and anterior left."""
    return reorient(volume, ("R" if medial_sign(laterality) > 0 else "L") + SAGITTAL[1:])


def pack_knee(image: Volume, laterality: str, max_bytes: int = MAX_BYTES) -> tuple[dict, Packed]:
    """What a page needs to show a knee, and its pixels."""
    stack = stack_of(image, laterality)
    pixels = pack(stack.array, max_bytes)
    finite = stack.array if stack.array.dtype.kind in "iub" else stack.array[np.isfinite(stack.array)]
    low, high = (float(v) for v in np.percentile(finite, _WINDOW_PERCENT)) if finite.size else (0.0, 1.0)
    window = [pixels.level(low), max(pixels.level(high), pixels.level(low) + 1)]
    knee = {
        "laterality": laterality,
        "axes": stack.orientation,
        "shape": list(stack.shape),
        "spacing": [round(v, 5) for v in stack.spacing_mm],
        "low": float(f"{pixels.low:.6g}"),
        "step": float(f"{pixels.step:.6g}"),
        "highest": pixels.highest,
        "window": window,
        # Half a step is the largest error of a pixel, as a share of the first window.
        "error": 0 if pixels.exact else round(0.5 / (window[1] - window[0]), 6),
    }
    return knee, pixels
