"""The models on fabricated cohorts: what is estimated, what is refused, and that both are right."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.linalg import fractional_matrix_power

from kneeline import tables
from kneeline.cohort.assemble import read_cohort, to_analyse
from kneeline.cohort.completeness import model_flow
from kneeline.cohort.design import Data, complete_cases
from kneeline.cohort.dichotomy import sparse_binary
from kneeline.cohort.families import fit_gee, fit_log_linear, fit_ordinal
from kneeline.cohort.joint import joint_cells
from kneeline.cohort.relate import relate
from kneeline.cohort.settings import Settings, read_settings
from kneeline.errors import Refusal


def _rows(found, model, outcome="signal_grade"):
    rows = [row for row in found.estimates if (row["model"], row["outcome"]) == (model, outcome)]
    assert rows, f"no {model} of {outcome}"
    return {row["term"]: row for row in rows}


@pytest.fixture
def analyse(fabricate, tmp_path):
    """The models alone, on fabricated results; of the signal grade unless told otherwise, and nothing drawn."""

    def call(runners, knees, config=None) -> SimpleNamespace:
        cohort = read_cohort(**fabricate.write_results(tmp_path, runners, knees))
        quick = {"outcomes": ["signal_grade"], "n_imputations": 0, "n_bootstrap": 0}
        rows, settings = to_analyse(cohort), read_settings(quick | (config or {}))
        empty = dict.fromkeys(tables.ESTIMATES.header)
        return SimpleNamespace(
            estimates=[empty | row for row in relate(rows, settings)],
            joint_cells=[
                dict.fromkeys(tables.JOINT_CELLS.header) | row for row in joint_cells(rows, "signal_grade", settings)
            ],
            flow=model_flow(rows, settings),
        )

    return call


@pytest.fixture
def balanced(fabricate):
    """48 runners, 12 in each cell of strike by distance."""

    def call(**values):
        distances = [20.0, 25.0, 28.0, 40.0, 50.0, 55.0]
        return [fabricate.runner(i, weekly_distance_km=distances[(i - 1) // 2 % 6], **values) for i in range(1, 49)]

    return call


def _data(y, x, terms, groups):
    return Data(np.array(y), np.array(x, dtype=float), terms, np.array(groups))


def test_linear_model_against_the_textbook_formula():
    rng = np.random.default_rng(5)
    x, groups = rng.normal(size=(30, 1)), np.repeat(np.arange(15), 2)
    y = 0.3 * x[:, 0] + rng.normal(size=30)
    found = fit_log_linear(_data(y, x, ("a",), groups))["a"]
    design = np.column_stack([np.ones(30), x])
    bread = np.linalg.inv(design.T @ design)
    b = bread @ design.T @ y
    scores = []
    for i in range(0, 30, 2):
        pair = design[i : i + 2]
        # Bell and McCaffrey 2002: residuals over the symmetric root of 1 - leverage.
        root = fractional_matrix_power(np.eye(2) - pair @ bread @ pair.T, -0.5)
        scores.append(pair.T @ root @ (y[i : i + 2] - pair @ b))
    se = np.sqrt((bread @ np.transpose(scores) @ scores @ bread)[1, 1])
    assert (found.value, found.error) == pytest.approx((b[1], se))
    assert (found.low, found.high) == pytest.approx(tuple(b[1] + np.array([-1, 1]) * 2.144787 * se))


def test_known_odds_ratio_is_found(fabricate, analyse):
    """Grades from a cumulative logit with rearfoot odds ratio 3 and no association with distance."""
    rng = np.random.default_rng(7)
    runners = [fabricate.runner(i, weekly_distance_km=float(rng.uniform(10, 70))) for i in range(1, 201)]
    knees = []
    for i, row in enumerate(runners, start=1):
        for side in "LR":
            latent = rng.logistic() + np.log(3) * (row["strike_style"] == "rearfoot")
            knees.append(fabricate.knee(i, side, int((latent > np.array([-0.5, 1.0, 2.5])).sum()), 0))
    rows = _rows(analyse(runners, knees), "cumulative_logit_adjusted")
    strike, distance = rows["rearfoot"], rows["distance_per_10_km"]
    assert strike["ci_low"] < 3 < strike["ci_high"]
    assert distance["ci_low"] < 1 < distance["ci_high"]
    assert strike["ci_low"] > 1
    assert (strike["n_participants"], strike["n_knees"], strike["scale"]) == (200, 400, "odds_ratio")


def test_a_runner_whose_knees_are_entered_twice_gains_nothing(fabricate, analyse, balanced):
    knees = fabricate.draw_knees(48, "L", 3)
    both = [*knees, *({**knee, "laterality": "R"} for knee in knees)]
    one, two = (_rows(analyse(balanced(), rows), "cumulative_logit_adjusted") for rows in (knees, both))
    for term in ("rearfoot", "distance_per_10_km", "age_years"):
        assert two[term]["estimate"] == pytest.approx(one[term]["estimate"], rel=1e-4)
        assert two[term]["ci_high"] == pytest.approx(one[term]["ci_high"], rel=1e-4)
        assert two[term]["n_knees"] == 2 * one[term]["n_knees"]


def test_balanced_cohort_has_nothing_refused_for_sparse_cells(fabricate, analyse, balanced):
    found = analyse(balanced(), fabricate.draw_knees(48, "LR", 3))
    for model in ("cumulative_logit_crude_strike", "cumulative_logit_adjusted", "cumulative_logit_interaction"):
        refused = {term: row["reason"] for term, row in _rows(found, model).items() if row["status"] == "refused"}
        # The fabricated runners have no running years: the model goes on without, and says so.
        left_out = "unrecorded: no runner has a value of running_years; it was left out of the model"
        assert refused == ({"running_years": left_out} if "crude" not in model else {})
    strike = _rows(found, "cumulative_logit_adjusted")["rearfoot"]
    assert "not adjusted for running_years, which has one value or none" in strike["warnings"]
    assert {row["n_participants"] for row in found.joint_cells} == {12}
    assert [row["status"] for row in found.joint_cells] == ["reference", *["estimated"] * 3]


def test_joint_cell_of_four_refuses_every_contrast_that_uses_it(fabricate, analyse):
    # 4 rearfoot runners below the cut, 8 or more in the other cells.
    distances = {True: [20.0] * 4 + [45.0 + i for i in range(10)], False: [15.0 + i for i in range(8)] + [50.0] * 8}
    runners = []
    for rearfoot, values in distances.items():
        for km in values:
            style = "rearfoot" if rearfoot else "midfoot"
            runners.append(fabricate.runner(len(runners) + 1, strike_style=style, weekly_distance_km=km))
    found = analyse(runners, fabricate.draw_knees(len(runners), "L", 2), config={"adjustment": {"main": ["age_years"]}})
    reason = "fewer than 5 runners in a compared group: rearfoot below 32 km holds 4"
    strike = _rows(found, "cumulative_logit_adjusted")["rearfoot"]
    assert (strike["status"], strike["estimate"], strike["p_value"]) == ("refused", None, None)
    assert reason in strike["reason"]
    assert {r["status"] for r in _rows(found, "cumulative_logit_interaction").values()} == {"refused"}
    assert reason in _rows(found, "additive_interaction")["RERI"]["reason"]
    # What does not use the cell is estimated.
    assert _rows(found, "cumulative_logit_crude_strike")["rearfoot"]["status"] == "estimated"
    assert _rows(found, "cumulative_logit_adjusted")["distance_per_10_km"]["status"] == "estimated"
    cells = {
        (r["strike_group"], r["distance_group"]): r for r in found.joint_cells if r["outcome"] == "signal_grade >= 1"
    }
    sparse = cells["rearfoot", "below_32_km"]
    assert (sparse["n_participants"], sparse["status"], sparse["odds_ratio"]) == (4, "refused", None)
    assert sparse["risk"] is not None


def test_the_least_cell_is_a_setting(fabricate, analyse):
    runners = [fabricate.runner(i) for i in range(1, 27)]
    knees = fabricate.draw_knees(26, "L", 1)
    strict = _rows(analyse(runners, knees), "cumulative_logit_adjusted")
    lenient = _rows(analyse(runners, knees, config={"min_joint_cell": 4}), "cumulative_logit_adjusted")
    assert (strict["rearfoot"]["status"], lenient["rearfoot"]["status"]) == ("refused", "estimated")


def test_separated_outcome_is_refused_and_firth_answers(fabricate, analyse, balanced):
    knees = [fabricate.knee(i, "L", int(i % 2), 0) for i in range(1, 49)]
    found = analyse(balanced(), knees)
    refused = _rows(found, "cumulative_logit_crude_strike")["rearfoot"]
    assert refused["status"] == "refused"
    assert "separated by rearfoot" in refused["reason"]
    firth = _rows(found, "firth_crude_strike")["rearfoot"]
    # Haldane's half in each cell of the 2x2 table: 24.5 * 24.5 / (0.5 * 0.5).
    assert firth["estimate"] == pytest.approx(49.0**2, rel=1e-4)
    assert firth["p_value"] < 1e-6
    assert "a cell of finding by strike has 0 knees" in firth["method"]


def test_outcome_with_one_level_is_refused(fabricate, analyse, balanced):
    both = {"outcomes": ["signal_grade", "effusion_grade"]}
    found = analyse(balanced(), [fabricate.knee(i, "L", 0, 1) for i in range(1, 49)], config=both)
    rows = [row for row in found.estimates if row["outcome"] in ("signal_grade", "effusion_grade")]
    assert {row["status"] for row in rows} == {"refused"}
    assert "one_level: all 48 knees have grade 0" in _rows(found, "cumulative_logit_adjusted")["rearfoot"]["reason"]


def test_the_yes_or_no_models_say_of_whom_all_have_the_finding(fabricate, analyse, balanced):
    knees = [fabricate.knee(i, side, 1 + i % 2, 0) for i in range(1, 49) for side in "LR"]
    reasons = {row["reason"] for row in _rows(analyse(balanced(), knees), "firth_crude_strike").values()}
    assert reasons == {"one_level: all 48 runners have grade 1 or more; an association needs at least two"}


def test_all_rearfoot_runners_give_no_strike_contrast_but_distance(fabricate, analyse):
    runners = [fabricate.runner(i, strike_style="rearfoot") for i in range(1, 41)]
    rows = _rows(analyse(runners, fabricate.draw_knees(40, "L", 4)), "cumulative_logit_adjusted")
    assert "rearfoot has one value in all 40 runners" in rows["rearfoot"]["reason"]
    assert rows["distance_per_10_km"]["status"] == "estimated"


def test_constant_covariate_is_refused_by_name(fabricate, analyse, balanced):
    rows = _rows(analyse(balanced(sex="M"), fabricate.draw_knees(48, "L", 4)), "cumulative_logit_adjusted")
    assert rows["sex_M"]["status"] == "refused"
    assert "sex_M has one value" in rows["sex_M"]["reason"]
    assert rows["rearfoot"]["status"] == "estimated"


def test_collinear_covariates_are_refused(fabricate, analyse, balanced):
    runners = [row | {"running_years": row["age_years"] - 20} for row in balanced()]
    config = {"adjustment": {"main": ["age_years", "running_years"]}}
    rows = _rows(analyse(runners, fabricate.draw_knees(48, "L", 4), config=config), "cumulative_logit_adjusted")
    assert all("collinear" in row["reason"] for row in rows.values())


def test_a_copied_covariate_is_named_by_every_model(fabricate, analyse, balanced):
    """Also by the population-averaged logit, whose errors need the information without each runner."""
    runners = [row | {"running_years": row["age_years"] - 20} for row in balanced()]
    config = {"adjustment": {"main": ["age_years", "running_years"]}}
    found = analyse(runners, fabricate.draw_knees(48, "LR", 4), config=config)
    binary = {row["model"] for row in found.estimates} & {"gee_adjusted", "firth_adjusted"}
    for model in ("cumulative_logit_adjusted", "random_intercept_adjusted", *binary, "additive_interaction_adjusted"):
        reasons = {row["reason"] for row in _rows(found, model).values()}
        assert reasons == {
            "collinear: age_years and running_years cannot be told apart: one follows from the rest; leave one of them "
            "out"
        }
    assert _rows(found, "cumulative_logit_crude_strike")["rearfoot"]["status"] == "estimated"


def test_linear_model_names_a_copy():
    rng = np.random.default_rng(1)
    a = rng.normal(size=20)
    with pytest.raises(Refusal, match="a and b cannot be told apart"):
        fit_log_linear(_data(rng.normal(size=20), np.column_stack([a, a]), ("a", "b"), np.arange(20)))


def test_binary_model_names_a_copy():
    rng = np.random.default_rng(1)
    a = rng.normal(size=40)
    with pytest.raises(Refusal, match="a and b cannot be told apart"):
        fit_gee(_data(rng.integers(0, 2, 40), np.column_stack([a, 3 * a + 1]), ("a", "b"), np.arange(40) // 2))


@pytest.mark.parametrize("distance", [None, 30.0])
def test_strike_needs_no_distance(fabricate, analyse, balanced, distance):
    """Nobody's distance is known, or all run alike: then strike stands alone and its two groups are what counts."""
    runners = [row | {"weekly_distance_km": distance} for row in balanced()]
    found = analyse(runners, fabricate.draw_knees(48, "LR", 4))
    why = "unrecorded: no runner has a value" if distance is None else "constant: distance_per_10_km has one value"
    for model in ("cumulative_logit_adjusted", "random_intercept_adjusted"):
        rows = _rows(found, model)
        assert rows["rearfoot"]["status"] == "estimated"
        assert "not adjusted for" in rows["rearfoot"]["warnings"]
        assert why in rows["distance_per_10_km"]["reason"]
    product = _rows(found, "cumulative_logit_interaction")
    assert all(why in row["reason"] for row in product.values())
    additive = _rows(found, "additive_interaction")["RERI"]["reason"]
    assert ("recorded of nobody" if distance is None else "rearfoot from 32 km holds 0") in additive


