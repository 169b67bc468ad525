"""Does an image show two legs? Looked for only where the field of view is wider than one knee can be."""

from __future__ import annotations

import numpy as np

# The gap's signal is below this share of the smaller leg's. Project decision: air with noise stays far below it.
AIR_SHARE = 0.15
MIN_GAP_MM = 5.0


def shows_two_legs(array: np.ndarray, affine: np.ndarray) -> bool:
    """Whether air separates two legs from left to right.

    Parameters
    ----------
    array
        (I, J, K) image in any orientation whose axes are near the world's.
    affine
        Its (4, 4) voxel to RAS+ mm affine.
    """
    x_axis = int(np.abs(affine[0, :3] / np.linalg.norm(affine[:3, :3], axis=0)).argmax())
    spacing = float(np.linalg.norm(affine[:3, x_axis]))
    across = np.moveaxis(array, x_axis, 0).astype(np.float32)
    profile = across.reshape(across.shape[0], -1).mean(axis=1)
    profile = profile - np.percentile(profile, 1)
    middle = slice(len(profile) // 4, len(profile) - len(profile) // 4)
    lowest = middle.start + int(profile[middle].argmin())
    smaller_leg = min(profile[:lowest].max(initial=0), profile[lowest + 1 :].max(initial=0))
    gap = _run_around(profile < AIR_SHARE * smaller_leg, lowest)
    return bool(smaller_leg > 0 and gap * spacing >= MIN_GAP_MM)


def _run_around(flags: np.ndarray, index: int) -> int:
    """Length of the run of true values that holds `index`; 0 if it is false there."""
    if not flags[index]:
        return 0
    before, after = flags[: index + 1][::-1], flags[index:]
    return int(np.argmin(np.append(before, False)) + np.argmin(np.append(after, False)) - 1)
