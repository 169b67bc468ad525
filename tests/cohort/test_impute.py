import math

import numpy as np
import pytest
from scipy.special import expit

from kneeline.cohort.asking import ask
from kneeline.cohort.families import family
from kneeline.cohort.impute import gather, imputed_rows, n_imputed
from kneeline.cohort.questions import questions
from kneeline.cohort.settings import Settings

SETTINGS = Settings(adjustment={"main": ("age_years",)}, n_imputations=8)
DISTANCE = SETTINGS.distance_term
PRODUCT = SETTINGS.product_term


def _knees(n, seed, product=0.0, knees=2):
    """Runners with age, strike and distance; two like knees whose log odds rise by 0.8 with strike, 0.5 per 10 km."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        age, strike, far = rng.normal(40, 8), float(rng.random() < 0.6), rng.normal(0, 1.5)
        slope = 0.8 * strike + 0.5 * far + product * strike * far + 0.03 * (age - 40)
        luck = rng.random()
        for side in "LR"[:knees]:
            u = luck if rng.random() < 0.4 else rng.random()
            rows.append(
                {
                    "participant_id": f"sub-{i:04d}",
                    "laterality": side,
                    "age_years": age,
                    "sex": "F",
                    "strike_style": "rearfoot" if strike else "forefoot",
                    "strike_method": "video",
                    "weekly_distance_km": 32 + 10 * far,
                    "signal_grade": int(sum(np.log(u / (1 - u)) + slope > cut for cut in (-0.5, 0.8, 2.0))),
                }
            )
    return rows


def _without(knees, drop):
    """Rows in which what `drop(row, other knee's worst grade, random number)` names is missing, runner by runner."""
    rng = np.random.default_rng(77)
    worst = {}
    for row in knees:
        who = row["participant_id"]
        worst[who] = max(worst.get(who, 0), row["signal_grade"])
    lost = {who: drop(next(r for r in knees if r["participant_id"] == who), worst[who], rng) for who in worst}
    return [{**row, **dict.fromkeys(lost[row["participant_id"]])} for row in knees]


def _estimate(rows, model, term):
    row = next(row for row in rows if row["model"] == model and row["term"] == term)
    assert row["status"] == "estimated", row["reason"]
    error = (math.log(row["ci_high"]) - math.log(row["ci_low"])) / 2 / 1.96
    return math.log(row["estimate"]), error, row


def _complete_cases(knees, name="adjusted", settings=SETTINGS):
    question = next(q for q in questions(settings) if q.name == name)
    return ask(family, knees, "signal_grade", question, settings)


def test_gaps_at_random_recover_the_truth_with_smaller_errors_than_complete_cases():
    def drop(row, worst, rng):
        return [name for name in ("age_years", "weekly_distance_km", "strike_style") if rng.random() < 0.2]

    knees = _without(_knees(800, 1), drop)
    rows = imputed_rows(knees, "signal_grade", SETTINGS)
    complete = _complete_cases(knees)
    for term, truth in (("rearfoot", 0.8), (DISTANCE, 0.5), ("age_years", 0.03)):
        found, error, row = _estimate(rows, "cumulative_logit_adjusted_imputed", term)
        assert abs(found - truth) < 3 * error
        assert error < _estimate(complete, "cumulative_logit_adjusted", term)[1]
        assert 0 < row["missing_information"] < 0.6
        assert row["n_participants"] == 800
        assert f"{DISTANCE} in" in row["warnings"]
    assert "imputed data sets" in row["method"]


def test_gaps_that_depend_on_grade_and_strike_bias_complete_cases_and_not_the_imputed():
    """Distance is lost from runners who land on the heel and have a bad knee: among the rest, heels look harmless."""

    def drop(row, worst, rng):
        bad = worst >= 2 and row["strike_style"] == "rearfoot"
        return ["weekly_distance_km"] if rng.random() < (0.7 if bad else 0.05) else []

    knees = _without(_knees(1500, 2), drop)
    biased, error, _ = _estimate(_complete_cases(knees), "cumulative_logit_adjusted", "rearfoot")
    assert biased < 0.8 - 4 * error
    found, error, _ = _estimate(
        imputed_rows(knees, "signal_grade", SETTINGS), "cumulative_logit_adjusted_imputed", "rearfoot"
    )
    assert abs(found - 0.8) < 3 * error


def test_the_product_survives_imputation():
    def drop(row, worst, rng):
        return ["weekly_distance_km"] if rng.random() < 0.35 else []

    knees = _without(_knees(1500, 3, product=0.6), drop)
    found, error, _ = _estimate(
        imputed_rows(knees, "signal_grade", SETTINGS), "cumulative_logit_interaction_imputed", PRODUCT
    )
    assert abs(found - 0.6) < 3 * error
    assert found > 0.35


def test_row_order_and_names_change_nothing():
    knees = _without(_knees(60, 4), lambda row, worst, rng: ["age_years"] if rng.random() < 0.3 else [])
    first = imputed_rows(knees, "signal_grade", SETTINGS)
    renamed = [{**row, "participant_id": "sub-x" + row["participant_id"][:3:-1]} for row in knees]
    np.random.default_rng(0).shuffle(renamed)
    again = imputed_rows(renamed, "signal_grade", SETTINGS)
    assert [row["status"] for row in first] == [row["status"] for row in again] == ["estimated"] * 7
    for one, other in zip(first, again, strict=True):
        assert other["estimate"] == pytest.approx(one["estimate"], rel=1e-9)
        assert other["ci_low"] == pytest.approx(one["ci_low"], rel=1e-9)
    other_seed = imputed_rows(knees, "signal_grade", Settings(**{**vars(SETTINGS), "seed": 1}))
    assert other_seed[2]["estimate"] != first[2]["estimate"]


def test_both_knees_of_a_runner_get_the_same_value():
    knees = _without(_knees(50, 5), lambda row, worst, rng: ["age_years"] if rng.random() < 0.3 else [])
    gathered = gather(knees, "signal_grade", SETTINGS)
    data = gathered.data(np.nan_to_num(gathered.incomplete.values), ("rearfoot", DISTANCE, PRODUCT, "age_years"))
    assert data.x.shape == (100, 4)
    for runner in range(50):
        assert len(np.unique(data.x[data.runners == runner], axis=0)) == 1
    np.testing.assert_allclose(data.x[:, 2], data.x[:, 0] * data.x[:, 1])


def test_a_knee_without_its_outcome_is_not_invented():
    knees = _knees(60, 6)
    for row in knees[1::10]:
        row["signal_grade"] = None
    knees = _without_age(knees)
    rows = imputed_rows(knees, "signal_grade", SETTINGS)
    assert {row["n_knees"] for row in rows} == {108}


def _without_age(knees):
    return [{**row, "age_years": None if int(row["participant_id"][-1]) == 3 else row["age_years"]} for row in knees]


def test_as_many_sets_as_percent_of_runners_are_incomplete():
    knees = _without(_knees(60, 7), lambda row, worst, rng: ["age_years"] if rng.random() < 0.3 else [])
    gathered = gather(knees, "signal_grade", SETTINGS)
    assert n_imputed(gathered, SETTINGS) == math.ceil(100 * gathered.n_incomplete / 60) > 20
    assert n_imputed(gathered, Settings(n_imputations=90)) == 90


def test_nothing_missing_says_so():
    rows = imputed_rows(_knees(40, 8), "signal_grade", SETTINGS)
    assert [row["model"] for row in rows] == [
        "cumulative_logit_adjusted_imputed",
        "cumulative_logit_interaction_imputed",
    ]
    assert all("nothing_missing" in row["reason"] for row in rows)


def test_too_little_observed_is_refused():
    knees = _without(_knees(60, 9), lambda row, worst, rng: ["age_years"] if rng.random() < 0.7 else [])
    assert "age_years is known of" in imputed_rows(knees, "signal_grade", SETTINGS)[0]["reason"]
    few = _without_age(_knees(8, 9))
    assert "runners who have its variable" in imputed_rows(few, "signal_grade", SETTINGS)[0]["reason"]


def test_a_contrast_must_rest_on_runners_whose_exposure_is_known():
    knees = _knees(60, 10)
    for row in knees:
        if row["strike_style"] == "forefoot" and row["participant_id"] > "sub-0010":
            row["strike_style"] = None
    rows = imputed_rows(knees, "signal_grade", SETTINGS)
    found = {(row["model"], row["term"]): row for row in rows}
    assert "fewer than 5 runners" in found["cumulative_logit_adjusted_imputed", "rearfoot"]["reason"]
    assert "fewer than 5 runners" in found["cumulative_logit_interaction_imputed", "all terms"]["reason"]


def test_a_covariate_of_nobody_is_left_out_by_name():
    settings = Settings(adjustment={"main": ("age_years", "bmi_kg_m2", "sex")}, n_imputations=5)
    knees = [{**row, "bmi_kg_m2": None} for row in _without_age(_knees(60, 11))]
    found = {row["term"]: row for row in imputed_rows(knees, "signal_grade", settings)}
    assert "unrecorded" in found["bmi_kg_m2"]["reason"]
    assert "constant" in found["sex_M"]["reason"]
    assert found["age_years"]["status"] == "estimated"


def test_what_nobody_recorded_is_not_called_complete():
    empty = {"strike_style": None, "weekly_distance_km": None, "age_years": None, "sex": None, "bmi_kg_m2": None}
    knees = [{**row, **empty, "running_years": None} for row in _knees(60, 13)]
    rows = imputed_rows(knees, "signal_grade", SETTINGS)
    assert rows
    for row in rows:
        assert row["reason"].startswith("unrecorded: no runner has a value of rearfoot, distance_per_10_km")


def test_no_imputations_no_rows():
    assert imputed_rows(_knees(40, 8), "signal_grade", Settings(n_imputations=0)) == []


def test_fluid_is_imputed_in_its_own_model():
    knees = _without_age(_knees(60, 12))
    for i, row in enumerate(knees):
        row |= {"fluid_ml": float(np.exp(expit(i % 7) + row["signal_grade"] / 4)), "pouch_in_view": True}
    rows = imputed_rows(knees, "log_fluid_ml", SETTINGS)
    assert {row["model"] for row in rows} == {"linear_adjusted_imputed", "linear_interaction_imputed"}
    assert {row["scale"] for row in rows} == {"mean_ratio"}
