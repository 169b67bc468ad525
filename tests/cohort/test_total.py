"""The total lesion score: plain sums of known grades, and every way in which a part may be missing."""

import pytest

from kneeline import grading, tables
from kneeline.cohort.settings import read_settings
from kneeline.cohort.total import add_totals, runner_totals
from kneeline.errors import UsageError

KEY = {"participant_id": "sub-001", "session_id": "ses-01", "laterality": "L"}
PLATES, BONES = tables.CARTILAGE["plate"].allowed, tables.MARROW["bone"].allowed
LIGAMENTS = ("acl", "pcl", "mcl", "lcl")


def knee(effusion=1, **regions):
    grades = {f"{m}_{r}_signal_grade": 0 for m in grading.MENISCI for r in grading.REGIONS}
    return {**KEY, **grades, "effusion_grade": effusion, **{f"{k}_signal_grade": v for k, v in regions.items()}}


def read(structure, grade, region=None, rater="anna", reading=1):
    return {**KEY, "rater_id": rater, "reading": reading, "structure": structure, "region": region, "grade": grade}


def total(row, readings=(), cartilage=0, marrow=0, **settings):
    plates = [{**KEY, "plate": plate, "cartilage_grade": cartilage} for plate in PLATES]
    bones = [{**KEY, "bone": bone, "marrow_grade": marrow} for bone in BONES]
    (out,) = add_totals([row], plates, bones, list(readings), read_settings(settings))
    return out


def test_every_part_is_added_once():
    """2 + 1 of the menisci, 4 plates of 2, 3 bones of 1, ligaments 1 + 0 + 2 + 0, effusion 3."""
    row = knee(3, medial_body=1, medial_posterior_horn=2, lateral_anterior_horn=1)
    ligaments = [read(name, grade) for name, grade in zip(LIGAMENTS, (1, 0, 2, 0), strict=True)]
    out = total(row, ligaments, cartilage=2, marrow=1, total_experimental=True)
    scores = {name: out[f"{name}_score"] for name in grading.TOTAL.structures}
    assert scores == {"menisci": 3, "cartilage": 8, "marrow": 3, "ligaments": 3, "effusion": 3}
    assert out["total_lesion_score"] == 20
    assert out["total_parts"] == (
        "menisci=machine,cartilage=machine,marrow=machine,ligaments=reader:anna,effusion=machine"
    )


def test_by_default_experimental_grades_and_ligaments_make_it_missing():
    out = total(knee(1, medial_body=1), cartilage=2)
    assert out["total_lesion_score"] is out["cartilage_score"] is out["ligaments_score"] is None
    assert (out["menisci_score"], out["effusion_score"]) == (1, 1)
    assert out["total_parts"] == (
        "menisci=machine,cartilage=missing (experimental),marrow=missing (experimental),"
        "ligaments=missing (a reader grades it),effusion=machine"
    )


def test_only_the_structures_asked_for_count():
    out = total(knee(2, lateral_body=3), cartilage=4, total_structures=["menisci", "effusion"])
    assert out["total_lesion_score"] == 5
    assert out["cartilage_score"] is None
    assert out["total_parts"] == "menisci=machine,effusion=machine"


def test_a_reader_goes_before_the_machine():
    row = knee(1, medial_posterior_horn=3, medial_body=1)
    settings = {"total_structures": ["menisci", "effusion"]}
    out = total(row, [read("medial_meniscus", 0, "posterior_horn"), read("effusion", 2)], **settings)
    assert (out["menisci_score"], out["effusion_score"]) == (1, 2)
    assert out["total_parts"] == "menisci=machine+reader:anna,effusion=reader:anna"
    assert total(row, [read("medial_meniscus", 4)], **settings)["menisci_score"] == 4
    unreadable = total(row, [read("effusion", None)], **settings)
    assert (unreadable["effusion_score"], unreadable["total_parts"]) == (1, "menisci=machine,effusion=machine")


def test_one_grade_for_a_whole_structure_stands_for_its_sum():
    readings = [read("cartilage", 2), read("marrow", 1), read("ligaments", 0)]
    assert total(knee(0), readings)["total_lesion_score"] == 3


def test_bones_may_be_regions_of_marrow():
    readings = [read("marrow", 1, "femur"), read("marrow", 0, "tibia"), read("marrow", 2, "patella")]
    assert total(knee(0), readings, total_structures=["marrow"])["total_lesion_score"] == 3
    assert total(knee(0), readings[:2], total_structures=["marrow"])["total_lesion_score"] is None


def test_the_first_reading_of_the_first_reader_counts_in_any_order():
    readings = [
        read("effusion", 3, rater="zoe"),
        read("effusion", 2, rater="anna", reading=2),
        read("effusion", 1, rater="anna"),
    ]
    for order in (readings, readings[::-1]):
        assert total(knee(0), order, total_structures=["effusion"])["effusion_score"] == 1


@pytest.mark.parametrize("row", [knee(None), knee(1, medial_body=None)])
def test_what_was_not_graded_is_missing_not_0(row):
    out = total(row, total_structures=["menisci", "effusion"])
    assert out["total_lesion_score"] is None
    assert "missing (not graded)" in out["total_parts"]


def test_a_meniscus_with_the_highest_grade_needs_no_other_region():
    out = total(knee(1, medial_body=None, medial_posterior_horn=3), total_structures=["menisci", "effusion"])
    assert (out["menisci_score"], out["total_parts"]) == (3, "menisci=machine,effusion=machine")


def test_a_runner_has_the_score_of_the_worse_knee():
    def row(person, side, score):
        return {"participant_id": person, "session_id": "ses-01", "laterality": side, "total_lesion_score": score}

    rows = [row("b", "L", 2), row("a", "L", 1), row("a", "R", 5), row("c", "L", 3), row("c", "R", None)]
    found = [tuple(r.values()) for r in runner_totals(rows)]
    assert found == [("a", "ses-01", 2, 2, 5), ("b", "ses-01", 1, 1, 2), ("c", "ses-01", 2, 1, None)]


def test_an_unknown_structure_is_refused():
    with pytest.raises(UsageError, match="total_structures: expected some of menisci.* got 'bones'"):
        read_settings({"total_structures": ["bones"]})
    with pytest.raises(UsageError, match="total_structures: expected at least one, got none"):
        read_settings({"total_structures": []})


def test_the_stage_writes_it(fabricate, analyse):
    knees = [fabricate.knee(1, "L", 2, 1), fabricate.knee(1, "R", 0, 3), fabricate.knee(2, "L", 1, 0)]
    found = analyse(
        [fabricate.runner(1), fabricate.runner(2)], knees, config={"total_structures": ["menisci", "effusion"]}
    )
    assert [row["total_lesion_score"] for row in found.knees] == [3, 3, 1]
    assert [(row["n_knees"], row["total_lesion_score"]) for row in found.runners] == [(2, 3), (1, 1)]
