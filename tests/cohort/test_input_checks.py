import pytest

from kneeline import cli, tables
from kneeline.cohort.doubts import doubts
from kneeline.cohort.input_checks import reading_faults
from kneeline.cohort.runners import read_runners
from kneeline.errors import UsageError

SCANNED = [("sub-1", "ses-01", "L"), ("sub-2", "ses-01", "R"), ("sub-3", "ses-01", None)]
RUNNERS = {"sub-1", "sub-2", "sub-3"}


def reading(participant="sub-1", side="L", structure="effusion", region=None, grade=1, value=None, session="ses-01"):
    return {
        "rater_id": "anna",
        "reading": 1,
        "participant_id": participant,
        "session_id": session,
        "laterality": side,
        "structure": structure,
        "region": region,
        "grade": grade,
        "value": value,
    }


def test_readings_that_fit_have_no_faults():
    rows = [
        reading(),
        reading("sub-2", "R", "medial_meniscus", "body"),
        reading("sub-3", "R"),  # its side was not known
        reading(structure="fluid_ml", grade=None, value=4.5),
        reading(structure="hoffa"),  # the machine knows nothing of it; readers may agree on it
    ]
    assert reading_faults(rows, SCANNED, RUNNERS) == []


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (reading("sub-9"), "sub-9: in the readings (sub-9 ses-01 L) but not in the participants sheet"),
        (reading("sub-1", "R"), "sub-1 ses-01 R: read by anna, but the scans table has side L"),
        (reading(session="ses-02"), "sub-1 ses-02 L: read by anna, but the scans table has no such visit"),
        (reading(structure="medial_menicus"), "'medial_menicus' is no structure or region that is known; is it"),
        (reading(value=3.0), "effusion has a grade and a value"),
        (reading(grade=None, value=3.0), "effusion has a value; the name of what is measured ends in its unit"),
        (reading(structure="fluid_ml"), "fluid_ml has a grade; what is measured goes into the column value"),
    ],
)
def test_readings_that_do_not_fit_are_named(row, words):
    (fault,) = reading_faults([row], SCANNED, RUNNERS)
    assert words in fault
    assert row["participant_id"] in fault


def test_one_thing_under_two_names_is_read_twice():
    rows = [reading(structure="femoral_cartilage"), reading(structure="cartilage", region="femoral_cartilage")]
    (fault,) = reading_faults(rows, SCANNED, RUNNERS)
    assert "femoral_cartilage twice, as femoral_cartilage and as cartilage femoral_cartilage" in fault


def _sheet(tmp_path, *rows):
    tables.write_table(tmp_path / "participants.tsv", rows, tables.PARTICIPANTS)
    return tmp_path / "participants.tsv"


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("bmi_kg_m2", 240, "a lost decimal point? that would be 24 (sub-007)"),
        ("bmi_kg_m2", 0.0023, "kilograms and centimetres instead of metres? that would be 23 (sub-007)"),
        ("bmi_kg_m2", 0.0325, "pounds and inches without the factor 703? that would be 22.85"),
        ("bmi_kg_m2", 72, "a weight in kilograms? (sub-007)"),
        ("age_years", 420, "months? that would be 35"),
        ("age_years", 1984, "a year of birth?"),
        ("weekly_distance_km", 32000, "metres? that would be 32"),
        ("weekly_distance_km", 1660, "kilometres a year? that would be 31.81"),
        ("pace_min_per_km", 330, "seconds a kilometre? that would be 5.5"),
        ("running_years", 2011, "the year of the first run?"),
        ("sessions_per_week", 1000, "sessions a year?"),
    ],
)
def test_a_wrong_unit_is_named_with_the_row_and_the_likely_unit(tmp_path, fabricate, column, value, words):
    path = _sheet(tmp_path, fabricate.runner(3), fabricate.runner(7) | {column: value})
    with pytest.raises(UsageError) as told:
        read_runners(path)
    assert f"line 3, column {column}: expected a value from" in str(told.value)
    assert words in str(told.value)


@pytest.mark.parametrize(
    ("column", "text", "words"),
    [
        ("weekly_distance_km", "20 miles", "give the number alone, in km: 32.19"),
        ("weekly_distance_km", "32 km/week", "give the number alone, in km: 32"),
        ("pace_min_per_km", "5:30", "give minutes as a number: 5.5"),
        ("age_years", "41 y", "give the number alone, in years: 41"),
        ("bmi_kg_m2", "24,5", "decimals need a point, not a comma"),
    ],
)
def test_units_written_behind_a_number_are_converted_in_the_message(tmp_path, fabricate, column, text, words):
    path = _sheet(tmp_path, fabricate.runner(1))
    header, line = path.read_text().splitlines()
    cells = line.split("\t")
    cells[header.split("\t").index(column)] = text
    path.write_text(header + "\n" + "\t".join(cells) + "\n")
    with pytest.raises(UsageError) as told:
        read_runners(path)
    assert words in str(told.value)


