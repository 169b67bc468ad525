"""A knee with known answers: labels (the truth), tissue (what a scanner sees) and what was built into it.

knee = build_knee(sample_parameters(rng, "R"), [Lesion("medial", "posterior_horn", 3)], fluid_ml=12, spacing_mm=0.8)
knee.labels    Volume of kneeline.labels.Label, uint8, RAS
knee.tissue    Volume of kneeline.simulate.tissues.Tissue, uint8, same grid
knee.truth     Truth: grades, lesions, millilitres, volumes
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from kneeline import grading
from kneeline.labels import Label
from kneeline.simulate.bones import Bones, build_bones
from kneeline.simulate.fluid import fill, plan_filling, true_depths, true_recesses
from kneeline.simulate.lesions import Lesion, LesionTruth, build_lesion
from kneeline.simulate.lining import line
from kneeline.simulate.menisci import build_meniscus
from kneeline.simulate.parameters import Knee, sample_parameters
from kneeline.simulate.shapes import Grid, make_grid, smooth_step
from kneeline.simulate.soft import Noise, paint_soft
from kneeline.simulate.tissues import Tissue
from kneeline.volume import Volume, mirror, reorient

__all__ = ["Knee", "Lesion", "SimulatedKnee", "Truth", "build_knee", "sample_parameters"]

# World corners of the grid, mm: the joint line's centre is the origin.
_LOW, _HIGH = (-58.0, -76.0, -64.0), (58.0, 80.0, 94.0)
# Where fluid comes as early as this (`Filling.order`) lies the film between cartilages, which has no lining.
_DRY = 2.0


@dataclass(frozen=True)
class Truth:
    """What was built in; volumes by voxel count on the fine grid."""

    lesions: tuple[LesionTruth, ...]
    fluid_ml: float
    # The recesses add up to fluid_ml.
    suprapatellar_ml: float
    patellofemoral_ml: float
    medial_gutter_ml: float
    lateral_gutter_ml: float
    femorotibial_ml: float
    posterior_ml: float
    midline_depth_mm: float
    lateral_depth_mm: float
    medial_meniscus_mm3: float
    lateral_meniscus_mm3: float

    def effusion(self) -> dict[str, float]:
        """Columns of tables.TRUTH for the fluid."""
        names = ("fluid_ml", *(f"{r}_ml" for r in grading.RECESSES), "midline_depth_mm", "lateral_depth_mm")
        return {name: getattr(self, name) for name in names}

    def grade(self, meniscus: str, region: str) -> int:
        return max((t.grade for t in self.lesions if (t.meniscus, t.region) == (meniscus, region)), default=0)

    @property
    def signal_grade(self) -> int:
        """The highest grade of the six regions."""
        return max((t.grade for t in self.lesions), default=0)

    def grades(self) -> dict[str, int]:
        """Columns of tables.TRUTH for the six regions."""
        return {f"{m}_{r}_signal_grade": self.grade(m, r) for m in grading.MENISCI for r in grading.REGIONS}


@dataclass(frozen=True, eq=False)
class SimulatedKnee:
    labels: Volume
    tissue: Volume
    truth: Truth
    parameters: Knee


def build_knee(
    parameters: Knee,
    lesions: Iterable[Lesion] = (),
    fluid_ml: float = 3.0,
    spacing_mm: float = 0.7,
) -> SimulatedKnee:
    """Build a knee on a RAS-aligned isotropic grid of about 116 x 156 x 158 mm.

    The same parameters give the same bytes. A left knee is the mirror image of the right knee of equal parameters.
    """
    grid = make_grid(_LOW, _HIGH, spacing_mm)
    bones = build_bones(parameters, grid)
    labels = np.zeros(grid.shape, np.uint8)
    _label_bones(labels, bones, grid)

    menisci, found, signal = {}, [], np.zeros(grid.shape, bool)
    rng = np.random.default_rng(parameters.texture_seed)
    for name, side, label in (("medial", -1, Label.MEDIAL_MENISCUS), ("lateral", 1, Label.LATERAL_MENISCUS)):
        menisci[name] = build_meniscus(parameters, bones, grid, side)
        part = labels[menisci[name].box]
        part[menisci[name].inside & (part == 0)] = label
    for lesion in lesions:
        meniscus = menisci[lesion.meniscus]
        own = labels[meniscus.box] == Label[f"{lesion.meniscus.upper()}_MENISCUS"]
        x = grid.x[meniscus.box[0]].ravel()
        mask, measured = build_lesion(lesion, meniscus, own, x, spacing_mm, rng)
        found.append(measured)
        signal[meniscus.box] |= mask

    filling = plan_filling(parameters, bones, grid)
    fluid = fill(filling.order, (labels == 0), round(fluid_ml * 1000 / spacing_mm**3))
    bulge = _bulge(parameters, bones, grid, fluid)
    tissue = paint_soft(parameters, bones, grid, bulge)
    fat = (tissue == Tissue.FAT) & (labels == 0) & ~fluid & (filling.order > _DRY)
    tissue[line(fluid, fat, parameters.synovium_mm, grid, parameters.texture_seed + 3)] = Tissue.SYNOVIUM
    labels[fluid] = Label.JOINT_FLUID
    _paint_joint(parameters, bones, grid, labels, tissue)
    tissue[signal] = Tissue.MENISCAL_SIGNAL

    voxel_ml = spacing_mm**3 / 1000
    truth = Truth(
        tuple(found),
        float(fluid.sum() * voxel_ml),
        *true_recesses(parameters, bones, grid, filling, fluid),
        *true_depths(parameters, bones, grid, filling, fluid),
        float((labels == Label.MEDIAL_MENISCUS).sum() * spacing_mm**3),
        float((labels == Label.LATERAL_MENISCUS).sum() * spacing_mm**3),
    )
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = grid.x.flat[0], grid.y.flat[0], grid.z.flat[0]
    volumes = Volume(labels, affine), Volume(tissue, affine)
    if parameters.laterality == "L":
        volumes = tuple(_as_ras(mirror(v)) for v in volumes)
    return SimulatedKnee(*volumes, truth, parameters)


def _as_ras(volume: Volume) -> Volume:
    turned = reorient(volume, "RAS")
    return turned.with_array(np.ascontiguousarray(turned.array))


def _label_bones(labels: np.ndarray, bones: Bones, grid: Grid) -> None:
    medial = np.broadcast_to(grid.x < 0, grid.shape)
    tibial = (bones.tibia < bones.tibial_thickness) & (bones.tibial_thickness > 0.3)
    labels[tibial & medial] = Label.MEDIAL_TIBIAL_CARTILAGE
    labels[tibial & ~medial] = Label.LATERAL_TIBIAL_CARTILAGE
    labels[(bones.patella < bones.patellar_thickness) & (bones.patellar_thickness > 0.3)] = Label.PATELLAR_CARTILAGE
    labels[(bones.femur < bones.femoral_thickness) & (bones.femoral_thickness > 0.3)] = Label.FEMORAL_CARTILAGE
    for field, label in (
        (bones.fibula, Label.FIBULA),
        (bones.patella, Label.PATELLA),
        (bones.tibia, Label.TIBIA),
        (bones.femur, Label.FEMUR),
    ):
        labels[field < 0] = label


def _bulge(knee: Knee, bones: Bones, grid: Grid, fluid: np.ndarray) -> np.ndarray:
    """How far the pouch's fluid moves what lies before it, (X, 1, Z) mm."""
    y, z = bones.pose.femur.coordinates(grid)
    front = fluid & (y > 0.55 * knee.trochlea_radius_mm) & (z > 0.42 * knee.trochlea_radius_mm)
    depth = front.sum(1).astype(np.float32) * np.float32(grid.spacing_mm)
    return ndimage.gaussian_filter(depth, 5.0 / grid.spacing_mm, mode="nearest")[:, None, :]


