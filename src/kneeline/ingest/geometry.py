"""Where a stack of slices lies: order, spacing and affine from each slice's own position, nothing else.

Slice thickness, file names, instance numbers and the order of frames are never used. DICOM's LPS+ becomes RAS+ here,
once. Arrays are (slice, row, column), slices in the order of their position along row x column: an upright sagittal
series comes out as "RIP".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kneeline.errors import Refusal

# Slices closer than this are at one place; scanners write positions with 1e-3 mm or better.
SAME_PLACE_MM = 0.01
# Jitter that scanners leave in direction cosines (seen: 2e-5) and in spacing; far below a voxel. Project decision.
DIRECTION_TOLERANCE = 1e-3
SPACING_TOLERANCE_MM = 0.02
SPACING_TOLERANCE = 0.01
# Steps between slices leave the perpendicular by less than this, or the stack is sheared.
SHEAR_TOLERANCE = 0.02
# A slice's position may be off the common line by this: far below a pixel, far above rounding. Project decision.
ASIDE_MM = 0.1

_LPS_TO_RAS = np.diag([-1.0, -1, 1, 1])


@dataclass(frozen=True, eq=False)
class Placement:
    """`order[i]` is the frame that makes slice i; `affine` takes (slice, row, column) to RAS+ mm."""

    order: np.ndarray
    affine: np.ndarray
    spacing_mm: float


def place_slices(positions: np.ndarray, orientations: np.ndarray, pixel_spacing: tuple[float, float]) -> Placement:
    """Order slices and find their affine.

    Parameters
    ----------
    positions
        (n, 3) ImagePositionPatient.
    orientations
        (n, 6) ImageOrientationPatient.
    pixel_spacing
        Distance of rows, distance of columns (mm).

    Raises
    ------
    Refusal
        `bad_geometry`, `mixed_orientation`, `duplicate_positions`, `missing_slice`, `uneven_spacing`, `sheared_stack`.
    """
    right, down = _common_directions(orientations)
    normal = np.cross(right, down)
    along = positions @ normal
    order = np.argsort(along, kind="stable")
    if len(order) > 1:
        _check_steps(np.diff(along[order]))
        step = _mean_step(positions[order])
    else:
        step = normal
    spacing = float(step @ normal)
    if np.linalg.norm(step - spacing * normal) > SHEAR_TOLERANCE * spacing:
        raise Refusal(
            "sheared_stack",
            "expected slices stacked at right angles to their plane, these are shifted sideways from slice to slice; "
            "export the original series, not a reformatted one",
        )
    # The middle of the fitted line is the best known point of it.
    first = positions.mean(axis=0) - step * (len(order) - 1) / 2
    aside = np.linalg.norm(positions[order] - first - np.outer(np.arange(len(order)), step), axis=1).max()
    if aside > ASIDE_MM:
        raise Refusal(
            "sheared_stack",
            f"expected slices on one straight line, one lies {aside:.3g} mm beside it; "
            "export the original series again",
        )
    lps = np.eye(4)
    lps[:3] = np.column_stack([step, down * pixel_spacing[0], right * pixel_spacing[1], first])
    return Placement(order, _LPS_TO_RAS @ lps, spacing)


def directions_differ(orientations: np.ndarray) -> bool:
    return bool(np.ptp(orientations, axis=0).max() > 2 * DIRECTION_TOLERANCE)


def same_places(positions: np.ndarray, orientations: np.ndarray) -> bool:
    """Whether any two slices share their position along the normal of the first."""
    normal = np.cross(orientations[0, :3], orientations[0, 3:])
    steps = np.diff(np.sort(positions @ normal))
    return bool(len(steps) and steps.min() <= SAME_PLACE_MM)


def plane_of(affine: np.ndarray, slice_axis: int = 0) -> str:
    """`sagittal`, `coronal` or `axial` by the world axis nearest to the step between slices; `oblique` beyond 35
    degrees from any, where no name is honest."""
    step = np.abs(affine[:3, slice_axis]) / np.linalg.norm(affine[:3, slice_axis])
    nearest = int(step.argmax())
    return ("sagittal", "coronal", "axial")[nearest] if step[nearest] > np.cos(np.radians(35)) else "oblique"


def sheared(affine: np.ndarray) -> bool:
    """Whether the axes of a grid are not at right angles."""
    cosines = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(cosines.T @ cosines - np.eye(3)).max() > SHEAR_TOLERANCE)


def _common_directions(orientations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if directions_differ(orientations):
        raise Refusal(
            "mixed_orientation",
            "expected parallel slices, this series holds several orientations (as a localizer does); "
            "send one series of parallel sagittal slices",
        )
    mean = orientations.mean(axis=0)
    right, down = mean[:3], mean[3:]
    lengths = np.linalg.norm(right), np.linalg.norm(down)
    if max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(right @ down)) > 10 * DIRECTION_TOLERANCE:
        raise Refusal(
            "bad_geometry",
            "expected two perpendicular unit directions for rows and columns, the header gives others; "
            "export the original series again",
        )
    right = right / lengths[0]
    down = down - (down @ right) * right
    return right, down / np.linalg.norm(down)


def _mean_step(positions: np.ndarray) -> np.ndarray:
    """Least-squares step from slice to slice: robust to rounding in single positions."""
    k = np.arange(len(positions)) - (len(positions) - 1) / 2
    return k @ positions / (k @ k)


def _check_steps(steps: np.ndarray) -> None:
    if steps.min() <= SAME_PLACE_MM:
        raise Refusal(
            "duplicate_positions",
            f"expected one slice at each position, {int((steps <= SAME_PLACE_MM).sum())} position(s) hold more than "
            "one and echo time or image type do not tell them apart; send the series without copies",
        )
    step = float(np.median(steps))
    tolerance = max(SPACING_TOLERANCE_MM, SPACING_TOLERANCE * step)
    off = np.abs(steps - step) > tolerance
    if not off.any():
        return
    multiples = np.rint(steps / step)
    holes = np.abs(steps - multiples * step) <= tolerance * multiples
    if (holes & (multiples >= 1)).all():
        raise Refusal(
            "missing_slice",
            f"expected slices every {step:.3g} mm, {int((multiples - 1).sum())} of {int(multiples.sum()) + 1} are "
            "missing inside the stack; send the complete series",
        )
    raise Refusal(
        "uneven_spacing",
        f"expected evenly spaced slices, their distances run from {steps.min():.3g} to {steps.max():.3g} mm; "
        "send the original series, one stack",
    )
