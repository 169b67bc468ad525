"""From an image to labels on its own grid.

segmentation = segment(image, "R")
segmentation.labels       Volume of kneeline.labels.Label
segmentation.confidence   share of each structure's voxels that is expected to be right
segmentation.verdict      ok, review or unusable
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kneeline.errors import Refusal
from kneeline.labels import Label
from kneeline.segment import anatomy, calibration, cleanup, engine, sharpness, verdict
from kneeline.segment.admit import check_image
from kneeline.segment.classes import CERTAIN, CLASS_OF, Class
from kneeline.segment.preprocess import PIXEL_MM, Slices, fine_classes, prepare
from kneeline.volume import Laterality, Volume, reorient


@dataclass(frozen=True)
class Segmentation:
    labels: Volume  # uint8, on the image's own grid
    laterality: Laterality
    fibula_laterality: Laterality | None  # what the fibula says; None when it says nothing
    confidence: dict[Label, float]  # of the structures found: share of voxels expected to be right, by calibration
    verdict: verdict.Verdict
    reason: str | None
    certainty: Volume | None = None  # float32, as labels: calibrated probability that a voxel's label is right
    edge_width_mm: float | None = None  # at the border of bone, see `sharpness`


def segment(
    image: Volume, laterality: Laterality | None = None, threads: int | None = None, with_certainty: bool = False
) -> Segmentation:
    """Label the structures of one knee.

    Parameters
    ----------
    image
        Sagittal 2-D stack, or a 3-D image in any orientation; any spacing, any contrast.
    laterality
        Side of the body if known. The fibula, which is lateral, must not contradict it; None lets it decide. In an
        unusable segmentation the fibula has no vote.
    threads
        Of the network; None takes the environment's KNEELINE_THREADS, or 1.
    with_certainty
        Also give the certainty of each voxel, which costs about half a second more for 30 slices.

    Raises
    ------
    Refusal
        `not_grayscale`, `bad_values`, `bad_geometry`, `too_few_slices`, `too_large`, `not_sagittal`, `not_a_knee`,
        `laterality_unknown`, `laterality_conflict`.
    """
    check_image(image)
    slices = prepare(image)
    probability, raw = engine.predict(slices, threads)
    classes = cleanup.clean(raw, slices.spacing_mm)
    _check_knee(classes, slices)
    fibula = cleanup.fibula_laterality(classes, slices.spacing_mm)
    middle = cleanup.middle_slice(classes, slices.spacing_mm)
    # What is measured is the same from either side, so the verdict can come before the side is settled.
    named = cleanup.name_sides(classes, middle, laterality or fibula or "R")
    confidence = _confidence(probability, classes, named)
    edge_mm = sharpness.edge_width_mm(slices.array, np.isin(classes, (Class.FEMUR, Class.TIBIA)), PIXEL_MM)
    judged, reason = verdict.judge(anatomy.measure(named, slices.spacing_mm), confidence, edge_mm)
    if judged == "unusable":
        fibula = None
        if laterality is None:
            raise Refusal(
                "not_a_knee", f"expected a knee from the side that can be outlined, this one cannot: {reason}"
            )
    laterality = _resolve(laterality, fibula)

    fine = fine_classes(slices, probability, classes, classes != raw)
    labels = cleanup.name_sides(fine, middle, laterality)
    certain = calibration.certainty(slices, probability, fine) if with_certainty else None

    def on_grid(array: np.ndarray) -> Volume:
        turned = reorient(Volume(array, slices.canonical.affine), image.orientation)
        return image.with_array(np.ascontiguousarray(turned.array))

    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=len(Label)))
    return Segmentation(
        on_grid(labels),
        laterality,
        fibula,
        {Label(v): confidence[Label(v)] for v in present if Label(v) in confidence},
        judged,
        reason,
        None if certain is None else on_grid(certain),
        edge_mm,
    )


def _check_knee(classes: np.ndarray, slices: Slices) -> None:
    voxel_ml = np.prod(slices.spacing_mm) / 1000
    femur, tibia = classes == Class.FEMUR, classes == Class.TIBIA
    volumes = {Label.FEMUR: float(femur.sum() * voxel_ml), Label.TIBIA: float(tibia.sum() * voxel_ml)}
    above = True
    if femur.any() and tibia.any():
        above = bool(np.nonzero(femur)[1].mean() < np.nonzero(tibia)[1].mean())
    verdict.check_is_knee(volumes, above)


def _resolve(laterality: Laterality | None, fibula: Laterality | None) -> Laterality:
    if laterality is None and fibula is None:
        raise Refusal(
            "laterality_unknown",
            "expected the side of the knee from the table, the header or the fibula; none of them told it, and the "
            "fibula is not clearly in view; give the side in the scans table",
        )
    if laterality and fibula and laterality != fibula:
        words = {"L": "left", "R": "right"}
        raise Refusal(
            "laterality_conflict",
            f"the knee is said to be a {words[laterality]} one, its fibula lies as in a {words[fibula]} one; "
            "find out which is right and correct the scans table",
        )
    return laterality or fibula


def _confidence(probability: np.ndarray, classes: np.ndarray, named: np.ndarray) -> dict[Label, float]:
    table = calibration.shipped()
    own = np.take_along_axis(probability, classes[:, None], 1)[:, 0] / np.float32(CERTAIN)
    found = [Label(v) for v in np.unique(named) if v]
    return {label: float(table.apply(own[named == label], CLASS_OF[label]).mean(dtype=np.float64)) for label in found}
