"""From any sagittal knee image to what the network reads, and back to the image's own grid.

The network reads canonical sagittal slices ("RIP") of `PIXEL_MM` in plane, each with a neighbour on either side at
about `NEIGHBOUR_MM`: the context is the same whether slices are 0.7 or 4 mm apart. Through the plane nothing is
resampled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from kneeline.errors import Refusal
from kneeline.segment.classes import CERTAIN
from kneeline.volume import SAGITTAL, Volume, reorient

PIXEL_MM = 0.65
NEIGHBOUR_MM = 3.5
STRIDE = 32  # the network halves five times
# A stack is "thick" when slices are this much farther apart than pixels; then its plane must be sagittal.
THICK_RATIO = 1.8
# Largest angle between the slice normal and the left-right axis (degrees); knees are turned up to about 20.
MAX_OBLIQUITY_DEG = 35.0
_AIR = 0.12  # grey value, 1 is bright tissue, up to which a pixel may be air
_WINDOW_MM = 125.0  # grey values are scaled by the middle of the image: the training images' size


@dataclass(frozen=True, eq=False)
class Slices:
    """Normalised slices (n, H, W) at PIXEL_MM and the way back."""

    array: np.ndarray
    box: tuple[slice, slice]  # rows and columns that hold the limb: air is not shown to the network
    canonical: Volume  # the image, reoriented, on its own grid
    to_rows: sparse.csr_array  # (h, H) and (w, W): from network pixels to image pixels
    to_columns: sparse.csr_array
    neighbour: int  # slices to the neighbour that the network sees
    spacing_mm: tuple[float, float, float]

    def inputs(self, first: int, last: int) -> np.ndarray:
        """(last - first, 3, H', W') float32: the box, padded to the stride by zeros."""
        inside = self.array[:, *self.box]
        n, h, w = inside.shape
        centre = np.arange(first, last)
        picked = [np.clip(centre + k * self.neighbour, 0, n - 1) for k in (-1, 0, 1)]
        out = np.zeros((last - first, 3, -(-h // STRIDE) * STRIDE, -(-w // STRIDE) * STRIDE), np.float32)
        for channel, index in enumerate(picked):
            out[:, channel, :h, :w] = inside[index]
        return out


def check_plane(image: Volume) -> None:
    """Refuse thick-sliced stacks that are not sagittal.

    Raises
    ------
    Refusal
        `not_sagittal`.
    """
    spacing = np.array(image.spacing_mm)
    slice_axis = int(np.argmax(spacing))
    if spacing[slice_axis] / np.median(spacing) < THICK_RATIO:
        return
    normal = np.cross(*(image.affine[:3, a] / spacing[a] for a in range(3) if a != slice_axis))
    plane = ("sagittal", "coronal", "axial")[int(np.argmax(np.abs(normal)))]
    angle = np.degrees(np.arccos(min(1.0, abs(normal[0]) / np.linalg.norm(normal))))
    if angle > MAX_OBLIQUITY_DEG:
        raise Refusal(
            "not_sagittal",
            f"expected sagittal slices, these thick slices are {plane} ({angle:.0f} degrees off sagittal); "
            "choose a sagittal series or an isotropic 3-D one",
        )


def prepare(image: Volume) -> Slices:
    """Slices for the network.

    Raises
    ------
    Refusal
        `not_sagittal`; `not_a_knee` when the image is empty or constant or too small to hold a knee.
    """
    check_plane(image)
    canonical = reorient(image, SAGITTAL)
    dx, dz, dy = canonical.spacing_mm
    n, h, w = canonical.shape
    if min(h * dz, w * dy) < 50 or n * dx < 20:
        raise Refusal(
            "not_a_knee",
            f"expected at least 50 mm of knee in plane and 20 mm across, the image covers "
            f"{h * dz:.0f} x {w * dy:.0f} x {n * dx:.0f} mm",
        )
    rows, columns = max(1, round(h * dz / PIXEL_MM)), max(1, round(w * dy / PIXEL_MM))
    down_rows, down_columns = _resampler(h, dz, rows, PIXEL_MM), _resampler(w, dy, columns, PIXEL_MM)
    array = np.empty((n, rows, columns), np.float32)
    for i in range(n):
        plane = canonical.array[i].astype(np.float32)
        array[i] = (down_columns @ (down_rows @ plane).T).T
    np.maximum(array, 0, out=array)
    centre = tuple(_middle(size, _WINDOW_MM / PIXEL_MM) for size in array.shape[1:])
    window = array[:, centre[0], centre[1]]
    bright, dark = np.quantile(window[:, ::2, ::2], (0.97, 0.03))
    if not bright > 0 or bright - dark < 1e-3 * bright:
        raise Refusal("not_a_knee", "expected an image of a knee, this one is empty or has no contrast")
    array *= 1 / bright
    for plane in array:
        plane[...] = compress(plane)
    return Slices(
        array,
        (_limb(array, 1), _limb(array, 2)),
        canonical,
        _resampler(rows, PIXEL_MM, h, dz),
        _resampler(columns, PIXEL_MM, w, dy),
        max(1, round(NEIGHBOUR_MM / dx)),
        (dx, PIXEL_MM, PIXEL_MM),
    )


def compress(values: np.ndarray) -> np.ndarray:
    """Grey values (0 or more; 1 is bright tissue) with what is brighter on a logarithmic scale, at most 4.

    Where fat is suppressed, fluid is several times as bright as all else: clipped, a voxel half full of it would look
    like a full one.
    """
    out = np.minimum(values, 1)
    over = values > 1
    out[over] += np.minimum(np.log(values[over]), 3)
    return out


def fine_classes(slices: Slices, probability: np.ndarray, classes: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """Classes (uint8) at the image's own pixels, canonical orientation: the most probable after interpolation.

    Only where the network's pixels around an image pixel differ is anything interpolated: where they agree, so does
    every mean of them.

    Parameters
    ----------
    probability
        (n, classes, H, W) at the network's pixels, in parts of CERTAIN.
    classes
        (n, H, W): cleaned; a slice gets no class that it does not have here.
    changed
        (n, H, W): where clean-up decided; that is certain.
    """
    rows, columns = _taps(slices.to_rows), _taps(slices.to_columns)
    out = np.empty(slices.canonical.shape, np.uint8)
    for index, cleaned in enumerate(classes):
        same = _class_if_uniform(cleaned, rows.weight.shape[1], columns.weight.shape[1])
        fine = same[rows.first].take(columns.first, axis=1)
        at = np.flatnonzero(fine == _MIXED)
        if at.size:
            used = _windows(same == _MIXED, cleaned.shape)
            score = _scores(probability[index], cleaned, changed[index], used)
            fine.ravel()[at] = _interpolate(score, np.cumsum(used) - 1, used.shape[1], rows, columns, at).argmax(1)
        out[index] = fine
    return out


_MIXED = 255


@dataclass(frozen=True, eq=False)
class _Taps:
    """A resampler's rows as runs of equal length: output i is sum(weight[i] * input[first[i] : first[i] + length])."""

    first: np.ndarray
    weight: np.ndarray  # (n_out, length)


