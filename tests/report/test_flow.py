"""The flow: nobody is lost between the boxes."""

import re
from xml.etree import ElementTree

from kneeline import tables
from kneeline.report.flow import draw_flow, trace_steps
from kneeline.report.gather import gather


def test_every_scan_is_in_the_last_box_or_told_as_lost(tmp_path, made):
    made.results(tmp_path, draw=0)
    steps = trace_steps(gather(tmp_path, tmp_path / "report"))
    assert [s.title for s in steps] == [
        "in the scans table", "read from DICOM or NIfTI", "segmented", "scored", "analysed",
    ]  # fmt: skip
    assert [s.n_scans for s in steps] == [26, 24, 23, 23, 23]
    for before, after in zip(steps, steps[1:], strict=False):
        assert before.n_scans - after.n_scans == sum(int(line.split()[0]) for line in after.lost)


def test_losses_of_the_cohort_stage_are_told(tmp_path, made):
    made.results(tmp_path, draw=0)
    rows = tables.read_table(tmp_path / "cohort/flow.tsv", tables.FLOW)
    place = [r["step"] for r in rows].index("knees to analyse")
    rows[place]["n_scans"] = 22
    rows.insert(place, {"step": "less knees with an unusable segmentation", "n_participants": 1, "n_scans": 1})
    tables.write_table(tmp_path / "cohort/flow.tsv", rows, tables.FLOW)
    last = trace_steps(gather(tmp_path, tmp_path / "report"))[-1]
    assert last.n_scans == 22
    assert last.lost == ("1 knees with an unusable segmentation",)


def test_drawing_is_well_formed_and_escapes(tmp_path, made):
    made.results(tmp_path, draw=0, set_aside={2: ("score", '<b>"&', "x")})
    svg = draw_flow(trace_steps(gather(tmp_path, tmp_path / "report")))
    root = ElementTree.fromstring(svg)
    assert '1 × <b>"&' in [t.text for t in root.iter("text")]
    assert "scored: 25 scans" in root.get("aria-label")
    assert not re.search("http|<b>", svg)
