import numpy as np
import pytest

from kneeline.labels import Label
from kneeline.validate.measure import Structure
from kneeline.validate.page import page, rank_correlation
from kneeline.validate.reliability import reliability
from kneeline.validate.targets import targets


def section(text, title):
    return next(part for part in text.split("\n## ") if part.startswith(title))


@pytest.fixture
def cases(make_case, scores):
    sure = {Label.FEMUR: reliability(np.full(10, 0.9), np.arange(10) < 6, 1.0)}
    blurred = Structure(2000.0, 2500.0, 0.8, 0.75, 3.0, 0.9, 0.85)
    return [
        make_case(9000, "PDFS", dice=0.9, fluid=(10.0, 12.0), reliability=sure, true=scores((0, 3, 0, 0, 0, 0)),
                  by_network=scores((0, 2, 0, 0, 0, 0), fluid=12.0)),
        make_case(9001, "PD", dice=0.7, fluid=(20.0, 18.0), lesion=2, fibula=0.0,
                  verdict="review", reason="patella not found", invented={Label.PATELLA: 1500.0}),
        make_case(9002, "T1", refused="not_a_knee"),
        make_case(9003, "T2", 4.0, dice=0.6, fluid=(3.0, 3.0), medial_meniscus=blurred, lesion=3),
    ]  # fmt: skip


def test_targets_come_first(cases):
    text = page(cases)
    assert text.split("\n## ")[1].startswith("Targets")
    assert "| femur, Dice | at least 0.97 | 0.800 | **missed** | PD 0.700 | 2 |" in text


def test_means_with_the_worst_by_contrast_and_by_slices(cases):
    dice = section(page(cases), "Dice: mean (lowest), by contrast")
    assert "|  | mean of contrasts | PDFS (n=1) | PD (n=1) |" in dice
    assert "| femur | 0.800 (0.700) | 0.900 (0.900) | 0.700 (0.700) |" in dice
    dice = section(page(cases), "Dice: mean (lowest), by slices")
    assert "|  | all knees (n=3) | 3 mm (n=2) | 4 mm (n=1) | up to 5 mL (n=1) | 5 to 15 mL (n=1) | above" in dice
    assert "| femur | 0.733 (0.600) | 0.800 (0.700) | 0.600 (0.600) |" in dice


def test_distances_and_volume_errors_are_those_of_the_structures_found(cases):
    text = page(cases)
    hausdorff = section(text, "95 % Hausdorff distance (mm): mean (highest), by slices")
    assert "| medial meniscus | 1.67 (3.00) |" in hausdorff
    assert "| fibula | 1.00 (1.00) | 1.00 (1.00) |" in hausdorff  # one was lost, two remain
    volume = section(text, "Volume error: bias (mean absolute error), by slices")
    assert "| medial meniscus | +12.5% (12.5%) |" in volume  # 4500 for 4000 mm3


def test_menisci_by_lesion(cases):
    lesions = section(page(cases), "Menisci by lesion")
    assert "| medial meniscus | no signal | 1 | 0.900 (0.900) | 1.00 (1.00) | 0.50 (0.50) | +0.0% (0.0%) |" in lesions
    assert "| medial meniscus | grade 1 or 2 | 1 | 0.700 (0.700) |" in lesions
    assert "| medial meniscus | grade 3 | 1 | 0.800 (0.800) | 3.00 (3.00) | 0.90 (0.90) | +25.0% (25.0%) |" in lesions


def test_failures_are_named(cases):
    text = page(cases)
    lost = section(text, "Lost and invented")
    assert "In 2 of 4 knees every structure" in lost
    assert "- seed 9001, PD, 3 mm: lost fibula, 1.00 mL" in lost
    assert "- seed 9001, PD, 3 mm: invented patella, 1.50 mL" in lost
    assert "- seed 9002, T1, 3 mm: all, refused (not_a_knee)" in lost
    verdicts = section(text, "Verdicts")
    assert "| review | 1 | 0.636 (0.000) | 0.700 (0.700) |" in verdicts  # ten of 0.7 and a lost one
    assert "| refused | 1 |" in verdicts
    assert "- seed 9001, PD, 3 mm: review, patella not found" in verdicts


def test_volumes(cases):
    text = page(cases)
    assert "| all knees | 3 | 11.0 | +0.0 | -3.9 to 3.9 | 1.3 |" in text
    assert "| joint fluid | 3 | 0.9" in section(text, "Agreement of volumes")
    assert "| medial meniscus | 3 | n/a | " in section(text, "Agreement of volumes")  # all built alike


def test_reliability_in_figures_and_the_picture_beside_the_page(cases):
    text = section(page(cases, figure="reliability.svg"), "Reliability")
    assert "![Promised against observed, one panel a structure](reliability.svg)" in text
    assert "| femur | 0.900 | 0.600 | 0.300 | 0.733 | 0.733 | 0.000 | 0.733 | 1.00 |" in text
    assert "| tibia | n/a | n/a | n/a | 0.733 |" in text
    assert "svg" not in page(cases)


def test_no_knee_at_all_is_not_an_error():
    text = page([])
    assert text.count("not measured") == len(targets([]))
    assert "nan" not in text


def test_rank_correlation_needs_something_to_rank():
    assert rank_correlation([0.1, 0.2, 0.9], [1, 2, 3]) == pytest.approx(1)
    assert rank_correlation([0.1, 0.2], [1, 2]) is None
    assert rank_correlation([0.5, 0.5, 0.5], [1, 2, 3]) is None
