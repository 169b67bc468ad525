"""What must not change an estimate, and what must turn it round. Byte equality in any row order: `test_run`."""

import math
from pathlib import Path

import numpy as np
import pytest

from kneeline.cohort.assemble import read_cohort, to_analyse
from kneeline.cohort.run import estimate
from kneeline.cohort.settings import Settings
from kneeline.tables import Row

SETTINGS = Settings(outcomes=("signal_grade", "log_fluid_ml"), n_bootstrap=50, n_imputations=2)
# Fitted afresh by a search, so that the last digits depend on the order of the sums.
CLOSE = {"rel": 1e-6, "abs": 1e-9}


@pytest.fixture(scope="module")
def knees(fabricate, tmp_path_factory) -> list[Row]:
    """Two knees of 60 runners, 20 distances, all joint cells filled, whose grades follow strike and distance."""
    rng = np.random.default_rng(12)
    runners, scored = [], []
    for i in range(1, 61):
        distance = 12 + 2 * ((i - 1) // 2 % 20)
        runners.append(fabricate.runner(i, weekly_distance_km=distance, running_years=float(rng.integers(2, 20))))
        for side in "LR":
            latent = 0.8 * (i % 2) + 0.05 * distance + rng.logistic()
            grade = int(sum(latent > cut for cut in (1.2, 2.2, 3.2)))
            scored.append(fabricate.knee(i, side, grade, 0, fluid_ml=float(rng.uniform(2, 20))))
    return to_analyse(read_cohort(**fabricate.write_results(tmp_path_factory.mktemp("laws"), runners, scored)))


@pytest.fixture(scope="module")
def found(knees) -> dict[tuple, Row]:
    return _by_term(estimate(knees, SETTINGS)[0])


@pytest.fixture(scope="module")
def turned(knees) -> dict[tuple, Row]:
    """With grade 3 for 0, and 0 for 3."""
    return _by_term(estimate([{**row, "signal_grade": 3 - row["signal_grade"]} for row in knees], SETTINGS)[0])


def _by_term(rows: list[Row]) -> dict[tuple, Row]:
    by_term = {(row["model"], row["outcome"], row["term"]): row for row in rows}
    assert len(by_term) == len(rows)
    return by_term


def _assert_same(found: dict[tuple, Row], again: dict[tuple, Row]) -> None:
    """Equal rows, those whose runners are drawn at random among them."""
    assert found.keys() == again.keys()
    assert sum(row["status"] == "estimated" for row in found.values()) > 50
    for key, row in found.items():
        other = again[key]
        assert (other["status"], other.get("n_knees")) == (row["status"], row.get("n_knees")), key
        for name in ("estimate", "ci_low", "ci_high", "p_value"):
            value = row.get(name)
            assert other.get(name) == (None if value is None else pytest.approx(value, **CLOSE)), (key, name)


def test_the_fabricated_runners_can_tell_the_laws_apart(found):
    """Without associations reversed and unreversed estimates would look alike."""
    adjusted = {term: row for (model, outcome, term), row in found.items()
                if (model, outcome) == ("cumulative_logit_adjusted", "signal_grade")}  # fmt: skip
    assert adjusted["rearfoot"]["estimate"] > 1.5
    assert adjusted["distance_per_10_km"]["estimate"] > 1.1


def test_runners_under_other_names(knees, found):
    names = sorted({row["participant_id"] for row in knees})
    renamed = dict(zip(names, np.random.default_rng(1).permutation([f"sub-x{i:02d}" for i in range(60)]), strict=True))
    moved = sorted(({**row, "participant_id": str(renamed[row["participant_id"]])} for row in knees),
                   key=lambda row: (row["participant_id"], row["laterality"]))  # fmt: skip
    _assert_same(found, _by_term(estimate(moved, SETTINGS)[0]))


def test_left_and_right_exchanged(knees, found):
    other = {"L": "R", "R": "L"}
    mirrored = sorted(({**row, "laterality": other[row["laterality"]]} for row in knees),
                      key=lambda row: (row["participant_id"], row["laterality"]))  # fmt: skip
    _assert_same(found, _by_term(estimate(mirrored, SETTINGS)[0]))


def test_columns_in_another_order(fabricate, tmp_path):
    runners = [fabricate.runner(i) for i in range(1, 7)]
    paths = fabricate.write_results(tmp_path, runners, fabricate.draw_knees(6, "LR", 1))
    first = read_cohort(**paths)
    sheets = [paths["participants"], paths["scans"], *paths["score_dir"].glob("*.tsv")]
    assert len(sheets) == 6
    for seed, sheet in enumerate(sheets):
        _shuffle_columns(sheet, np.random.default_rng(seed))
    assert read_cohort(**paths) == first


def _shuffle_columns(sheet: Path, rng: np.random.Generator) -> None:
    lines = [line.split("\t") for line in sheet.read_text(encoding="utf-8").splitlines()]
    order = rng.permutation(len(lines[0]))
    text = "".join("\t".join(line[i] for i in order) + "\n" for line in lines)
    assert text != sheet.read_text(encoding="utf-8")
    sheet.write_text(text, encoding="utf-8")


def test_a_reversed_scale_turns_every_odds_ratio_round(found, turned):
    """What raised the odds of a higher grade lowers them by as much, with the same p."""
    compared = 0
    for key, row in found.items():
        model, outcome, term = key
        if outcome != "signal_grade" or not model.startswith("cumulative_logit") or row["scale"] != "odds_ratio":
            continue
        other = turned[key]
        assert other["status"] == row["status"]
        if row["status"] == "refused":
            continue
        ends = [math.log(other[name]) for name in ("estimate", "ci_high", "ci_low")]
        assert [-math.log(row[name]) for name in ("estimate", "ci_low", "ci_high")] == pytest.approx(ends, **CLOSE), key
        assert other["p_value"] == pytest.approx(row["p_value"], **CLOSE)
        compared += 1
    assert compared >= 12


def test_a_reversed_scale_does_not_touch_what_has_no_direction(found, turned):
    for term in ("distance, any association", "distance, departure from a straight line"):
        key = next(key for key in found if key[1:] == ("signal_grade", term))
        assert turned[key]["p_value"] == pytest.approx(found[key]["p_value"], **CLOSE)
    # A chi-square over cuts: the same cuts in the other order.
    key = ("proportional_odds_check", "signal_grade", "all terms")
    assert turned[key]["estimate"] == pytest.approx(found[key]["estimate"], **CLOSE)


def test_a_constant_covariate_is_refused_by_name(knees, found):
    same = _by_term(estimate([{**row, "bmi_kg_m2": 22.0} for row in knees], SETTINGS)[0])
    row = same["cumulative_logit_adjusted", "signal_grade", "bmi_kg_m2"]
    assert row["status"] == "refused"
    assert "bmi_kg_m2 has one value" in row["reason"]
    strike = same["cumulative_logit_adjusted", "signal_grade", "rearfoot"]
    assert strike["status"] == "estimated"
    assert "bmi_kg_m2" in strike["warnings"]
