"""Planned studies: the simulation against the formula, where both hold, and against the truth that it is drawn from."""

import json

import numpy as np
import pytest
from scipy import stats

from kneeline import cli, tables
from kneeline.cohort.plan import Plan, as_json, as_text, check_plan, power_rows
from kneeline.cohort.power_simulation import Study, draw_grades, latent_correlation, simulate_power
from kneeline.errors import UsageError
from kneeline.statistics.power import clustered_power, design_effect, ordinal_power, ridit_icc

MIX = (0.5, 0.3, 0.15, 0.05)


def test_the_grades_drawn_have_the_stated_mix_odds_ratio_and_correlation():
    study = Study(MIX, 3.0, 30_000, 10_000, 2, 0.5)
    grades = draw_grades(study, np.random.default_rng(1))
    assert np.bincount(grades.ravel()) / grades.size == pytest.approx(MIX, abs=0.01)
    exposed, others = grades[:30_000], grades[30_000:]
    for cut in (1, 2, 3):
        odds = [np.mean(group >= cut) / np.mean(group < cut) for group in (exposed, others)]
        assert odds[0] / odds[1] == pytest.approx(3, rel=0.15)
    alike = draw_grades(Study(MIX, 1.0, 20_000, 20_000, 2, 0.5), np.random.default_rng(2))
    assert ridit_icc(alike.ravel(), np.repeat(np.arange(40_000), 2)) == pytest.approx(0.5, abs=0.02)


def test_latent_correlation_has_its_ends():
    assert (latent_correlation(MIX, 0), latent_correlation(MIX, 1)) == (0, 1)
    assert 0.5 < latent_correlation(MIX, 0.5) < 0.7


@pytest.mark.parametrize("study", [Study(MIX, 1.9, 120, 120), Study(MIX, 2.0, 100, 100, 2, 0.5)])
def test_simulation_and_formula_agree(study):
    """Independent knees, and two a runner with the design effect: within four Monte-Carlo standard errors of 150."""
    effect = design_effect(study.knees, study.icc)
    groups = (study.exposed * study.knees, study.others * study.knees)
    formula = clustered_power(MIX, study.odds_ratio, *groups, effect)
    found = simulate_power(study, 150, seed=3)
    assert 0.6 < formula < 0.9
    assert found.refused == 0
    assert abs(found.shown / 150 - formula) < 4 * np.sqrt(formula * (1 - formula) / 150)


def test_without_an_association_little_is_shown():
    found = simulate_power(Study(MIX, 1.0, 30, 30, 2, 0.5), 150, seed=4)
    assert found.shown <= 17  # 99.9 % of binomial(150, 0.05)


def test_the_seed_decides_and_the_number_of_processes_does_not():
    study = Study(MIX, 3.0, 15, 15)
    once = simulate_power(study, 12, seed=9)
    assert simulate_power(study, 12, seed=9, jobs=2) == once
    assert any(simulate_power(study, 12, seed=s) != once for s in (1, 2, 3))


def test_runners_sought_reach_the_power_by_the_formula_and_no_fewer_do():
    plan = Plan(MIX, (3.0,), rearfoot=0.5, knees=1, icc=0.0, simulations=0)
    (row,) = power_rows(plan)
    assert row["n_participants"] in range(92, 97)
    assert row["power_formula"] >= 0.8
    fewer = power_rows(Plan(**{**vars(plan), "runners": (row["n_participants"] - 2,)}))[0]
    assert fewer["power_formula"] < 0.8


def test_two_knees_that_are_alike_count_less_in_the_formula():
    """60 runners, 48 and 12, two knees each at a correlation of 0.5: 64 and 16 independent knees."""
    (row,) = power_rows(Plan(MIX, (3.0,), runners=(60,), rearfoot=0.8, knees=2, icc=0.5, simulations=0))
    assert (row["n_rearfoot"], row["n_other"], row["n_knees"], row["design_effect"]) == (48, 12, 120, 1.5)
    assert row["power_formula"] == pytest.approx(ordinal_power(MIX, 3, 64, 16))
    (alone,) = power_rows(Plan(MIX, (3.0,), runners=(60,), rearfoot=0.8, knees=2, icc=0.0, simulations=0))
    assert alone["power_formula"] == pytest.approx(ordinal_power(MIX, 3, 96, 24))


def test_runners_by_the_simulation_rescale_what_it_showed():
    """By hand: 80 % needs 1.96 + 0.842 standard errors; the simulation says how many so many runners have."""
    (row,) = power_rows(Plan(MIX, (4.0,), rearfoot=0.8, knees=1, icc=0.0, simulations=40))
    reached = 1.959964 + stats.norm.ppf(row["power_simulated"])
    assert row["n_by_simulation"] == np.ceil(row["n_participants"] * (2.801585 / reached) ** 2)
    assert row["n_by_simulation_low"] < row["n_by_simulation"] < row["n_by_simulation_high"]
    text = as_text(Plan(MIX, (4.0,)), [row])
    assert f"{row['n_by_simulation']} ({row['n_by_simulation_low']} to {row['n_by_simulation_high']})" in text
    (given,) = power_rows(Plan(MIX, (4.0,), runners=(60,), rearfoot=0.8, knees=1, icc=0.0, simulations=2))
    assert "n_by_simulation" not in given


def test_a_group_that_the_analysis_would_not_compare_is_refused():
    (row,) = power_rows(Plan(odds_ratios=(3.0,), runners=(26,), simulations=5))
    assert (row["n_rearfoot"], row["n_other"], row["status"]) == (23, 3, "refused")
    assert "3 other runners" in row["reason"]
    assert "3 other runners" in as_text(Plan(runners=(26,)), [row])
    # Strong associations need few runners, but no fewer than can be compared.
    assert power_rows(Plan(odds_ratios=(500.0,), simulations=0))[0]["n_other"] >= 5


def test_every_fault_of_a_plan_is_told():
    with pytest.raises(UsageError) as told:
        check_plan(Plan((50, -1), (1.0,), (4,), 2.0, 90, 3, 2.0, 0.9, -1))
    text = str(told.value)
    for option in ("grades", "odds-ratio", "runners", "power", "rearfoot", "knees", "icc", "alpha", "simulations"):
        assert f"--{option}" in text
    assert check_plan(Plan((50, 30, 15, 5))).grades == pytest.approx(MIX)


def test_the_command(tmp_path, capsys):
    out = tmp_path / "power.tsv"
    call = ["power", "--runners", "60,200", "--odds-ratio", "3", "--simulations", "0", "--rearfoot", "0.8"]
    assert cli.main([*call, "-o", str(out)]) == 0
    text = capsys.readouterr().out
    assert "| 3 | 60 | 48 + 12 | 120 |" in text
    rows = tables.read_table(out, tables.POWER)
    assert [row["n_participants"] for row in rows] == [60, 200]
    assert cli.main([*call, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["power"][1]["power_formula"] == pytest.approx(rows[1]["power_formula"], rel=1e-5)
    assert printed["plan"]["grades"] == list(MIX)
    assert as_json(Plan(), []).startswith("{")
    assert cli.main(["power", "--icc", "2"]) == 2
    assert "--icc" in capsys.readouterr().err
