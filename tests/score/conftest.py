"""A knee joint made of planes, spheres and wedges: truth by construction for scoring.

Right knee, world RAS+ mm, origin between the plateaus: tibial cartilage from z = -2.5 to 0, femoral condyles as
spheres above x = -22 (medial) and x = 22, menisci as C-shaped wedges between them with the opening towards x = 0.
Images are means over sub-samples of each voxel (true partial volume), labels are what lies at the voxel's centre.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from kneeline.labels import Label
from kneeline.volume import Volume

CONDYLE_X, CONDYLE_Z, CONDYLE_RADIUS, CARTILAGE_MM = 22.0, 24.8, 24.5, 2.5
INNER_RADIUS, OUTER_RADIUS, FLOOR_Z = 8.0, 17.0, 0.3
HALF_OPENING_DEGREES = 55.0

# Grey values of a fat-suppressed proton-density image.
GREY = {
    Label.BACKGROUND: 0.25,
    Label.FEMUR: 0.12,
    Label.TIBIA: 0.12,
    Label.FEMORAL_CARTILAGE: 0.60,
    Label.MEDIAL_TIBIAL_CARTILAGE: 0.60,
    Label.LATERAL_TIBIAL_CARTILAGE: 0.60,
    Label.MEDIAL_MENISCUS: 0.10,
    Label.LATERAL_MENISCUS: 0.10,
}
LESION_GREY = 0.55


def meniscus_top(rho):
    """Height of a meniscus' superior surface at a distance from its centre."""
    return CONDYLE_Z - np.sqrt(CONDYLE_RADIUS**2 - rho**2) - 0.2


@dataclass(frozen=True)
class Lesion:
    """A bar: |x - x_mm| <= half_mm across the images, within radius_mm of the line from start to end (y, z)."""

    x_mm: float
    half_mm: float
    start: tuple[float, float]
    end: tuple[float, float]
    radius_mm: float = 0.7

    def holds(self, x, y, z):
        a, b = np.array(self.start), np.array(self.end)
        length = max(float(((b - a) ** 2).sum()), 1e-12)
        t = np.clip(((y - a[0]) * (b - a)[0] + (z - a[1]) * (b - a)[1]) / length, 0, 1)
        distance = np.hypot(y - a[0] - t * (b - a)[0], z - a[1] - t * (b - a)[1])
        return (distance <= self.radius_mm) & (np.abs(x - self.x_mm) <= self.half_mm)


# In the posterior horn of the medial meniscus, 14 mm behind its centre.
GLOBULE = Lesion(-22, 2.2, (-15.5, 2.6), (-15.5, 2.6), 1.1)
LINE = Lesion(-22, 5.0, (-12.8, 1.8), (-16.0, 2.9))
TEAR = Lesion(-22, 5.0, (-15.0, 3.2), (-13.2, 0.0))
ONE_SLICE_TEAR = replace(TEAR, half_mm=1.6)


