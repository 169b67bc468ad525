"""The form speaks the names and scales of the rest of kneeline."""

from kneeline import grading, tables
from kneeline.cohort.readings import PARTS, item_of
from kneeline.read import form


def test_the_form_asks_for_every_part_of_the_total_score():
    """What the cohort makes of the form's names covers the total lesion score, region by region."""
    asked = [item_of(item.structure, item.region) for item in form.ITEMS]
    assert len(set(asked)) == len(asked) == len(form.BY_NAME)
    regions = {(m, r) for m in PARTS["menisci"] for r in grading.REGIONS}
    bones = {("marrow", bone) for bone in PARTS["marrow"]}
    whole = {(part, None) for name in ("cartilage", "ligaments", "effusion") for part in PARTS[name]}
    assert set(asked) == regions | bones | whole


def test_scales_are_those_of_the_machine():
    grades = {item.structure: item.scale.grades for item in form.ITEMS}
    assert grades["medial_meniscus"] == grades["effusion"] == grading.GRADES
    assert grades["femoral_cartilage"] == tables.CARTILAGE["cartilage_grade"].allowed
    assert grades["marrow"] == tables.MARROW["marrow_grade"].allowed
    assert grades["acl"] == grading.LIGAMENT_GRADES


def test_thresholds_are_read_from_the_rules():
    words = dict(form.BY_NAME["effusion"].scale.words)
    for grade, (midline, lateral) in enumerate(
        zip(grading.EFFUSION_DEPTH.midline_mm, grading.EFFUSION_DEPTH.lateral_mm, strict=True), start=1
    ):
        assert f"{midline:g} mm on the midline" in words[grade]
        assert f"{lateral:g} mm laterally" in words[grade]
