"""Naive beside corrected, as rows; simulated machines of which the error is known."""

import math

import numpy as np
import pytest

from kneeline import tables
from kneeline.cohort.machine_error import machine_error_rows
from kneeline.cohort.settings import Settings

SETTINGS = Settings(
    outcomes=("signal_grade", "effusion_grade"), adjustment={"main": ()}, n_bootstrap=200, n_imputations=2
)
M = np.array([[0.85, 0.12, 0.03, 0.0], [0.15, 0.70, 0.12, 0.03], [0.02, 0.18, 0.70, 0.10], [0.0, 0.05, 0.20, 0.75]])


def _cohort(n_runners, n_read, seed, missed=0.0):
    """Rows of KNEES with the machine's effusion grade, readings of the first runners' knees, and the true grades.

    `missed`: share of the findings in rearfoot runners that the machine overlooks on top of its usual error.
    """
    rng = np.random.default_rng(seed)
    knees, readings, truth = [], [], []
    for i in range(n_runners):
        strike, far, luck = float(rng.random() < 0.6), rng.normal(), rng.random()
        for side in "LR":
            u = luck if rng.random() < 0.4 else rng.random()
            latent = math.log(u / (1 - u)) + 0.8 * strike + 0.5 * far
            true = int(sum(latent > cut for cut in (0.0, 1.2, 2.4)))
            machine = int(rng.choice(4, p=M[true]))
            if strike and true and rng.random() < missed:
                machine = 0
            key = {"participant_id": f"sub-{i:04d}", "session_id": "ses-01", "laterality": side}
            knees.append(
                key
                | {
                    "strike_style": "rearfoot" if strike else "forefoot",
                    "strike_method": "video",
                    "weekly_distance_km": 32 + 10 * far,
                    "effusion_grade": machine,
                    "signal_grade": None,
                }
            )
            truth.append(true)
            if i < n_read:
                readings.append(
                    key | {"rater_id": "anna", "reading": 1, "structure": "effusion", "region": None, "grade": true}
                )
    return knees, readings, np.array(truth)


def _rows(knees, readings, settings=SETTINGS):
    rows = machine_error_rows(knees, readings, settings)
    tables.format_table(rows, tables.MACHINE_ERROR)
    return [row for row in rows if row["outcome"] == "effusion_grade"]


def _named(rows, quantity, method=""):
    found = [row for row in rows if row["quantity"] == quantity and row["method"].startswith(method)]
    assert len(found) == 1, [row["quantity"] for row in rows]
    return found[0]


@pytest.fixture(scope="module")
def known():
    knees, readings, truth = _cohort(450, 200, seed=1)
    return _rows(knees, readings), truth


def test_corrected_prevalences_hold_the_truth_and_naive_ones_do_not(known):
    rows, truth = known
    for grade in (1, 2, 3):
        share = float(np.mean(truth >= grade))
        for method in ("matrix", "predictive"):
            row = _named(rows, f"prevalence of grade {grade} or more", method)
            assert row["ci_low"] < share < row["ci_high"]
            assert row["n_validated"] == 400
    row = _named(rows, "prevalence of grade 3 or more", "matrix")
    assert row["ci_high"] - row["ci_low"] > row["naive_high"] - row["naive_low"]


def test_the_confusion_is_that_of_the_machine(known):
    rows, _ = known
    for t in range(4):
        for g in range(4):
            row = _named(rows, f"machine grade {g}, reader grade {t}")
            assert row["estimate"] == pytest.approx(M[t, g], abs=0.11)
            assert "naive" not in row


def test_corrected_odds_ratios_hold_the_truth(known):
    rows, _ = known
    for method in ("maximum likelihood", "the same", "multiple over-imputation"):
        for term, slope in (("rearfoot", 0.8), (SETTINGS.distance_term, 0.5)):
            row = _named(rows, f"odds ratio, adjusted: {term}", method)
            error = (math.log(row["ci_high"]) - math.log(row["ci_low"])) / 2 / 1.96
            assert abs(math.log(row["estimate"]) - slope) < 3 * error
            assert row["naive"] < row["estimate"]
            assert "the reader is taken for the truth" in row["warnings"]


def test_error_that_is_alike_is_not_called_different(known):
    rows, _ = known
    row = _named(rows, "machine's grade at equal reader's grade, rearfoot")
    assert row["p_value"] > 0.01
    assert abs(row["estimate"]) < 0.2


def test_error_that_differs_by_strike_is_found_and_said():
    knees, readings, _ = _cohort(300, 200, seed=2, missed=0.4)
    rows = _rows(knees, readings)
    row = _named(rows, "machine's grade at equal reader's grade, rearfoot")
    assert row["p_value"] < 0.001
    assert row["ci_high"] < 0
    sensitivity = _named(rows, "sensitivity for grade 1 or more, rearfoot")
    assert sensitivity["ci_low"] < -0.4 * 0.9 < sensitivity["ci_high"]
    specificity = _named(rows, "specificity for grade 1 or more, rearfoot")
    assert specificity["ci_low"] < 0 < specificity["ci_high"]
    alike = _named(rows, "odds ratio, adjusted: rearfoot", "maximum likelihood")
    apart = _named(rows, "odds ratio, adjusted: rearfoot", "the same")
    assert "may not be alike" in alike["warnings"]
    assert "may not be alike" not in apart["warnings"]
    assert alike["estimate"] < apart["estimate"]
    assert apart["ci_low"] < math.exp(0.8) < apart["ci_high"]


