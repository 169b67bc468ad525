import pytest

from kneeline.cohort.assemble import REGION_GRADES
from kneeline.cohort.prevalence import prevalence
from kneeline.statistics.intervals import clopper_pearson, wilson


def _knee(number, grade, style="rearfoot"):
    other = ("effusion_grade", "effusion_grade_volume", "cartilage_grade", "marrow_grade", *REGION_GRADES)
    empty = dict.fromkeys(other)
    return {"participant_id": f"sub-{number}", "strike_style": style, "signal_grade": grade, **empty}


def _row(rows, level, unit="knees", group="overall"):
    found = [r for r in rows if (r["level"], r["unit"], r["group"]) == (level, unit, group)]
    assert len(found) == 1
    return found[0]


def test_one_knee_a_runner():
    rows = prevalence([_knee(i, grade) for i, grade in enumerate([0] * 9 + [1] * 8 + [2] * 5)])
    row = _row(rows, ">=1")
    assert (row["count"], row["n"], row["proportion"]) == (13, 22, 13 / 22)
    assert (row["wilson_low"], row["wilson_high"]) == pytest.approx(wilson(13, 22))
    assert (row["exact_low"], row["exact_high"]) == pytest.approx(clopper_pearson(13, 22))
    assert "note" not in row
    assert sum(_row(rows, level)["count"] for level in "0123") == 22


def test_horns_of_the_marathon_runners_of_1991():
    """Shellock: 92 horns, 49, 29, 12 and 2 of grade 0 to 3."""
    rows = prevalence([_knee(i, grade) for i, grade in enumerate([0] * 49 + [1] * 29 + [2] * 12 + [3] * 2)])
    shares = [_row(rows, level)["proportion"] for level in "0123"]
    assert shares == pytest.approx([0.532609, 0.315217, 0.130435, 0.021739], rel=2e-5)
    row = _row(rows, ">=1")
    assert (row["wilson_low"], row["wilson_high"]) == pytest.approx((0.368801, 0.568595), rel=1e-4)


def test_missing_grades_are_not_zeros():
    rows = prevalence([_knee(1, 0), _knee(2, None), _knee(3, 2)])
    assert (_row(rows, "0")["count"], _row(rows, "0")["n"]) == (1, 2)
    assert not [row for row in rows if row["outcome"] == "effusion_grade"]


def test_equal_knees_of_a_runner_do_not_narrow_the_interval():
    single = [_knee(i, i % 2) for i in range(40)]
    doubled = prevalence([knee for knee in single for _ in "LR"])
    row, alone = _row(doubled, "1"), _row(prevalence(single), "1")
    assert row["n"] == 80
    assert row["wilson_high"] - row["wilson_low"] >= 0.99 * (alone["wilson_high"] - alone["wilson_low"])
    assert "independent knees" in row["note"]
    people = _row(doubled, "1", unit="participants")
    assert (people["n"], people["wilson_low"]) == (40, alone["wilson_low"])


def test_cartilage_of_the_marathon_runners_of_2006():
    """Grade 1 in three of 22, grade 2 in one; the scale goes to 4."""
    knees = [_knee(i, 0) | {"cartilage_grade": grade} for i, grade in enumerate([0] * 18 + [1] * 3 + [2])]
    rows = [row for row in prevalence(knees) if row["outcome"] == "cartilage_grade"]
    assert [_row(rows, level)["count"] for level in ("0", "1", "2", "3", "4", ">=1", ">=2")] == [18, 3, 1, 0, 0, 4, 1]
    row = _row(rows, ">=1")
    assert (row["wilson_low"], row["wilson_high"]) == pytest.approx(wilson(4, 22))
    assert not [row for row in prevalence(knees) if row["outcome"] == "marrow_grade"]


def test_groups_by_strike():
    rows = prevalence([_knee(1, 1), _knee(2, 0, "forefoot"), _knee(3, 1, "mixed"), _knee(4, 1, None)])
    assert _row(rows, "1", group="overall")["n"] == 4
    assert _row(rows, "1", group="rearfoot")["n"] == 1
    assert _row(rows, "1", group="non_rearfoot")["n"] == 2
