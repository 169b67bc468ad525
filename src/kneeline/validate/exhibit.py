"""Where a knee came out worst: the one sagittal slice that shows it, small enough to be kept for every knee."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from kneeline import grading
from kneeline.labels import MENISCI, Label
from kneeline.score.regions import meniscus_regions
from kneeline.score.run import Scores
from kneeline.simulate.run import SimulatedScan
from kneeline.simulate.tissues import Tissue
from kneeline.tables import MISSING, Row
from kneeline.volume import SAGITTAL, Volume, reorient, resample

Kind = Literal["grade", "fluid", "dice"]
REGION_MM = 62.0  # edge of what is shown of a meniscal region
JOINT_MM = 130.0  # and of any other place


@dataclass(frozen=True, eq=False)
class Exhibit:
    """A part of a slice, superior up and anterior to the left.

    `size` says how bad it is among its kind: steps of grade, mL, or 1 - Dice. Arrays are (rows, columns): the image,
    true and found labels (`Label`), and the planted signal.
    """

    kind: Kind
    size: float
    what: str
    said: str
    pixel_mm: tuple[float, float]
    image: np.ndarray
    true: np.ndarray
    found: np.ndarray
    signal: np.ndarray


def exhibits(
    scan: SimulatedScan,
    labels: Volume,
    overlap: dict[Label, float],
    truth: Scores,
    on_true_labels: Scores,
    found: Scores,
) -> tuple[Exhibit, ...]:
    """The region with the largest error of grade (if there is any), fluid, and the structure with the lowest Dice."""
    shown = _Scan(scan, labels)
    rows = zip(truth.meniscus, on_true_labels.meniscus, found.meniscus, strict=True)
    worst = max(rows, key=lambda row: _steps(row[0], row[2]))
    parts = [_of_grade(shown, *worst)] if _steps(worst[0], worst[2]) else []
    fluid = _of_fluid(shown, truth.effusion, on_true_labels.effusion, found.effusion)
    return (*parts, fluid, _of_dice(shown, overlap))


class _Scan:
    """Image, labels and planted signal as sagittal stacks."""

    def __init__(self, scan: SimulatedScan, labels: Volume):
        self.image, self.true, self.found = (reorient(v, SAGITTAL) for v in (scan.image, scan.labels, labels))
        planted = (scan.knee.tissue.array == Tissue.MENISCAL_SIGNAL).astype(np.float32)
        self.signal = resample(scan.knee.tissue.with_array(planted), self.image.geometry).array > 0.5

    def part(self, kind: Kind, size: float, what: str, said: str, where: np.ndarray, edge_mm: float) -> Exhibit:
        """Around `where`, (I, J, K) bool: the slice that holds most of it, and on it the middle of it."""
        index = int(where.sum(axis=(1, 2)).argmax())
        rows, columns = (
            _window(where[index].any(axis), spacing, edge_mm)
            for axis, spacing in ((1, self.image.spacing_mm[1]), (0, self.image.spacing_mm[2]))
        )
        cut = [np.ascontiguousarray(a[index, rows, columns]) for a in (
            self.image.array, self.true.array, self.found.array, self.signal)]  # fmt: skip
        what = f"{what}, slice {index + 1} of {self.image.shape[0]}"
        return Exhibit(kind, size, what, said, self.image.spacing_mm[1:], *cut)


def _window(used: np.ndarray, spacing_mm: float, edge_mm: float) -> slice:
    """`edge_mm` around the middle of what is used, inside the image."""
    places, width = np.flatnonzero(used), min(round(edge_mm / spacing_mm), used.size)
    middle = int(places.mean()) if places.size else used.size // 2
    first = min(max(middle - width // 2, 0), used.size - width)
    return slice(first, first + width)


def _steps(true: Row, found: Row) -> int:
    """How far the grade is off; a region that was not graded is no wrong grade."""
    return 0 if found["signal_grade"] is None else abs(true["signal_grade"] - found["signal_grade"])


def _of_grade(shown: _Scan, true: Row, on_true_labels: Row, found: Row) -> Exhibit:
    label, region = MENISCI[true["meniscus"]], true["region"]
    here = _region(shown.true, label, region)
    lesion = here & shown.signal
    said = (
        f"planted grade {true['signal_grade']}, graded {found['signal_grade']} on the network's outlines "
        f"and {_shown(on_true_labels['signal_grade'])} on true ones"
    )
    what = f"{label.words}, {region.replace('_', ' ')}"
    return shown.part("grade", _steps(true, found), what, said, lesion if lesion.any() else here, REGION_MM)


def _region(labels: Volume, label: Label, region: str) -> np.ndarray:
    """Voxels of a region of a true meniscus, (I, J, K) bool."""
    voxels = {m: np.argwhere(labels.array == m) for m in MENISCI.values()}
    centres = [labels.geometry.to_world(v).mean(0) for v in voxels.values() if len(v)]
    points = labels.geometry.to_world(voxels[label])
    own = voxels[label][meniscus_regions(points, np.mean(centres, axis=0)) == grading.REGIONS.index(region)]
    here = np.zeros(labels.shape, bool)
    here[tuple(own.T)] = True
    return here


def _shown(value, form: str = "") -> str:
    return MISSING if value is None else format(value, form)


def _of_fluid(shown: _Scan, true: Row, on_true_labels: Row, found: Row) -> Exhibit:
    said = (
        f"{true['fluid_ml']:.1f} mL built, {_shown(found['fluid_ml'], '.1f')} mL found, "
        f"{on_true_labels['fluid_ml']:.1f} mL in the true labels of the images"
    )
    error = abs((found["fluid_ml"] or 0.0) - true["fluid_ml"])
    where = (shown.true.array == Label.JOINT_FLUID) ^ (shown.found.array == Label.JOINT_FLUID)
    return shown.part("fluid", error, "joint fluid", said, where, JOINT_MM)


def _of_dice(shown: _Scan, overlap: dict[Label, float]) -> Exhibit:
    worst = min(overlap, key=overlap.get)
    where = (shown.true.array == worst) ^ (shown.found.array == worst)
    return shown.part("dice", 1 - overlap[worst], worst.words, f"Dice {overlap[worst]:.2f}", where, JOINT_MM)
