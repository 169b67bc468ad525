"""Sizes and places of what was found, by which a knee is told from everything else.

Lengths in mm, volumes in mL, of labels in canonical orientation ("RIP": axis 0 grows to the Right, 1 inferior, 2
posterior). What cannot be measured is None.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kneeline.labels import CARTILAGES, MENISCI, Label
from kneeline.segment.masks import middle

# The part of a bone's end that is measured, from its joint surface on: past the rounding, short of the shaft.
_TIBIAL_END_MM = (6.0, 16.0)
_FEMORAL_END_MM = (5.0, 25.0)
# A slice belongs to a bone's width if it holds this share of the bone's largest cross-section.
_WIDTH_SHARE = 0.15


@dataclass(frozen=True)
class Anatomy:
    """What `measure` finds; see there."""

    volumes_ml: dict[Label, float]
    drop_mm: float | None = None  # how far the tibia's middle lies below the femur's
    facing: float | None = None  # share of the tibia, seen from above, that the femur covers
    gap_mm: float | None = None  # from femur down to tibia where they face each other, median
    filled: float | None = None  # share of the narrow gap in which cartilage or meniscus lies
    femur_width_mm: float | None = None
    tibia_width_mm: float | None = None
    cut_at_side: bool = False  # a bone is still wide in the first or last slice
    femur_depth_mm: float | None = None  # front to back, of the condyles
    tibia_depth_mm: float | None = None  # of the plateau
    patella_front_mm: float | None = None  # how far the patella's middle lies in front of the femur's
    patella_above_mm: float | None = None  # and above the top of the tibia
    menisci_apart_mm: float | None = None  # between their middles, left to right
    meniscus_length_mm: float | None = None  # front to back, of the longer one


def measure(labels: np.ndarray, spacing_mm: tuple[float, float, float]) -> Anatomy:
    """Measure a canonical label array, (n, H, W) of `Label`."""
    dx, dz, dy = spacing_mm
    counts = np.bincount(labels.ravel(), minlength=len(Label))
    volumes = {label: float(counts[label] * dx * dy * dz / 1000) for label in Label if label and counts[label]}
    found: dict[str, float | None] = {}
    cut = False
    menisci = [labels == label for label in MENISCI.values() if label in volumes]
    if menisci:
        found["meniscus_length_mm"] = max(_extent(m.any((0, 1))) * dy for m in menisci)
    if len(menisci) == 2:
        one, two = (middle(m)[0] for m in menisci)
        found["menisci_apart_mm"] = abs(one - two) * dx
    if Label.FEMUR in volumes and Label.TIBIA in volumes:
        femur, tibia = labels == Label.FEMUR, labels == Label.TIBIA
        cut = any(area[[0, -1]].max() > _WIDTH_SHARE * area.max() for area in map(_areas, (femur, tibia)))
        found |= _bones(femur, tibia, spacing_mm)
        found |= _joint(femur, tibia, np.isin(labels, (*CARTILAGES, *MENISCI.values())), spacing_mm)
        if Label.PATELLA in volumes:
            patella = middle(labels == Label.PATELLA)
            found["patella_front_mm"] = (middle(femur)[2] - patella[2]) * dy
            found["patella_above_mm"] = (np.flatnonzero(tibia.any((0, 2)))[0] - patella[1]) * dz
    numbers = {name: None if value is None else float(value) for name, value in found.items()}
    return Anatomy(volumes, cut_at_side=bool(cut), **numbers)


def _bones(femur: np.ndarray, tibia: np.ndarray, spacing_mm) -> dict[str, float | None]:
    dx, dz, dy = spacing_mm
    above, below = (round(v / dz) for v in _TIBIAL_END_MM), (round(v / dz) for v in _FEMORAL_END_MM)
    top = int(np.flatnonzero(tibia.any((0, 2)))[0])
    bottom = int(np.flatnonzero(femur.any((0, 2)))[-1])
    first, last = above
    near, far = below
    return {
        "drop_mm": (middle(tibia)[1] - middle(femur)[1]) * dz,
        "femur_width_mm": _width(femur) * dx,
        "tibia_width_mm": _width(tibia) * dx,
        "tibia_depth_mm": _depth(tibia[:, top + first : top + last], dy),
        "femur_depth_mm": _depth(femur[:, max(bottom - far, 0) : max(bottom - near, 0)], dy),
    }


def _joint(femur: np.ndarray, tibia: np.ndarray, soft: np.ndarray, spacing_mm) -> dict[str, float | None]:
    """Seen along lines from above: where femur and tibia face each other, how far apart, and what lies between."""
    lowest = femur.shape[1] - 1 - femur[:, ::-1].argmax(1)
    under = tibia.any(1)
    both = femur.any(1) & under
    if not both.any():
        return {"facing": 0.0}
    gap = (tibia.argmax(1) - lowest)[both] * spacing_mm[1]
    narrow = (gap > 0) & (gap < NARROW_MM)
    return {
        "facing": both.sum() / under.sum(),
        "gap_mm": np.median(gap),
        "filled": soft.any(1)[both][narrow].mean() if narrow.any() else 0.0,
    }


# Femur and tibia nearer than this are seldom without cartilage or meniscus between them.
NARROW_MM = 14.0


def _extent(line: np.ndarray) -> int:
    """From the first to the last."""
    at = np.flatnonzero(line)
    return int(at[-1] - at[0] + 1) if at.size else 0


def _width(mask: np.ndarray) -> int:
    area = _areas(mask)
    return _extent(area > _WIDTH_SHARE * area.max())


def _areas(mask: np.ndarray) -> np.ndarray:
    """Pixels of each slice."""
    return mask.sum((1, 2))


def _depth(end: np.ndarray, dy: float) -> float | None:
    """Front to back of a bone's end, where it is deep: the 90th percentile of slices."""
    columns = end.any(1).sum(1)
    return float(np.percentile(columns[columns > 0], 90) * dy) if columns.any() else None
