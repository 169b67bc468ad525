import numpy as np
import pytest
from tests.conftest import ROOT

from kneeline import cli, tables
from kneeline.cohort.knee_table import read_knee_table
from kneeline.cohort.run import run_table
from kneeline.errors import UsageError

# Twelve runners of a made-up publication, as one would type its table.
COLUMNS = (
    "participant_id", "laterality", "signal_grade", "effusion_grade", "fluid_ml", "strike_style", "weekly_distance_km",
    "age_years", "sex",
)  # fmt: skip
TYPED = (
    "\t".join(COLUMNS)
    + """
sub-01\tL\t0\t0\t3.1\trearfoot\t20\t31\tF
sub-02\tR\t1\t0\t4.0\tforefoot\t25\t35\tM
sub-03\tL\t2\t1\t9.5\trearfoot\t48\t44\tM
sub-04\tL\t0\t1\t8.0\tmidfoot\t30\t29\tF
sub-05\tR\t1\t1\t8.8\trearfoot\t61\t51\tF
sub-06\tR\t0\t0\t2.2\tforefoot\t18\t33\tM
sub-07\tL\t1\t0\t5.1\trearfoot\t33\t38\tM
sub-08\tR\t2\t2\t16\tforefoot\t70\t47\tF
sub-09\tL\t0\t0\t3.3\trearfoot\t22\t36\tF
sub-10\tL\t3\t1\t9.9\tmidfoot\t55\t58\tM
sub-11\tR\t1\t0\t4.4\trearfoot\t40\t40\tF
sub-12\tL\t0\t0\t2.9\tforefoot\t28\t27\tM
"""
)


QUICK = {"outcomes": ["signal_grade"], "adjustment": {"main": []}, "n_bootstrap": 100, "n_imputations": 2}


@pytest.fixture
def typed(tmp_path):
    path = tmp_path / "published.tsv"
    path.write_text(TYPED)
    return path


def test_a_typed_table_is_analysed(typed, tmp_path):
    cohort = run_table(typed, tmp_path / "out", QUICK)
    assert len(cohort.knees) == 12
    written = {p.stem: p for p in (tmp_path / "out").glob("*.tsv")}
    assert {"knees", "table_one", "prevalence", "estimates", "agreement", "flow"} <= set(written)
    estimates = tables.read_table(written["estimates"], tables.ESTIMATES)
    crude = next(r for r in estimates if (r["model"], r["outcome"]) == ("exact_crude_strike", "signal_grade"))
    rearfoot = [line.split("\t") for line in TYPED.splitlines()[1:] if "rearfoot" in line]
    assert crude["n_participants"] == 12
    assert crude["status"] == "estimated"
    prevalence = tables.read_table(written["prevalence"], tables.PREVALENCE)
    row = next(
        r for r in prevalence if (r["outcome"], r["level"], r["unit"], r["group"])
        == ("signal_grade", ">=1", "knees", "rearfoot")
    )  # fmt: skip
    assert (row["count"], row["n"]) == (sum(cells[2] != "0" for cells in rearfoot), len(rearfoot)) == (4, 6)
    flow = tables.read_table(written["flow"], tables.FLOW)
    assert [(r["step"], r["n_scans"]) for r in flow[:2]] == [("knees in the table", 12), ("knees to analyse", 12)]


def test_the_example_of_the_documents(tmp_path):
    """22 runners before the marathon (Schueller-Weidekamm 2006): 8 with grade 1, 5 with grade 2."""
    run_table(ROOT / "docs/examples/marathon-2006.tsv", tmp_path / "out", QUICK)
    rows = tables.read_table(tmp_path / "out/prevalence.tsv", tables.PREVALENCE)
    found = {
        r["level"]: r for r in rows if (r["unit"], r["group"], r["outcome"]) == ("knees", "overall", "signal_grade")
    }
    assert {level: found[level]["count"] for level in "012"} == {"0": 9, "1": 8, "2": 5}
    assert (found[">=1"]["wilson_low"], found[">=1"]["wilson_high"]) == pytest.approx((0.387348, 0.767442), rel=1e-4)
    estimates = tables.read_table(tmp_path / "out/estimates.tsv", tables.ESTIMATES)
    assert estimates
    assert {row["status"] for row in estimates} == {"refused"}
    assert all(row["reason"] for row in estimates)


def test_kneelines_own_table_of_knees_gives_the_same_estimates(fabricate, analyse, tmp_path):
    runners = [fabricate.runner(i) for i in range(1, 31)]
    first = analyse(runners, fabricate.draw_knees(30, "LR", seed=3), config=QUICK)
    run_table(first.folder / "knees.tsv", tmp_path / "again", QUICK)
    for name, table in (("estimates", tables.ESTIMATES), ("prevalence", tables.PREVALENCE)):
        again = tables.read_table(tmp_path / "again" / f"{name}.tsv", table)
        assert len(again) == len(getattr(first, name))
        for one, other in zip(getattr(first, name), again, strict=True):
            for column in table.columns:
                if column.kind == "float" and one[column.name] is not None:
                    assert other[column.name] == pytest.approx(one[column.name], rel=1e-3, abs=1e-5)
                else:
                    assert other[column.name] == one[column.name]


