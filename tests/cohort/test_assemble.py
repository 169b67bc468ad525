import pytest

from kneeline import tables
from kneeline.cohort.assemble import highest_grade, read_cohort, to_analyse
from kneeline.errors import UsageError


def _steps(flow):
    return {row["step"]: (row["n_participants"], row["n_scans"]) for row in flow}


def test_a_row_a_knee_with_the_runner_beside_it(fabricate, tmp_path):
    runners = [fabricate.runner(1), fabricate.runner(2)]
    knees = [fabricate.knee(2, "L", 2, 1), fabricate.knee(1, "R", 0, None), fabricate.knee(1, "L", 3, 0)]
    cohort = read_cohort(**fabricate.write_results(tmp_path, runners, knees))
    assert [(row["participant_id"], row["laterality"]) for row in cohort.knees] == [
        ("sub-001", "L"),
        ("sub-001", "R"),
        ("sub-002", "L"),
    ]
    first, second, third = cohort.knees
    assert (first["signal_grade"], first["medial_posterior_horn_signal_grade"], first["effusion_grade"]) == (3, 3, 0)
    assert second["effusion_grade"] is None
    assert (third["strike_style"], third["weekly_distance_km"]) == ("forefoot", runners[1]["weekly_distance_km"])
    assert all(set(row) == set(tables.KNEES.header) for row in cohort.knees)


def test_nobody_is_lost_without_a_word(fabricate, tmp_path):
    runners = [fabricate.runner(i) for i in (1, 2, 3, 4)]
    knees = [
        fabricate.knee(1, "L", 1, 0),
        fabricate.knee(2, "L", 1, 0) | {"verdict": "unusable"},
    ]
    aside = {
        "participant_id": "sub-003",
        "session_id": "ses-01",
        "laterality": "L",
        "scan_id": "sub-003_ses-01_knee-L",
        "status": "quarantined",
        "stage": "ingest",
        "reason_code": "missing_slice",
        "reason": "slice 7 of 24 is missing",
    }
    cohort = read_cohort(**fabricate.write_results(tmp_path, runners, knees, [aside]))
    steps = _steps(cohort.flow)
    assert steps["runners in the participants sheet"] == (4, None)
    assert steps["scans in the scans table"] == (3, 3)
    assert steps["less runners without a scan"] == (1, 0)
    assert steps["less scans set aside at ingest"] == (1, 1)
    assert steps["scored knees"] == (2, 2)
    assert steps["less knees with an unusable segmentation"] == (1, 1)
    assert steps["knees to analyse"] == (1, 1)
    reasons = " ".join(row["reason"] or "" for row in cohort.flow)
    for word in ("missing_slice: slice 7 of 24 is missing", "sub-003", "sub-004", "sub-002"):
        assert word in reasons
    assert len(cohort.knees) == 2
    assert [row["participant_id"] for row in to_analyse(cohort)] == ["sub-001"]
    assert {row["participant_id"]: row["analysed"] for row in cohort.knees} == {"sub-001": True, "sub-002": False}
    assert set(cohort.scanned) == {(f"sub-00{i}", "ses-01", "L") for i in (1, 2, 3)}


def test_a_knee_of_nobody_in_the_sheet_stops_the_stage_by_name(fabricate, tmp_path):
    knees = [fabricate.knee(1, "L", 1, 0), fabricate.knee(9, "L", 1, 0), fabricate.knee(9, "R", 1, 0)]
    paths = fabricate.write_results(tmp_path, [fabricate.runner(1), {"participant_id": "sub-0009"}], knees)
    with pytest.raises(UsageError) as told:
        read_cohort(**paths)
    text = str(told.value)
    assert "sub-009: in the scans table (sub-009 ses-01 L, sub-009 ses-01 R)" in text
    assert "not in the participants sheet, which has sub-0009" in text
    assert "1 fault(s)" in text


def test_a_side_that_differs_between_tables_is_named(fabricate, tmp_path):
    paths = fabricate.write_results(tmp_path, [fabricate.runner(1)], [fabricate.knee(1, "L", 0, 0)])
    meniscus = paths["score_dir"] / "meniscus.tsv"
    meniscus.write_text(meniscus.read_text().replace("\tL\t", "\tR\t"))
    with pytest.raises(UsageError) as told:
        read_cohort(**paths)
    assert "sub-001 ses-01 R: in meniscus scores, but the scans table has side L" in str(told.value)
    assert "sub-001 ses-01 L: scanned, but without meniscus scores" in str(told.value)


def test_a_sheet_of_ids_only_is_analysed(fabricate, tmp_path):
    """Grades of runners about whom nothing else is known are still counted."""
    cohort = read_cohort(
        **fabricate.write_results(tmp_path, [{"participant_id": "sub-001"}], [fabricate.knee(1, "L", 1, 0)])
    )
    assert cohort.knees[0]["weekly_distance_km"] is None
    assert to_analyse(cohort) == cohort.knees


def test_scores_and_scans_that_disagree_stop_the_stage(fabricate, tmp_path):
    paths = fabricate.write_results(tmp_path, [fabricate.runner(1)], [fabricate.knee(1, "L", 0, 0)])
    effusion = paths["score_dir"] / "effusion.tsv"
    tables.write_table(effusion, [], tables.EFFUSION)
    with pytest.raises(UsageError, match="effusion scores and the scans table disagree.*sub-001 ses-01 L"):
        read_cohort(**paths)


def test_a_runner_twice_in_the_sheet_is_an_error(fabricate, tmp_path):
    paths = fabricate.write_results(tmp_path, [fabricate.runner(1)] * 2, [fabricate.knee(1, "L", 0, 0)])
    with pytest.raises(UsageError, match="the same participant_id as line 2"):
        read_cohort(**paths)


def test_a_region_without_grade_could_be_higher():
    assert highest_grade([0, 1, 2]) == 2
    assert highest_grade([0, None, 2]) is None
    assert highest_grade([0, None, 3]) == 3
    assert highest_grade([None, None]) is None
