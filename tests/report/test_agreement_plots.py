"""Agreement figures show the tables' numbers where their axes say."""

import re

import numpy as np
import pytest

from kneeline import tables
from kneeline.report.agreement_plots import confusion_plots, difference_plots, plot_differences
from kneeline.report.gather import Results


def words(svg):
    return re.sub(r"\s+", " ", " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", svg)))


def cell(structure, a, b, n, comparison="machine with anna reading 1"):
    return {"comparison": comparison, "structure": structure, "grade_a": a, "grade_b": b, "n": n}


def test_regions_are_pooled_and_counts_are_those_of_the_table():
    rows = [cell(f"medial_meniscus {region}", a, b, 1 + 2 * a + b) for region in ("body", "anterior_horn")
            for a in (0, 1) for b in (0, 1)]  # fmt: skip
    rows += [cell("effusion", a, b, 10 * a + b) for a in (0, 1) for b in (0, 1)] + [cell("acl", 0, 0, 3)]
    plots = dict(confusion_plots(rows))
    assert list(plots) == [
        "meniscal regions together: machine with anna reading 1, 20 pairs",
        "effusion: machine with anna reading 1, 22 pairs",
    ]
    pooled, effusion = plots.values()
    assert "machine 0: 2, 4; machine 1: 6, 8" in pooled
    assert "machine 0: 0, 1; machine 1: 10, 11" in effusion
    assert "grade, machine" in words(pooled)
    assert "grade, anna 1" in words(pooled)


PAIRS = np.array([[2.0, 1.0], [4.0, 4.0], [6.0, 8.0], [9.0, 8.0]])


def marks(svg):
    return [
        tuple(map(float, p)) for p in re.findall(r'<use [^>]*x="([\d.]+)" y="([\d.]+)"[^>]*style="[^"]*opacity', svg)
    ]


def test_points_and_lines_stand_at_their_differences():
    lines = ((0.0, -1.0, 1.0), (-2.0, None, None), (2.0, None, None))
    svg = plot_differences(PAIRS, lines, "fluid (mL)", "d", "d")
    points = marks(svg)
    assert len(points) == 4
    # Difference 1 for the first and last, 0 for the second, -2 for the third; y grows downwards.
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = points
    assert y0 == y3
    assert (y2 - y1) / (y1 - y0) == pytest.approx(2, rel=1e-3)
    assert (x3 - x0) / (x1 - x0) == pytest.approx((8.5 - 1.5) / (4 - 1.5), rel=1e-3)
    assert "2.00" in words(svg)
    assert "−2.00" in words(svg)
    assert svg == plot_differences(PAIRS, lines, "fluid (mL)", "d", "d")


def test_differences_need_their_limits_and_their_points():
    who, what = "machine with anna reading 1", "fluid_ml"
    limits = [
        {"comparison": who, "structure": what, "statistic": name, "estimate": value, "ci_low": None, "ci_high": None}
        for name, value in (("bias", 0.0), ("lower_limit", -2.0), ("upper_limit", 2.0))
    ]
    points = [{"comparison": who, "structure": what, "value_a": a, "value_b": b} for a, b in PAIRS.tolist()]
    both = {tables.AGREEMENT.name: limits, tables.READ_VALUES.name: points}
    ((name, svg),) = difference_plots(Results(both))
    assert name == "fluid (mL): machine with anna reading 1, 4 knees"
    assert len(marks(svg)) == 4
    assert difference_plots(Results({**both, tables.READ_VALUES.name: []})) == []
    assert difference_plots(Results({**both, tables.AGREEMENT.name: limits[:1]})) == []
