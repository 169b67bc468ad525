"""Focal cartilage defects of known area and depth, carved into a knee that is already built.

A defect replaces the upper part of the cartilage by fluid: its place and shape are known exactly, and the bone, the
rest of the cartilage and every other tissue stay as they were.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from kneeline.labels import Label
from kneeline.simulate.knee import SimulatedKnee
from kneeline.simulate.tissues import Tissue

BONE_OF = {
    Label.FEMORAL_CARTILAGE: Label.FEMUR,
    Label.MEDIAL_TIBIAL_CARTILAGE: Label.TIBIA,
    Label.LATERAL_TIBIAL_CARTILAGE: Label.TIBIA,
    Label.PATELLAR_CARTILAGE: Label.PATELLA,
}


@dataclass(frozen=True)
class CartilageDefect:
    """A round pit in one plate: `depth` is the share of the thickness that is missing in its middle (1: bare bone).

    `conical` pits are deepest in the middle and end at `radius_mm`, others have a flat floor and upright walls. `place`
    (0-1) picks one of the places that are far enough from the plate's rim.
    """

    plate: Label
    radius_mm: float
    depth: float
    conical: bool = False
    place: float = 0.5

    def __post_init__(self):
        if self.plate not in BONE_OF or not 0 < self.depth <= 1 or not self.radius_mm > 0 or not 0 <= self.place < 1:
            raise ValueError(f"no such defect: {self}")

    def profile(self, distance_mm: np.ndarray) -> np.ndarray:
        """Share of the thickness that is missing at a distance from the middle."""
        inside = distance_mm < self.radius_mm
        return self.depth * (np.maximum(1 - distance_mm / self.radius_mm, 0) if self.conical else inside)

    def area_mm2(self, thinned_by: float) -> float:
        """Area in which at least this share of the thickness is missing, on a flat plate."""
        if thinned_by > self.depth:
            return 0.0
        radius = self.radius_mm * (1 - thinned_by / self.depth if self.conical else 1)
        return float(np.pi * radius**2)


def carve_defects(knee: SimulatedKnee, defects: Iterable[CartilageDefect], rim_mm: float = 5.0) -> SimulatedKnee:
    """The knee with defects, none nearer than `rim_mm` to its plate's rim. What fills a pit is labelled joint fluid and
    is not part of `truth.fluid_ml`.

    Raises
    ------
    ValueError
        If a plate has no room for its defect.
    """
    labels, tissue = knee.labels.array.copy(), knee.tissue.array.copy()
    for defect in defects:
        pit = pit_mask(labels, knee.labels.spacing_mm, defect, rim_mm)
        labels[pit] = Label.JOINT_FLUID
        tissue[pit] = Tissue.FLUID
    return replace(knee, labels=knee.labels.with_array(labels), tissue=knee.tissue.with_array(tissue))


def pit_mask(labels: np.ndarray, spacing_mm, defect: CartilageDefect, rim_mm: float = 5.0) -> np.ndarray:
    """Voxels of cartilage that a defect takes away, on any label array (I, J, K)."""
    plate = labels == defect.plate
    if not plate.any():
        raise ValueError(f"the knee has no {defect.plate.words}")
    box = tuple(slice(max(s.start - 3, 0), s.stop + 3) for s in ndimage.find_objects(plate.view(np.uint8))[0])
    out = np.zeros(labels.shape, bool)
    out[box] = _pit(plate[box], labels[box] == BONE_OF[defect.plate], np.asarray(spacing_mm), defect, rim_mm)
    return out


def _pit(plate, bone, spacing, defect: CartilageDefect, rim_mm: float) -> np.ndarray:
    above = ndimage.distance_transform_edt(~bone, sampling=spacing)
    below = ndimage.distance_transform_edt(bone | plate, sampling=spacing)
    # The plate's floor, and bone beside it that carries none: what ends the plate.
    surface = bone & ~ndimage.binary_erosion(bone, border_value=1)
    floor = surface & ndimage.binary_dilation(plate, iterations=2)
    bare = surface & ~floor
    inwards = ndimage.distance_transform_edt(~bare, sampling=spacing) if bare.any() else np.full(plate.shape, np.inf)
    room = np.argwhere(floor & (inwards >= defect.radius_mm + rim_mm))
    if not len(room):
        raise ValueError(f"the {defect.plate.words} has no place for a defect of {defect.radius_mm} mm radius")
    middle = room[int(defect.place * len(room))]
    at = np.stack(np.nonzero(plate), axis=-1)
    distance = np.linalg.norm((at - middle) * spacing, axis=1)
    height, depth = above[plate], below[plate]
    # Along the surface, not up through the cartilage.
    beside = np.sqrt(np.maximum(distance**2 - height**2, 0))
    kept = 1 - defect.profile(beside)
    pit = np.zeros(plate.shape, bool)
    half = spacing.min() / 2
    pit[plate] = (height - half) / np.maximum(height + depth - 2 * half, 1e-6) >= kept
    return pit
