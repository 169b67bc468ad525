"""The sentences of the page follow the primary outcome, whatever kind it is."""

from kneeline import tables
from kneeline.report import summary
from kneeline.report.page import Results


def _found(outcome, scale, model, knees):
    row = {"model": model, "outcome": outcome, "term": "distance_per_10_km", "scale": scale, "estimate": 1.5}
    row |= {"ci_low": 1.1, "ci_high": 2.0, "p_value": 0.01, "status": "estimated"}
    refused = {**row, "model": "random_intercept_adjusted", "status": "refused"}
    knees = [{"analysed": True, **knee} for knee in knees]
    results = Results({tables.ESTIMATES.name: [row, refused], tables.KNEES.name: knees})
    return summary.what_was_found(results, {"analysis": {"primary_outcome": outcome}})


def test_a_grade_is_told_by_its_share():
    knees = [{"effusion_grade": grade} for grade in (0, 0, 1, 2, None)]
    text = _found("effusion_grade", "odds_ratio", "cumulative_logit_adjusted", knees)
    assert "An effusion grade of 1 or more was found in 2 of 4 knees" in text
    said = "the adjusted odds ratio of distance per 10 km a week is 1.50 (95 % interval 1.10 to 2.00, p = 0.010)"
    assert said in text
    assert "1 of 2 contrasts of strike and distance were refused, each with its reason." in text


def test_both_exposures_and_the_interval_of_the_share_are_told():
    """Not one of them only: which was told would be a choice by its figure."""
    row = {
        "model": "cumulative_logit_adjusted",
        "outcome": "signal_grade",
        "scale": "odds_ratio",
        "status": "estimated",
    }
    strike = {**row, "term": "rearfoot", "estimate": 0.8, "ci_low": 0.4, "ci_high": 1.6, "p_value": 0.52}
    product = {**strike, "term": "rearfoot:distance_per_10_km", "estimate": 9.0}
    distance = {**row, "term": "distance_per_10_km", "status": "refused", "estimate": None}
    share = {"outcome": "signal_grade", "level": ">=1", "unit": "knees", "group": "overall"}
    results = Results(
        {
            tables.ESTIMATES.name: [product, strike, distance],
            tables.PREVALENCE.name: [share | {"wilson_low": 0.387, "wilson_high": 0.767}],
            tables.KNEES.name: [{"analysed": True, "signal_grade": grade} for grade in (0, 1)],
        }
    )
    text = summary.what_was_found(results, {"analysis": {"primary_outcome": "signal_grade"}})
    assert "in 1 of 2 knees (50 %, 95 % interval 39 to 77 %)" in text.replace("\xa0", " ")
    said = (
        "the adjusted odds ratio of a rearfoot strike against the others is 0.80 (95 % interval 0.40 to 1.60, p = 0.52)"
    )
    assert said in text
    assert "the adjusted model of weekly distance was refused" in text


def test_a_volume_is_told_by_its_median():
    text = _found("log_fluid_ml", "mean_ratio", "linear_adjusted", [{"fluid_ml": v} for v in (2.0, 6.0, 40.0)])
    assert text.startswith("The median joint fluid of 3 knees is 6\xa0mL; the adjusted ratio of geometric means of")


def test_nobody_has_it():
    text = _found("total_lesion_score", "odds_ratio", "cumulative_logit_adjusted", [{"total_lesion_score": None}])
    assert text.startswith("No knee has a total lesion score")


def _run(*outlined_by):
    keys = {"session_id": "ses-01", "laterality": "L", "status": "ok", "verdict": "ok"}
    rows = [
        keys | {"scan_id": f"s{n}", "participant_id": f"sub-{n}", "outlined_by": by} for n, by in enumerate(outlined_by)
    ]
    return summary.what_was_run(Results({tables.INGEST_SCANS.name: rows}))


def test_how_many_outlines_a_person_corrected_is_told():
    assert "by hand" not in _run("machine", None)
    assert _run("machine", "edited by anna").endswith("; the outlines of 1 knee were corrected by hand.")
    assert "the outlines of 2 knees were corrected by hand" in _run("edited by bea", "edited by anna")
