"""A knee whose outlines a person corrected is analysed, says so, and tells nothing about the machine."""

import pytest
from tests.cohort.test_machine_error import SETTINGS, _cohort
from tests.cohort.test_total import knee as graded_knee
from tests.cohort.test_total import read as reading
from tests.cohort.test_total import total

from kneeline import tables
from kneeline.cohort.agreement import compare_raters
from kneeline.cohort.assemble import read_cohort
from kneeline.cohort.machine_error import machine_error_rows
from kneeline.cohort.outlines import by_machine
from kneeline.statistics.resampled import Resampling
from kneeline.tables import is_edited

BY_ANNA = {"outlined_by": "edited by anna"}
NONE = Resampling(0, 1)


def readings(knees, grade):
    return [
        {k: row[k] for k in tables.KNEE_KEYS}
        | {"rater_id": "reader", "reading": 1, "structure": "effusion", "region": None, "grade": grade(row)}
        for row in knees
    ]


def knee(number, effusion, **more):
    keys = {"participant_id": f"sub-{number:02d}", "session_id": "ses-01", "laterality": "L"}
    regions = {column.name: 0 for column in tables.KNEES.columns if column.name.endswith("_signal_grade")}
    return keys | regions | {"effusion_grade": effusion, "effusion_grade_volume": effusion} | more


@pytest.mark.parametrize(("said", "edited"), [("machine", False), (None, False), ("edited by anna", True)])
def test_tables_of_before_and_after_are_told_apart(said, edited):
    assert is_edited({"outlined_by": said}) == edited
    assert is_edited({}) is False
    assert len(by_machine([{"outlined_by": said}])) == (not edited)


def test_agreement_of_the_machine_is_without_them_and_says_how_many():
    """Six knees of which the machine had two right; a person mended the other four, all as the reader has them."""
    knees = [knee(n, n % 4) for n in range(8)] + [knee(n, 3, **BY_ANNA) for n in range(8, 12)]
    read = readings(knees, lambda row: row["effusion_grade"])
    agreement, confusion = compare_raters(knees, read, (), (), NONE)
    (told,) = [row for row in agreement if row["statistic"] == "edited"]
    assert told["note"].startswith("4 knees left out, their outlines were corrected by hand")
    machine = [row for row in agreement if row["comparison"].startswith("machine with reader") and row.get("n")]
    assert machine
    assert {row["n"] for row in machine} == {8}
    assert sum(row["n"] for row in confusion if row["structure"] == "effusion") == 8
    tables.format_table(agreement, tables.AGREEMENT)
    plain, _ = compare_raters(knees[:8], read[:8], (), (), NONE)
    assert [row for row in agreement if row["statistic"] != "edited"] == plain


def test_readers_are_still_compared_on_every_knee():
    knees = [knee(n, n % 4, **BY_ANNA) for n in range(8)]
    read = readings(knees, lambda row: row["effusion_grade"])
    both = read + [row | {"rater_id": "second"} for row in read]
    agreement, _ = compare_raters(knees, both, (), (), NONE)
    pair = [r for r in agreement if r["comparison"] == "reader reading 1 with second reading 1"]
    assert {row["n"] for row in pair} == {8}
    assert [row["n"] for row in agreement if row["comparison"] == "machine with reader reading 1"] == [0]


def test_the_machine_s_error_is_of_knees_that_it_outlined_and_every_row_says_so():
    knees, read, _ = _cohort(40, 40, seed=3)
    edited = [row | BY_ANNA if row["participant_id"] < "sub-0003" else row for row in knees]
    rows = machine_error_rows(edited, read, SETTINGS)
    assert all("6 knees left out" in row["warnings"] for row in rows)
    without = machine_error_rows([row for row in edited if not is_edited(row)], read, SETTINGS)
    for row, other in zip(rows, without, strict=True):
        assert {**row, "warnings": None} == {**other, "warnings": None}
    tables.format_table(rows, tables.MACHINE_ERROR)


def test_the_analysis_table_says_whose_outlines_it_holds(fabricate, tmp_path):
    runners = [fabricate.runner(i) for i in (1, 2)]
    knees = [fabricate.knee(1, "L", 2, 1), fabricate.knee(2, "L", 0, 0)]
    paths = fabricate.write_results(tmp_path, runners, knees)
    rows = tables.read_table(paths["scans"], tables.INGEST_SCANS)
    tables.write_table(paths["scans"], [rows[0] | BY_ANNA, rows[1] | {"outlined_by": "machine"}], tables.INGEST_SCANS)
    cohort = read_cohort(**paths)
    assert [row["outlined_by"] for row in cohort.knees] == ["edited by anna", "machine"]
    assert [row["analysed"] for row in cohort.knees] == [True, True]


def test_a_scans_table_of_before_still_works(fabricate, tmp_path):
    paths = fabricate.write_results(tmp_path, [fabricate.runner(1)], [fabricate.knee(1, "L", 2, 1)])
    lines = [line.split("\t") for line in paths["scans"].read_text().splitlines()]
    at = lines[0].index("outlined_by")
    paths["scans"].write_text("".join("\t".join(cells[:at] + cells[at + 1 :]) + "\n" for cells in lines))
    assert [row["outlined_by"] for row in read_cohort(**paths).knees] == [None]


def test_the_total_says_that_the_machine_graded_a_person_s_outlines():
    out = total(graded_knee(1) | BY_ANNA, [reading("effusion", 2)], total_structures=["menisci", "effusion"])
    assert out["total_parts"] == "menisci=machine on edited outlines,effusion=reader:anna"
