"""Intrameniscal signal on joints of known geometry: grades, distances and the laws they obey."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from tests.score.conftest import CONDYLE_RADIUS, CONDYLE_Z, FLOOR_Z

from kneeline import grading
from kneeline.labels import Label
from kneeline.score.frame import Knee
from kneeline.score.partial_volume import outline_height, own_ratio
from kneeline.score.run import score_knee
from kneeline.volume import Volume, mirror, other_side, reorient

LEFT_HALF = {"width_mm": (-44.0, 2.0)}


def rows_of(volumes, side="R"):
    return {(r["meniscus"], r["region"]): r for r in score_knee(*volumes, side).meniscus}


def same(row, other, **tolerance):
    """Whether two rows agree: words and counts exactly, measurements within a tolerance."""
    return row == {
        k: pytest.approx(v, **tolerance) if isinstance(v, float) and row[k] is not None else v for k, v in other.items()
    }


def grades_of(volumes):
    return {k: r["signal_grade"] for k, r in rows_of(volumes).items()}


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


@pytest.mark.parametrize("height_mm", [2.6, 3.2])
def test_distance_to_both_surfaces(joint, lesions, height_mm):
    """A bar of radius 1.1 above a flat inferior surface and beneath a superior one that is part of a sphere."""
    bar = replace(lesions[1], start=(-15.5, height_mm), end=(-15.5, height_mm))
    row = horn(joint(lesions=(bar,), spacing_mm=(0.7, 0.4, 0.4), **LEFT_HALF).image_and_labels())
    inferior = height_mm - FLOOR_Z - bar.radius_mm
    superior = np.hypot(15.5, CONDYLE_Z - 0.2 - height_mm) - CONDYLE_RADIUS - bar.radius_mm
    assert row["inferior_distance_mm"] == pytest.approx(inferior, abs=0.3)  # to a pixel's edge
    assert row["superior_distance_mm"] == pytest.approx(superior, abs=0.3)
    assert row["surface_distance_mm"] == min(row["inferior_distance_mm"], row["superior_distance_mm"])
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


def test_a_void_far_darker_than_meniscus_changes_no_grade(torn):
    """Gas or metal beside the tear: what lies far below the dark level is no reason to fail, and no signal."""
    image, labels = torn
    array, lateral = image.array.copy(), labels.array == Label.LATERAL_MENISCUS
    i, j, k = np.unravel_index(ndimage.uniform_filter(lateral.astype(float), (1, 7, 7)).argmax(), lateral.shape)
    array[i, j - 3 : j + 4, k - 3 : k + 4] = -4 * array.max()
    assert (array < 0)[lateral].sum() > 20
    assert grades_of((image.with_array(array), labels)) == grades_of(torn)


@pytest.mark.parametrize("factor", [0.37, 1.0 / 3, 41.0])
def test_a_factor_on_the_intensities_changes_nothing(torn, factor):
    image, labels = torn
    scaled = image.with_array(image.array.astype(float) * factor)
    assert rows_of((scaled, labels)) == rows_of(torn)


def test_an_added_constant_changes_nothing(torn):
    """The darkest labelled tissue is the image's zero. float32 rounds the sum, so a voxel at a threshold may change
    sides: none does here, and measurements agree to the fourth digit."""
    image, labels = torn
    for constant in (60.0, -200.0, 3000.0):
        shifted = rows_of((image.with_array(image.array + np.float32(constant)), labels))
        for key, row in rows_of(torn).items():
            assert same(row, shifted[key], rel=1e-4)


def test_shading_changes_no_grade(torn):
    """A coil that is 40 % brighter on one side."""
    image, labels = torn
    field = np.linspace(0.8, 1.2, image.shape[1])[None, :, None] * np.linspace(1.1, 0.9, image.shape[2])
    shaded = {k: r["signal_grade"] for k, r in rows_of((image.with_array(image.array * field), labels)).items()}
    assert shaded == {k: r["signal_grade"] for k, r in rows_of(torn).items()}


@pytest.mark.parametrize("codes", ["RAS", "PIL", "SLA"])
def test_the_order_of_the_axes_changes_nothing(torn, codes):
    assert rows_of([reorient(v, codes) for v in torn]) == rows_of(torn)


def test_turning_the_affine_changes_nothing(torn):
    """The same pixels of a patient who lies turned: regions move by rounding only, so grades and measures stay."""
    from scipy.spatial.transform import Rotation

    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("xyz", (12, -9, 15), degrees=True).as_matrix()
    turned = rows_of([Volume(v.array, turn @ v.affine) for v in torn])
    for key, row in rows_of(torn).items():
        assert same(row, turned[key], rel=0.02, abs=1e-3)


@pytest.mark.parametrize("fill", [0.0, 37.0])
def test_a_border_around_the_image_changes_nothing(torn, fill):
    """Padding with a constant that is no tissue, so that indices and the field of view shift. Only the signal ratio
    moves, by up to 5 %: the level of cartilage is smoothed over 15 mm, and its filter feels the image's edge."""
    widths = ((2, 1), (9, 4), (3, 11))
    image, labels = torn
    affine = image.affine.copy()
    affine[:3, 3] = image.geometry.to_world(np.array([-low for low, _ in widths]))
    padded = (
        Volume(np.pad(image.array, widths, constant_values=fill), affine),
        Volume(np.pad(labels.array, widths), affine),
    )
    shifted = rows_of(padded)
    for key, row in rows_of(torn).items():
        ratio = shifted[key].pop("signal_ratio")
        assert ratio == pytest.approx(row["signal_ratio"], rel=0.05)
        assert shifted[key] == {name: value for name, value in row.items() if name != "signal_ratio"}


