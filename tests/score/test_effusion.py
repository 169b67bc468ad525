"""Rows of the effusion table: volumes, depth, grades, what is missing and what is 0."""

import numpy as np
import pytest
from tests.score.fluid_phantom import BLOCKS, labelled_ml, millilitres, phantom, turned

from kneeline import grading
from kneeline.grading import RECESSES
from kneeline.ingest.quality import quality_flags
from kneeline.labels import Label
from kneeline.score.effusion import grade_row, measure_effusion
from kneeline.score.frame import canonical
from kneeline.score.meniscus import measure_menisci
from kneeline.tables import EFFUSION, KNEE_KEYS
from kneeline.volume import Volume

POUCH = BLOCKS["suprapatellar"]  # 40 x 10 x 22 mm
LATERAL = ((12, 12, 45), (20, 30, 60))


def recesses(row):
    return {name: row[f"{name}_ml"] for name in RECESSES}


def test_volume_and_depth_of_a_block():
    row = measure_effusion(phantom([POUCH]))
    assert set(row) == set(EFFUSION.header) - {*KNEE_KEYS, "verdict"}
    assert row["fluid_ml"] == pytest.approx(8.8, rel=0.04)
    assert row["suprapatellar_ml"] == row["fluid_ml"]
    assert row["midline_depth_mm"] == pytest.approx(10, abs=0.61)
    assert row["pouch_in_view"] is row["fluid_in_view"] is True
    assert (row["effusion_grade"], row["effusion_grade_volume"]) == (2, 1)
    assert row["flags"] is None


def test_fluid_below_the_upper_pole_is_not_suprapatellar():
    row = measure_effusion(phantom([((-20, 28, 5), (20, 32, 20)), ((-10, 20, 30), (10, 30, 50))], spacing=(2, 0.5, 1)))
    assert row["suprapatellar_ml"] == pytest.approx(2.0, abs=0.25)  # of the second block, what is above 40 mm
    assert row["midline_depth_mm"] == pytest.approx(10, abs=0.61)


def test_lateral_depth_is_measured_on_the_lateral_side_only():
    lateral = measure_effusion(phantom([LATERAL]))
    medial = measure_effusion(phantom([((-20, 12, 45), (-12, 30, 60))]))
    assert lateral["lateral_depth_mm"] == pytest.approx(18, abs=0.61)
    assert lateral["midline_depth_mm"] == 0
    assert medial["lateral_depth_mm"] == 0


@pytest.mark.parametrize(
    "cut",
    [
        {"top": 68.0},  # fluid up to the image's upper edge
        {"top": 50.0},  # 10 mm of image above the patella
        {"width": (-52.0, 21.0)},  # fluid up to the last image
        {"width": (-52.0, 12.0)},  # the image ends within the patella
    ],
)
def test_a_pouch_cut_off_is_flagged_and_never_graded(cut):
    row = measure_effusion(phantom([POUCH], **cut))
    assert row["pouch_in_view"] is False
    assert "pouch_truncated" in row["flags"]
    assert row["effusion_grade"] is row["effusion_grade_volume"] is None
    assert row["fluid_ml"] > 0


def test_too_little_room_above_an_empty_pouch_is_no_grade_0():
    row = measure_effusion(phantom(top=55.0))
    assert (row["pouch_in_view"], row["effusion_grade"], row["effusion_grade_volume"]) == (False, None, None)
    assert row["fluid_in_view"] is False


def test_a_knee_without_any_fluid_outlined_is_0_and_flagged():
    row = measure_effusion(phantom())
    assert {row["fluid_ml"], *recesses(row).values()} == {0}
    assert (row["midline_depth_mm"], row["lateral_depth_mm"], row["effusion_grade"]) == (0, 0, 0)
    assert row["flags"] == "no_fluid_found"


def test_an_image_that_ends_within_the_patella_from_the_side_knows_no_midline():
    row = measure_effusion(phantom([POUCH], width=(-52.0, 12.0)))
    assert row["midline_depth_mm"] is row["lateral_depth_mm"] is None
    assert row["suprapatellar_ml"] == row["fluid_ml"] > 0
    assert {"patella_cut_off", "lateral_gutter_cut_off"} <= set(row["flags"].split(","))