def test_a_covariate_that_few_have_and_all_alike_does_not_empty_the_model(fabricate, analyse, balanced):
    runners = [row | {"running_years": 10.0 if i < 4 else None} for i, row in enumerate(balanced())]
    rows = _rows(analyse(runners, fabricate.draw_knees(48, "LR", 4)), "cumulative_logit_adjusted")
    assert (rows["rearfoot"]["status"], rows["rearfoot"]["n_participants"]) == ("estimated", 48)
    assert "running_years has one value in all 4 runners who have it" in rows["running_years"]["reason"]


def test_missing_covariates_are_counted(fabricate, analyse, balanced):
    runners = [row | ({"age_years": None} if i < 3 else {}) for i, row in enumerate(balanced())]
    found = analyse(runners, fabricate.draw_knees(48, "LR", 4))
    row = _rows(found, "cumulative_logit_adjusted")["rearfoot"]
    assert (row["n_participants"], row["n_knees"]) == (45, 90)
    assert "knees left out for a missing value: age_years 6" in row["warnings"]
    assert _rows(found, "cumulative_logit_crude_strike")["rearfoot"]["n_knees"] == 96
    flow = {row["step"]: row for row in found.flow}
    assert flow["knees complete for the adjusted model of signal_grade"]["n_scans"] == 90