@pytest.mark.parametrize(
    ("column", "instead", "words"),
    [
        ("weekly_distance_km", "weekly_distance_miles", "multiply miles by 1.609344"),
        ("weekly_distance_km", "km_per_month", "divide by 4.35"),
        ("pace_min_per_km", "pace_min_per_mile", "divide minutes a mile by 1.609344"),
        ("bmi_kg_m2", "bmi", "'bmi' for bmi_kg_m2?"),
        ("age_years", "Age_Years", "'Age_Years' for age_years?"),
    ],
)
def test_a_column_in_another_unit_is_recognised(tmp_path, fabricate, column, instead, words):
    path = _sheet(tmp_path, fabricate.runner(1))
    path.write_text(path.read_text().replace(column, instead, 1))
    with pytest.raises(UsageError) as told:
        read_runners(path)
    assert f"missing column(s) {column}" in str(told.value)
    assert words in str(told.value)


def test_miles_of_distance_are_not_taken_for_a_pace(tmp_path, fabricate):
    path = _sheet(tmp_path, fabricate.runner(1))
    text = path.read_text().replace("weekly_distance_km", "weekly_distance_miles", 1)
    path.write_text(text.replace("pace_min_per_km", "tempo", 1))
    with pytest.raises(UsageError) as told:
        read_runners(path)
    assert "'weekly_distance_miles' for weekly_distance_km? (multiply" in str(told.value)
    assert "for pace_min_per_km?" not in str(told.value)


def test_a_usual_sheet_raises_no_doubt(fabricate):
    assert doubts([fabricate.runner(i) | {"sessions_per_week": 4, "pace_min_per_km": 5.5} for i in range(1, 20)]) == []
    assert doubts([{"participant_id": "sub-1"}]) == []


def test_doubts_name_the_runners_and_the_unit():
    def sheet(**values):
        return [{"participant_id": f"sub-{i}"} | {k: v[i] for k, v in values.items()} for i in range(6)]

    (said,) = doubts(sheet(weekly_distance_km=[8, 40, 30, 50, 25, 200], sessions_per_week=[6, 4, 3, 5, 3, 3]))[:1]
    assert "less than 1.5 km a session" in said
    assert "sub-0 8 km in 6 sessions" in said
    (_, long) = doubts(sheet(weekly_distance_km=[8, 40, 30, 50, 25, 200], sessions_per_week=[6, 4, 3, 5, 3, 3]))
    assert "distance of a month? (sub-5 200 km in 3 sessions)" in long
    (miles,) = doubts(sheet(weekly_distance_km=[12.43, 18.64, 24.85, 31.07, 9.32, 15.53]))
    assert "12.43 = 20 km; are they miles?" in miles
    (month,) = doubts(sheet(weekly_distance_km=[120, 140, 180, 90, 200, 130]))
    assert "the middle distance is 135 km a week; is it that of a month? 135 km a month are 31 a week" in month
    (pace,) = doubts(sheet(pace_min_per_km=[8.5, 9, 9.5, 8, 10, 9]))
    assert "are these minutes a mile? 9 min a mile are 5.59 a km" in pace
    (index,) = doubts(sheet(strike_index_pct=[0.1, 0.2, 0.15, 0.7, 0.9, 0.1]))
    assert "are these shares?" in index


def test_check_and_run_tell_the_same_before_anything_is_made(tmp_path, monkeypatch, capsys, fabricate):
    monkeypatch.chdir(tmp_path)
    scan = {"participant_id": "sub-001", "laterality": "L", "path": "nowhere"}
    tables.write_table("config/scans.tsv", [scan], tables.SCANS)
    people = [fabricate.runner(i) | {"pace_min_per_km": 9} for i in range(1, 7)]
    tables.write_table("config/participants.tsv", people, tables.PARTICIPANTS)
    row = {"rater_id": "anna", "reading": 1, "participant_id": "sub-001", "session_id": "ses-01", "laterality": "L"}
    tables.write_table("readings.tsv", [row | {"structure": "effusion", "grade": 1}], tables.READINGS)
    config = tmp_path / "config/config.yaml"
    config.write_text("participants: config/participants.tsv\nscans: config/scans.tsv\nreadings: readings.tsv\n")
    assert cli.main(["check"]) == 0
    assert "config/participants.tsv: pace_min_per_km: the middle pace is 9 min a km" in capsys.readouterr().out
    tables.write_table(
        "readings.tsv", [row | {"laterality": "R", "structure": "effusion", "grade": 1}], tables.READINGS
    )
    for command in ("check", "run"):
        assert cli.main([command]) == 2
        assert "sub-001 ses-01 R: read by anna, but the scans table has side L" in capsys.readouterr().err
    tables.write_table("config/scans.tsv", [scan, scan], tables.SCANS)
    assert cli.main(["check"]) == 2
    assert "line 3: the same participant_id, session_id, laterality, path as line 2" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()
