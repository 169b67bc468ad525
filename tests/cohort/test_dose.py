import numpy as np
import pytest

from kneeline.cohort.asking import ask
from kneeline.cohort.dose import dose_response
from kneeline.cohort.families import family
from kneeline.cohort.questions import adjusted_question
from kneeline.cohort.settings import Settings

SETTINGS = Settings(adjustment={"main": ("age_years",)})


def _knees(distances, grades):
    rng = np.random.default_rng(1)
    return [
        {
            "participant_id": f"sub-{i}",
            "strike_style": ("rearfoot", "midfoot")[i % 2],
            "strike_method": "video",
            "weekly_distance_km": float(km),
            "age_years": float(rng.integers(20, 60)),
            "signal_grade": int(grade),
        }
        for i, (km, grade) in enumerate(zip(distances, grades, strict=True))
    ]


def _grades(distances, log_odds):
    rng = np.random.default_rng(3)
    return (log_odds(distances) + rng.logistic(size=len(distances)) > np.array([[-0.5], [1.0], [2.5]])).sum(axis=0)


def _answer(distances, log_odds):
    return dose_response(_knees(distances, _grades(distances, log_odds)), "signal_grade", SETTINGS)


def test_a_bent_dose_response_is_found_bent():
    distances = np.random.default_rng(2).uniform(5, 90, 600).round(1)
    tests, curve = _answer(distances, lambda km: 0.08 * np.clip(km - 45, 0, None))
    overall, bend = tests
    assert overall["p_value"] < 1e-6
    assert bend["p_value"] < 0.01
    spline = {row["weekly_distance_km"]: row for row in curve if row["shape"] == "spline"}
    assert spline[32.0]["estimate"] == 1
    assert spline[80.0]["ci_low"] < np.exp(0.08 * 35) < spline[80.0]["ci_high"]
    assert spline[15.0]["ci_low"] < 1 < spline[15.0]["ci_high"]


def test_a_straight_one_is_not():
    distances = np.random.default_rng(2).uniform(5, 90, 600).round(1)
    tests, curve = _answer(distances, lambda km: 0.03 * (km - 32))
    assert tests[0]["p_value"] < 1e-6
    assert tests[1]["p_value"] > 0.05
    linear = {row["weekly_distance_km"]: row for row in curve if row["shape"] == "linear"}
    assert linear[42.0 if 42.0 in linear else 40.0]["estimate"] == pytest.approx(np.exp(0.03 * 8), rel=0.15)


def test_reference_is_the_median_when_nobody_is_near_the_cut():
    distances = np.random.default_rng(2).uniform(40, 90, 200).round(1)
    _, curve = _answer(distances, lambda km: 0 * km)
    assert {row["reference_km"] for row in curve} == {float(np.median(distances))}


def test_too_few_distances_are_refused():
    tests, curve = _answer(np.tile([20.0, 30.0, 40.0, 50.0], 30), lambda km: 0 * km)
    assert curve == []
    assert {row["status"] for row in tests} == {"refused"}
    assert "4 distinct weekly distances; a spline with 4 knots needs 20" in tests[0]["reason"]


def test_everybody_runs_the_same():
    tests, curve = _answer(np.full(60, 40.0), lambda km: 0 * km)
    assert curve == []
    assert "constant: distance_per_10_km has one value in all 60 runners" in tests[0]["reason"]


def test_too_few_runners_are_refused():
    tests, _ = _answer(np.arange(20.0, 28.0), lambda km: 0 * km)
    assert "too_few_runners" in tests[0]["reason"]


def test_a_volume_has_a_curve_of_geometric_means():
    rng = np.random.default_rng(4)
    distances = rng.uniform(5, 90, 300).round(1)
    knees = [
        row | {"fluid_ml": float(np.exp(1 + 0.01 * (km - 32) + 0.3 * rng.normal())), "pouch_in_view": True}
        for row, km in zip(_knees(distances, np.zeros(300)), distances, strict=True)
    ]
    tests, curve = dose_response(knees, "log_fluid_ml", SETTINGS)
    assert {row["model"] for row in tests} == {"linear_spline"}
    at = {(row["shape"], row["weekly_distance_km"]): row for row in curve}
    for shape in ("linear", "spline"):
        row = at[shape, 75.0]
        assert row["ci_low"] < np.exp(0.43) < row["ci_high"]
        assert (row["scale"], at[shape, 32.0]["estimate"]) == ("mean_ratio", 1)


def test_the_straight_curve_is_the_adjusted_model():
    distances = np.random.default_rng(2).uniform(5, 90, 200).round(1)
    knees = _knees(distances, _grades(distances, lambda km: 0.03 * (km - 32)))
    _, curve = dose_response(knees, "signal_grade", SETTINGS)
    asked = {row["term"]: row for row in ask(family, knees, "signal_grade", adjusted_question(SETTINGS), SETTINGS)}
    row = next(row for row in curve if (row["shape"], row["weekly_distance_km"]) == ("linear", 80.0))
    for name in ("estimate", "ci_low", "ci_high"):
        assert np.log(row[name]) == pytest.approx(4.8 * np.log(asked["distance_per_10_km"][name]))