@dataclass(frozen=True)
class Joint:
    """What to build and how to image it."""

    lesions: tuple[Lesion, ...] = ()
    spacing_mm: tuple[float, float, float] = (3.3, 0.5, 0.5)
    turn: np.ndarray = field(default_factory=lambda: np.eye(3))  # of the knee in the scanner
    noise: float = 0.0
    seed: int = 0
    grey: dict = field(default_factory=lambda: GREY)  # of tissues that differ from GREY
    lesion_grey: float = LESION_GREY
    width_mm: tuple[float, float] = (-44.0, 44.0)
    shift_mm: float = 0.0  # of the first image, across the images

    def image_and_labels(self) -> tuple[Volume, Volume]:
        low = np.array([self.width_mm[0], -24.0, -9.0])
        high = np.array([self.width_mm[1], 24.0, 16.0])
        corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1).T @ self.turn.T
        low, high = corners.min(0), corners.max(0)
        # Image centres on the condyle's own middle, wherever the box begins.
        spacing = np.array(self.spacing_mm)
        low[0] = -CONDYLE_X - np.ceil((-CONDYLE_X - low[0]) / spacing[0]) * spacing[0]
        low[0] += self.shift_mm
        shape = tuple(np.ceil((high - low) / spacing).astype(int))
        affine = np.diag([*spacing, 1.0])
        affine[:3, 3] = low
        axes = [low[a] + spacing[a] * np.arange(shape[a]) for a in range(3)]
        image = np.zeros(shape, np.float32)
        across = max(round(spacing[0] / 0.7), 2)
        parts = [(np.arange(n) + 0.5) / n - 0.5 for n in (across, 2, 2)]
        for dx in parts[0]:
            for dy in parts[1]:
                for dz in parts[2]:
                    label, lesion = self._tissue(axes, spacing * (dx, dy, dz))
                    grey = np.zeros(256, np.float32)
                    for tissue, value in (GREY | self.grey).items():
                        grey[tissue] = value
                    image += np.where(lesion, np.float32(self.lesion_grey), grey[label])
        image /= across * 4
        if self.noise:
            rng = np.random.default_rng(self.seed)
            image = np.hypot(image + rng.normal(0, self.noise, shape), rng.normal(0, self.noise, shape))
        labels, _ = self._tissue(axes, np.zeros(3))
        return Volume((1000 * image).astype(np.float32), affine), Volume(labels, affine)

    def _tissue(self, axes, offset):
        world = np.stack(np.meshgrid(*(a + o for a, o in zip(axes, offset, strict=True)), indexing="ij"), axis=-1)
        x, y, z = np.moveaxis(world @ self.turn, -1, 0)
        label = np.zeros(x.shape, np.uint8)
        side = np.where(x < 0, -1.0, 1.0)
        rho = np.hypot(x - side * CONDYLE_X, y)
        from_condyle = np.sqrt(rho**2 + (z - CONDYLE_Z) ** 2)
        plateau = (np.abs(x) < 42) & (np.abs(y) < 22)
        label[plateau & (z < -CARTILAGE_MM)] = Label.TIBIA
        cartilage = plateau & (rho < 18) & (z >= -CARTILAGE_MM) & (z < 0)
        label[cartilage & (x < 0)] = Label.MEDIAL_TIBIAL_CARTILAGE
        label[cartilage & (x >= 0)] = Label.LATERAL_TIBIAL_CARTILAGE
        label[from_condyle < CONDYLE_RADIUS] = Label.FEMORAL_CARTILAGE
        label[from_condyle < CONDYLE_RADIUS - CARTILAGE_MM] = Label.FEMUR
        towards_middle = np.degrees(np.arctan2(np.abs(y), -side * (x - side * CONDYLE_X)))
        top = meniscus_top(np.minimum(rho, OUTER_RADIUS))
        meniscus = (rho >= INNER_RADIUS) & (rho <= OUTER_RADIUS) & (z >= FLOOR_Z) & (z <= top)
        meniscus &= towards_middle > HALF_OPENING_DEGREES
        label[meniscus & (x < 0)] = Label.MEDIAL_MENISCUS
        label[meniscus & (x >= 0)] = Label.LATERAL_MENISCUS
        lesion = np.zeros(x.shape, bool)
        for bar in self.lesions:
            lesion |= bar.holds(x, y, z) & meniscus
        return label, lesion

    def lesion_mm3(self, step: float = 0.2) -> float:
        axes = [np.arange(-30, -14, step), np.arange(-20, -6, step), np.arange(-1, 10, step)]
        return float(self._tissue(axes, np.zeros(3))[1].sum()) * step**3


@pytest.fixture(scope="session")
def joint():
    return Joint


@pytest.fixture(scope="session")
def lesions():
    """Lesions of known grade in the posterior horn of the medial meniscus."""
    return {1: GLOBULE, 2: LINE, 3: TEAR, "one image": ONE_SLICE_TEAR}
