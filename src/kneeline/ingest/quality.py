"""One quality row for each image that goes on: what a reader would note before reading."""

from __future__ import annotations

import numpy as np

from kneeline.grading import THICK_SLICE_MM
from kneeline.tables import Row
from kneeline.volume import Geometry

# Project decisions: pixels above 0.8 mm blur the surface of a meniscus; gaps above half a slice leave a tear unseen;
# below this ratio dark menisci drown in noise.
LOW_RESOLUTION_MM = 0.8
WIDE_GAP_SHARE = 0.5
LOW_SNR = 8.0

_HISTOGRAM_BINS = 256


def quality_row(
    array: np.ndarray, geometry: Geometry, slice_axis: int, contrast: str, slice_thickness_mm: float | None
) -> Row:
    """Columns of QUALITY without the knee's keys.

    `snr` is the median signal of the knee over the noise's standard deviation, see `signal_to_noise`.
    """
    spacing = geometry.spacing_mm
    in_plane = [a for a in range(3) if a != slice_axis]
    n_slices, slice_spacing = geometry.shape[slice_axis], spacing[slice_axis]
    row = {
        "contrast": contrast,
        "n_slices": n_slices,
        "pixel_mm": max(spacing[a] for a in in_plane),
        "slice_spacing_mm": slice_spacing,
        "slice_thickness_mm": slice_thickness_mm,
        "coverage_mm": n_slices * slice_spacing,
        "in_plane_mm": min(geometry.shape[a] * spacing[a] for a in in_plane),
        "snr": signal_to_noise(np.moveaxis(array, slice_axis, 0)),
    }
    return row | {"flags": ",".join(quality_flags(row)) or None}


def quality_flags(row: Row) -> list[str]:
    """Reasons for care, from a quality row's own numbers."""
    thickness, spacing = row["slice_thickness_mm"] or row["slice_spacing_mm"], row["slice_spacing_mm"]
    flags = {
        "thick_slices": max(thickness, spacing) > THICK_SLICE_MM,
        "wide_gaps": spacing - thickness > WIDE_GAP_SHARE * thickness,
        "low_resolution": row["pixel_mm"] > LOW_RESOLUTION_MM,
        "low_snr": row["snr"] is not None and row["snr"] < LOW_SNR,
    }
    return [name for name, raised in flags.items() if raised]


def signal_to_noise(array: np.ndarray) -> float | None:
    """Median signal of the knee over the standard deviation of its noise, from the middle half of the slices.

    The knee is what lies above Otsu's threshold. The noise comes from the finest diagonal differences inside it (median
    absolute deviation over 0.6745: Donoho and Johnstone, Biometrika 1994;81:425), because vendors often blank the air.
    Interpolated images have smoother noise, so their ratio reads too high: compare like with like.
    None where the image is constant or without noise.

    Parameters
    ----------
    array
        (slices, rows, columns).
    """
    n = array.shape[0]
    middle = array[n // 4 : n - n // 4][:: max(1, n // 24)].astype(np.float32)
    rows, columns = middle.shape[1] // 2 * 2, middle.shape[2] // 2 * 2
    a, b = middle[:, 0:rows:2, 0:columns:2], middle[:, 0:rows:2, 1:columns:2]
    c, d = middle[:, 1:rows:2, 0:columns:2], middle[:, 1:rows:2, 1:columns:2]
    mean = (a + b + c + d) / 4
    if mean.size == 0 or not mean.max() > mean.min():
        return None
    knee = mean > otsu_threshold(mean)
    noise = np.median(np.abs((a - b - c + d)[knee])) / 2 / 0.6745
    return float(np.median(mean[knee]) / noise) if noise > 0 else None


def otsu_threshold(values: np.ndarray) -> float:
    """The threshold that separates two classes best (Otsu, IEEE Trans. SMC 1979;9:62)."""
    counts, edges = np.histogram(values, _HISTOGRAM_BINS)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    total = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (total / below - (total[-1] - total) / above) ** 2
    return float(edges[1 + int(np.nanargmax(between[:-1]))])
