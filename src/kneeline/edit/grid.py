"""Whether a label map lies on the grid of an image, whatever its editor did to the order and direction of its axes."""

from __future__ import annotations

import itertools

import numpy as np

from kneeline.errors import UsageError
from kneeline.volume import Geometry

# A corner may lie so far (voxels) from where the image has it: rounding of a header, less than any other grid.
TOLERANCE_VOXELS = 0.25


def place_on(array: np.ndarray, affine: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Voxels of a label map on the grid of the image, an array of `geometry.shape`.

    Axes may be permuted and flipped. The map may cover a part of the image, as editors save that cut to what is drawn,
    or more than it: what it does not cover is 0. Nothing is resampled.

    Raises
    ------
    UsageError
        If voxels do not meet voxels, or something is labelled outside the image.
    """
    step = np.linalg.inv(geometry.affine) @ affine
    turn = np.rint(step[:3, :3])
    if not ((np.abs(turn).sum(0) == 1).all() and (np.abs(turn).sum(1) == 1).all()):
        raise _other_grid(array.shape, affine, geometry)
    corners = np.array(list(itertools.product(*((0, n - 1) for n in array.shape))), float)
    exact = corners @ step[:3, :3].T + step[:3, 3]
    near = corners @ turn.T
    offset = np.rint((exact - near).mean(axis=0))
    if np.abs(exact - near - offset).max() > TOLERANCE_VOXELS:
        raise _other_grid(array.shape, affine, geometry)

    order = [int(np.abs(turn[axis]).argmax()) for axis in range(3)]
    turned = array.transpose(order)
    for axis in range(3):
        if turn[axis, order[axis]] < 0:
            turned = np.flip(turned, axis)
    # Of the turned map the lowest corner comes first.
    low = (near + offset).min(axis=0).astype(int)
    high = low + turned.shape
    inside_low, inside_high = np.maximum(low, 0), np.minimum(high, geometry.shape)
    if (inside_high <= inside_low).any():
        raise UsageError("the label map lies beside the image; export the knee again and correct that label map")
    whole = np.zeros(geometry.shape, array.dtype)
    part = tuple(slice(a - b, c - b) for a, b, c in zip(inside_low, low, inside_high, strict=True))
    whole[tuple(slice(a, c) for a, c in zip(inside_low, inside_high, strict=True))] = turned[part]
    outside = int(np.count_nonzero(array)) - int(np.count_nonzero(whole))
    if outside:
        raise UsageError(
            f"{outside} voxels are labelled outside the image; correct the label map that `kneeline export-edit` wrote"
        )
    return whole


def _other_grid(shape: tuple[int, ...], affine: np.ndarray, geometry: Geometry) -> UsageError:
    found = Geometry(shape, affine)
    away = np.linalg.norm(found.to_world(_centre(shape)) - geometry.to_world(_centre(geometry.shape)))
    return UsageError(
        f"expected the grid of the image, {_words(geometry)}; got {_words(found)}, its middle {away:.2f} mm away. Save "
        "the label map on the image's own grid (in 3D Slicer with the image as reference volume), not resampled"
    )


def _centre(shape: tuple[int, ...]) -> np.ndarray:
    return (np.array(shape) - 1) / 2


def _words(geometry: Geometry) -> str:
    size = " x ".join(map(str, geometry.shape))
    return f"{size} voxels of {' x '.join(f'{mm:.4g}' for mm in geometry.spacing_mm)} mm"
