"""Dose response on the page: curves as the table has them, a refused one with its reason, the cut beside both."""

import hashlib
import html
import math
import re
import shutil

import pytest

from kneeline import tables
from kneeline.report import dose, page

POINTS = ((20.0, 0.5), (32.0, 1.0), (60.0, 4.0))


def curve(outcome, shape, points=POINTS):
    return [
        {"outcome": outcome, "shape": shape, "weekly_distance_km": km, "reference_km": 32.0, "estimate": ratio,
         "scale": "odds_ratio", "ci_low": ratio / 2, "ci_high": ratio * 2, "n_participants": 22, "n_knees": 22}
        for km, ratio in points
    ]  # fmt: skip


def drawn(svg, gid):
    """Points (x, y) of the path that a group holds."""
    group = svg[svg.index(f'id="d-{gid}"') :]
    path = re.search(r'<path d="([^"]+)"', group)[1]
    return [tuple(map(float, pair)) for pair in re.findall(r"[ML] ([\d.-]+) ([\d.-]+)", path)]


@pytest.fixture
def built(results, tmp_path, made):
    """The page of a run whose signal grade has curves and whose effusion grade was refused."""
    folder = tmp_path / "r"
    shutil.copytree(results[0], folder)
    rows = tables.read_table(folder / "cohort/estimates.tsv", tables.ESTIMATES)
    common = {"scale": "other", "n_participants": 22, "n_knees": 22, "term": "distance, any association"}
    rows += [
        {**common, "model": "cumulative_logit" + dose.SPLINE, "outcome": "signal_grade", "estimate": 1.2,
         "status": "estimated"},
        {**common, "model": "cumulative_logit" + dose.SPLINE, "outcome": "effusion_grade", "status": "refused",
         "reason": "few_distances: 13 distinct <b>weekly</b> distances"},
        {**common, "model": "cumulative_logit" + dose.CUT, "outcome": "signal_grade", "term": "distance_from_32_km",
         "scale": "odds_ratio", "estimate": 1.7, "ci_low": 0.6, "ci_high": 4.9, "status": "estimated"},
        {**common, "model": "cumulative_logit" + dose.CUT, "outcome": "effusion_grade", "term": "distance_from_32_km",
         "scale": "odds_ratio", "status": "refused", "reason": "sparse: 3 runners"},
    ]  # fmt: skip
    tables.write_table(folder / "cohort/estimates.tsv", rows, tables.ESTIMATES)
    curves = curve("signal_grade", "linear") + curve("signal_grade", "spline", [(20.0, 2.0), (32.0, 1.0), (60.0, 9.0)])
    tables.write_table(folder / "cohort/dose_response.tsv", curves, tables.DOSE_RESPONSE)
    return folder, page.build_report(folder, folder / "report", made.CONFIG).read_text(encoding="utf-8")


def test_curves_and_refusals_are_on_the_page(built):
    folder, text = built
    figure = re.search(r'<svg[^>]*aria-label="Adjusted odds ratio of a higher meniscal signal.*?</figure>', text, re.S)[
        0
    ]
    caption = html.unescape(re.search(r"<figcaption>(.*?)</figcaption>", figure, re.S)[1])
    assert "against 32 km a week" in caption
    assert "22 runners, 22 knees" in caption
    assert "not adjusted): odds ratio 1.70 (0.60 to 4.90)." in caption
    assert "cut off" not in caption  # the widest interval ends at 18
    refused = re.search(r"<p>(Effusion grade: no curve.*?)</p>", text, re.S)[1]
    assert "few_distances: 13 distinct &lt;b&gt;weekly&lt;/b&gt; distances" in refused
    assert "The cut alone was refused (sparse: 3 runners)." in refused
    assert hashlib.sha256((folder / "cohort/dose_response.tsv").read_bytes()).hexdigest() in text


def test_a_mark_for_each_knee_of_the_model(built):
    """23 knees are analysed, knee 8 has no signal grade: 22, four of runners who do not land on the heel."""
    marks = {
        group: re.search(rf'<g id="dose-0-signal-grade-data-{group}">(.*?)</g>\n? *</g>', built[1], re.S)[1].count(
            "<use"
        )
        for group in ("rearfoot", "other-strike")
    }
    assert marks == {"rearfoot": 18, "other-strike": 4}


