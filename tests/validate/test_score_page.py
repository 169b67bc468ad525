import pytest

from kneeline.grading import MENISCI, REGIONS
from kneeline.validate.score_page import score_sections

BODY = ("medial", "body")


@pytest.fixture(scope="module")
def sections(make_case, scores):
    """Six main knees of grades 0 to 3 in turn, the network one step too low in the last; two scanned twice."""

    def knee(number, contrast="PDFS", thickness=3.0, off=0, **more):
        grade = number % 4
        lesion = {BODY: {"signal_extent_mm": 10.0, "surface_distance_mm": 1.0, "hyperintense_mm3": 50.0}}
        found = {BODY: {"signal_extent_mm": 8.5, "surface_distance_mm": 0.5, "hyperintense_mm3": 40.0}}
        true = scores((0, grade, 0, 0, 0, 0), fluid=10.0 + number, regions=lesion)
        network = scores((0, max(grade - off, 0), 0, 0, 0, 0), fluid=12.0 + number, regions=found)
        return make_case(9000 + number, contrast, thickness, true=true, by_network=network, **more)

    def twice(ml, grade):
        return scores((0, grade, 0, 0, 0, 0), fluid=ml), scores((0, grade, 0, 0, 0, 0), fluid=ml + 1)

    cases = [knee(k) for k in range(3)] + [knee(3, off=1), knee(4, again=twice(14.0, 0)), knee(5, again=twice(15.0, 3))]
    return dict(score_sections([*cases, knee(6, "PD", off=2), knee(7, "DESS", 0.7)]))


def rows(text, start):
    return [line for line in text.splitlines() if line.startswith(f"| {start} |")]


def test_both_sources_stand_side_by_side(sections):
    text = sections["Signal grade"]
    assert "| true 3 | 0 | 0 | 0 | 1 | 0 | 0 | 1 | 0 |" in text
    perfect, network = rows(text, "PDFS, 3 mm")[-2:]
    assert perfect.startswith("| PDFS, 3 mm | true labels | 6 | 32 / 0 / 0 / 0 | 0 / 2 / 0 / 0 | 0 / 0 / 1 / 0 |")
    assert perfect.endswith("| 0 | 1.00 | 1.00 (1.00 to 1.00) |")
    assert "| 0 / 0 / 1 / 0 | 0 | 0.97 | 0.9" in network


def test_every_region_contrast_and_thickness_has_its_rows(sections):
    text = sections["Signal grade"]
    for name in ("PDFS, 3 mm", "PD, 3 mm", "0.7 mm", "all knees"):
        of_group = rows(text, name)[-2:]  # the matrices side by side have a row of that name, too
        assert [line.split(" | ")[1] for line in of_group] == ["true labels", "network"], name
        regions = {line.split(" | ")[0]: line for line in text.splitlines() if line.startswith(f"| {name}: ")}
        assert set(regions) == {f"| {name}: {m} {r.replace('_', ' ')}" for m in MENISCI for r in REGIONS}
    assert "| PD, 3 mm: medial body | network | 1 | 0 / 0 / 0 / 0 | 0 / 0 / 0 / 0 | 1 / 0 / 0 / 0 |" in text
    assert "| PD, 3 mm | network | 1 | 5 / 0 / 0 / 0 | 0 / 0 / 0 / 0 | 1 / 0 / 0 / 0 |" in text


def test_lesions_tell_how_many_were_found_and_how_far_off(sections):
    text = sections["Lesions, planted and found"]
    assert "| PDFS, 3 mm | grade 1 | network | 2 | 2 | -1.50 (1.50) | -0.50 (0.50) | -10 (10) |" in text
    assert "| all knees | grade 2 | network | 2 | 1 | -1.50" in text  # that of the PD knee was graded 0


def test_effusion_has_both_rules(sections):
    text = sections["Effusion grade"]
    for rule in ("depth rule", "volume rule"):
        assert len(rows(text, f"{rule}, PDFS, 3 mm")) == 2
    assert "| volume rule, PDFS, 3 mm | network | 6 | 0 / 0 / 0 / 0 | 0 / 4 / 2 / 0 |" in text  # mL: 12 to 17


def test_measured_values_have_bias_limits_and_icc(sections):
    text = sections["Measured values"]
    assert "| fluid (mL) | true labels | 6 | 12.5 | +0.0 | +0.0 to +0.0 | 0.0 | 1.000 (1.000 to 1.000) |" in text
    network = next(line for line in text.splitlines() if line.startswith("| fluid (mL) | network | 6 |"))
    assert "| +2.0 | +2.0 to +2.0 | 2.0 | 0." in network


def test_two_scans_of_a_knee(sections):
    """Network: 16 then 15 mL, and 17 then 16 mL; SD within = sqrt(1 / 2), times 2.77."""
    text = sections["The same knee scanned twice"]
    assert text.startswith("2 knees")
    assert "| fluid (mL) | network | 2 | 16.0 | 0.7 | 2.0 (1.0 to 12.3) |" in text
    assert "| signal grade of a region | network | 2 | 11 / 0 / 0 / 0 | 0 / 0 / 0 / 1 |" in text


def test_without_a_second_scan_the_page_says_how_to_get_one(make_case):
    assert "--retest" in dict(score_sections([make_case()]))["The same knee scanned twice"]
