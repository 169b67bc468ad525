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
        plane = np.nan_to_num(canonical.array[i].astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
        array[i] = (down_columns @ (down_rows @ plane).T).T
    np.maximum(array, 0, out=array)
    centre = tuple(_middle(size, _WINDOW_MM / PIXEL_MM) for size in array.shape[1:])
    window = array[:, centre[0], centre[1]]
    bright, dark = np.quantile(window[:, ::2, ::2], (0.97, 0.03))
    if not bright > 0 or bright - dark < 1e-3 * bright:
        raise Refusal("not_a_knee", "expected an image of a knee, this one is empty or has no contrast")
    array *= 1 / bright
    np.minimum(array, 2.0, out=array)
    return Slices(
        array,
        (_limb(array, 1), _limb(array, 2)),
        canonical,
        _resampler(rows, PIXEL_MM, h, dz),
        _resampler(columns, PIXEL_MM, w, dy),
        max(1, round(NEIGHBOUR_MM / dx)),
        (dx, PIXEL_MM, PIXEL_MM),
    )


def fine_classes(slices: Slices, probability: np.ndarray, classes: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """Classes (uint8) at the image's own pixels, canonical orientation: the most probable after interpolation.

    Parameters
    ----------
    probability
        (n, classes, H, W) at the network's pixels.
    classes
        (n, H, W): cleaned; a slice gets no class that it does not have here.
    changed
        (n, H, W): where clean-up decided; that is certain.
    """
    out = np.zeros(slices.canonical.shape, np.uint8)
    for index, (plane, cleaned, touched) in enumerate(zip(probability, classes, changed, strict=True)):
        present = np.unique(cleaned)
        if present.size == 1:
            out[index] = present[0]
            continue
        best = np.full(out.shape[1:], -1.0, np.float32)
        for cls in present:
            score = plane[cls].astype(np.float32)
            if touched.any():
                score[touched] = (cleaned[touched] == cls).astype(np.float32)
            score = (slices.to_columns @ (slices.to_rows @ score).T).T
            wins = score > best
            best[wins] = score[wins]
            out[index][wins] = cls
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
