"""Oracle: VanderWeele and Ding 2017 (maternal breast feeding and infant death: risk ratio 3.9, 1.8 to 8.7)."""

import math

import pytest

from kneeline.cohort.evalue import e_value, e_value_of_interval, e_value_rows, risk_ratio
from kneeline.cohort.settings import Settings

SETTINGS = Settings()


def _row(**values):
    row = {"model": "cumulative_logit_adjusted", "outcome": "signal_grade", "term": "rearfoot", "status": "estimated"}
    return row | {"estimate": 4.0, "ci_low": 1.44, "ci_high": 9.0, "n_participants": 10, "n_knees": 10} | values


def _knees(n_with, n):
    return [{"signal_grade": int(i < n_with)} for i in range(n)]


def test_the_published_example():
    assert e_value(3.9) == pytest.approx(7.26, abs=0.005)
    assert e_value_of_interval(1.8, 8.7) == pytest.approx(3.0, abs=0.005)


def test_a_confounder_of_that_strength_just_explains_it_away():
    """The bounding factor of Ding and VanderWeele 2016 at the E-value is the risk ratio itself."""
    for ratio in (1.2, 2.0, 3.9):
        e = e_value(ratio)
        assert e * e / (e + e - 1) == pytest.approx(ratio)


def test_protection_counts_as_harm_turned_round():
    assert e_value(0.5) == e_value(2.0)
    assert e_value_of_interval(0.3, 0.8) == e_value_of_interval(1.25, 1 / 0.3)
    assert e_value_of_interval(0.3, 1.1) == 1


def test_common_findings_use_the_root_of_the_odds_ratio():
    (common,) = e_value_rows([_row()], _knees(5, 10), SETTINGS)
    assert common["estimate"] == pytest.approx(2 + math.sqrt(2))
    assert common["ci_low"] == pytest.approx(1.2 + math.sqrt(1.2 * 0.2))
    assert "50% of knees have grade 1 or more, common" in common["method"]
    (rare,) = e_value_rows([_row()], _knees(1, 10), SETTINGS)
    assert rare["estimate"] == pytest.approx(4 + math.sqrt(12))
    assert risk_ratio(4.0, common=False) == 4


def test_only_exposures_of_the_adjusted_model_and_refusals_stay():
    rows = [_row(term="age_years"), _row(model="cumulative_logit_crude_strike"), _row(model="gee_adjusted")]
    rows.append(_row(status="refused", reason="sparse: few", estimate=None, ci_low=None, ci_high=None))
    (found,) = e_value_rows(rows, _knees(5, 10), SETTINGS)
    assert (found["status"], found["reason"], found.get("estimate")) == ("refused", "sparse: few", None)
