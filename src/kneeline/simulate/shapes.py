"""Implicit surfaces: fields that are negative inside, and the few ways to combine them.

Fields live on a regular grid (x, y, z) and are float32. A knee bends about the x axis only, so the coordinates of a
bent bone are arrays over (y, z) alone, which is what makes building fast.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator


@dataclass(frozen=True)
class Grid:
    """Coordinates of a RAS-aligned grid, ready to broadcast: x (X, 1, 1), y (1, Y, 1), z (1, 1, Z), mm."""

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    spacing_mm: float

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.x.size, self.y.size, self.z.size

    def crop(self, box: tuple[slice, slice, slice]) -> Grid:
        return Grid(self.x[box[0]], self.y[:, box[1]], self.z[:, :, box[2]], self.spacing_mm)

    def box(self, low, high) -> tuple[slice, slice, slice]:
        """Index ranges that hold all points between two corners (mm), at least one voxel each."""
        slices = []
        for axis, a, b in zip((self.x, self.y, self.z), low, high, strict=True):
            i = int(np.searchsorted(axis.ravel(), a))
            j = int(np.searchsorted(axis.ravel(), b, side="right"))
            i = min(max(i, 0), axis.size - 1)
            slices.append(slice(i, max(j, i + 1)))
        return tuple(slices)


def make_grid(low, high, spacing_mm: float) -> Grid:
    """A grid whose points lie at multiples of the spacing between two corners (mm)."""
    axes = [
        np.arange(np.ceil(a / spacing_mm), np.floor(b / spacing_mm) + 1, dtype=np.float32) * np.float32(spacing_mm)
        for a, b in zip(low, high, strict=True)
    ]
    return Grid(axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :], spacing_mm)


@dataclass(frozen=True)
class Frame:
    """A bone's own axes: rotated about x by `angle_deg`, its origin at world (0, y, z) mm."""

    angle_deg: float
    y: float
    z: float

    def coordinates(self, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
        """The bone's y and z at each grid point, each (1, Y, Z)."""
        c, s = np.cos(np.deg2rad(self.angle_deg)), np.sin(np.deg2rad(self.angle_deg))
        dy, dz = grid.y - np.float32(self.y), grid.z - np.float32(self.z)
        return (c * dy + s * dz).astype(np.float32), (-s * dy + c * dz).astype(np.float32)

    def to_world(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) from the bone's axes to the world's."""
        c, s = np.cos(np.deg2rad(self.angle_deg)), np.sin(np.deg2rad(self.angle_deg))
        x, y, z = np.moveaxis(np.asarray(points, float), -1, 0)
        return np.stack([x, c * y - s * z + self.y, s * y + c * z + self.z], -1)


def smooth_min(a, b, radius_mm: float):
    """Union of two fields with a fillet of about `radius_mm`."""
    h = np.maximum(np.float32(radius_mm) - np.abs(a - b), 0)
    return np.minimum(a, b) - h * h * np.float32(0.25 / radius_mm)


def smooth_max(a, b, radius_mm: float):
    """Intersection of two fields with a rounded edge."""
    h = np.maximum(np.float32(radius_mm) - np.abs(a - b), 0)
    return np.maximum(a, b) + h * h * np.float32(0.25 / radius_mm)


def to_distance(field: np.ndarray, spacing_mm: float) -> np.ndarray:
    """First-order distance (mm) to a field's zero surface: the field over the length of its gradient."""
    squared = np.zeros_like(field)
    for axis in range(3):
        step = np.gradient(field, np.float32(spacing_mm), axis=axis)
        step *= step
        squared += step
    np.sqrt(squared, out=squared)
    np.maximum(squared, np.float32(0.25), out=squared)
    return field / squared


def smooth_step(value, low: float, high: float):
    """0 below `low`, 1 above `high`, smooth between (low may exceed high)."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def curve(knots: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Shape-preserving interpolation of knots (n, 1 + m), first column increasing, held constant outside: (m, ...)."""
    knots = np.asarray(knots, float)
    inside = np.clip(at, knots[0, 0], knots[-1, 0])
    return np.moveaxis(PchipInterpolator(knots[:, 0], knots[:, 1:])(inside), -1, 0).astype(np.float32)


def segment_distance(grid: Grid, start, end, radius_mm: float, flatten=(1.0, 1.0, 1.0)) -> np.ndarray:
    """Field of a round-ended rod; `flatten` > 1 along an axis makes it thinner there."""
    f = np.asarray(flatten, np.float32)
    a, b = np.asarray(start, np.float32) * f, np.asarray(end, np.float32) * f
    px, py, pz = grid.x * f[0] - a[0], grid.y * f[1] - a[1], grid.z * f[2] - a[2]
    d = b - a
    t = np.clip((px * d[0] + py * d[1] + pz * d[2]) / np.float32(d @ d), 0, 1)
    return np.sqrt((px - t * d[0]) ** 2 + (py - t * d[1]) ** 2 + (pz - t * d[2]) ** 2) - np.float32(radius_mm)


def rod(grid: Grid, points, radius_mm, flatten=(1.0, 1.0, 1.0)) -> tuple[tuple[slice, slice, slice], np.ndarray]:
    """A bent rod through points (n, 3): the box that holds it, and there whether a voxel is inside."""
    points = np.asarray(points, float)
    radii = np.broadcast_to(np.asarray(radius_mm, float), len(points) - 1)
    margin = radii.max() / np.asarray(flatten) + grid.spacing_mm
    box = grid.box(points.min(0) - margin, points.max(0) + margin)
    part = grid.crop(box)
    inside = np.zeros(part.shape, bool)
    for start, end, radius in zip(points[:-1], points[1:], radii, strict=True):
        inside |= segment_distance(part, start, end, radius, flatten) < 0
    return box, inside


def tube(grid: Grid, knots, power: float = 2.0, forward_mm: np.ndarray | None = None):
    """A muscle-like tube along z: knots (n, 5) of z, x, y, half-width in x, half-width in y (mm, world).

    `forward_mm` (X, 1, Z) moves it anteriorly.

    Returns its box and there a field of about millimetres, negative inside.
    """
    knots = np.asarray(knots, float)
    knots = knots[np.argsort(knots[:, 0])]
    reach = knots[:, 3:5].max(0) + grid.spacing_mm
    ahead = 0.0 if forward_mm is None else float(forward_mm.max())
    box = grid.box(
        [knots[:, 1].min() - reach[0], knots[:, 2].min() - reach[1], knots[0, 0]],
        [knots[:, 1].max() + reach[0], knots[:, 2].max() + reach[1] + ahead, knots[-1, 0]],
    )
    part = grid.crop(box)
    x, y, a, b = curve(knots, part.z)
    a, b = np.maximum(a, 0.1), np.maximum(b, 0.1)
    if forward_mm is not None:
        y = y + forward_mm[box[0], :, box[2]]
    if power == 2:
        q = np.sqrt(((part.x - x) / a) ** 2 + ((part.y - y) / b) ** 2)
    else:
        q = (np.abs((part.x - x) / a) ** power + np.abs((part.y - y) / b) ** power) ** (1 / power)
    return box, (q - 1) * np.minimum(a, b)
