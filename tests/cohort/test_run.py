"""The stage as a whole: which files it writes, for which cohorts, always the same bytes."""

import subprocess
import sys

import pytest

from kneeline import tables
from kneeline.cohort.run import run_cohort
from kneeline.errors import UsageError

NAMES = {table.name.removeprefix("cohort/") + ".tsv" for table in tables.TABLES if table.name.startswith("cohort/")}


def _knees(fabricate, n, sides, seed=1):
    return [fabricate.runner(i) for i in range(1, n + 1)], fabricate.draw_knees(n, sides, seed)


@pytest.mark.parametrize(("n", "sides"), [(26, "L"), (26, "LR"), (3, "L"), (1, "LR"), (0, "L")])
def test_every_table_for_every_size(fabricate, analyse, n, sides):
    found = analyse(*_knees(fabricate, n, sides))
    assert {path.name for path in found.folder.iterdir()} == NAMES
    assert len(found.knees) == n * len(sides)
    for row in found.estimates:
        if row["status"] == "refused":
            assert row["reason"]
            assert row["estimate"] is row["ci_low"] is row["ci_high"] is row["p_value"] is None
        else:
            assert row["method"]
    if n <= 3:
        assert {row["status"] for row in found.estimates} == {"refused"}
    _assert_words_of_a_cross_sectional_study(found.folder)


def test_all_scans_set_aside(fabricate, analyse):
    aside = [
        {"participant_id": f"sub-00{i}", "session_id": "ses-01", "laterality": "L", "scan_id": f"s{i}",
         "status": "quarantined", "stage": "segment", "reason_code": "not_a_knee", "reason": "no knee was found"}
        for i in (1, 2)
    ]  # fmt: skip
    found = analyse([fabricate.runner(1), fabricate.runner(2)], [], aside)
    assert found.knees == []
    assert any("not_a_knee: no knee was found" in (row["reason"] or "") for row in found.flow)
    assert len(found.published) > 80


def test_a_second_run_with_rows_in_another_order_gives_the_same_bytes(fabricate, analyse):
    runners, knees = _knees(fabricate, 26, "LR")
    first = analyse(runners, knees, out="first").folder
    turned = analyse(runners[::-1], knees[::-1], out="turned").folder
    for name in NAMES:
        assert (first / name).read_bytes() == (turned / name).read_bytes(), name


def test_readings_are_compared(fabricate, analyse):
    runners, knees = _knees(fabricate, 12, "L")
    readings = [
        {k: knee[k] for k in tables.KNEE_KEYS}
        | {"rater_id": "anna", "reading": 1, "structure": "effusion", "grade": knee["effusion_grade"]}
        for knee in knees
    ]
    found = analyse(runners, knees, readings=readings)
    kappa = next(row for row in found.agreement if row["statistic"] == "weighted_kappa_quadratic")
    assert (kappa["comparison"], kappa["structure"]) == ("machine with anna reading 1", "effusion")
    assert kappa["estimate"] == 1
    assert sum(row["n"] for row in found.confusion) == 12


def test_readers_are_not_compared_with_outlines_that_cannot_be_trusted(fabricate, analyse):
    runners, knees = _knees(fabricate, 12, "L")
    knees[0] |= {"verdict": "unusable"}
    readings = [
        {k: knee[k] for k in tables.KNEE_KEYS} | {"rater_id": "anna", "reading": 1, "structure": "effusion", "grade": 1}
        for knee in knees
    ]
    assert sum(row["n"] for row in analyse(runners, knees, readings=readings).confusion) == 11


def test_wrong_settings_write_nothing(fabricate, tmp_path):
    paths = fabricate.write_results(tmp_path, *_knees(fabricate, 3, "L"))
    with pytest.raises(UsageError, match="unknown setting outcome"):
        run_cohort(**paths, out=tmp_path / "cohort", config={"outcome": "pain"})
    assert not (tmp_path / "cohort").exists()


def _assert_words_of_a_cross_sectional_study(folder):
    """Prevalence and association: no table speaks of incidence, cause, risk factor or effect; no stars behind a p."""
    text = "\n".join(path.read_text(encoding="utf-8").lower() for path in sorted(folder.iterdir()))
    for word in ("incidence", "cause", "risk factor", " effect"):
        assert word not in text.replace("because", "").replace("design effect", "")
    assert "*" not in text


def test_package_import_is_light():
    code = "import sys, kneeline.cohort; print({'pandas', 'scipy', 'statsmodels', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
