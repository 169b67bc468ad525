"""Extrusion, coverage and thickness: knees made of planes and wedges, a real label map against pymskt, and the laws."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kneeline.labels import Label
from kneeline.score.extrusion import measure_extrusion, outermost_mm
from kneeline.score.frame import canonical
from kneeline.volume import Volume, mirror

PLATEAU_Z = 0.0
PLATE_RADIUS, MENISCUS_HEIGHT = 20.0, 5.0
SIDE = {"medial": -1, "lateral": 1}


def knee(extrusion, spacing=(0.8, 0.5, 0.5), turn=None, shift=(0.0, 0.0, 0.0), margin=1.5, laterality="R"):
    """Round plates of 20 mm on a flat tibia that reaches 1.5 mm further out; menisci are half rings of 10 mm width.

    extrusion: how far the medial and the lateral meniscus reach beyond their plate, mm.
    """
    spacing = np.array(spacing)
    turn = np.eye(3) if turn is None else turn
    half = np.array([54.0, 32.0, 20.0])
    shape = np.ceil(2 * half / spacing).astype(int)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -half + np.array(shift)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    x, y, z = np.moveaxis((index * spacing + affine[:3, 3]) @ turn, -1, 0)
    label = np.zeros(x.shape, np.uint8)
    for name, sign in SIDE.items():
        reach = np.hypot(sign * x - 24.0, y)
        plate, meniscus = Label[f"{name.upper()}_TIBIAL_CARTILAGE"], Label[f"{name.upper()}_MENISCUS"]
        label[(z < -2) & (z > -18) & (reach < PLATE_RADIUS + margin)] = Label.TIBIA
        label[(z >= -2) & (z < PLATEAU_Z) & (reach < PLATE_RADIUS)] = plate
        outer = PLATE_RADIUS + extrusion[name]
        ring = (reach < outer) & (reach >= outer - 10) & (sign * x > 24.0)
        label[ring & (z >= PLATEAU_Z) & (z < PLATEAU_Z + MENISCUS_HEIGHT)] = meniscus
    volume = Volume(label, affine)
    if laterality == "L":
        volume = mirror(volume)
    return canonical(volume, volume, laterality)


def measured(given, regions=()):
    return {row["meniscus"]: row for row in measure_extrusion(given, list(regions))}


EXTRUSION = {"medial": 3.0, "lateral": -1.0}


@pytest.fixture(scope="module")
def whole():
    return knee(EXTRUSION)


@pytest.fixture(scope="module")
def straight(whole):
    return measured(whole)


@pytest.mark.parametrize("spacing", [(0.8, 0.5, 0.5), (0.5, 0.5, 0.5)])
def test_edges_coverage_and_size_of_rings(spacing):
    for name, row in measured(knee(EXTRUSION, spacing)).items():
        outer = PLATE_RADIUS + EXTRUSION[name]
        # Both edges lie where the voxels end: up to half a voxel off each.
        assert row["extrusion_mm"] == pytest.approx(EXTRUSION[name], abs=0.6 * spacing[0])
        assert row["margin_extrusion_mm"] == pytest.approx(EXTRUSION[name] - 1.5, abs=0.6 * spacing[0])
        covered = (min(outer, PLATE_RADIUS) ** 2 - (outer - 10) ** 2) / (2 * PLATE_RADIUS**2)
        assert row["coverage_pct"] == pytest.approx(100 * covered, abs=2)
        volume = np.pi / 2 * (outer**2 - (outer - 10) ** 2) * MENISCUS_HEIGHT
        assert row["volume_mm3"] == pytest.approx(volume, rel=0.03)
        assert row["thickness_max_mm"] == pytest.approx(MENISCUS_HEIGHT, abs=0.3)
        assert row["thickness_mean_mm"] == pytest.approx(MENISCUS_HEIGHT, abs=0.3)
        assert row["flags"] == "experimental"


@pytest.mark.parametrize("slit_mm", [2.0, 22.0])
def test_a_plate_worn_through_in_the_middle_fails_nothing(whole, straight, slit_mm):
    """A narrow slit moves no edge; without a rim there is none."""
    array = whole.labels.array.copy()
    plate = np.argwhere(array == Label.MEDIAL_TIBIAL_CARTILAGE)
    slit = plate[np.abs(whole.labels.geometry.to_world(plate)[:, 1]) < slit_mm / 2]
    array[tuple(slit.T)] = 0
    assert len(slit) > 500
    rows = measured(replace(whole, labels=whole.labels.with_array(array)))
    assert rows["lateral"]["extrusion_mm"] == pytest.approx(straight["lateral"]["extrusion_mm"], abs=0.1)
    if slit_mm < 10:
        assert rows["medial"]["extrusion_mm"] == pytest.approx(straight["medial"]["extrusion_mm"], abs=0.3)
    else:
        assert rows["medial"]["extrusion_mm"] is None


@pytest.mark.parametrize("offset", [0.0, 0.9, 1.8, 2.7])
def test_thick_slices_are_read_between_slices(offset, straight):
    """Rims fall anywhere between slices 3.6 mm apart; read by whole slices the error would reach 1.8 mm and more."""
    rows = measured(knee(EXTRUSION, (3.6, 0.5, 0.5), shift=(offset, 0, 0)))
    for name, row in rows.items():
        assert row["extrusion_mm"] == pytest.approx(EXTRUSION[name], abs=0.9)
        assert row["margin_extrusion_mm"] == pytest.approx(EXTRUSION[name] - 1.5, abs=0.9)
        assert row["coverage_pct"] == pytest.approx(straight[name]["coverage_pct"], abs=5)
        assert row["flags"] == "experimental,interpolated_outlines"


def test_very_thick_slices_are_flagged():
    flags = measured(knee(EXTRUSION, (4.5, 0.5, 0.5)))["medial"]["flags"]
    assert flags == "experimental,thick_slices,interpolated_outlines"


@pytest.mark.parametrize("degrees", [(0, 0, 15), (12, 0, 0), (0, 10, 0)])
def test_turning_the_knee_in_the_scanner_changes_little(degrees, straight):
    turned = measured(knee(EXTRUSION, turn=Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()))
    for name, row in turned.items():
        assert row["extrusion_mm"] == pytest.approx(straight[name]["extrusion_mm"], abs=0.4)
        assert row["coverage_pct"] == pytest.approx(straight[name]["coverage_pct"], abs=1.5)
        assert row["thickness_max_mm"] == pytest.approx(straight[name]["thickness_max_mm"], abs=0.3)


def test_a_left_knee_is_a_mirrored_right_one(straight):
    assert measured(knee(EXTRUSION, laterality="L")) == straight


@pytest.mark.parametrize("spacing", [(0.8, 0.5, 0.5), (3.6, 0.5, 0.5)])
def test_the_field_of_view_does_not_matter(spacing):
    whole = knee(EXTRUSION, spacing)
    part = whole.crop((slice(1, -1), slice(6, -3), slice(5, -9)))
    expected_rows = measured(whole)
    for name, row in measured(part).items():
        expected = expected_rows[name]
        assert row == {k: pytest.approx(v, abs=1e-3) if isinstance(v, float) else v for k, v in expected.items()}


def test_an_edge_out_of_view_is_missing_not_small(whole):
    medial_cut = whole.crop((slice(15, None), slice(0, None), slice(0, None)))
    rows = measured(medial_cut)
    assert rows["medial"]["flags"] == "edge_not_in_view"
    assert rows["medial"]["extrusion_mm"] is None
    assert rows["medial"]["coverage_pct"] is None
    assert rows["lateral"]["extrusion_mm"] == pytest.approx(-1.0, abs=0.5)


def test_a_meniscus_on_one_thick_image_has_no_edge():
    thick = knee(EXTRUSION, (3.6, 0.5, 0.5))
    array = thick.labels.array.copy()
    images = np.unique(np.nonzero(array == Label.MEDIAL_MENISCUS)[0])
    for image in images[1:]:
        array[image][array[image] == Label.MEDIAL_MENISCUS] = 0
    rows = measured(replace(thick, labels=thick.labels.with_array(array)))
    assert rows["medial"]["flags"] == "experimental,interpolated_outlines,no_edge"
    assert rows["medial"]["extrusion_mm"] is rows["medial"]["margin_extrusion_mm"] is None
    assert rows["medial"]["volume_mm3"] > 0
    assert rows["lateral"]["flags"] == "experimental,interpolated_outlines"


@pytest.mark.parametrize("absent", [Label.TIBIA, Label.LATERAL_TIBIAL_CARTILAGE])
def test_without_plateau_the_size_is_still_measured(absent, whole):
    bare = replace(whole, labels=whole.labels.with_array(np.where(whole.mask(absent), 0, whole.labels.array)))
    for row in measured(bare).values():
        assert row["flags"] == "no_plateau"
        assert row["extrusion_mm"] is None
        assert row["margin_extrusion_mm"] is None
        assert row["coverage_pct"] is None
        assert row["volume_mm3"] > 1000
        assert row["thickness_max_mm"] > 4


def test_a_meniscus_that_is_not_outlined(whole):
    bare = replace(whole, labels=whole.labels.with_array(whole.labels.array * ~whole.mask(Label.MEDIAL_MENISCUS)))
    rows = measured(bare)
    assert rows["medial"]["flags"] == "not_segmented"
    assert rows["medial"]["volume_mm3"] is None
    assert rows["lateral"]["extrusion_mm"] == pytest.approx(-1.0, abs=0.5)
    empty = replace(whole, labels=whole.labels.with_array(whole.labels.array * 0))
    assert [row["flags"] for row in measure_extrusion(empty, [])] == ["not_segmented"] * 2


def test_the_grade_of_a_meniscus_is_its_regions_highest(whole):
    regions = [{"meniscus": "medial", "signal_grade": g} for g in (0, 2, 1)]
    regions += [{"meniscus": "lateral", "signal_grade": g} for g in (0, None, 2)]
    rows = measured(whole, regions)
    assert (rows["medial"]["signal_grade"], rows["lateral"]["signal_grade"]) == (2, None)


def test_an_edge_that_never_ends_is_no_edge():
    assert outermost_mm(np.ones((4, 2))) is None
    assert outermost_mm(np.zeros((4, 2))) is None


def test_a_real_label_map_against_pymskt(shared_data):
    """pymskt 0.1.22 on this map: medial 3.76 mm and 40.2 %, lateral -0.54 mm and 59.6 %.

    Its coverage leaves out every triangle of which a corner is not covered, which costs it some 2 %.
    """
    import SimpleITK as sitk

    image = sitk.ReadImage(str(shared_data / "anatomy" / "pymskt_dess_right.nrrd"))
    names = {2: "MEDIAL_TIBIAL_CARTILAGE", 3: "LATERAL_TIBIAL_CARTILAGE", 6: "TIBIA"}
    names |= {9: "LATERAL_MENISCUS", 10: "MEDIAL_MENISCUS"}
    table = np.zeros(256, np.uint8)
    for value, label in names.items():
        table[value] = Label[label]
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    labels = Volume(
        table[sitk.GetArrayViewFromImage(image).astype(int)].transpose(2, 1, 0), np.diag([-1, -1, 1, 1]) @ affine
    )
    rows = measured(canonical(labels, labels, "R"))
    for name, extrusion, coverage in (("medial", 3.76, 40.2), ("lateral", -0.54, 59.6)):
        assert rows[name]["extrusion_mm"] == pytest.approx(extrusion, abs=0.3)
        assert rows[name]["coverage_pct"] == pytest.approx(coverage, abs=3.0)
        assert rows[name]["margin_extrusion_mm"] < rows[name]["extrusion_mm"]
    assert rows["lateral"]["volume_mm3"] == pytest.approx(2136, abs=2)
