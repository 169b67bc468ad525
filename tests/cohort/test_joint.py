import pytest

from kneeline.cohort.joint import additive_rows, joint_cells
from kneeline.cohort.settings import Settings

SETTINGS = Settings()


def _knees(counts):
    """Knees, one a runner: (without, with the finding) for non-rearfoot below, from; rearfoot below, from the cut."""
    knees = []
    for cell, (without, having) in enumerate(counts):
        for grade in [0] * without + [2] * having:
            knees.append(
                {
                    "participant_id": f"sub-{len(knees):03d}",
                    "strike_style": "rearfoot" if cell >= 2 else "forefoot",
                    "weekly_distance_km": 50.0 if cell % 2 else 20.0,
                    "signal_grade": grade,
                }
            )
    return knees


def test_risks_and_odds_ratios_against_one_reference():
    rows = joint_cells(_knees([(20, 5), (18, 8), (12, 6), (10, 15)]), "signal_grade", SETTINGS)
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


def test_additive_interaction_of_known_risks():
    # Risks 0.2, 0.3, 0.4, 0.8: RERI = 4 - 1.5 - 2 + 1 in risk ratios.
    rows = additive_rows(_knees([(80, 20), (70, 30), (60, 40), (20, 80)]), "signal_grade", SETTINGS)
    found = {row["term"]: row for row in rows}
    assert found["RERI"]["estimate"] == pytest.approx(1.5)
    assert found["AP"]["estimate"] == pytest.approx(1.5 / 4)
    assert found["S"]["estimate"] == pytest.approx(3 / 1.5)
    assert found["RERI"]["n_participants"] == 400


def test_small_counts_are_a_caution():
    rows = additive_rows(_knees([(6, 3), (5, 5), (5, 5), (3, 7)]), "signal_grade", SETTINGS)
    assert "the interval is rough" in rows[0]["reason"]


@pytest.mark.parametrize("cell", [(0, 10), (10, 0)])
def test_a_risk_of_nought_or_one_is_refused(cell):
    rows = additive_rows(_knees([(10, 10), cell, (10, 10), (5, 15)]), "signal_grade", SETTINGS)
    assert {row["status"] for row in rows} == {"refused"}
    assert "delta method does not apply" in rows[0]["reason"]


def test_s_without_a_denominator_is_refused():
    rows = additive_rows(_knees([(50, 50), (50, 50), (49, 51), (30, 70)]), "signal_grade", SETTINGS)
    found = {row["term"]: row["status"] for row in rows}
    assert found == {"RERI": "estimated", "AP": "estimated", "S": "refused"}
