"""What a perfect machine would answer."""

import pytest

from kneeline import grading
from kneeline.validate.truth import true_scores


@pytest.fixture(scope="module")
def truth(scan):
    return true_scores(scan.knee)


def test_signal_is_what_was_planted_and_nothing_else(truth, scan):
    rows = {(row["meniscus"], row["region"]): row for row in truth.meniscus}
    planted = {(lesion.meniscus, lesion.region): lesion for lesion in scan.knee.truth.lesions}
    assert len(planted) == 2
    for place, row in rows.items():
        lesion = planted.get(place)
        assert row["signal_grade"] == (lesion.grade if lesion else 0)
        assert row["signal_extent_mm"] == (lesion.extent_mm if lesion else None)
        assert row["surface_distance_mm"] == (lesion.surface_distance_mm if lesion else None)
        assert row["signal_ratio"] is None


def test_regions_add_up_to_the_menisci_that_were_built(truth, scan):
    for meniscus in grading.MENISCI:
        parts = [row["volume_mm3"] for row in truth.meniscus if row["meniscus"] == meniscus]
        assert sum(parts) == pytest.approx(getattr(scan.knee.truth, f"{meniscus}_meniscus_mm3"), rel=1e-6)


def test_fluid_is_that_of_the_simulator_and_graded_by_it(truth, scan):
    row = truth.effusion
    assert row["fluid_ml"] == scan.knee.truth.fluid_ml == pytest.approx(10, rel=0.01)
    assert row["suprapatellar_ml"] == scan.knee.truth.suprapatellar_ml
    assert row["effusion_grade_volume"] == 1  # 8 to 16 mL
    depths = row["midline_depth_mm"], row["lateral_depth_mm"]
    assert all(3 < depth < 20 for depth in depths)
    assert row["effusion_grade"] == grading.grade_effusion_depth(*depths)
