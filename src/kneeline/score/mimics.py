"""What looks like intrameniscal signal and may be none: normal structures beside the meniscus, and magic angle.

These are flags, never grades: the signal is measured as it stands, and the flag says what to look at.
"""

from __future__ import annotations

import numpy as np

from kneeline.score.frame import Knee
from kneeline.score.signal import Component

# Signal within this depth of a horn's outer wall may be the cleft between the meniscus and what lies against it.
OUTER_WALL_MM = 3.0
# Between a lateral posterior horn and the popliteus tendon lies the popliteus hiatus, between an anterior horn and the
# transverse ligament a cleft of fat: both bright, and both inside an outline that takes the dark cord for meniscus.
CLEFTS = {
    ("lateral", "posterior_horn"): "popliteus_hiatus",
    ("medial", "anterior_horn"): "transverse_ligament",
    ("lateral", "anterior_horn"): "transverse_ligament",
}
# Fibres at 54.7 degrees to the main field lose their dipolar T2 shortening; it shows below an echo time of about 37 ms
# (Peterfy, AJR 1994, and later phantom work; the angle's width is a project decision).
MAGIC_DEGREES = (50.0, 60.0)
MAGIC_ECHO_MS = 37.0
# Magic angle makes a meniscus grey, not bright: the median of its voxels stays under this ratio.
MAGIC_RATIO = 0.65


def mimic_flags(
    meniscus: str,
    region: str,
    component: Component,
    here: np.ndarray,
    ratio: np.ndarray,
    knee: Knee,
    echo_time_ms: float | None,
) -> list[str]:
    """Flags of one graded component of a region.

    here: the region's voxels; ratio: signal ratio of the image; both on the grid of `knee`, the crop around the
    meniscus. An unknown echo time (None) gives no `magic_angle`.
    """
    flags = []
    cleft = CLEFTS.get((meniscus, region))
    if cleft and _along_outer_wall(component.voxels, here, region, knee):
        flags.append(cleft)
    if (
        region == "posterior_horn"
        and echo_time_ms is not None
        and echo_time_ms < MAGIC_ECHO_MS
        and not component.contact_slices
        and float(np.median(ratio[tuple(component.voxels.T)])) < MAGIC_RATIO
        and MAGIC_DEGREES[0] <= inclination_deg(knee.world(here)) <= MAGIC_DEGREES[1]
    ):
        flags.append("magic_angle")
    return flags


def inclination_deg(points: np.ndarray) -> float:
    """Angle (0 to 90 degrees) between the long axis of a segment, (N, 3) mm, and the main field.

    The circular fibres run along a segment's long axis; the field of a closed magnet runs along the patient, the
    world's superior axis.

    >>> round(inclination_deg(np.outer(np.arange(5.0), [0, 1, 1])))
    45
    """
    centred = points - points.mean(0)
    axis = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    return float(np.degrees(np.arccos(min(abs(axis[2]), 1.0))))


def _along_outer_wall(voxels: np.ndarray, here: np.ndarray, region: str, knee: Knee) -> bool:
    """Whether at least half of the voxels lie near the outer wall of their horn: its front in an anterior horn, its
    back in a posterior one. Only sagittal images show that wall edge on; in others the answer is no."""
    if knee.slice_axis != 0:
        return False
    places = np.arange(here.shape[2])
    depths = []
    for image in np.unique(voxels[:, 0]):
        used = places[here[image].any(0)]
        if not used.size:  # what spilled over into another region
            continue
        own = voxels[voxels[:, 0] == image, 2]
        depths.append(own - used[0] if region == "anterior_horn" else used[-1] - own)
    if not depths:
        return False
    return float(np.mean(np.concatenate(depths) * knee.spacing_mm[2] <= OUTER_WALL_MM)) >= 0.5