def _paint_joint(knee: Knee, bones: Bones, grid: Grid, labels: np.ndarray, tissue: np.ndarray) -> None:
    """Bones with cortex and marrow, cartilage, menisci and fluid."""
    noise = Noise(knee.texture_seed + 1, grid)
    red = noise.smooth(11.0, 1.0)
    _, zf = bones.pose.femur.coordinates(grid)
    _, zt = bones.pose.tibia.coordinates(grid)
    s = knee.scale
    fields = {
        Label.FEMUR: (bones.femur, smooth_step(zf, 14 * s, 62 * s), zf - 24 * s),
        Label.TIBIA: (bones.tibia, smooth_step(zt, -22 * s, -62 * s), -15 * s - zt),
        Label.PATELLA: (bones.patella, np.float32(0.25), np.float32(-99)),
        Label.FIBULA: (bones.fibula, smooth_step(zt, -20 * s, -45 * s) * 0.5, np.float32(-99)),
    }
    scar = noise.smooth(14.0, 1.1)
    for label, (field, shaft, above_scar) in fields.items():
        bone = labels == label
        cortex = knee.cortex_mm + (knee.shaft_cortex_mm - knee.cortex_mm) * shaft
        kind = np.where(red > np.where(above_scar > 4, 1.5, 2.9), np.uint8(Tissue.RED_MARROW), np.uint8(Tissue.MARROW))
        kind[np.abs(above_scar + scar) < 0.4] = Tissue.RED_MARROW
        kind[np.broadcast_to(-field < cortex, kind.shape)] = Tissue.CORTEX
        tissue[bone] = kind[bone]
    for label, kind in (
        (Label.FEMORAL_CARTILAGE, Tissue.CARTILAGE),
        (Label.MEDIAL_TIBIAL_CARTILAGE, Tissue.CARTILAGE),
        (Label.LATERAL_TIBIAL_CARTILAGE, Tissue.CARTILAGE),
        (Label.PATELLAR_CARTILAGE, Tissue.CARTILAGE),
        (Label.MEDIAL_MENISCUS, Tissue.MENISCUS),
        (Label.LATERAL_MENISCUS, Tissue.MENISCUS),
        (Label.JOINT_FLUID, Tissue.FLUID),
    ):
        tissue[labels == label] = kind
