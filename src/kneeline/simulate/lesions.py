"""Intrameniscal signal with a known grade: where it lies, how large it is and what it touches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kneeline import grading
from kneeline.simulate.menisci import REGION_CENTRES, Meniscus

_MARGIN_MM = 1.05  # what grades 1 and 2 keep from the articular surfaces: more than the rule's contact distance


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


def lesion_mask(lesion: Lesion, meniscus: Meniscus, rng: np.random.Generator) -> np.ndarray:
    """Voxels of the lesion on the meniscus' own box, a subset of the meniscus."""
    m = meniscus
    phi0 = REGION_CENTRES[lesion.region] * m.half_arc_deg
    near = m.inside & (np.abs(m.phi_deg - phi0) < 2)
    arc0 = float(np.median(m.arc_mm[near])) if near.any() else 0.0
    along = m.arc_mm - np.float32(arc0)
    inwards = m.depth_mm / m.width_mm
    high = (m.inferior_mm + m.superior_mm) / 2
    level = m.inferior_mm - high  # 0 halfway between the surfaces
    clear = (m.inferior_mm > _MARGIN_MM) & (m.superior_mm > _MARGIN_MM)
    grow = float(rng.uniform(0.9, 1.1))
    if lesion.grade == 1:
        blob = (along / 2.2) ** 2 + ((m.depth_mm - 0.36 * m.width_mm) / 2.0) ** 2 + (level / 1.6) ** 2
        mask = clear & (blob < grow**2)
    elif lesion.grade == 2:
        band = (along / 5.4) ** 2 + ((m.depth_mm - 0.36 * m.width_mm) / 2.6) ** 2 + (level / 1.1) ** 2
        mask = clear & (band < grow**2)
    elif lesion.region == "body":
        # A radial tear: across the wedge, so that several sagittal images cut its contact with the surface.
        mask = (np.abs(along) < 1.5 * grow) & (m.inferior_mm < 1.55 * high) & (inwards > 0.06) & (inwards < 0.97)
    else:
        # An oblique tear: from inside the wedge down to the inferior surface.
        path = high * np.clip((0.74 - inwards) / 0.34, 0, 1)
        mask = (np.abs(along) < 6.2 * grow) & (np.abs(m.inferior_mm - path) < 1.0 * grow)
        mask &= (inwards > 0.22) & (inwards < 0.9)
    return mask & m.inside


def measure_lesion(
    lesion: Lesion, mask: np.ndarray, meniscus: Meniscus, x_mm: np.ndarray, spacing_mm: float
) -> LesionTruth:
    """Exact volume and distance to the articular surfaces; `x_mm` are the box's x coordinates."""
    points = np.argwhere(mask) * spacing_mm
    if not len(points):
        raise ValueError(f"the {lesion.meniscus} {lesion.region} is too thin for a lesion of grade {lesion.grade}")
    distance = np.minimum(meniscus.inferior_mm, meniscus.superior_mm)[mask]
    touching = mask & (np.minimum(meniscus.inferior_mm, meniscus.superior_mm) <= grading.SIGNAL.contact_mm)
    x = np.broadcast_to(x_mm.reshape(-1, 1, 1), mask.shape)[touching]
    span = float(np.ptp(x)) + spacing_mm if x.size else 0.0
    centred = points - points.mean(0)
    axis = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    return LesionTruth(
        lesion.meniscus,
        lesion.region,
        lesion.grade,
        float(mask.sum() * spacing_mm**3),
        float(np.ptp(centred @ axis) + spacing_mm),
        float(max(distance.min() - spacing_mm / 2, 0)),
        int(span // 3.3),
    )
