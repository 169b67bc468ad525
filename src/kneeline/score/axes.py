"""The femur's own axes, by which fluid is divided and its depth measured however the knee lies in the scanner.

Lateral runs along the joint line, from the medial to the lateral plateau and meniscus. Up runs along the femoral shaft,
across lateral; forward completes them. All are taken from bones, cartilage and menisci, never from fluid: more fluid
changes no axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from kneeline.labels import Label
from kneeline.score.frame import Knee, is_one_of

# Condyles and flare end about this high above the femur's distal end; from here on front and back cortex run along the
# shaft. The anterior cortex is straight from the upper rim of the trochlea on.
SHAFT_FROM_MM, CORTEX_FROM_MM = 55.0, 40.0
# Shorter stretches tell no axis.
MIN_SHAFT_MM, MIN_CORTEX_MM = 20.0, 22.0
# Axes further from the scanner's are not believed: a label is wrong, or the image is not of a leg lying straight.
MAX_TILT_DEGREES = 40.0
# Bones are described as well by a sample on a grid about this wide as by all voxels.
SAMPLE_MM = 1.0
_LEVEL_MM = 3.0
_SIDES = (
    (Label.MEDIAL_TIBIAL_CARTILAGE, Label.MEDIAL_MENISCUS),
    (Label.LATERAL_TIBIAL_CARTILAGE, Label.LATERAL_MENISCUS),
)


@dataclass(frozen=True, eq=False)
class Axes:
    """Unit vectors in the (right-knee) world, and what `up` was taken from."""

    lateral: np.ndarray
    up: np.ndarray
    source: Literal["shaft", "anterior_cortex", "scanner"]

    @cached_property
    def forward(self) -> np.ndarray:
        return np.cross(self.up, self.lateral)

    @cached_property
    def matrix(self) -> np.ndarray:
        """(3, 3): its rows are lateral, forward, up."""
        return np.stack([self.lateral, self.forward, self.up])

    def coordinates(self, world: np.ndarray) -> np.ndarray:
        """World mm, (..., 3), as mm along lateral, forward, up."""
        return world @ self.matrix.T

    def to_world(self, coordinates: np.ndarray) -> np.ndarray:
        return coordinates @ self.matrix


def knee_axes(knee: Knee) -> Axes:
    """Axes of a knee with a femur; where a landmark is missing, the scanner's axis stands in."""
    lateral = _lateral(knee)
    up = np.array([0.0, 0.0, 1.0])
    axes = Axes(lateral, _across(up, lateral), "scanner")
    femur = sample(knee, Label.FEMUR)
    # Levels that the image's upper edge cuts obliquely hold only the front or the back of the shaft.
    cut = np.argwhere(knee.labels.array[:, 0] == Label.FEMUR)
    edge = knee.labels.geometry.to_world(np.insert(cut, 1, 0, axis=1))
    for _ in range(3):
        ceiling = (edge @ axes.up).min() if len(edge) else np.inf
        slope, source = _slope(axes.coordinates(femur), ceiling)
        if source == "scanner":
            return axes
        leant = axes.up + slope * axes.forward
        found = Axes(lateral, leant / np.linalg.norm(leant), source)
        if found.up @ up < np.cos(np.radians(MAX_TILT_DEGREES)):
            return Axes(lateral, _across(up, lateral), "scanner")
        axes = found
    return axes


def sample(knee: Knee, *labels: Label) -> np.ndarray:
    """World positions of a structure's voxels, thinned to about `SAMPLE_MM`, (N, 3) mm."""
    steps = [max(int(SAMPLE_MM / s), 1) for s in knee.spacing_mm]
    thin = knee.labels.array[tuple(slice(None, None, step) for step in steps)]
    return knee.labels.geometry.to_world(np.argwhere(is_one_of(thin, labels)) * steps)


def _lateral(knee: Knee) -> np.ndarray:
    scanner = np.array([1.0, 0.0, 0.0])
    medial, lateral = (sample(knee, *labels) for labels in _SIDES)
    if not len(medial) or not len(lateral):
        return scanner
    line = lateral.mean(0) - medial.mean(0)
    line /= np.linalg.norm(line)
    return line if line @ scanner > np.cos(np.radians(MAX_TILT_DEGREES)) else scanner


def _across(vector: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """The unit vector across `axis` that is nearest to `vector`."""
    rest = vector - (vector @ axis) * axis
    return rest / np.linalg.norm(rest)


def _slope(femur: np.ndarray, ceiling: float) -> tuple[float, str]:
    """How far the shaft moves forward as it rises by 1 mm; femur: coordinates (N, 3), used below `ceiling`."""
    femur = femur[femur[:, 2] < ceiling]
    if not len(femur):
        return 0.0, "scanner"
    height = femur[:, 2] - np.quantile(femur[:, 2], 0.001)
    for source, start, least in (
        ("shaft", SHAFT_FROM_MM, MIN_SHAFT_MM),
        ("anterior_cortex", CORTEX_FROM_MM, MIN_CORTEX_MM),
    ):
        if height.max() < start + least:
            continue
        level = np.floor((height - start) / _LEVEL_MM).astype(int)
        n = int((height.max() - start) // _LEVEL_MM)  # the last level may be cut
        front, back = np.full(n, -np.inf), np.full(n, np.inf)
        used = (level >= 0) & (level < n)
        np.maximum.at(front, level[used], femur[used, 1])
        np.minimum.at(back, level[used], femur[used, 1])
        line = front if source == "anterior_cortex" else (front + back) / 2
        there = np.isfinite(line)
        if there.sum() * _LEVEL_MM >= least - _LEVEL_MM:
            return _median_slope(np.flatnonzero(there) * _LEVEL_MM, line[there]), source
    return 0.0, "scanner"


def _median_slope(x: np.ndarray, y: np.ndarray) -> float:
    """Slope of a line through points of which some may lie far off (Theil 1950, Sen 1968)."""
    i, j = np.triu_indices(len(x), 1)
    return float(np.median((y[j] - y[i]) / (x[j] - x[i])))
