"""Marrow lesions of known volume, painted under the cartilage of a knee that is already built."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from kneeline.labels import CARTILAGES, Label
from kneeline.simulate.knee import SimulatedKnee
from kneeline.simulate.tissues import Tissue

_BONES = (Label.FEMUR, Label.TIBIA, Label.PATELLA)
# The ball's middle lies this share of its radius below the surface: a lesion is broad at the joint.
_SUNK = 0.6


@dataclass(frozen=True)
class MarrowLesion:
    """A ball of oedema-like marrow under the cartilage of one bone; `place` (0-1) picks where."""

    bone: Label
    radius_mm: float
    place: float = 0.5

    def __post_init__(self):
        if self.bone not in _BONES or not self.radius_mm > 0 or not 0 <= self.place < 1:
            raise ValueError(f"no such lesion: {self}")


def add_marrow_lesions(
    knee: SimulatedKnee, lesions: Iterable[MarrowLesion]
) -> tuple[SimulatedKnee, dict[Label, float]]:
    """The knee with lesions in its marrow, and their volume (mm3) by bone. Cortex stays as it is, and so do labels.

    Raises
    ------
    ValueError
        If a bone carries no cartilage.
    """
    labels, tissue, spacing = knee.labels.array, knee.tissue.array.copy(), knee.labels.spacing_mm
    for lesion in lesions:
        bone = labels == lesion.bone
        floor = bone & ndimage.binary_dilation(np.isin(labels, CARTILAGES))
        places = np.argwhere(floor)
        if not len(places):
            raise ValueError(f"the {lesion.bone.words} carries no cartilage to lie under")
        surface = places[int(lesion.place * len(places))]
        middle = surface + _inwards(bone, surface) * _SUNK * lesion.radius_mm / np.array(spacing)
        axes = np.ogrid[tuple(slice(n) for n in labels.shape)]
        away = sum(((a - m) * s) ** 2 for a, m, s in zip(axes, middle, spacing, strict=True))
        tissue[bone & (away <= lesion.radius_mm**2) & (tissue != Tissue.CORTEX)] = Tissue.MARROW_LESION
    painted = tissue == Tissue.MARROW_LESION
    volumes = {bone: float((painted & (labels == bone)).sum() * knee.labels.voxel_mm3) for bone in _BONES}
    return replace(knee, tissue=knee.tissue.with_array(tissue)), volumes


def _inwards(bone: np.ndarray, at: np.ndarray, reach: int = 6) -> np.ndarray:
    """Unit vector from a place on the bone's surface into it: towards the bone's own voxels around."""
    low = np.maximum(at - reach, 0)
    box = tuple(slice(a, b + reach + 1) for a, b in zip(low, at, strict=True))
    towards = (np.argwhere(bone[box]) + low - at).mean(0)
    return towards / max(float(np.linalg.norm(towards)), 1e-9)
