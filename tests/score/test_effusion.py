"""Fluid in blocks and shells of known volume and depth."""

import numpy as np
import pytest

from kneeline import grading
from kneeline.ingest.quality import quality_flags
from kneeline.labels import Label
from kneeline.score.effusion import grade_row, knee_axes, measure_effusion
from kneeline.score.frame import canonical
from kneeline.score.meniscus import measure_menisci
from kneeline.volume import Volume, mirror


def build(blocks=(), spacing=(3.3, 0.6, 0.6), top=90.0, patella=True, cyst=None, tilt=0.0, side="R"):
    """Femur (a shaft on a wide block), patella (upper pole at z = 40), blocks of fluid as (low, high) corners."""
    low, high = np.array([-50.0, -60, -30]), np.array([50.0, 60, top])
    shape = tuple(np.round((high - low) / spacing).astype(int))
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = low + np.array(spacing) / 2
    axes = [affine[a, 3] + spacing[a] * np.arange(shape[a]) for a in range(3)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    shaft_y = y - np.tan(np.radians(tilt)) * (z - 30)
    label = np.zeros(shape, np.uint8)
    label[(np.abs(x) < 40) & (np.abs(y) < 28) & (z > 0) & (z < 30)] = Label.FEMUR
    label[(np.hypot(x, shaft_y) < 13) & (z >= 30)] = Label.FEMUR
    if patella:
        label[((x / 20) ** 2 + ((y - 42) / 9) ** 2 + ((z - 20) / 20) ** 2) < 1] = Label.PATELLA
    for a, b in (*blocks, *([cyst] if cyst else [])):
        inside = np.all([(p >= lo) & (p < hi) for p, lo, hi in zip((x, y, z), a, b, strict=True)], axis=0)
        label[inside & (label == 0)] = Label.JOINT_FLUID
    labels = Volume(label, affine)
    return canonical(labels, labels, "R") if side == "R" else canonical(mirror(labels), mirror(labels), "L")


POUCH = ((-20, 20, 45), (20, 30, 67))  # 40 x 10 x 22 mm
LATERAL = ((12, 12, 45), (20, 30, 60))
CYST = ((-30, -52, 0), (-12, -36, 25))


def test_volume_and_depth_of_a_block():
    row = measure_effusion(build([POUCH]))
    assert row["fluid_ml"] == pytest.approx(8.8, rel=0.04)
    assert row["suprapatellar_ml"] == pytest.approx(8.8, rel=0.04)
    assert row["midline_depth_mm"] == pytest.approx(10, abs=0.61)
    assert row["pouch_in_view"] is True
    assert (row["effusion_grade"], row["effusion_grade_volume"]) == (2, 1)


def test_fluid_below_the_upper_pole_is_not_suprapatellar():
    row = measure_effusion(build([POUCH, ((-20, 28, 5), (20, 32, 20))]))
    assert row["fluid_ml"] == pytest.approx(8.8 + 2.4, rel=0.05)
    assert row["suprapatellar_ml"] == pytest.approx(8.8, rel=0.04)


def test_lateral_depth_is_measured_on_the_lateral_side_only():
    lateral = measure_effusion(build([LATERAL]))
    medial = measure_effusion(build([((-20, 12, 45), (-12, 30, 60))]))
    assert lateral["lateral_depth_mm"] == pytest.approx(18, abs=0.61)
    assert lateral["midline_depth_mm"] == 0
    assert medial["lateral_depth_mm"] == 0


@pytest.mark.parametrize(("top", "blocks"), [(68.0, [POUCH]), (50.0, [])])
def test_a_pouch_cut_off_is_flagged_and_never_small(top, blocks):
    """Fluid up to the image's edge, and an image that ends 10 mm above the patella."""
    row = measure_effusion(build(blocks, top=top))
    assert row["pouch_in_view"] is False
    assert "pouch_truncated" in row["flags"]
    assert row["effusion_grade"] is None
    assert row["effusion_grade_volume"] is None


def test_a_knee_without_any_fluid_outlined_is_0_and_flagged():
    row = measure_effusion(build())
    assert (row["fluid_ml"], row["midline_depth_mm"], row["lateral_depth_mm"], row["effusion_grade"]) == (0, 0, 0, 0)
    assert row["flags"] == "no_fluid_found"


def test_a_knee_with_only_a_cyst_had_its_fluid_found():
    row = measure_effusion(build(cyst=CYST))
    assert (row["fluid_ml"], row["flags"]) == (0, "popliteal_cyst_excluded")


@pytest.mark.parametrize("side", "RL")
def test_an_image_that_ends_before_the_lateral_zone_has_no_lateral_depth(side):
    """Images up to 5 mm lateral of the patella's middle hold the midline only; up to 12 mm, both."""
    knee = build([POUCH], side=side)
    i, j, k = knee.image.shape
    x = knee.image.affine[0, 3] + knee.spacing_mm[0] * np.arange(i)
    for reach, lateral, flags in ((5.0, None, "lateral_not_in_view"), (12.0, pytest.approx(10, abs=0.61), None)):
        row = measure_effusion(knee.crop((slice(0, int((x < reach).sum())), slice(0, j), slice(0, k))))
        assert row["midline_depth_mm"] == pytest.approx(10, abs=0.61)
        assert (row["lateral_depth_mm"], row["flags"]) == (lateral, flags)
        assert row["effusion_grade"] == 2


def test_an_image_that_ends_within_the_patella_measures_nothing_above_it():
    row = measure_effusion(build([((-20, 28, 5), (20, 32, 20))], top=30.0))
    assert row["fluid_ml"] > 0
    assert row["suprapatellar_ml"] is row["midline_depth_mm"] is row["lateral_depth_mm"] is None
    assert row["flags"] == "lateral_not_in_view,pouch_truncated"


def test_without_patella_depth_and_grades_are_missing():
    row = measure_effusion(build([POUCH], patella=False))
    assert row["fluid_ml"] == pytest.approx(8.8, rel=0.04)
    assert row["midline_depth_mm"] is row["effusion_grade"] is row["pouch_in_view"] is None
    assert row["flags"] == "no_patella"


def test_a_popliteal_cyst_is_left_out():
    with_cyst, without = (measure_effusion(build([POUCH], cyst=c)) for c in (CYST, None))
    assert with_cyst["fluid_ml"] == without["fluid_ml"]
    assert with_cyst["flags"] == "popliteal_cyst_excluded"


def test_a_posterior_recess_on_the_condyle_is_joint_fluid():
    row = measure_effusion(build([((-30, -36, 0), (-12, -28, 25))]))
    assert row["fluid_ml"] == pytest.approx(3.6, rel=0.1)  # 18 mm are five and a half images
    assert row["flags"] is None


def test_up_follows_a_leaning_shaft():
    up = knee_axes(build(tilt=10.0)).up
    assert np.degrees(np.arctan2(up[1], up[2])) == pytest.approx(10, abs=1.0)
    assert knee_axes(build()).up == pytest.approx([0, 0, 1], abs=0.02)
    assert knee_axes(build(top=70.0, tilt=10.0)).up.tolist() == [0, 0, 1]  # too little shaft to tell


def test_the_mirror_law():
    assert measure_effusion(build([POUCH, LATERAL])) == measure_effusion(build([POUCH, LATERAL], side="L"))


def test_more_fluid_never_lowers_a_grade():
    rows = [measure_effusion(build([((-20, 20, 45), (20, 20 + d, 65))])) for d in (2, 5, 9, 15, 24)]
    for name in ("effusion_grade", "effusion_grade_volume", "fluid_ml"):
        values = [r[name] for r in rows]
        assert values == sorted(values)
    assert rows[0]["effusion_grade"] == 0
    assert rows[-1]["effusion_grade"] == 3


@pytest.mark.parametrize(("spacing_mm", "flag"), [(4.05, None), (4.2, "thick_slices")])
def test_thick_slices_means_the_same_in_every_table(joint, spacing_mm, flag):
    assert measure_effusion(build([POUCH], (spacing_mm, 0.6, 0.6)))["flags"] == flag
    volumes = joint(spacing_mm=(spacing_mm, 0.6, 0.6)).image_and_labels()
    assert all(("thick_slices" in (r["flags"] or "")) == bool(flag) for r in measure_menisci(canonical(*volumes, "R")))
    image = {"slice_thickness_mm": 3.5, "slice_spacing_mm": spacing_mm, "pixel_mm": 0.6, "snr": 20.0}
    assert quality_flags(image) == ([flag] if flag else [])


def test_the_row_grades_again_to_the_same():
    row = measure_effusion(build([POUCH]))
    assert grade_row(row) == row
    assert grading.grade_effusion_depth(30.0, 30.0, pouch_in_view=None) is None


def test_no_femur_is_not_segmented():
    empty = Volume(np.zeros((12, 20, 20), np.uint8), np.eye(4))
    row = measure_effusion(canonical(empty, empty, "R"))
    assert row["flags"] == "not_segmented"
    assert row["fluid_ml"] is None
