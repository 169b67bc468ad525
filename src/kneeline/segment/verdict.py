"""Whether a segmentation can be trusted: three words and the reasons.

`unusable`: what was found cannot be a knee from the side, or bears no measurement; nothing may be concluded from it.
`review`: a knee, but a person should look before its scores are used. `ok`: nothing speaks against it.

The bounds are project decisions: outside them lies no adult knee (bones and menisci of people of 1.45 to 2.05 m with
room to spare), or the network has been wrong more often than right on simulated knees. They were checked on simulated
knees and on images of other things (docs/scoring.md). They are about trust in the outlines, not about disease.
"""

from __future__ import annotations

from typing import Literal

from kneeline.errors import Refusal
from kneeline.labels import CARTILAGES, MENISCI, Label
from kneeline.segment.anatomy import Anatomy

Verdict = Literal["ok", "review", "unusable"]

# Below this much femur and tibia together, or this much of either, there is no knee in the image (mL).
NO_KNEE_ML = 8.0
NO_BONE_ML = 1.0
# A bone smaller than this cannot carry regions and distances (mL).
LEAST_BONE_ML = 15.0
# Both menisci together, below which nothing that can be graded was found (mL).
LEAST_MENISCI_ML = 0.3
# Places and sizes of a knee: attribute of Anatomy, least, most, what it is.
BOUNDS = (
    ("drop_mm", 20, 130, "mm from the middle of the femur down to that of the tibia"),
    ("facing", 0.5, 1.0, "of the tibia under the femur"),
    ("gap_mm", 1, 18, "mm between femur and tibia"),
    ("filled", 0.6, 1.0, "of the joint space with cartilage or meniscus in it"),
    ("femur_width_mm", 40, 115, "mm of femur from left to right"),
    ("tibia_width_mm", 40, 110, "mm of tibia from left to right"),
    ("femur_depth_mm", 35, 90, "mm of femur from front to back"),
    ("tibia_depth_mm", 28, 70, "mm of tibia from front to back"),
    ("patella_front_mm", 8, 80, "mm from the middle of the femur forward to that of the patella"),
    ("patella_above_mm", -5, 90, "mm from the top of the tibia up to the middle of the patella"),
    ("menisci_apart_mm", 28, 75, "mm between the menisci"),
    ("meniscus_length_mm", 15, 65, "mm of meniscus from front to back"),
)
# A meniscus of an adult: 1 to 4 mL in most; outside these bounds a person should look (mL).
MENISCUS_ML = (0.8, 5.0)
# A knee that the image cuts off at a side, and of which less is in view (mm), lacks something.
WHOLE_WIDTH_MM = 55.0
# Share of a structure's voxels that is expected to be right (calibrated), below which a person should look: where
# simulated knees with poor outlines are told from others best, less 0.01 (bench/verdict.py --fit, which says what is
# poor; --check for other knees). Fluid is asked only where more than a film of it was found.
LEAST_CONFIDENCE = {
    Label.FEMUR: 0.97,
    Label.TIBIA: 0.98,
    Label.FEMORAL_CARTILAGE: 0.80,
    Label.MEDIAL_TIBIAL_CARTILAGE: 0.80,
    Label.LATERAL_TIBIAL_CARTILAGE: 0.80,
    Label.PATELLAR_CARTILAGE: 0.83,
    Label.MEDIAL_MENISCUS: 0.81,
    Label.LATERAL_MENISCUS: 0.83,
    Label.JOINT_FLUID: 0.75,
}
FILM_ML = 5.0
# Width of the edges at the border of bone (mm), above which a person should look, and above which nothing inside a
# meniscus can be seen. Simulated knees came to 2.1 to 2.5 as they were, up to 3.0 smoothed by a Gaussian of SD 0.8 mm,
# 3.4 to 4.3 by one of 1.6 mm (one region in five still graded right), 4.3 to 5.6 by one of 2.5 mm (one in nine).
MOST_EDGE_MM, BLIND_EDGE_MM = 3.2, 4.3
# So many reasons to look are one not to use it.
TOO_MANY = 4