def _taps(matrix: sparse.csr_array) -> _Taps:
    n_out, n_in = matrix.shape
    entries = matrix.tocoo()
    row, column, value = (part[entries.data > 0] for part in (entries.row, entries.col, entries.data))
    first, last = np.full(n_out, n_in), np.zeros(n_out, int)
    np.minimum.at(first, row, column)
    np.maximum.at(last, row, column)
    length = int((last - first).max()) + 1
    first = np.minimum(first, n_in - length)
    weight = np.zeros((n_out, length), np.float32)
    weight[row, column - first[row]] = value
    return _Taps(first, weight)


def _class_if_uniform(classes: np.ndarray, height: int, width: int) -> np.ndarray:
    """The class of each window of (height, width) pixels, by its first pixel; _MIXED where a window has several."""
    h, w = classes.shape[0] - height + 1, classes.shape[1] - width + 1
    out = classes[:h, :w].copy()
    mixed = np.zeros((h, w), bool)
    for i in range(height):
        for j in range(width):
            mixed |= classes[i : i + h, j : j + w] != out
    out[mixed] = _MIXED
    return out


def _windows(mixed: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: pixels of any mixed window."""
    h, w = mixed.shape
    out = np.zeros(shape, bool)
    for i in range(shape[0] - h + 1):
        for j in range(shape[1] - w + 1):
            out[i : i + h, j : j + w] |= mixed
    return out


def _scores(probability: np.ndarray, cleaned: np.ndarray, changed: np.ndarray, used: np.ndarray) -> np.ndarray:
    """(used pixels, classes) float32: probability where nothing was changed, certainty where it was, and never a class
    that is not there."""
    score = probability[:, used].T.astype(np.float32)
    touched = np.flatnonzero(changed[used])
    score[touched] = 0
    score[touched, cleaned[used][touched]] = CERTAIN
    score[:, np.setdiff1d(np.arange(len(probability)), cleaned)] = -1
    return score


def _interpolate(
    score: np.ndarray, place: np.ndarray, width: int, rows: _Taps, columns: _Taps, at: np.ndarray
) -> np.ndarray:
    """(pixels, classes): scores of the image pixels `at` (flat index).

    Parameters
    ----------
    place
        Row of `score` of each network pixel (flat index, lines of `width`).
    """
    row, column = np.divmod(at, len(columns.first))
    corner = rows.first[row] * width + columns.first[column]
    out = np.zeros((at.size, score.shape[1]), np.float32)
    for i in range(rows.weight.shape[1]):
        for j in range(columns.weight.shape[1]):
            weight = rows.weight[row, i] * columns.weight[column, j]
            out += weight[:, None] * score.take(place[corner + (i * width + j)], axis=0)
    return out


def _limb(array: np.ndarray, axis: int) -> slice:
    """Rows (axis 1) or columns (axis 2) that hold more than noise, widened to a multiple of the stride."""
    bright = (array > _AIR).mean(3 - axis).max(0) > 0.03
    size = array.shape[axis]
    where = np.flatnonzero(bright)
    if not where.size:
        return slice(0, size)
    first, last = where[0], where[-1] + 1
    wanted = min(-(-(last - first + 8) // STRIDE) * STRIDE, size)
    start = min(max(0, (first + last - wanted) // 2), size - wanted)
    return slice(int(start), int(start + wanted))


def _middle(size: int, wanted: float) -> slice:
    margin = max(0, round((size - wanted) / 2))
    return slice(margin, size - margin)


def _resampler(n_in: int, step_in: float, n_out: int, step_out: float) -> sparse.csr_array:
    """Matrix (n_out, n_in) of linear interpolation between two centred grids of one line.

    When the grid gets coarser the triangle widens to the new step, so that fine detail is averaged, not aliased.
    Sparse: its sums have one order, whatever the number of threads.
    """
    at = ((np.arange(n_out) - (n_out - 1) / 2) * step_out) / step_in + (n_in - 1) / 2
    reach = max(1.0, step_out / step_in)
    near = np.ceil(at - reach).astype(int)[:, None] + np.arange(int(2 * reach) + 2)[None, :]
    weight = np.maximum(1 - np.abs(near - at[:, None]) / reach, 0)
    near = np.clip(near, 0, n_in - 1)
    weight /= weight.sum(1, keepdims=True)
    row = np.broadcast_to(np.arange(n_out)[:, None], near.shape)
    matrix = sparse.coo_array((weight.ravel().astype(np.float32), (row.ravel(), near.ravel())), (n_out, n_in))
    return matrix.tocsr()
