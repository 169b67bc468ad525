from tests.cohort.conftest import one_a_runner

from kneeline.cohort.joint import joint_cells
from kneeline.cohort.settings import Settings

SETTINGS = Settings()


def test_risks_and_odds_ratios_against_one_reference():
    rows = joint_cells(one_a_runner([(20, 5), (18, 8), (12, 6), (10, 15)]), "signal_grade", SETTINGS)
    assert [(r["strike_group"], r["distance_group"], r["count"], r["n_participants"]) for r in rows] == [
        ("non_rearfoot", "below_32_km", 5, 25),
        ("non_rearfoot", "from_32_km", 8, 26),
        ("rearfoot", "below_32_km", 6, 18),
        ("rearfoot", "from_32_km", 15, 25),
    ]
    assert [r["status"] for r in rows] == ["reference", "estimated", "estimated", "estimated"]
    assert rows[3]["risk"] == 0.6
    # Conditional estimates lie a little nearer to 1 than ad / bc = 6.
    assert 5 < rows[3]["odds_ratio"] < 6


def test_grade_1_is_a_finding_and_one_knee_that_has_it_is_enough():
    knees = one_a_runner([(20, 5), (18, 8), (12, 6), (10, 15)])
    slight = [knee | {"signal_grade": min(knee["signal_grade"], 1)} for knee in knees]
    other = [knee | {"signal_grade": 0} for knee in knees]
    rows = joint_cells([*other, *slight], "signal_grade", SETTINGS)
    assert [(row["count"], row["n_participants"], row["n_knees"]) for row in rows] == [
        (5, 25, 50), (8, 26, 52), (6, 18, 36), (15, 25, 50),
    ]  # fmt: skip
