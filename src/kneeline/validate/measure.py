"""One knee: what was built, what came out of segmenting and scoring it, and how far the two are apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kneeline import grading
from kneeline.errors import Refusal, UsageError
from kneeline.labels import MENISCI, Label
from kneeline.score.run import Scores, score_knee
from kneeline.segment.predict import Segmentation, segment
from kneeline.simulate.run import SimulatedScan
from kneeline.validate.exhibit import Exhibit, exhibits
from kneeline.validate.masks import dice, surface_distance
from kneeline.validate.plan import Plan, plan, simulate
from kneeline.validate.reliability import Reliability, reliability
from kneeline.validate.rescan import scan_again
from kneeline.validate.truth import true_scores
from kneeline.volume import Volume

STRUCTURES = tuple(label for label in Label if label)


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
    scores: Scores  # what a perfect machine would answer


@dataclass(frozen=True)
class Found:
    """What came out. `invented` holds the volume (mm3) of structures that the truth does not have."""

    verdict: str
    reason: str | None
    structures: dict[Label, Structure]
    invented: dict[Label, float]
    reliability: dict[Label, Reliability]
    scores: Scores

    @property
    def lost(self) -> list[Label]:
        return [label for label, structure in self.structures.items() if structure.lost]


@dataclass(frozen=True)
class Rescan:
    """Scores of a second scan of the same knee, from its true labels and from the network's (None if refused)."""

    on_true_labels: Scores
    found: Scores | None


@dataclass(frozen=True)
class Case:
    """A knee and what came out of it: `found`, or the code of the refusal."""

    plan: Plan
    truth: Truth
    on_true_labels: Scores  # what scoring says of outlines without a fault
    found: Found | None = None
    refused: str | None = None
    again: Rescan | None = None
    exhibits: tuple[Exhibit, ...] = ()  # where this knee came out worst


def measure(number: int, twice: frozenset[int] = frozenset()) -> Case:
    """Simulate, segment and score the knee of a number; image those in `twice` a second time."""
    knee = plan(number)
    return compare(simulate(knee), knee, again=number in twice)


def compare(scan: SimulatedScan, knee: Plan, again: bool = False) -> Case:
    """Segment and score one simulated scan and set the answers beside its truth.

    A failure that nobody foresaw is counted like a refusal, so that one knee cannot hide the others.
    """
    truth = Truth(
        scan.knee.truth.fluid_ml,
        {label: getattr(scan.knee.truth, f"{name}_meniscus_mm3") for name, label in MENISCI.items()},
        {label: max(scan.knee.truth.grade(name, r) for r in grading.REGIONS) for name, label in MENISCI.items()},
        true_scores(scan.knee),
    )
    on_true_labels = score_knee(scan.image, scan.labels, knee.laterality, contrast=knee.contrast)
    rescan = _rescan(scan_again(scan, knee.seed), knee) if again else None
    answer = _answer(scan, knee)
    if isinstance(answer, str):
        return Case(knee, truth, on_true_labels, None, answer, rescan)
    segmentation, scores = answer
    found = _found(scan, segmentation, scores)
    overlap = {label: structure.dice for label, structure in found.structures.items()}
    shown = exhibits(scan, segmentation.labels, overlap, truth.scores, on_true_labels, scores)
    return Case(knee, truth, on_true_labels, found, None, rescan, shown)


def _answer(scan: SimulatedScan, knee: Plan) -> tuple[Segmentation, Scores] | str:
    """What the machine says of a scan, or the code of its refusal."""
    try:
        segmentation = segment(scan.image, knee.laterality, with_certainty=True)
        return segmentation, score_knee(scan.image, segmentation.labels, knee.laterality, contrast=knee.contrast)
    except (MemoryError, UsageError):
        raise
    except Refusal as refusal:
        return refusal.code
    except Exception as error:
        return f"unexpected_error: {error!r}"


def _rescan(scan: SimulatedScan, knee: Plan) -> Rescan:
    answer = _answer(scan, knee)
    found = None if isinstance(answer, str) else answer[1]
    return Rescan(score_knee(scan.image, scan.labels, knee.laterality, contrast=knee.contrast), found)


def _found(scan: SimulatedScan, segmentation: Segmentation, scores: Scores) -> Found:
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
        scores,
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
