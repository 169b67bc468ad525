import pytest

from kneeline.cohort.settings import Settings
from kneeline.cohort.table_one import difference_of_means, difference_of_shares, table_one


def _row(rows, variable, level, group):
    return next(r for r in rows if (r["variable"], r["level"], r["group"]) == (variable, level, group))


@pytest.fixture
def rows(fabricate):
    ages = [30, 40, 50, 60, None]
    runners = [fabricate.runner(i + 1, age_years=age) for i, age in enumerate(ages)]
    return table_one([runners[0] | {"strike_style": None}, *runners[1:]], Settings())


def test_counts_missing_and_location(rows):
    age = _row(rows, "age_years", "mean (SD)", "overall")
    assert (age["n"], age["missing"], age["value"]) == (4, 1, "45.0 (12.9)")
    assert _row(rows, "age_years", "median [quartiles]", "overall")["value"] == "45.0 [37.5, 52.5]"
    assert _row(rows, "runners", "count", "rearfoot")["n"] == 2
    assert _row(rows, "strike_group", "known", "overall")["missing"] == 1


def test_a_group_without_values_has_no_value(rows):
    alone = _row(rows, "age_years", "mean (SD)", "rearfoot")
    assert (alone["n"], alone["missing"], alone["value"]) == (1, 1, "50.0 (n/a)")
    assert alone.get("standardised_difference") is None


def test_groups_by_distance_and_their_difference(fabricate):
    """Ages 30, 32, 34 below 32 km and 40, 42, 44 above: both variances are 4, ten years are five of their roots."""
    ages = {20.0: (30, 32, 34), 50.0: (40, 42, 44)}
    runners = [
        fabricate.runner(i, age_years=age, weekly_distance_km=km)
        for i, (km, age) in enumerate((km, age) for km, those in ages.items() for age in those)
    ]
    rows = table_one(runners, Settings())
    assert _row(rows, "age_years", "mean (SD)", "below_32_km")["value"] == "32.0 (2.0)"
    assert _row(rows, "age_years", "mean (SD)", "from_32_km")["value"] == "42.0 (2.0)"
    assert _row(rows, "age_years", "mean (SD)", "overall")["standardised_difference_distance"] == pytest.approx(5)
    distance = _row(rows, "weekly_distance_km", "mean (SD)", "overall")
    assert "standardised_difference_distance" not in distance  # differs by definition
    assert "standardised_difference" in distance


def test_a_group_of_nobody_has_no_value(fabricate):
    rows = table_one([fabricate.runner(i, strike_style="forefoot") for i in range(4)], Settings())
    nobody = _row(rows, "age_years", "mean (SD)", "rearfoot")
    assert (nobody["n"], nobody["missing"], nobody.get("value")) == (0, 0, None)


def test_categories_are_counted(fabricate):
    runners = [fabricate.runner(i, sex=sex) for i, sex in enumerate("FFFM", start=1)]
    rows = table_one(runners, Settings())
    assert _row(rows, "sex", "F", "overall")["value"] == "3 (75 %)"
    # Rearfoot: runners 1 and 3, both F; others: one F, one M. (1 - 0.5) / sqrt((0 + 0.25) / 2).
    assert _row(rows, "sex", "F", "overall")["standardised_difference"] == pytest.approx(2**0.5)


def test_no_p_value_anywhere(rows):
    assert all("p" not in row["value"] for row in rows if row.get("value"))


def test_standardised_difference_of_means():
    # Both groups have variance 1; means differ by 2.
    assert difference_of_means([4, 5, 6], [2, 3, 4]) == pytest.approx(2)
    assert difference_of_means([4], [2, 3]) is None
    assert difference_of_means([4, 4], [4, 4]) == 0
    assert difference_of_means([4, 4], [5, 5]) is None


def test_standardised_difference_of_shares():
    assert difference_of_shares(["a", "b"], ["a", "b"], "a") == 0
    assert difference_of_shares(["a"], [None], "a") is None


def test_nobody_gives_no_rows():
    assert table_one([], Settings()) == []
