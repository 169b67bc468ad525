"""RERI, AP and S as rows: crude and adjusted, by three kinds of interval, or refused."""

import numpy as np
import pytest
from scipy.special import expit, logit
from tests.cohort.conftest import one_a_runner

from kneeline.cohort.interaction import additive_rows, crude_risks
from kneeline.cohort.settings import Settings

SETTINGS = Settings(n_bootstrap=500, adjustment={"main": ()})
KINDS = ("", "_mover", "_bootstrap")


def _rows(knees, settings=SETTINGS):
    return {(row["model"], row["term"]): row for row in additive_rows(knees, "signal_grade", settings)}


def test_known_risks():
    # Risks 0.2, 0.3, 0.4, 0.8: RERI = 4 - 1.5 - 2 + 1 in risk ratios.
    rows = _rows(one_a_runner([(80, 20), (70, 30), (60, 40), (20, 80)]))
    for model in ("additive_interaction", "additive_interaction_adjusted"):
        for kind in KINDS:
            assert rows[model + kind, "RERI"]["estimate"] == pytest.approx(1.5)
            assert rows[model + kind, "AP"]["estimate"] == pytest.approx(1.5 / 4)
        for kind in ("", "_bootstrap"):
            assert rows[model + kind, "S"]["estimate"] == pytest.approx(3 / 1.5)
    assert rows["additive_interaction", "RERI"]["n_participants"] == 400
    assert rows["additive_interaction_adjusted", "risk, rearfoot from 32 km"]["estimate"] == pytest.approx(0.8)


def test_three_kinds_of_interval_agree_in_a_large_cohort():
    rows = _rows(one_a_runner([(800, 200), (700, 300), (600, 400), (200, 800)]))
    for term in ("RERI", "AP"):
        delta = rows["additive_interaction", term]
        width = delta["ci_high"] - delta["ci_low"]
        for kind in KINDS[1:]:
            other = rows["additive_interaction" + kind, term]
            assert abs(other["ci_low"] - delta["ci_low"]) < 0.12 * width
            assert abs(other["ci_high"] - delta["ci_high"]) < 0.12 * width


def test_crude_resamples_are_draws_of_whole_runners():
    """The eight counts drawn at once have the variance of resampled runners."""
    tables = np.array([[40, 10], [30, 20], [35, 15], [10, 40]])
    found = crude_risks(tables)
    replicates = found.resample(4000, 1)
    assert replicates.mean(axis=0) == pytest.approx(found.risks, abs=0.005)
    assert replicates.std(axis=0) == pytest.approx(np.sqrt(np.diag(found.log_covariance)) * found.risks, rel=0.06)
    assert np.diag(found.influence.T @ found.influence) == pytest.approx(np.diag(found.log_covariance) * found.risks**2)


def test_adjusted_risks_and_their_interaction_are_those_that_were_built_in():
    """Age drives strike and finding; truth is the mean over the cohort's ages of the risk that was built in."""
    rng = np.random.default_rng(11)

    def risk(age, strike, far):
        return expit(-1 + 0.8 * strike + 0.5 * far + (age - 40) / 10)

    knees = []
    for i in range(3000):
        age = rng.uniform(20, 60)
        strike, far = rng.random() < expit((age - 40) / 6), rng.random() < 0.5
        for side in "LR":
            knees.append(
                {
                    "participant_id": f"sub-{i:04d}",
                    "laterality": side,
                    "strike_style": "rearfoot" if strike else "midfoot",
                    "weekly_distance_km": 50.0 if far else 20.0,
                    "age_years": age,
                    "signal_grade": int(rng.random() < risk(age, strike, far)),
                }
            )
    rows = _rows(knees, Settings(n_bootstrap=0, adjustment={"main": ("age_years",)}))
    ages = np.linspace(20, 60, 10_001)
    names = ("non-rearfoot below 32 km", "rearfoot below 32 km", "non-rearfoot from 32 km", "rearfoot from 32 km")
    truth = [risk(ages, strike, far).mean() for strike, far in ((0, 0), (1, 0), (0, 1), (1, 1))]
    for name, value in zip(names, truth, strict=True):
        row = rows["additive_interaction_adjusted", f"risk, {name}"]
        error = (logit(row["ci_high"]) - logit(row["ci_low"])) / 2 / 1.96
        assert abs(logit(row["estimate"]) - logit(value)) < 3.5 * error
    reri = (truth[3] - truth[1] - truth[2] + truth[0]) / truth[0]
    for kind in ("", "_mover"):
        row = rows["additive_interaction_adjusted" + kind, "RERI"]
        assert row["ci_low"] < reri < row["ci_high"]
    assert not any(model.endswith("_bootstrap") for model, _ in rows)


def test_small_counts_are_a_caution():
    rows = _rows(one_a_runner([(6, 3), (5, 5), (5, 5), (3, 7)]))
    assert "the interval is rough" in rows["additive_interaction", "RERI"]["warnings"]


@pytest.mark.parametrize("cell", [(0, 10), (10, 0)])
def test_a_risk_of_nought_or_one_is_refused(cell):
    rows = _rows(one_a_runner([(10, 10), cell, (10, 10), (5, 15)]))
    assert {row["status"] for row in rows.values()} == {"refused"}
    assert "no runner or every runner" in rows["additive_interaction", "RERI"]["reason"]
    assert "no knee or every knee" in rows["additive_interaction_adjusted", "RERI"]["reason"]


def test_a_cell_with_few_runners_is_refused_in_every_kind():
    rows = _rows(one_a_runner([(10, 10), (1, 2), (10, 10), (5, 15)]))
    assert len(rows) == 16
    for row in rows.values():
        assert row["status"] == "refused"
        assert "non-rearfoot from 32 km holds 3" in row["reason"]


def test_s_without_a_denominator_is_refused():
    rows = _rows(one_a_runner([(50, 50), (50, 50), (49, 51), (30, 70)]))
    assert rows["additive_interaction", "RERI"]["status"] == "estimated"
    assert rows["additive_interaction", "S"]["status"] == "refused"
    assert rows["additive_interaction_bootstrap", "S"]["status"] == "refused"


def test_a_reference_risk_that_vanishes_in_resamples_is_refused_there_alone():
    rows = _rows(one_a_runner([(18, 2), (10, 10), (10, 10), (5, 15)]))
    assert rows["additive_interaction", "RERI"]["status"] == "estimated"
    boot = rows["additive_interaction_bootstrap", "RERI"]
    assert boot["status"] == "refused"
    assert "resamples" in boot["reason"]
