"""Simulated cohorts: the odds that were put in come out."""

from collections import Counter

import numpy as np
import pytest
from statsmodels.miscmodels.ordinal_model import OrderedModel

from kneeline import tables
from kneeline.simulate.cohort import TRUE_ODDS_RATIOS, draw_cohort


def test_participants_and_scans_pass_their_schemas(tmp_path):
    cohort = draw_cohort(40, seed=3, knees_per_runner=2)
    tables.write_table(tmp_path / "participants.tsv", cohort.participants, tables.PARTICIPANTS)
    tables.write_table(tmp_path / "scans.tsv", cohort.scans, tables.SCANS)
    rows = tables.read_table(tmp_path / "participants.tsv", tables.PARTICIPANTS)
    scans = tables.read_scans(tmp_path / "scans.tsv")
    assert len(rows) == 40
    assert [s.scan_id for s in scans] == [t["scan_id"] for t in cohort.truth]
    assert {s.paths[0] for s in scans} == {f"results/simulate/{s.scan_id}" for s in scans}
    assert set(cohort.truth[0]) <= set(tables.TRUTH.header)


def test_the_worst_region_gives_the_knee_its_grade():
    for knee in draw_cohort(300, seed=1).truth:
        regions = [value for name, value in knee.items() if name.endswith("_signal_grade")]
        assert max(regions) == knee["signal_grade"]


def test_the_demo_cohort_fills_every_joint_cell():
    runners = draw_cohort(26, seed=2006).participants
    cells = Counter((r["strike_style"] == "rearfoot", r["weekly_distance_km"] >= 32) for r in runners)
    assert min(cells.values()) >= 5
    assert len(cells) == 4


def test_a_larger_cohort_begins_with_the_same_people():
    small, large = draw_cohort(5, seed=9), draw_cohort(30, seed=9)
    assert large.participants[:5] == small.participants
    assert large.truth[:5] == small.truth


def test_true_odds_ratios_are_recovered_from_a_large_draw():
    # Oracle: statsmodels' cumulative logit, one knee a runner.
    cohort = draw_cohort(10_000, seed=11)
    people = cohort.participants
    rearfoot = np.array([p["strike_style"] == "rearfoot" for p in people], float)
    tens = np.array([(p["weekly_distance_km"] - 32) / 10 for p in people])
    x = np.column_stack(
        [
            rearfoot,
            tens,
            rearfoot * tens,
            [(p["age_years"] - 40) / 10 for p in people],
            [p["sex"] == "M" for p in people],
            [p["bmi_kg_m2"] - 23 for p in people],
        ]
    ).astype(float)
    y = np.array([t["signal_grade"] for t in cohort.truth])
    fit = OrderedModel(y, x, distr="logit").fit(method="bfgs", disp=False)
    error = (fit.params[:6] - np.log(list(TRUE_ODDS_RATIOS.values()))) / fit.bse[:6]
    assert np.abs(error).max() < 3.5
    assert np.abs(np.exp(fit.params[:6]) / list(TRUE_ODDS_RATIOS.values()) - 1).max() < 0.15


def test_two_knees_of_a_runner_are_alike_but_not_equal():
    truth = draw_cohort(2000, seed=5, knees_per_runner=2).truth
    left = np.array([t["signal_grade"] for t in truth if t["laterality"] == "L"])
    right = np.array([t["signal_grade"] for t in truth if t["laterality"] == "R"])
    assert 0.25 < np.corrcoef(left, right)[0, 1] < 0.7
    others = np.corrcoef(left, np.roll(right, 1))[0, 1]
    assert abs(others) < 0.2


def test_fluid_grows_with_the_grade():
    truth = draw_cohort(1500, seed=8).truth
    medians = [np.median([t["fluid_ml"] for t in truth if t["signal_grade"] == g]) for g in range(4)]
    assert medians == sorted(medians)
    assert medians[3] > 2 * medians[0]


@pytest.mark.parametrize(("runners", "knees"), [(0, 1), (3, 3)])
def test_impossible_cohorts_are_refused(runners, knees):
    with pytest.raises(ValueError, match="expected at least 1 runner"):
        draw_cohort(runners, 1, knees)