def test_what_follows_is_filled_in(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text(
        "participant_id\tlaterality\tmedial_body_signal_grade\tfluid_ml\tfoot_strike_angle_deg\tage_years\n"
        "sub-1\tR\t3\t4.5\t12\tn/a\n"
        "sub-1\tL\tn/a\t5\tn/a\t40\n"
    )
    left, right = read_knee_table(path).knees
    assert (left["laterality"], left["session_id"], left["analysed"]) == ("L", "ses-01", True)
    assert (right["signal_grade"], left["signal_grade"]) == (3, None)
    assert (right["pouch_in_view"], right["age_years"], left["strike_style"]) == (True, 40, "rearfoot")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("participant_id\tsignal_grade\nsub-1\t1\nsub-1\t2\n", "line 3: the same participant_id, session_id"),
        ("participant_id\tsignal_grade\tbmi\nsub-1\t1\t22\n", "'bmi' (is it bmi_kg_m2?)"),
        (
            "participant_id\tsignal_grade\tweekly_distance_miles\nsub-1\t1\t20\n",
            "'weekly_distance_miles' (is it weekly_distance_km? multiply miles by 1.609344)",
        ),
        ("participant_id\tsignal_grade\tdistance\nsub-1\t1\t20\n", "'distance' (is it weekly_distance_km or"),
        ("participant_id\tsignal_grade\tstrike\nsub-1\t1\tRFS\n", "unknown column(s) 'strike' (is it strike_style or"),
        ("participant_id\tsignal_grade\nsub-1\t4\n", "expected one of 0, 1, 2, 3, got '4' (sub-1)"),
        ("participant_id\tage_years\nsub-1\t40\n", "no knee has an outcome"),
        (
            "participant_id\tlaterality\tsignal_grade\tage_years\nsub-1\tL\t1\t40\nsub-1\tR\t1\t41\n",
            "sub-1 R: age_years is 41.0, but 40.0 in the row of sub-1 L; a runner has one",
        ),
        (
            "participant_id\tsignal_grade\tstrike_style\tfoot_strike_angle_deg\nsub-1\t1\tforefoot\t12\n",
            "sub-1: strike_style is forefoot, but foot_strike_angle gives rearfoot",
        ),
    ],
)
def test_faults_of_a_typed_table_are_named(tmp_path, text, words):
    path = tmp_path / "t.tsv"
    path.write_text(text)
    with pytest.raises(UsageError) as told:
        read_knee_table(path)
    assert words in str(told.value)


def test_readings_of_a_typed_table_must_fit_it(typed, tmp_path):
    readings = tmp_path / "readings.tsv"
    row = {"rater_id": "anna", "reading": 1, "participant_id": "sub-01", "session_id": "ses-01", "laterality": "R"}
    tables.write_table(readings, [row | {"structure": "effusion", "grade": 1}], tables.READINGS)
    with pytest.raises(UsageError, match="sub-01 ses-01 R: read by anna, but the scans table has side L"):
        run_table(typed, tmp_path / "out", {}, readings)
    assert not (tmp_path / "out").exists()


def test_row_order_changes_nothing(typed, tmp_path):
    header, *lines = TYPED.splitlines()
    other = tmp_path / "shuffled.tsv"
    other.write_text("\n".join([header, *np.random.default_rng(1).permutation(lines)]) + "\n")
    for path, out in ((typed, "a"), (other, "b")):
        run_table(path, tmp_path / out, QUICK)
    for name in ("estimates", "knees", "prevalence", "table_one"):
        assert (tmp_path / "a" / f"{name}.tsv").read_bytes() == (tmp_path / "b" / f"{name}.tsv").read_bytes()


def test_the_command_needs_no_config(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few.tsv").write_text("\n".join(TYPED.splitlines()[:5]) + "\n")
    assert cli.main(["cohort", "--knees", "few.tsv"]) == 0
    assert "4 knees of 4 runners" in capsys.readouterr().out
    assert (tmp_path / "results/cohort/estimates.tsv").exists()
    assert cli.main(["cohort", "--knees", "none.tsv"]) == 2
    assert "none.tsv: no such file" in capsys.readouterr().err


def test_readers_of_a_typed_table_are_compared_with_its_grades(typed, tmp_path):
    """The table has the knees' own grades and no regions; so have the readings, one by that name, one by its parts."""
    machine = {line.split("\t")[0]: line.split("\t")[1:3] for line in TYPED.splitlines()[1:]}
    readings = [
        {"rater_id": "anna", "reading": 1, "participant_id": who, "session_id": "ses-01", "laterality": side,
         "structure": "signal_grade", "grade": min(3, int(grade) + (who == "sub-01"))}
        for who, (side, grade) in machine.items()
    ]  # fmt: skip
    readings += [
        {**row, "rater_id": "bo", "structure": f"{part}_meniscus", "grade": row["grade"] if part == "medial" else 0}
        for row in readings
        for part in ("medial", "lateral")
    ]
    table = tmp_path / "readings.tsv"
    tables.write_table(table, readings, tables.READINGS)
    run_table(typed, tmp_path / "out", QUICK, table)
    agreement = tables.read_table(tmp_path / "out" / "agreement.tsv", tables.AGREEMENT)
    found = {
        (row["comparison"], row["structure"], row["statistic"]): row for row in agreement if row["estimate"] is not None
    }
    for reader in ("anna", "bo"):
        exact = found[f"machine with {reader} reading 1", "signal_grade", "exact_agreement"]
        assert (exact["n"], exact["estimate"]) == (12, pytest.approx(11 / 12, rel=1e-5))
    assert found["anna reading 1 with bo reading 1", "signal_grade", "exact_agreement"]["estimate"] == 1
