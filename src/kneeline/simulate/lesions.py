"""Intrameniscal signal with a known grade: where it lies, how large it is and what it touches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kneeline import grading
from kneeline.simulate.menisci import REGION_CENTRES, Meniscus

# What grades 1 and 2 keep from the articular surfaces: more than the rule's contact distance, at best a pixel more.
_MARGIN_MM = (0.75, 1.1)
_IMAGE_MM = 3.3  # distance of sagittal images for which contacts are counted


@dataclass(frozen=True)
class Lesion:
    """Signal of a grade (1-3) in one region of one meniscus."""

    meniscus: str
    region: str
    grade: int

    def __post_init__(self):
        if self.meniscus not in grading.MENISCI or self.region not in grading.REGIONS or self.grade not in (1, 2, 3):
            raise ValueError(f"no such lesion: {self.meniscus} {self.region} grade {self.grade}")


@dataclass(frozen=True)
class LesionTruth:
    """What was built, measured on the fine grid; `surface_slices` counts sagittal images of 3.3 mm."""

    meniscus: str
    region: str
    grade: int
    volume_mm3: float
    extent_mm: float
    surface_distance_mm: float
    surface_slices: int


def lesion_mask(lesion: Lesion, meniscus: Meniscus, grow: float) -> np.ndarray:
    """Voxels of the lesion on the meniscus' own box, a subset of the meniscus; `grow` is its size, about 1."""
    m = meniscus
    phi0 = REGION_CENTRES[lesion.region] * m.half_arc_deg
    clearance = np.minimum(m.inferior_mm, m.superior_mm)
    # In the thickest place of the region's middle.
    here = np.where(m.inside & (np.abs(m.phi_deg - phi0) < 14), clearance, -1)
    best = here > max(float(here.max()) - 0.3, 0)
    if not best.any():
        raise ValueError(f"the {lesion.meniscus} {lesion.region} is missing")
    thick = float(here.max())
    along = m.arc_mm - np.float32(np.median(m.arc_mm[best]))
    inwards = m.depth_mm / m.width_mm
    core = m.depth_mm - np.float32(np.clip(np.median(m.depth_mm[best]), 2.2, 5.0))
    high = (m.inferior_mm + m.superior_mm) / 2
    level = m.inferior_mm - high  # 0 halfway between the surfaces
    clear = clearance > np.clip(thick - 0.9, *_MARGIN_MM)
    if lesion.grade == 1:
        blob = (along / 1.9) ** 2 + (core / 1.8) ** 2 + (level / 1.6) ** 2
        mask = clear & (blob < grow**2)
    elif lesion.grade == 2:
        band = (along / 5.4) ** 2 + (core / 2.6) ** 2 + (level / 1.1) ** 2
        mask = clear & (band < grow**2)
    elif lesion.region == "body":
        # An oblique radial tear across the wedge, so that several sagittal images cut its contact with the surface.
        slant = along - 0.8 * (m.depth_mm - 0.5 * m.width_mm)
        mask = (np.abs(slant) < 1.7 * grow) & (m.inferior_mm < 1.55 * high) & (inwards > 0.03) & (inwards < 0.98)
    else:
        # An oblique tear: from inside the wedge down to the inferior surface.
        path = high * np.clip((0.74 - inwards) / 0.34, 0, 1)
        mask = (np.abs(along) < 6.2 * grow) & (np.abs(m.inferior_mm - path) < 1.0 * grow)
        mask &= (inwards > 0.22) & (inwards < 0.9)
    return mask & m.inside


def build_lesion(
    lesion: Lesion, meniscus: Meniscus, own: np.ndarray, x_mm: np.ndarray, spacing_mm: float, rng: np.random.Generator
) -> tuple[np.ndarray, LesionTruth]:
    """A lesion inside `own` (the meniscus' voxels) that the grading rule gives its grade, and its measurements.

    Raises
    ------
    ValueError
        If the meniscus is too thin for a lesion of this grade.
    """
    start = float(rng.uniform(0.9, 1.1))
    for factor in (1.0, 0.88, 1.15, 1.3, 1.5):
        mask = lesion_mask(lesion, meniscus, start * factor) & own
        if mask.any():
            truth = measure_lesion(lesion, mask, meniscus, x_mm, spacing_mm)
            ruled = grading.grade_signal(truth.volume_mm3, truth.extent_mm, truth.surface_slices)
            apart = lesion.grade == 3 or truth.surface_distance_mm > grading.SIGNAL.contact_mm
            if ruled == lesion.grade and apart:
                return mask, truth
    raise ValueError(f"the {lesion.meniscus} {lesion.region} is too thin for a lesion of grade {lesion.grade}")


def measure_lesion(
    lesion: Lesion, mask: np.ndarray, meniscus: Meniscus, x_mm: np.ndarray, spacing_mm: float
) -> LesionTruth:
    """Volume and extent by voxels, distance to the articular surfaces; `x_mm` are the box's x coordinates."""
    points = np.argwhere(mask) * spacing_mm
    clearance = np.minimum(meniscus.inferior_mm, meniscus.superior_mm)
    x = np.broadcast_to(x_mm.reshape(-1, 1, 1), mask.shape)[mask & (clearance <= grading.SIGNAL.contact_mm)]
    span = float(np.ptp(x)) + spacing_mm if x.size else 0.0
    centred = points - points.mean(0)
    axis = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    return LesionTruth(
        lesion.meniscus,
        lesion.region,
        lesion.grade,
        float(mask.sum() * spacing_mm**3),
        float(np.ptp(centred @ axis) + spacing_mm),
        float(clearance[mask].min()),
        int(span // _IMAGE_MM),
    )