def test_few_runners_are_told_apart_from_enough(fabricate, analyse):
    runners = [fabricate.runner(i) for i in range(1, 11)]
    rows = _rows(analyse(runners, fabricate.draw_knees(10, "LR", 1)), "cumulative_logit_adjusted")
    assert all("too_few_runners: 10 runners for a model of 8 parameters" in row["reason"] for row in rows.values())


def test_self_reported_strike_is_a_caution(fabricate, analyse, balanced):
    found = analyse(balanced(strike_method="self_report"), fabricate.draw_knees(48, "L", 4))
    rows = _rows(found, "cumulative_logit_crude_strike")
    assert "self-reported in 48 of 48 runners" in rows["rearfoot"]["warnings"]
    assert "self-reported" not in (
        _rows(found, "cumulative_logit_crude_distance")["distance_per_10_km"]["warnings"] or ""
    )


def test_the_primary_outcome_comes_first_and_the_other_is_exploratory(fabricate, analyse, balanced):
    both = {"outcomes": ["signal_grade", "effusion_grade"]}
    found = analyse(balanced(), fabricate.draw_knees(48, "L", 4), config=both | {"primary_outcome": "effusion_grade"})
    assert found.estimates[0]["outcome"] == "effusion_grade"
    said = {r["outcome"]: r["warnings"] or "" for r in found.estimates if r["term"] == "rearfoot"
            and r["model"] == "cumulative_logit_crude_strike"}  # fmt: skip
    assert "exploratory" in said["signal_grade"]
    assert "exploratory" not in said["effusion_grade"]