@pytest.mark.parametrize("side", "RL")
def test_a_gutter_that_is_not_imaged_is_missing_and_one_without_fluid_is_0(side):
    row = measure_effusion(phantom([POUCH], side=side, width=(-36.0, 52.0)))
    assert row["medial_gutter_ml"] is None
    assert row["lateral_gutter_ml"] == 0
    assert row["flags"] == "medial_gutter_cut_off"
    assert (row["pouch_in_view"], row["effusion_grade"]) == (True, 2)
    assert (row["fluid_in_view"], row["effusion_grade_volume"]) == (False, None)


@pytest.mark.parametrize(("border", "whole"), [(-48.0, True), (-38.0, False)])
def test_a_gutter_of_which_two_thirds_are_imaged_is_cut_off(border, whole):
    """A knee turned by 12 degrees, so that the image's straight border crosses the empty medial gutter."""
    row = measure_effusion(phantom([POUCH], turn=turned("y", 12), width=(border, 64.0), top=100.0, back=-66.0))
    assert row["fluid_in_view"] is whole
    assert row["flags"] == (None if whole else "medial_gutter_cut_off")
    assert (row["effusion_grade"], row["effusion_grade_volume"]) == (2, 1 if whole else None)


@pytest.mark.parametrize(("edge_mm", "whole"), [(2.0, True), (5.0, False)])
def test_a_speck_at_the_border_cuts_no_gutter_off(edge_mm, whole):
    """13 or 83 mm3 of fluid in the first image."""
    blot = ((-47.5, 0, 10), (-45.2, edge_mm, 10 + edge_mm))
    row = measure_effusion(phantom([POUCH, blot], width=(-48.0, 52.0)))
    assert 0 < row["medial_gutter_ml"] < 0.1
    assert row["fluid_in_view"] is whole


@pytest.mark.parametrize(("full", "grade"), [(False, None), (True, 3)])
def test_a_volume_that_the_image_cuts_off_is_a_lower_bound(full, grade):
    """The image ends within the fluid of the medial gutter: 11 mL are seen, or 59."""
    fluid = [*BLOCKS.values(), ((-24, 14, 40), (24, 32, 80))] if full else [POUCH, BLOCKS["medial_gutter"]]
    row = measure_effusion(phantom(fluid, width=(-44.0, 52.0)))
    assert row["flags"] == "medial_gutter_cut_off"
    assert row["medial_gutter_ml"] == pytest.approx(millilitres(BLOCKS["medial_gutter"]) / 2, rel=0.2)
    assert (row["pouch_in_view"], row["fluid_in_view"]) == (True, False)
    assert row["effusion_grade_volume"] == grade
    assert row["effusion_grade"] == 2 + full


def test_an_image_that_ends_within_the_patella_from_above_measures_nothing_above_it():
    row = measure_effusion(phantom([BLOCKS["patellofemoral"]], top=30.0))
    assert row["fluid_ml"] > 0
    assert row["suprapatellar_ml"] is row["midline_depth_mm"] is row["lateral_depth_mm"] is None
    assert {"pouch_truncated", "axis_of_scanner"} <= set(row["flags"].split(","))


def test_without_patella_there_is_a_total_only():
    row = measure_effusion(phantom([POUCH, BLOCKS["posterior"]], patella=False))
    assert row["fluid_ml"] == pytest.approx(8.8 + millilitres(BLOCKS["posterior"]), rel=0.06)
    assert set(recesses(row).values()) == {None}
    assert row["midline_depth_mm"] is row["effusion_grade"] is row["pouch_in_view"] is None
    assert row["effusion_grade_volume"] is None
    assert row["flags"] == "no_patella"


def test_the_mirror_law():
    fluid = [*BLOCKS.values(), LATERAL]
    right, left = (measure_effusion(phantom(fluid, side=side, spacing=(2, 0.6, 0.6))) for side in "RL")
    assert right == left
    assert right["lateral_gutter_ml"] > right["medial_gutter_ml"]