def check_is_knee(volumes_ml: dict[Label, float], femur_above: bool) -> None:
    """
    Raises
    ------
    Refusal
        `not_a_knee`.
    """
    femur, tibia = (volumes_ml.get(bone, 0.0) for bone in (Label.FEMUR, Label.TIBIA))
    if femur + tibia < NO_KNEE_ML or min(femur, tibia) < NO_BONE_ML or not femur_above:
        raise Refusal(
            "not_a_knee",
            "expected a knee with femur above tibia, none was found in this image; check that the series shows a knee "
            "and that its orientation in the header is right",
        )


def judge(
    found: Anatomy, confidence: dict[Label, float], edge_width_mm: float | None = None
) -> tuple[Verdict, str | None]:
    """Verdict and, unless it is ok, every reason for it in plain words.

    Parameters
    ----------
    confidence
        Of each structure found, the share of its voxels that is expected to be right, 0 to 1.
    edge_width_mm
        At the border of bone, see `sharpness`; None where it was not measured.
    """
    if reasons := [*_not_a_knee(found)]:
        return "unusable", "; ".join(reasons)
    if edge_width_mm is not None and edge_width_mm > BLIND_EDGE_MM:
        return "unusable", f"{_blurred(edge_width_mm)}: no signal can be read"
    reasons = [*_doubts(found, confidence, edge_width_mm)]
    if len(reasons) >= TOO_MANY:
        return "unusable", "too much to doubt at once: " + "; ".join(reasons)
    return ("review", "; ".join(reasons)) if reasons else ("ok", None)


def _not_a_knee(found: Anatomy):
    """Reasons why this cannot be a knee seen from the side, or bears no measurement."""
    volumes = found.volumes_ml
    for bone in (Label.FEMUR, Label.TIBIA):
        if volumes.get(bone, 0.0) < LEAST_BONE_ML:
            yield (
                f"{bone.words} is missing or too small ({volumes.get(bone, 0.0):.0f} mL, at least "
                f"{LEAST_BONE_ML:.0f} expected)"
            )
    if not any(cartilage in volumes for cartilage in CARTILAGES):
        yield "no cartilage was found"
    if sum(volumes.get(meniscus, 0.0) for meniscus in MENISCI.values()) < LEAST_MENISCI_ML:
        yield "no meniscus was found"
    for name, least, most, words in BOUNDS:
        value = getattr(found, name)
        if value is None or least <= value <= most:
            continue
        yield f"{value:.3g} {words}, {least:g} to {most:g} expected"


def _doubts(found: Anatomy, confidence: dict[Label, float], edge_width_mm: float | None):
    """Reasons for a person to look."""
    volumes = found.volumes_ml
    for label in MENISCI.values():
        volume = volumes.get(label, 0.0)
        if not volume:
            yield f"{label.words} not found"
        elif not MENISCUS_ML[0] <= volume <= MENISCUS_ML[1]:
            yield f"{label.words} of {volume:.1f} mL, {MENISCUS_ML[0]:g} to {MENISCUS_ML[1]:g} expected"
    for label in (Label.PATELLA, *CARTILAGES):
        # Without a patella its cartilage is no news.
        if label not in volumes and not (label == Label.PATELLAR_CARTILAGE and Label.PATELLA not in volumes):
            yield f"{label.words} not found"
    widths = [v for v in (found.femur_width_mm, found.tibia_width_mm) if v is not None]
    if found.cut_at_side and widths and min(widths) < WHOLE_WIDTH_MM:
        yield f"only {min(widths):.0f} mm of the knee from left to right in view"
    unsure = [
        f"{confidence[label]:.0%} of the {label.words}"
        for label, least in LEAST_CONFIDENCE.items()
        if confidence.get(label, 1.0) < least and (label != Label.JOINT_FLUID or volumes.get(label, 0.0) > FILM_ML)
    ]
    # One cause spoils many structures: together they are one doubt.
    if unsure:
        yield f"only {', '.join(unsure)} expected to be right"
    if edge_width_mm is not None and edge_width_mm > MOST_EDGE_MM:
        yield _blurred(edge_width_mm)


def _blurred(edge_width_mm: float) -> str:
    return f"blurred: edges of bone are {edge_width_mm:.1f} mm wide, {MOST_EDGE_MM:g} at most expected"
