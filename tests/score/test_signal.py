"""Intrameniscal signal on joints of known geometry: grades, distances and the laws they obey."""

from dataclasses import replace

import numpy as np
import pytest

from kneeline import grading
from kneeline.labels import Label
from kneeline.score.run import score_knee
from kneeline.volume import Volume, mirror, other_side, reorient

LEFT_HALF = {"width_mm": (-44.0, 2.0)}


def rows_of(volumes, side="R"):
    return {(r["meniscus"], r["region"]): r for r in score_knee(*volumes, side).meniscus}


def horn(volumes):
    return rows_of(volumes)["medial", "posterior_horn"]


@pytest.fixture(scope="module")
def torn(joint, lesions):
    return joint(lesions=(lesions[3],), noise=0.03).image_and_labels()


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("spacing", [(3.3, 0.5, 0.5), (0.7, 0.6, 0.6), (4.0, 0.625, 0.625)])
def test_a_uniform_dark_meniscus_is_grade_0(joint, noise, spacing):
    rows = rows_of(joint(noise=noise, spacing_mm=spacing).image_and_labels())
    assert [r["signal_grade"] for r in rows.values()] == [0] * 6
    assert all(r["hyperintense_mm3"] < grading.SIGNAL.min_component_mm3 for r in rows.values())


@pytest.mark.parametrize("spacing", [(3.3, 0.5, 0.5), (0.7, 0.5, 0.5)])
@pytest.mark.parametrize("grade", [1, 2, 3])
def test_each_grade_is_found_where_it_is(joint, lesions, grade, spacing):
    built = joint(lesions=(lesions[grade],), noise=0.03, spacing_mm=spacing, **LEFT_HALF)
    rows = rows_of(built.image_and_labels())
    found = {k: r["signal_grade"] for k, r in rows.items() if k[0] == "medial"}
    assert found == {("medial", r): grade if r == "posterior_horn" else 0 for r in grading.REGIONS}


@pytest.mark.parametrize("grade", [1, 2, 3])
def test_volume_of_a_lesion(joint, lesions, grade):
    """Within 20 % in a 3-D scan; the volume of a voxel's edge is what remains."""
    built = joint(lesions=(lesions[grade],), spacing_mm=(0.7, 0.4, 0.4), **LEFT_HALF)
    assert horn(built.image_and_labels())["hyperintense_mm3"] == pytest.approx(built.lesion_mm3(), rel=0.2)


def test_distance_to_the_surface(joint, lesions):
    """A bar of radius 1.1 with its middle 2.3 mm above the inferior surface leaves 1.2 mm (to a pixel's edge)."""
    row = horn(joint(lesions=(lesions[1],), spacing_mm=(0.7, 0.4, 0.4), **LEFT_HALF).image_and_labels())
    assert row["surface_distance_mm"] == pytest.approx(1.2, abs=0.3)
    assert row["surface_slices"] == 0


def test_a_line_lengthened_to_the_surface_rises_from_2_to_3(joint, lesions):
    line = replace(lesions[3], end=(-14.4, 2.1))
    heights = [(-14.4, 2.1), (-13.9, 1.2), (-13.2, 0.0)]
    grades = [
        horn(joint(lesions=(replace(line, end=h),), **LEFT_HALF).image_and_labels())["signal_grade"] for h in heights
    ]
    assert grades[0] == 2
    assert grades[-1] == 3
    assert grades == sorted(grades)


def test_contact_on_one_image_is_grade_2_with_a_flag(joint, lesions):
    row = horn(joint(lesions=(lesions["one image"],), **LEFT_HALF).image_and_labels())
    assert (row["signal_grade"], row["surface_slices"], row["flags"]) == (2, 1, "contact_one_slice")


def test_contact_with_the_capsule_is_no_tear(joint, lesions):
    """A line from the middle of the horn out to its peripheral wall."""
    to_capsule = replace(lesions[2], start=(-13.5, 2.4), end=(-18.0, 3.6), radius_mm=0.6)
    row = horn(joint(lesions=(to_capsule,), **LEFT_HALF).image_and_labels())
    assert row["signal_grade"] == 2
    assert row["surface_slices"] == 0


