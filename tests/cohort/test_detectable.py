import pytest

from kneeline.cohort.detectable import power_rows
from kneeline.cohort.settings import Settings
from kneeline.statistics.power import ordinal_power


def _knees(n_runners, sides, grade):
    return [
        {
            "participant_id": f"sub-{i}",
            "strike_style": "rearfoot" if i % 2 else "midfoot",
            "signal_grade": grade(i, k),
        }
        for i in range(n_runners)
        for k in range(sides)
    ]


def test_one_knee_a_runner_has_the_plain_power():
    rows = power_rows(_knees(20, 1, lambda i, _: i // 2 % 3), "signal_grade", Settings())
    assert [row["term"][-1] for row in rows] == ["2", "3", "4"]
    assert rows[1]["estimate"] == pytest.approx(ordinal_power([0.4, 0.3, 0.3], 3, 10, 10))
    assert "one knee a runner" in rows[1]["warnings"]


def test_unequal_groups_have_less_power_than_equal_ones():
    knees = [knee | {"strike_style": "rearfoot" if i < 15 else "forefoot"}
             for i, knee in enumerate(_knees(20, 1, lambda i, _: i // 2 % 3))]  # fmt: skip
    row = power_rows(knees, "signal_grade", Settings())[1]
    assert row["estimate"] == pytest.approx(ordinal_power([0.4, 0.3, 0.3], 3, 15, 5))
    assert "15 rearfoot and 5 other runners" in row["warnings"]


def test_a_second_knee_that_says_the_same_adds_no_power():
    alone = power_rows(_knees(20, 1, lambda i, _: i // 2 % 3), "signal_grade", Settings())
    twice = power_rows(_knees(20, 2, lambda i, _: i // 2 % 3), "signal_grade", Settings())
    for one, two in zip(alone, twice, strict=True):
        assert two["estimate"] == pytest.approx(one["estimate"])
        assert two["n_knees"] == 40
    assert "correlate by 1.00: 40 knees count as 20.0" in twice[0]["warnings"]
    other = power_rows(_knees(20, 2, lambda i, k: (i // 2 + k) % 3), "signal_grade", Settings())
    assert other[0]["estimate"] > alone[0]["estimate"]


def test_few_of_a_strike_group_are_refused():
    knees = _knees(20, 1, lambda i, _: i % 3)[:9]
    (reason,) = {row["reason"] for row in power_rows(knees, "signal_grade", Settings())}
    assert "rearfoot holds 4" in reason