def test_power_of_this_many_runners(fabricate, analyse):
    runners = [fabricate.runner(i) for i in range(1, 27)]
    grades = [0] * 13 + [1] * 8 + [2] * 4 + [3]
    knees = [fabricate.knee(i, "L", grade, 0) for i, grade in enumerate(grades, start=1)]
    row = _rows(analyse(runners, knees), "power_crude_strike")["if the odds ratio were 2"]
    cubes = sum((n / 26) ** 3 for n in (13, 8, 4, 1))
    information = 13 * 13 * 26 * (1 - cubes) / (3 * 27**2)
    from scipy.stats import norm

    assert row["estimate"] == pytest.approx(norm.cdf(np.log(2) * information**0.5 - norm.ppf(0.975)), rel=1e-4)
    assert "Whitehead" in row["method"]


def test_sparse_rule():
    x, groups = np.repeat([[0.0], [1.0]], 50, axis=0), np.arange(100)
    even = np.tile([0, 1], 50)
    assert sparse_binary(_data(even, x, ("rearfoot",), groups)) is None
    four = np.r_[even[:50], np.r_[np.ones(4), np.zeros(46)]]
    assert "has 4 knees" in sparse_binary(_data(four, x, ("rearfoot",), groups))
    assert "fewer than ten a term" in sparse_binary(_data(np.r_[np.ones(9), np.zeros(91)], x, ("km",), groups))


def test_shuffled_exposure_has_a_uniform_p_value(fabricate):
    """Two correlated knees a runner: the runner-clustered test keeps its level when strike is dealt at random."""
    rng = np.random.default_rng(20)
    n, draws = 60, 250
    runner = np.repeat(np.arange(n), 2)
    latent = np.repeat(rng.normal(0, 1.5, n), 2) + rng.logistic(size=2 * n)
    y = (latent[:, None] > np.array([-0.5, 0.8, 2.0])).sum(axis=1)
    strike = np.arange(n) % 2
    p = []
    for _ in range(draws):
        x = rng.permutation(strike)[runner][:, None].astype(float)
        p.append(fit_ordinal(_data(y, x, ("rearfoot",), runner)).terms[0].p)
    p = np.array(p)
    # Binomial noise of 250 draws: 0.05 +- 0.028 (two standard errors).
    assert 0.015 < np.mean(p < 0.05) < 0.09
    assert np.mean(p) == pytest.approx(0.5, abs=0.06)
    assert np.mean(p < 0.25) == pytest.approx(0.25, abs=0.07)


def test_complete_cases_of_nothing():
    assert complete_cases([], "signal_grade", ["rearfoot"], Settings()).n_runners == 0
