"""The shipped network on knees with known answers, and the laws that hold whatever the network says."""

from __future__ import annotations

import numpy as np
import pytest

from kneeline.errors import Refusal
from kneeline.labels import CARTILAGES, MENISCI, Label
from kneeline.segment.predict import segment
from kneeline.volume import Volume, mirror, reorient

# Measured on this knee when the network was exported, less a margin of about 0.05; see docs/model-card.md.
FLOORS = {
    Label.FEMUR: 0.93,
    Label.TIBIA: 0.93,
    Label.PATELLA: 0.90,
    Label.FEMORAL_CARTILAGE: 0.80,
    Label.MEDIAL_MENISCUS: 0.68,
    Label.LATERAL_MENISCUS: 0.68,
    Label.JOINT_FLUID: 0.65,
}


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize("label", FLOORS, ids=lambda v: v.label_name)
def test_a_knee_never_seen_is_found_with_at_least_the_stated_dice(scan, found, label):
    assert dice(found.labels.array == label, scan.labels.array == label) >= FLOORS[label]


def test_labels_lie_on_the_images_own_grid(scan, found):
    assert found.labels.shape == scan.image.shape
    assert np.array_equal(found.labels.affine, scan.image.affine)
    assert found.labels.array.dtype == np.uint8
    assert set(np.unique(found.labels.array)) <= {int(v) for v in Label}


def test_the_fibula_tells_the_side(found):
    assert (found.laterality, found.fibula_laterality) == ("R", "R")


def test_confidence_is_given_for_every_structure_found(found):
    present = {Label(v) for v in np.unique(found.labels.array) if v}
    assert set(found.confidence) == present
    assert all(0 < value <= 1 for value in found.confidence.values())


def test_a_mirrored_knee_is_the_other_side_and_nothing_else(coarse, found_coarse):
    other = segment(mirror(coarse))
    assert (other.laterality, other.fibula_laterality) == ("L", "L")
    assert np.array_equal(other.labels.array, found_coarse.labels.array)
    assert other.confidence == pytest.approx(found_coarse.confidence)
    assert other.verdict == found_coarse.verdict


def test_the_order_and_direction_of_axes_do_not_matter(coarse, found_coarse):
    turned = segment(reorient(coarse, "PSL"))
    assert turned.labels.orientation == "PSL"
    assert np.array_equal(turned.labels.array, reorient(found_coarse.labels, "PSL").array)


def test_the_number_of_threads_does_not_matter(coarse, found_coarse):
    assert np.array_equal(segment(coarse, threads=2).labels.array, found_coarse.labels.array)


def test_the_scale_and_type_of_grey_values_do_not_matter(coarse, found_coarse):
    scaled = coarse.with_array(coarse.array.astype(np.float32) * 4)
    assert np.array_equal(segment(scaled).labels.array, found_coarse.labels.array)


def test_a_side_against_the_fibula_is_a_conflict(coarse):
    with pytest.raises(Refusal, match="right one") as refusal:
        segment(coarse, "L")
    assert refusal.value.code == "laterality_conflict"


def test_without_a_fibula_a_given_side_stands_and_an_unknown_one_is_refused(scan):
    fibula = np.flatnonzero((scan.labels.array == Label.FIBULA).any((1, 2)))
    # Slices medial of the fibula.
    first = fibula[0]
    cut = Volume(scan.image.array[:first], scan.image.affine)
    assert segment(cut, "R").fibula_laterality is None
    with pytest.raises(Refusal) as refusal:
        segment(cut)
    assert refusal.value.code == "laterality_unknown"


def test_medial_is_medial(scan, found):
    world = {m: found.labels.geometry.to_world(np.argwhere(found.labels.array == MENISCI[m]).mean(0)) for m in MENISCI}
    assert world["medial"][0] < world["lateral"][0]  # in a right knee medial is -x
    pairs = {
        Label.MEDIAL_TIBIAL_CARTILAGE: Label.MEDIAL_MENISCUS,
        Label.LATERAL_TIBIAL_CARTILAGE: Label.LATERAL_MENISCUS,
    }
    for cartilage, meniscus in pairs.items():
        slices = [set(np.unique(np.nonzero(found.labels.array == v)[0])) for v in (cartilage, meniscus)]
        assert slices[0] & slices[1]
    assert all((found.labels.array == v).any() for v in CARTILAGES)


@pytest.mark.parametrize(("codes", "plane"), [("AIR", "coronal"), ("SAR", "axial")])
def test_thick_slices_in_another_plane_are_refused(codes, plane):
    world = {"A": (0, 1, 0), "S": (0, 0, 1), "R": (1, 0, 0), "I": (0, 0, -1)}
    affine = np.eye(4)
    for axis, (code, step) in enumerate(zip(codes, (4.0, 0.6, 0.6), strict=True)):
        affine[:3, axis] = np.array(world[code]) * step
    with pytest.raises(Refusal, match=plane) as refusal:
        segment(Volume(np.random.default_rng(0).random((24, 200, 200), np.float32), affine), "R")
    assert refusal.value.code == "not_sagittal"


def test_an_image_too_small_for_a_knee_is_refused():
    with pytest.raises(Refusal, match="40 x 40") as refusal:
        segment(Volume(np.random.default_rng(0).random((24, 80, 80), np.float32), np.diag([4.0, 0.5, 0.5, 1])), "R")
    assert refusal.value.code == "not_a_knee"
