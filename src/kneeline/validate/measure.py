"""One knee: what was built, what came out of segmenting and scoring it, and how far the two are apart."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from kneeline import grading
from kneeline.errors import Refusal, UsageError
from kneeline.labels import MENISCI, Label
from kneeline.score.effusion import measure_effusion
from kneeline.score.frame import canonical
from kneeline.score.meniscus import measure_menisci
from kneeline.segment.predict import Segmentation, segment
from kneeline.simulate.run import SimulatedScan
from kneeline.validate.masks import dice, surface_distance
from kneeline.validate.plan import Plan, plan, simulate
from kneeline.validate.reliability import Reliability, reliability
from kneeline.volume import Laterality, Volume

STRUCTURES = tuple(label for label in Label if label)
GradePairs = list[tuple[int, int | None]]  # a region each: true, predicted


@dataclass(frozen=True)
class Structure:
    """A structure that the truth has, on the image's grid. None where nothing was found to be measured."""

    true_mm3: float
    found_mm3: float
    dice: float
    precision: float | None = None  # share of the found volume that is right
    hausdorff95_mm: float | None = None
    surface_mm: float | None = None  # average symmetric surface distance
    confidence: float | None = None

    @property
    def lost(self) -> bool:
        return self.dice == 0


@dataclass(frozen=True)
class Truth:
    """What was built into the knee, on its own fine grid."""

    fluid_ml: float
    meniscus_mm3: dict[Label, float]
    lesion: dict[Label, int]  # highest signal grade of each meniscus


@dataclass(frozen=True)
class Found:
    """What came out. `invented` holds the volume (mm3) of structures that the truth does not have."""

    verdict: str
    reason: str | None
    structures: dict[Label, Structure]
    invented: dict[Label, float]
    reliability: dict[Label, Reliability]
    fluid_ml: float | None  # as scored
    grades: GradePairs

    @property
    def lost(self) -> list[Label]:
        return [label for label, structure in self.structures.items() if structure.lost]


@dataclass(frozen=True)
class Case:
    """A knee and what came out of it: `found`, or the code of the refusal."""

    plan: Plan
    truth: Truth
    found: Found | None = None
    refused: str | None = None
    grades_on_true_labels: GradePairs = field(default_factory=list)


def measure(number: int) -> Case:
    """Simulate, segment and score the knee of a number."""
    knee = plan(number)
    return compare(simulate(knee), knee)


def compare(scan: SimulatedScan, knee: Plan) -> Case:
    """Segment and score one simulated scan and set the answers beside its truth.

    A failure that nobody foresaw is counted like a refusal, so that one knee cannot hide the others.
    """
    truth = Truth(
        scan.knee.truth.fluid_ml,
        {label: getattr(scan.knee.truth, f"{name}_meniscus_mm3") for name, label in MENISCI.items()},
        {label: max(scan.knee.truth.grade(name, r) for r in grading.REGIONS) for name, label in MENISCI.items()},
    )
    on_true_labels = _grades(scan, scan.labels, knee.laterality)
    try:
        found = _found(scan, segment(scan.image, knee.laterality, with_certainty=True), knee.laterality)
    except (MemoryError, UsageError):
        raise
    except Refusal as refusal:
        return Case(knee, truth, None, refusal.code, on_true_labels)
    except Exception as error:
        return Case(knee, truth, None, f"unexpected_error: {error!r}", on_true_labels)
    return Case(knee, truth, found, None, on_true_labels)


def _found(scan: SimulatedScan, segmentation: Segmentation, side: Laterality) -> Found:
    labels = segmentation.labels
    present = [label for label in STRUCTURES if (scan.labels.array == label).any()]
    return Found(
        segmentation.verdict,
        segmentation.reason,
        {label: _structure(scan.labels, labels, label, segmentation.confidence.get(label)) for label in present},
        {
            label: volume
            for label in STRUCTURES
            if label not in present and (volume := np.count_nonzero(labels.array == label) * labels.voxel_mm3)
        },
        _reliability(scan.labels, labels, segmentation.certainty),
        measure_effusion(canonical(scan.image, labels, side))["fluid_ml"],
        _grades(scan, labels, side),
    )


def _structure(truth: Volume, labels: Volume, label: Label, confidence: float | None) -> Structure:
    true, found = truth.array == label, labels.array == label
    true_mm3, found_mm3 = (float(np.count_nonzero(mask) * truth.voxel_mm3) for mask in (true, found))
    if not found_mm3:
        return Structure(true_mm3, found_mm3, 0.0)
    distance = surface_distance(true, found, truth.geometry)
    return Structure(
        true_mm3,
        found_mm3,
        dice(true, found),
        float(true[found].mean()),
        distance and distance.hausdorff95_mm,
        distance and distance.mean_mm,
        confidence,
    )


def _reliability(truth: Volume, labels: Volume, certainty: Volume) -> dict[Label, Reliability]:
    """Of each structure that was found."""
    parts = {}
    for label in STRUCTURES:
        found = labels.array == label
        if found.any():
            parts[label] = reliability(certainty.array[found], truth.array[found] == label, labels.voxel_mm3)
    return parts


def _grades(scan: SimulatedScan, labels: Volume, side: Laterality) -> GradePairs:
    rows = measure_menisci(canonical(scan.image, labels, side))
    return [(scan.knee.truth.grade(row["meniscus"], row["region"]), row["signal_grade"]) for row in rows]