def test_a_tighter_field_of_view_changes_no_grade(joint, lesions):
    """Cut to 12 mm around the menisci, which is what the signal is read from."""
    image, labels = joint(lesions=(lesions[2],), noise=0.03, **LEFT_HALF).image_and_labels()
    meniscus = np.argwhere(labels.array == Label.MEDIAL_MENISCUS)
    margin = np.ceil(12 / np.array(image.spacing_mm)).astype(int)
    low, high = np.maximum(meniscus.min(0) - margin, 0), meniscus.max(0) + margin + 1
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    affine = image.affine.copy()
    affine[:3, 3] = image.geometry.to_world(low)
    cut = (Volume(image.array[box], affine), Volume(labels.array[box], affine))
    for key, row in rows_of((image, labels)).items():
        if key[0] == "medial":
            assert same(row, rows_of(cut)[key], rel=1e-4)


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


def test_shape_and_surface_are_told(joint, lesions):
    found = {
        grade: horn(joint(lesions=(lesions[grade],), noise=0.03, **LEFT_HALF).image_and_labels()) for grade in (1, 2, 3)
    }
    assert [found[g]["signal_shape"] for g in (1, 2, 3)] == ["globular", "linear", "linear"]
    assert [found[g]["surface"] for g in (1, 2, 3)] == [None, None, "inferior"]
    plain = horn(joint(**LEFT_HALF).image_and_labels())
    assert (plain["signal_shape"], plain["surface"]) == (None, None)


# Fat is four times as bright as cartilage beside dark meniscus: PD and T1 without fat suppression.
FATTY = {Label.BACKGROUND: 2.2}


def test_partial_volume_with_bright_fat_is_no_tear(joint):
    """At the free edge, the capsular side and in the end images of a dark meniscus, wherever the images lie. Horns are
    clean; in a body, which is cut along its edge, one end image may still be taken for signal (grade 2b)."""
    for shift in (0.0, 1.1, 2.2):
        built = joint(grey=FATTY, noise=0.02, width_mm=(-44.0, 2.0), shift_mm=shift)
        rows = rows_of(built.image_and_labels())
        assert {rows["medial", r]["signal_grade"] for r in ("anterior_horn", "posterior_horn")} == {0}
        body = rows["medial", "body"]
        assert body["signal_grade"] == 0 or "contact_one_slice" in body["flags"]


def test_a_lesion_is_found_beside_bright_fat(joint, lesions):
    rows = {g: horn(joint(lesions=(lesions[g],), grey=FATTY, **LEFT_HALF).image_and_labels()) for g in (1, 2, 3)}
    assert {g: r["signal_grade"] for g, r in rows.items()} == {1: 1, 2: 2, 3: 3}


@pytest.mark.parametrize("too_far_mm", [1.0, 2.0])
def test_capsule_inside_the_outline_is_no_signal(joint, too_far_mm):
    """An outline drawn into the bright tissue behind the posterior horn."""
    image, labels = joint(grey=FATTY, noise=0.02, **LEFT_HALF).image_and_labels()
    meniscus = labels.array == Label.MEDIAL_MENISCUS
    y = labels.affine[1, 3] + labels.affine[1, 1] * np.arange(labels.shape[1])
    n = round(too_far_mm / labels.spacing_mm[1])
    grown = meniscus.copy()
    for step in range(1, n + 1):
        grown |= np.roll(meniscus & (y < -10)[None, :, None], -step, axis=1)
    drawn = labels.with_array(np.where(grown & (labels.array == 0), np.uint8(Label.MEDIAL_MENISCUS), labels.array))
    added = np.count_nonzero(drawn.array != labels.array) * image.voxel_mm3
    assert added > 50
    assert horn((image, drawn))["signal_grade"] == 0


def test_an_end_image_partly_filled_is_no_signal():
    """A voxel of three quarters dark meniscus and a quarter fat of ratio 4 has ratio 1; none of it is its own."""
    knee = slab_knee(n_images=5, spacing_mm=3.3)
    mask = knee.labels.array == Label.MEDIAL_MENISCUS
    height = outline_height(mask, knee)
    ratio = np.where(mask, 0.0, 4.0).astype(np.float32)
    ratio[1] = np.where(mask[1], 1.0, 4.0)  # a quarter of the slice is lost
    own, added = own_ratio(ratio, height, knee)
    near_the_end = own[1, 14, 20]  # 1 mm inside the outline, with nothing of it in the next image
    assert near_the_end < 0.1
    assert added[1, 14, 20] == pytest.approx(1, abs=0.1)
    assert own[2, 20, 20] == pytest.approx(0, abs=0.05)


def test_signal_well_inside_is_all_the_meniscus_own():
    knee = slab_knee(n_images=5, spacing_mm=3.3)
    mask = knee.labels.array == Label.MEDIAL_MENISCUS
    ratio = np.where(mask, 0.8, 4.0).astype(np.float32)
    own, added = own_ratio(ratio, outline_height(mask, knee), knee)
    middle = tuple(s // 2 for s in ratio.shape[1:])
    assert own[(2, *middle)] == pytest.approx(0.8, abs=0.01)
    assert added[(2, *middle)] == pytest.approx(0, abs=0.01)


def slab_knee(n_images, spacing_mm):
    """A meniscus of 8 x 8 mm in all images but the first and the last."""
    labels = np.zeros((n_images, 40, 40), np.uint8)
    labels[1:-1, 12:28, 12:28] = Label.MEDIAL_MENISCUS
    affine = np.diag([spacing_mm, 0.5, 0.5, 1.0])
    return Knee(Volume(np.zeros(labels.shape, np.float32), affine), Volume(labels, affine))
