"""The reader's form: what is graded, in which order, with which grades, and what each grade means.

Parts and scales are those of `grading` and of the score tables, so that reader and machine speak of the same thing. The
page draws its form from this list, and an export is checked against it.
"""

from __future__ import annotations

from dataclasses import dataclass

from kneeline import grading, tables


@dataclass(frozen=True)
class Scale:
    """Grades in order, with the words that a reader sees beside each."""

    words: tuple[tuple[int, str], ...]

    @property
    def grades(self) -> tuple[int, ...]:
        return tuple(grade for grade, _ in self.words)


@dataclass(frozen=True)
class Item:
    """One thing to grade: `structure` and `region` as in READINGS; where on the form it stands."""

    structure: str
    region: str | None
    section: str
    label: str
    scale: Scale

    @property
    def name(self) -> str:
        return f"{self.structure}/{self.region}" if self.region else self.structure


def _scale(allowed: tuple[int, ...], *words: str) -> Scale:
    return Scale(tuple(zip(allowed, words, strict=True)))


_TOUCH = grading.SIGNAL.touch_slices
_MIDLINE = grading.EFFUSION_DEPTH.midline_mm
_LATERAL = grading.EFFUSION_DEPTH.lateral_mm
_SMALL, _LARGE = grading.MARROW.extent_mm

SIGNAL = _scale(
    grading.GRADES,
    "uniformly dark",
    "focal or globular signal, no contact with a surface",
    "linear signal, no contact (or on one image only)",
    f"reaches the upper or lower surface on {_TOUCH} images or more",
)
EFFUSION = _scale(
    grading.GRADES,
    "none, or as much as is normal",
    *(
        f"{word}: suprapatellar depth from {m:g} mm on the midline or {side:g} mm laterally"
        for word, m, side in zip(("small", "medium", "large"), _MIDLINE, _LATERAL, strict=True)
    ),
)
CARTILAGE = _scale(
    tables.CARTILAGE["cartilage_grade"].allowed,
    "normal",
    "signal change or swelling, surface intact",
    f"defect of up to {grading.CARTILAGE.half_depth_pct:g} % of the thickness",
    "deeper defect, bone covered",
    "bare bone",
)
MARROW = _scale(
    tables.MARROW["marrow_grade"].allowed,
    "no oedema-like signal",
    f"small: longest extent under {_LARGE:g} mm",
    f"large: from {_LARGE:g} mm",
)
LIGAMENT = _scale(grading.LIGAMENT_GRADES, "normal", "signal or thickening, fibres continuous", "torn")

CONFIDENCE = _scale((1, 2, 3), "low", "medium", "high")

_PARTS = dict(grading.TOTAL.parts)
_LONG = {
    "acl": "anterior cruciate",
    "pcl": "posterior cruciate",
    "mcl": "medial collateral",
    "lcl": "lateral collateral",
}


def _words(name: str) -> str:
    return name.replace("_", " ")


ITEMS = (
    *(
        Item(meniscus, region, _words(meniscus), _words(region), SIGNAL)
        for meniscus in _PARTS["menisci"]
        for region in grading.REGIONS
    ),
    *(Item(name, None, "joint fluid", "effusion", EFFUSION) for name in _PARTS["effusion"]),
    *(
        Item(name, None, "cartilage", _words(name).removesuffix(" cartilage"), CARTILAGE)
        for name in _PARTS["cartilage"]
    ),
    *(Item("marrow", name, "bone marrow", _words(name), MARROW) for name in _PARTS["marrow"]),
    *(Item(name, None, "ligaments", _LONG[name], LIGAMENT) for name in _PARTS["ligaments"]),
)
BY_NAME = {item.name: item for item in ITEMS}


def as_json() -> list[dict]:
    """The form as the page needs it."""
    return [
        {
            "name": item.name,
            "structure": item.structure,
            "region": item.region,
            "section": item.section,
            "label": item.label,
            "words": item.scale.words,
        }
        for item in ITEMS
    ]