def assert_same(knee, turn, straight):
    """Grades as straight, depths within 1 mm, and each block in its recess but for a few voxels at the borders."""
    row = measure_effusion(knee)
    for name in ("effusion_grade", "effusion_grade_volume", "pouch_in_view", "flags"):
        assert row[name] == straight[name], name
    for name in ("midline_depth_mm", "lateral_depth_mm"):
        assert row[name] == pytest.approx(straight[name], abs=1.0)
    for name, block in BLOCKS.items():
        assert row[f"{name}_ml"] == pytest.approx(labelled_ml(knee, block, turn), abs=0.15), name


@pytest.fixture(scope="module")
def straight():
    return measure_effusion(phantom(BLOCKS.values()))


@pytest.mark.parametrize("axis", "xyz")
@pytest.mark.parametrize("degrees", [-15, 15])
def test_turning_the_knee_in_the_scanner_changes_nothing_that_matters(axis, degrees, straight):
    """The same blocks sampled anew by straight 3.3 mm images of a turned knee."""
    turn = turned(axis, degrees)
    knee = phantom(BLOCKS.values(), turn=turn, top=100.0, width=(-64.0, 64.0), back=-66.0)
    assert_same(knee, turn, straight)


@pytest.mark.parametrize("shift", [(0.0, 1.0, 7.0), (1.65, 0.3, -2.9), (-1.0, -4.0, 3.0)])
def test_moving_the_field_of_view_changes_nothing_that_matters(shift, straight):
    dx, dy, dz = shift
    moved = {"width": (-52.0 + dx, 52.0 + dx), "back": -60.0 + dy, "top": 90.0 + dz}
    assert_same(phantom(BLOCKS.values(), **moved), None, straight)


def test_more_fluid_never_lowers_a_grade():
    rows = [measure_effusion(phantom([((-20, 20, 45), (20, 20 + d, 65))])) for d in (2, 5, 9, 15, 24)]
    for name in ("effusion_grade", "effusion_grade_volume", "fluid_ml"):
        values = [r[name] for r in rows]
        assert values == sorted(values)
    assert rows[0]["effusion_grade"] == 0
    assert rows[-1]["effusion_grade"] == 3


@pytest.mark.parametrize(("spacing_mm", "flag"), [(4.05, None), (4.2, "thick_slices")])
def test_thick_slices_means_the_same_in_every_table(joint, spacing_mm, flag):
    assert measure_effusion(phantom([POUCH], spacing=(spacing_mm, 0.6, 0.6)))["flags"] == flag
    volumes = joint(spacing_mm=(spacing_mm, 0.6, 0.6)).image_and_labels()
    assert all(("thick_slices" in (r["flags"] or "")) == bool(flag) for r in measure_menisci(canonical(*volumes, "R")))
    image = {"slice_thickness_mm": 3.5, "slice_spacing_mm": spacing_mm, "pixel_mm": 0.6, "snr": 20.0}
    assert quality_flags(image) == ([flag] if flag else [])


def test_the_row_grades_again_to_the_same():
    row = measure_effusion(phantom([POUCH]))
    assert grade_row(row) == row
    assert grading.grade_effusion_depth(30.0, 30.0, pouch_in_view=None) is None


@pytest.mark.parametrize("femur", [0, 0.4])
def test_no_femur_is_not_segmented(femur):
    """None at all, and a speck of 0.4 mL."""
    array = np.zeros((20, 20, 20), np.uint8)
    array[8:12, :5] = Label.JOINT_FLUID
    array[: round(femur * 20), :5, :10] = Label.FEMUR
    labels = Volume(array, np.eye(4))
    row = measure_effusion(canonical(labels, labels, "R"))
    assert row["flags"] == "not_segmented"
    assert {v for k, v in row.items() if k != "flags"} == {None}


def test_a_femur_alone_holds_no_fluid():
    bone = phantom()
    alone = bone.labels.with_array(np.where(bone.labels.array == Label.FEMUR, Label.FEMUR, 0).astype(np.uint8))
    assert measure_effusion(canonical(alone, alone, "R"))["fluid_ml"] == 0
