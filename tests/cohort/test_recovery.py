"""The whole stage on the simulated cohort of 400 runners: its true odds ratios lie inside the intervals."""

import pytest

from kneeline.simulate.cohort import TRUE_ODDS_RATIOS, draw_cohort

TRUTH = {
    "rearfoot": TRUE_ODDS_RATIOS["rearfoot"],
    "distance_per_10_km": TRUE_ODDS_RATIOS["distance_10km"],
    "rearfoot:distance_per_10_km": TRUE_ODDS_RATIOS["rearfoot:distance_10km"],
    "age_years": TRUE_ODDS_RATIOS["age_10y"] ** 0.1,
    "sex_M": TRUE_ODDS_RATIOS["male"],
    "bmi_kg_m2": TRUE_ODDS_RATIOS["bmi_kg_m2"],
    "running_years": 1.0,
}
CONFIG = {"outcomes": ["signal_grade"], "n_bootstrap": 0, "n_imputations": 0}


@pytest.mark.parametrize("knees_per_runner", [1, 2])
def test_true_odds_ratios_are_recovered(analyse, knees_per_runner):
    """Seed 2006, that of the demonstration; over many seeds: docs/calibration.md."""
    cohort = draw_cohort(400, 2006, knees_per_runner)
    knees = [
        {"participant_id": row["participant_id"], "session_id": row["session_id"], "laterality": row["laterality"],
         "grade": row["signal_grade"], "effusion_grade": 0, "fluid_ml": row["fluid_ml"]}
        for row in cohort.truth
    ]  # fmt: skip
    found = analyse(cohort.participants, knees, config=CONFIG).estimates
    rows = {row["term"]: row for row in found if row["model"] == "cumulative_logit_interaction"}
    for term, truth in TRUTH.items():
        row = rows[term]
        assert (row["n_participants"], row["n_knees"]) == (400, 400 * knees_per_runner)
        assert row["ci_low"] < truth < row["ci_high"], f"{term}: {truth} not in {row['ci_low']}-{row['ci_high']}"
    # Intervals that hold everything would recover every truth.
    assert rows["rearfoot"]["ci_low"] > 1
    assert rows["age_years"]["ci_low"] > 1
    assert rows["distance_per_10_km"]["ci_high"] < 1.5 * rows["distance_per_10_km"]["ci_low"]