def test_the_data_stand_where_their_distance_says_and_none_hides_another():
    values = [(20.0, 2, "rearfoot"), (60.0, 2, "rearfoot"), (60.0, 2, "rearfoot")]
    svg = dose.plot_dose(curve("g", "linear"), values, 32, "d", "Dose", "grade")
    group = re.search(r'<g id="d-data-rearfoot">(.*?)</g>\n? *</g>', svg, re.S)[1]
    (x0, y0), (x1, y1), (x2, y2) = [
        tuple(map(float, found)) for found in re.findall(r'<use [^>]*x="([\d.]+)" y="([\d.]+)"', group)
    ]
    curves = drawn(svg, "linear-curve")  # at 20, 32 and 60 km
    assert (x0, x1) == pytest.approx((curves[0][0], curves[2][0]), abs=0.01)
    assert x1 == x2
    assert y1 != y2


def test_knees_with_a_gap_are_counted_as_the_model_counts_them():
    knee = {"participant_id": "a", "signal_grade": 1, "strike_style": "mixed", "weekly_distance_km": 30.0, "sex": "F"}
    knees = [knee, knee, {**knee, "participant_id": "b", "weekly_distance_km": 10.0}]
    gaps = [{**knee, "participant_id": "c", name: None} for name in ("signal_grade", "strike_style", "sex")]
    assert dose.modelled_knees([*knees, *gaps], "signal_grade", ["sex"]) == knees
    assert dose.modelled_knees([*knees, *gaps], "signal_grade", ["sex", "recorded_of_nobody"]) == knees


def test_fluid_counts_where_the_pouch_is_in_view():
    knee = {"participant_id": "a", "fluid_ml": 3.0, "pouch_in_view": True, "strike_style": "mixed"}
    knees = [{**knee, "weekly_distance_km": 30.0}]
    cut_off = {**knees[0], "participant_id": "b", "pouch_in_view": False}
    assert dose.modelled_knees([*knees, cut_off], "log_fluid_ml", []) == knees


def test_a_difference_has_a_plain_axis_around_zero():
    points = [
        {**row, "scale": "mean_difference"} for row in curve("total", "linear", [(20, -1.0), (32, 0.0), (60, 2.0)])
    ]
    (x0, y0), (x1, y1), (x2, y2) = drawn(
        dose.plot_dose(points, [(20.0, 1, "rearfoot")], 32, "d", "Dose", "score"), "linear-curve"
    )
    assert (y0 - y1) / (y1 - y2) == pytest.approx(0.5, rel=1e-4)


def test_the_axis_is_logarithmic_and_distances_are_to_scale():
    values = [(20.0, 0, "rearfoot"), (60.0, 2, "other strike")]
    svg = dose.plot_dose(curve("g", "linear"), values, 32, "d", "Dose", "grade")
    (x0, y0), (x1, y1), (x2, y2) = drawn(svg, "linear-curve")
    assert (x1 - x0) / (x2 - x1) == pytest.approx(12 / 28, rel=1e-4)
    assert (y0 - y1) / (y1 - y2) == pytest.approx(math.log(2) / math.log(4), rel=1e-4)
    assert svg == dose.plot_dose(curve("g", "linear"), values, 32, "d", "Dose", "grade")


def test_what_lies_beyond_the_axis_is_said(results, made):
    wide = curve("signal_grade", "linear", [(32.0, 1.0), (88.0, 11.0)])
    found = page.Results({tables.DOSE_RESPONSE.name: wide})
    (entry,) = dose.dose_figures(found, made.CONFIG)
    assert "cut off at the edge of the figure" in entry.caption
    assert dose.dose_figures(page.Results({}), made.CONFIG) == []


def test_hostile_outcome_cannot_reach_the_markup(made):
    found = page.Results({tables.DOSE_RESPONSE.name: curve('"><script>x</script>', "linear")})
    (entry,) = dose.dose_figures(found, made.CONFIG)
    assert "<script" not in entry.plot