def test_without_readings_or_with_too_few_it_is_refused():
    knees, readings, _ = _cohort(40, 40, seed=3)
    for given in (None, []):
        rows = machine_error_rows(knees, given, SETTINGS)
        assert [row["outcome"] for row in rows] == ["signal_grade", "effusion_grade"]
        assert all("no_readings" in row["reason"] for row in rows)
    assert "few_validated: 20 knees of 10 runners" in _rows(knees, readings[:20])[0]["reason"]


def test_rare_grades_are_joined_and_said():
    knees, readings, _ = _cohort(60, 40, seed=4)
    for row in readings:
        row["grade"] = min(row["grade"], 2)
    rows = _rows(knees, readings)
    assert (
        "joined, fewer than 5 knees read: grades 2 to 3"
        in _named(rows, "prevalence of grade 2 or more", "matrix")["warnings"]
    )
    assert not [row for row in rows if row["quantity"] == "prevalence of grade 3 or more"]


def test_a_strike_group_that_was_hardly_read_is_refused_alone():
    knees, readings, _ = _cohort(120, 100, seed=5)
    style = {row["participant_id"]: row["strike_style"] for row in knees}
    lean = [row for row in readings if style[row["participant_id"]] == "rearfoot"]
    rows = _rows(knees, lean)
    assert _named(rows, "machine's grade at equal reader's grade, rearfoot")["status"] == "refused"
    assert _named(rows, "odds ratio, adjusted: all terms", "the same")["status"] == "refused"
    assert _named(rows, "odds ratio, adjusted: rearfoot", "maximum likelihood")["status"] == "estimated"


def test_row_order_and_names_change_nothing():
    knees, readings, _ = _cohort(60, 40, seed=6)
    first = _rows(knees, readings)
    order = np.random.default_rng(0).permutation(len(knees))

    def rename(row):
        return {**row, "participant_id": "sub-x" + row["participant_id"][:3:-1]}

    again = _rows([rename(knees[i]) for i in order], [rename(row) for row in readings[::-1]])
    assert len(first) == len(again)
    for one, other in zip(first, again, strict=True):
        assert {k for k, v in one.items() if v is not None} == {k for k, v in other.items() if v is not None}
        for name in ("quantity", "status", "method", "reason"):
            assert one.get(name) == other.get(name)
        for name in ("naive", "estimate", "ci_low", "ci_high"):
            if one.get(name) is not None:
                assert other[name] == pytest.approx(one[name], rel=1e-4, abs=1e-9), one["quantity"]


def test_a_machine_without_error_is_not_tested_for_differences():
    knees, readings, truth = _cohort(40, 40, seed=7)
    for row, grade in zip(knees, truth, strict=True):
        row["effusion_grade"] = int(grade)
    rows = _rows(knees, readings)
    for term in ("rearfoot", SETTINGS.distance_term):
        row = _named(rows, f"machine's grade at equal reader's grade, {term}")
        assert row["reason"].startswith("no_error")
    assert not any("may not be alike" in (row.get("warnings") or "") for row in rows)
    row = _named(rows, "odds ratio, crude_strike: rearfoot", "maximum likelihood")
    assert row["estimate"] == pytest.approx(row["naive"], rel=0.02)


def test_without_resamples_prevalences_have_no_interval():
    knees, readings, _ = _cohort(30, 30, seed=8)
    settings = Settings(**{**vars(SETTINGS), "n_bootstrap": 0, "n_imputations": 0, "exposures": ("weekly_distance",)})
    rows = _rows(knees, readings, settings)
    row = _named(rows, "prevalence of grade 1 or more", "matrix")
    assert row["status"] == "estimated"
    assert "n_bootstrap is 0" in row["method"]
    assert row.get("ci_low") is None
    assert not any("over-imputation" in row["method"] or "rearfoot" in row["quantity"] for row in rows)


def test_exposure_known_of_one_reader_grade_only():
    """Strike was asked of those without a finding: the error goes with strike or not at that grade alone."""
    knees, readings, truth = _cohort(60, 60, seed=4)
    asked = [knee | ({"strike_style": None} if true else {}) for knee, true in zip(knees, truth, strict=True)]
    rows = _rows(asked, readings)
    row = _named(rows, "machine's grade at equal reader's grade, rearfoot")
    assert (row["status"], row["n_validated"]) == ("estimated", int((truth == 0).sum()))
    # With one grade it is the difference of the machine's mean grades.
    machine = np.array([knee["effusion_grade"] for knee in knees])[truth == 0]
    strike = np.array([knee["strike_style"] == "rearfoot" for knee in knees])[truth == 0]
    joined = np.minimum(machine, 2 if (truth == 2).sum() >= 5 else 1) if (truth == 3).sum() < 5 else machine
    assert row["estimate"] == pytest.approx(joined[strike].mean() - joined[~strike].mean(), rel=1e-6)
    assert "sparse" in _named(rows, "sensitivity for grade 1 or more, rearfoot")["reason"]
