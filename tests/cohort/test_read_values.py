"""The pairs behind the limits of agreement: their mean difference is the bias that the agreement table tells."""

import numpy as np
import pytest

from kneeline import grading
from kneeline.cohort.agreement import compare_raters
from kneeline.cohort.read_values import read_values
from kneeline.cohort.readings import MEASURED
from kneeline.statistics.resampled import Resampling


def knee(number, **more):
    regions = {f"{m}_{r}_signal_grade": 0 for m in grading.MENISCI for r in grading.REGIONS}
    keys = {"participant_id": f"sub-{number:02}", "session_id": "ses-01", "laterality": "L"}
    values = dict.fromkeys(MEASURED) | {"fluid_ml": 5.0 + number, "midline_depth_mm": 2.0 + number / 2}
    whole = {"pouch_in_view": True, "fluid_in_view": True, "effusion_grade": 1, "outlined_by": "machine"}
    return keys | regions | values | whole | more


def reads(rater, number, knees, error):
    return [
        {"rater_id": rater, "reading": number, "structure": name, "region": None, "grade": None}
        | {key: k[key] for key in ("participant_id", "session_id", "laterality")}
        | {"value": k[name] + error * (i % 3)}
        for i, k in enumerate(knees)
        for name in ("fluid_ml", "midline_depth_mm")
    ]


KNEES = [knee(n) for n in range(1, 9)] + [knee(9, pouch_in_view=False), knee(10, outlined_by="edited by anna")]
READ = [*reads("anna", 1, KNEES, 0.5), *reads("anna", 2, KNEES[:6], 0.7), *reads("ben", 1, KNEES, -0.4)]


def test_pairs_are_those_of_the_agreement_table():
    rows = read_values(KNEES, READ)
    agreement, _ = compare_raters(KNEES, READ, resampling=Resampling(0, 1))
    bias = {(r["comparison"], r["structure"]): r for r in agreement if r["statistic"] == "bias"}
    pairs = {}
    for row in rows:
        pairs.setdefault((row["comparison"], row["structure"]), []).append(row["value_a"] - row["value_b"])
    assert set(pairs) == set(bias)
    assert len(pairs) == 8
    for key, differences in pairs.items():
        assert len(differences) == bias[key]["n"]
        assert np.mean(differences) == pytest.approx(bias[key]["estimate"], rel=1e-9)


def test_a_volume_that_is_cut_off_and_a_corrected_knee_are_not_the_machines():
    with_machine = [r for r in read_values(KNEES, READ) if r["comparison"].startswith("machine with anna reading 1")]
    fluid = {r["participant_id"] for r in with_machine if r["structure"] == "fluid_ml"}
    depth = {r["participant_id"] for r in with_machine if r["structure"] == "midline_depth_mm"}
    assert fluid == {f"sub-{n:02}" for n in range(1, 9)}
    assert depth == fluid | {"sub-09"}


def test_nobody_read():
    assert read_values(KNEES, None) == []
    assert read_values(KNEES, []) == []