def test_a_hole_in_the_label_is_still_meniscus(joint, lesions):
    """Bright signal that the segmentation left out, enclosed by meniscus, is read, but not counted as its volume."""
    image, labels = joint(lesions=(lesions[2],), **LEFT_HALF).image_and_labels()
    bright = (labels.array == Label.MEDIAL_MENISCUS) & (image.array > 450)
    # Only holes that are enclosed: pixels with meniscus on all four sides of their image.
    meniscus = labels.array == Label.MEDIAL_MENISCUS
    enclosed = bright & np.all([np.roll(meniscus, s, a) for a in (1, 2) for s in (-2, 2)], axis=0)
    holed = labels.with_array(np.where(enclosed, 0, labels.array))
    whole, row = horn((image, labels)), horn((image, holed))
    assert enclosed.sum() > 20
    assert row["signal_grade"] == whole["signal_grade"] == 2
    assert row["hyperintense_mm3"] == pytest.approx(whole["hyperintense_mm3"], rel=0.1)
    assert row["volume_mm3"] == pytest.approx(whole["volume_mm3"] - enclosed.sum() * image.voxel_mm3)


@pytest.mark.parametrize("factor", [0.37, 1.0 / 3, 41.0])
def test_a_factor_on_the_intensities_changes_nothing(torn, factor):
    image, labels = torn
    scaled = image.with_array(image.array.astype(float) * factor)
    assert rows_of((scaled, labels)) == rows_of(torn)


def test_an_offset_changes_no_grade(torn):
    image, labels = torn
    shifted = {k: r["signal_grade"] for k, r in rows_of((image.with_array(image.array + 60), labels)).items()}
    assert shifted == {k: r["signal_grade"] for k, r in rows_of(torn).items()}


def test_shading_changes_no_grade(torn):
    """A coil that is 40 % brighter on one side."""
    image, labels = torn
    field = np.linspace(0.8, 1.2, image.shape[1])[None, :, None] * np.linspace(1.1, 0.9, image.shape[2])
    shaded = {k: r["signal_grade"] for k, r in rows_of((image.with_array(image.array * field), labels)).items()}
    assert shaded == {k: r["signal_grade"] for k, r in rows_of(torn).items()}


@pytest.mark.parametrize("codes", ["RAS", "PIL", "SLA"])
def test_the_order_of_the_axes_changes_nothing(torn, codes):
    assert rows_of([reorient(v, codes) for v in torn]) == rows_of(torn)


def test_the_mirror_law(torn):
    right, left = score_knee(*torn, "R"), score_knee(*(mirror(v) for v in torn), other_side("R"))
    for a, b in (
        (right.meniscus, left.meniscus),
        (right.cartilage, left.cartilage),
        ([right.effusion], [left.effusion]),
    ):
        assert [{**r, "laterality": "L"} for r in a] == b


def test_more_signal_never_lowers_the_grade(joint, lesions):
    grades = [
        horn(joint(lesions=tuple(lesions[g] for g in chosen), **LEFT_HALF).image_and_labels())["signal_grade"]
        for chosen in ((), (1,), (1, 2), (1, 2, 3))
    ]
    assert grades == sorted(grades)
    assert grades[0] == 0
    assert grades[-1] == 3


def test_no_contrast_is_missing_not_0(joint):
    flat = dict.fromkeys(Label, 0.4)
    rows = rows_of(joint(grey=flat, noise=0.05).image_and_labels())
    assert {r["signal_grade"] for r in rows.values()} == {None}
    assert all("low_contrast" in r["flags"] for r in rows.values())


def test_a_meniscus_bright_all_over_borrows_the_dark_level(joint):
    image, labels = joint(noise=0.03).image_and_labels()
    grey = np.where(labels.array == Label.MEDIAL_MENISCUS, image.array + 400, image.array)
    rows = rows_of((image.with_array(grey), labels))
    assert all("dark_reference_borrowed" in rows["medial", r]["flags"] for r in grading.REGIONS)
    assert all(rows["medial", r]["signal_grade"] == 3 for r in grading.REGIONS)
    assert all(rows["lateral", r]["signal_grade"] == 0 for r in grading.REGIONS)


def test_without_cartilage_the_fluid_is_the_reference(joint, lesions):
    image, labels = joint(lesions=(lesions[3],), **LEFT_HALF).image_and_labels()
    cartilage = np.isin(labels.array, (Label.FEMORAL_CARTILAGE, Label.MEDIAL_TIBIAL_CARTILAGE))
    relabelled = labels.with_array(np.where(cartilage, np.uint8(Label.JOINT_FLUID), labels.array))
    row = horn((image, relabelled))
    assert "joint_fluid_reference" in row["flags"]
    assert row["signal_ratio"] > 0.6


def test_a_missing_meniscus_is_not_segmented(joint):
    image, labels = joint().image_and_labels()
    one = Volume(np.where(labels.array == Label.LATERAL_MENISCUS, 0, labels.array), labels.affine)
    rows = rows_of((image, one))
    for region in grading.REGIONS:
        row = rows["lateral", region]
        assert row["flags"] == "not_segmented"
        assert row["volume_mm3"] is None
        assert row["signal_grade"] is None
        assert rows["medial", region]["signal_grade"] == 0
