"""Whether a segmentation can be trusted: three words and a reason.

Thresholds are project decisions: bounds outside which no adult knee lies, or below which the network has been wrong
more often than right on simulated knees. They are about trust in the outlines, not about disease.
"""

from __future__ import annotations

from typing import Literal

from kneeline.errors import Refusal
from kneeline.labels import MENISCI, Label

Verdict = Literal["ok", "review", "unusable"]

# Below this much femur and tibia together, or this much of either, there is no knee in the image (mL): in noise the
# network has been seen to find a "femur", never both.
NO_KNEE_ML = 8.0
NO_BONE_ML = 1.0
# A bone smaller than this cannot carry regions and distances (mL).
LEAST_BONE_ML = 15.0
# A meniscus of an adult: 1 to 4 mL in most; outside these bounds a person should look (mL).
MENISCUS_ML = (0.8, 5.0)
# Mean probability inside a structure below which a person should look.
LEAST_CONFIDENCE = {
    Label.FEMUR: 0.85,
    Label.TIBIA: 0.85,
    Label.MEDIAL_MENISCUS: 0.65,
    Label.LATERAL_MENISCUS: 0.65,
}


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


def judge(volumes_ml: dict[Label, float], confidence: dict[Label, float]) -> tuple[Verdict, str | None]:
    """Verdict and, unless it is ok, every reason for it in plain words.

    Parameters
    ----------
    volumes_ml
        Volume of each structure that was found.
    confidence
        Mean probability in each of them, 0 to 1.
    """
    missing = [b for b in (Label.FEMUR, Label.TIBIA) if volumes_ml.get(b, 0.0) < LEAST_BONE_ML]
    if missing:
        return "unusable", "; ".join(
            f"{b.label_name} is missing or too small "
            f"({volumes_ml.get(b, 0.0):.0f} mL, at least {LEAST_BONE_ML:.0f} expected)"
            for b in missing
        )
    if not any(m in volumes_ml for m in MENISCI.values()):
        return "unusable", "no meniscus was found"
    reasons = []
    for label in MENISCI.values():
        volume = volumes_ml.get(label, 0.0)
        if not MENISCUS_ML[0] <= volume <= MENISCUS_ML[1]:
            reasons.append(
                f"{_words(label)} of {volume:.1f} mL, {MENISCUS_ML[0]:g} to {MENISCUS_ML[1]:g} expected"
                if volume
                else f"{_words(label)} not found"
            )
    for label in (Label.PATELLA, Label.FEMORAL_CARTILAGE):
        if label not in volumes_ml:
            reasons.append(f"{_words(label)} not found")
    for label, least in LEAST_CONFIDENCE.items():
        if confidence.get(label, 1.0) < least:
            reasons.append(f"the network is unsure of the {_words(label)} (mean probability {confidence[label]:.2f})")
    return ("review", "; ".join(reasons)) if reasons else ("ok", None)


def _words(label: Label) -> str:
    return label.label_name.replace("_", " ")
