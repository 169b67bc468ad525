"""Figures: what is drawn is what the rows say."""

import re

import numpy as np
import pytest

from kneeline import grading
from kneeline.report import plots
from kneeline.statistics.agreement import agree_on_grades, agree_on_values

ROW = {"model": "cumulative_logit_adjusted", "outcome": "signal_grade", "scale": "odds_ratio", "n_participants": 23}
ESTIMATED = {
    **ROW,
    "status": "estimated",
    "term": "rearfoot",
    "estimate": 2.0,
    "ci_low": 0.5,
    "ci_high": 8.0,
    "reason": None,
}
REFUSED = {**ROW, "status": "refused", "term": "rearfoot:distance_per_10_km", "estimate": None, "ci_low": None}
REFUSED |= {"ci_high": None, "reason": "sparse: <b>few</b>"}


def words(svg):
    return [re.sub(r"<[^>]+>", "", text) for text in re.findall(r"<text.*?</text>", svg, re.S)]


def squares(svg):
    """x of the point estimates: the square marker's uses."""
    return [float(x) for x in re.findall(r"<use [^>]*?x=\"([\d.]+)\"", svg)]


def test_forest_names_every_contrast_and_says_which_was_refused():
    svg = plots.plot_forest([ESTIMATED, REFUSED, {**ESTIMATED, "term": "age_years"}], "f", "Forest")
    text = words(svg)
    assert "2.00 (0.50 to 8.00)" in text
    assert "rearfoot × distance per 10 km" in text
    assert "refused: sparse" in text
    assert not any("age" in t for t in text)  # covariates are in the table
    assert "<b>" not in svg


def test_forest_axis_is_logarithmic():
    """The line from 0.5 to 8 has its geometric mean in the middle, where the estimate of 2 sits."""
    svg = plots.plot_forest([ESTIMATED], "f", "Forest")
    line = re.search(r'd="M ([\d.]+) ([\d.]+) \s*L ([\d.]+) \2 \s*"[^>]*style="fill: none; stroke: #2b7bb9', svg)
    left, right = float(line[1]), float(line[3])
    assert squares(svg)[-1] == pytest.approx((left + right) / 2, abs=0.01)


def test_forest_clips_an_interval_without_end_and_marks_it():
    endless = {**ESTIMATED, "ci_high": None, "ci_low": 0.001}
    svg = plots.plot_forest([endless], "f", "Forest")
    assert "2.00 (0.001 to n/a)" in words(svg)
    plain = plots.plot_forest([ESTIMATED], "f", "Forest")
    assert len(squares(svg)) == len(squares(plain)) + 2  # an arrow at each end


@pytest.mark.parametrize("draw", [lambda: plots.plot_forest([ESTIMATED, REFUSED], "f", "Forest")])
def test_figures_are_the_same_bytes_twice_and_fit_inside_a_page(draw):
    svg = draw()
    assert svg == draw()
    assert svg.startswith("<svg ")
    assert not re.search(r"https?:|xmlns|<metadata|<\?xml|DOCTYPE|xlink", svg)
    ids = re.findall(r'\bid="([^"]+)"', svg)
    assert all(i.startswith("f-") for i in ids)
    assert all(used in ids for used in re.findall(r"url\(#([^)]+)\)", svg))


def knee(strike, km, grade, ml=5.0, in_view=True):
    return {
        "strike_style": strike,
        "weekly_distance_km": km,
        "signal_grade": grade,
        "fluid_ml": ml,
        "pouch_in_view": in_view,
    }


def test_grade_groups_count_every_knee_once():
    rows = [
        knee("rearfoot", 32.0, 2), knee("rearfoot", 31.9, 0), knee("forefoot", 50.0, None), knee("midfoot", 50.0, 3),
        knee(None, None, 1),
    ]  # fmt: skip
    groups = {(block, name): counts for block, name, counts in plots.grade_groups(rows, "signal_grade", 32)}
    assert groups["both", "rearfoot, 32 km or more"] == [0, 0, 1, 0, 0]
    assert groups["both", "rearfoot, below 32 km"] == [1, 0, 0, 0, 0]
    assert groups["both", "other strike, 32 km or more"] == [0, 0, 0, 1, 1]
    assert groups["both", "strike n/a, distance n/a"] == [0, 1, 0, 0, 0]
    assert groups["strike", "rearfoot"] == [1, 0, 1, 0, 0]
    assert groups["distance", "32 km or more"] == [0, 0, 1, 1, 1]
    for block in ("all", "strike", "distance", "both"):
        members = [counts for (name, _), counts in groups.items() if name == block]
        assert [sum(column) for column in zip(*members, strict=True)] == [1, 1, 1, 1, 1]
    assert [block for block, _ in groups].count("both") == 4  # no empty group


def test_a_block_that_repeats_the_one_before_is_left_out():
    groups = plots.grade_groups([knee("rearfoot", 40.0, 1)] * 3, "signal_grade", 32)
    assert groups == [("all", "all knees", [0, 3, 0, 0, 0])]


def test_groups_are_those_of_the_tables():
    """The bars of a group hold the knees that the cohort's tables count in it, whatever the style and the cut."""
    for style in (*grading.STRIKE_STYLES, None):
        for km in (0.0, 31.99, 32.0, 32.01, None):
            row = knee(style, km, 0)
            said = {"rearfoot": "rearfoot", "other strike": "non_rearfoot", "strike n/a": None}
            assert said[plots.strike_group(row)] == grading.strike_group(style)
            said = {"below 32 km": "below_32_km", "32 km or more": "from_32_km", "distance n/a": None}
            assert said[plots.distance_group(row, 32)] == grading.distance_group(km, 32)


def test_fluid_plot_draws_known_points_only():
    rows = [knee("rearfoot", 20.0, 0, 4.0), knee("rearfoot", None, 0, 4.0), knee("forefoot", 30.0, 0, None)]
    rows += [knee("forefoot", 44.0, 0, 9.0, in_view=False)]
    svg = plots.plot_fluid(rows, 32, "p", "Fluid")
    text = words(svg)
    assert "rearfoot" in text
    assert "other strike, pouch cut off (fluid is missed)" in text
    assert "other strike" not in text
    assert "32 km" in text
    assert plots.plot_fluid([], 32, "p", "Fluid").startswith("<svg")


def test_confusion_and_volume_figures_carry_their_numbers():
    agreement = agree_on_grades("x", [[(0, 0), (0, 1)], [(3, 3)]])
    svg = plots.plot_confusion(agreement, "c")
    assert "true 0: 1, 1, 0, 0; true 1: 0, 0, 0, 0; true 2: 0, 0, 0, 0; true 3: 0, 0, 0, 1" in svg
    volumes = agree_on_values("joint fluid", "mL", [(1.0, 2.0), (4.0, 4.0)])
    svg = plots.plot_volumes(volumes, "v")
    xs, ys = zip(*[(float(x), float(y)) for x, y in re.findall(r'<use [^>]*?x="([\d.]+)" y="([\d.]+)"[^>]*fill: #2b7bb9', svg)][-2:], strict=True)  # fmt: skip  # noqa: E501
    # 3 mL across and 2 mL up on axes of one length: the slope of the page is 2 / 3.
    assert (ys[0] - ys[1]) / (xs[1] - xs[0]) == pytest.approx(2 / 3 * (0.72 * 260) / (0.72 * 270), rel=1e-3)
    assert np.isclose(volumes.bias, 0.5)
