"""Acquisition: partial volume is an average, noise is Rician, geometry is what was planned."""

from dataclasses import replace

import numpy as np
import pytest

from kneeline.labels import Label
from kneeline.simulate.acquire import PROTOCOLS, Acquisition, acquire, majority_labels, rician, sample_slices
from kneeline.simulate.knee import build_knee, sample_parameters
from kneeline.volume import Volume

SMALL = Acquisition(pixel_mm=1.5, matrix=90, n_slices=24, slice_gap_mm=0.4)


@pytest.fixture(scope="module")
def knee():
    return build_knee(sample_parameters(np.random.default_rng(2), "R"), fluid_ml=20, spacing_mm=1.5)


def test_geometry_is_canonical_and_holds_thickness_gap_and_turn():
    plan = replace(SMALL, angles_deg=(2.0, -3.0, 8.0))
    geometry = plan.geometry()
    assert geometry.orientation == "RIP"
    np.testing.assert_allclose(geometry.spacing_mm, (3.4, 1.5, 1.5))
    np.testing.assert_allclose(geometry.to_world((np.array(geometry.shape) - 1) / 2), plan.centre_mm)
    axes = geometry.affine[:3, :3] / geometry.spacing_mm
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)


def test_a_slice_is_the_mean_of_the_signal_across_it():
    # Signal x**2 on a fine grid: its mean over a slice of thickness d centred at c is c**2 + d**2 / 12.
    h = 0.25
    x = np.arange(-200, 201) * h
    signal = np.broadcast_to((x**2)[:, None, None], (x.size, 5, 5)).astype(np.float32)
    affine = np.diag([h, 40.0, 40.0, 1.0])
    affine[:3, 3] = x[0], -80, -80
    plan = Acquisition(pixel_mm=4.0, matrix=4, n_slices=10, slice_gap_mm=0.5, centre_mm=(0.0, 0.0, 0.0))
    image = sample_slices(Volume(signal, affine), plan)
    centres = (np.arange(10) - 4.5) * 3.5
    # The profile's soft edges make it act a little thinner than 3 mm.
    effective = (image[:, 2, 2] - centres**2) * 12
    assert (effective > 2.4**2).all()
    assert (effective < 3.0**2).all()


def test_a_thick_slice_is_the_weighted_mean_of_thin_ones(knee):
    signal = knee.tissue.with_array(knee.tissue.array.astype(np.float32))
    thick = sample_slices(signal, SMALL)
    axis = SMALL.geometry().affine[:3, 0] / SMALL.slice_spacing_mm
    thin = replace(SMALL, slice_thickness_mm=0.5, slice_gap_mm=2.9)
    offsets, weights = (-1.125, -0.375, 0.375, 1.125), np.array([0.75, 1, 1, 0.75]) / 3.5
    parts = [
        sample_slices(signal, replace(thin, centre_mm=tuple(np.array(thin.centre_mm) + o * axis))) for o in offsets
    ]
    np.testing.assert_allclose(thick, np.tensordot(weights, parts, 1), atol=1e-3)


def test_labels_go_to_the_majority():
    labels = np.zeros((60, 3, 3), np.uint8)
    labels[:31] = Label.FEMUR
    labels[31:] = Label.TIBIA
    affine = np.diag([0.5, 30.0, 30.0, 1.0])
    affine[:3, 3] = -15, -30, -30
    plan = Acquisition(pixel_mm=5.0, matrix=2, n_slices=5, slice_gap_mm=0.0, centre_mm=(0.0, 0.0, 0.0))
    # The border lies at x = 0.25: the middle slice (-1.5 to 1.5) is mostly femur.
    assert majority_labels(Volume(labels, affine), plan)[:, 0, 0].tolist() == [1, 1, 1, 2, 2]


def test_volumes_survive_on_the_image_grid(knee):
    plan = replace(SMALL, slice_gap_mm=0.0, n_slices=36)
    on_images = (majority_labels(knee.labels, plan) == Label.PATELLA).sum() * plan.geometry().voxel_mm3
    assert on_images == pytest.approx((knee.labels.array == Label.PATELLA).sum() * 1.5**3, rel=0.06)


def test_thin_structures_keep_their_volume_in_thick_slices():
    """A shell of 2 mm, oblique to most slices: ties between sheets must not all go to one side."""
    axes = np.indices((160, 160, 160)) * 0.5 - 39.75
    radius = np.sqrt((axes**2).sum(0))
    labels = np.where(radius < 30, Label.FEMUR, np.where(radius < 32, Label.FEMORAL_CARTILAGE, 0)).astype(np.uint8)
    affine = np.diag([0.5, 0.5, 0.5, 1.0])
    affine[:3, 3] = -39.75
    true_mm3 = (labels == Label.FEMORAL_CARTILAGE).sum() * 0.5**3
    for thickness in (2.0, 3.0, 4.0):
        plan = Acquisition(
            pixel_mm=0.5, matrix=160, n_slices=round(80 / thickness), slice_thickness_mm=thickness, slice_gap_mm=0.0,
            centre_mm=(0.0, 0.0, 0.0),
        )  # fmt: skip
        found = majority_labels(Volume(labels, affine), plan) == Label.FEMORAL_CARTILAGE
        assert found.sum() * plan.geometry().voxel_mm3 == pytest.approx(true_mm3, rel=0.04)


def test_images_are_deterministic_and_seeded(knee):
    one, again, other = (acquire(knee, SMALL, seed) for seed in (5, 5, 6))
    assert one.image.array.tobytes() == again.image.array.tobytes()
    assert one.image.array.tobytes() != other.image.array.tobytes()
    assert one.image.array.dtype == np.uint16
    assert np.array_equal(one.labels.array, other.labels.array)


@pytest.mark.parametrize("name", ["PD", "PDFS"])
def test_marrow_and_fluid_in_the_image(knee, name):
    acquired = acquire(knee, replace(SMALL, sequence=PROTOCOLS[name].sequence, bias=0.0), 1)
    grey = {label: np.median(acquired.image.array[acquired.labels.array == label]) for label in Label}
    if name == "PDFS":
        assert grey[Label.JOINT_FLUID] > grey[Label.FEMORAL_CARTILAGE] > grey[Label.FEMUR]
    else:
        assert grey[Label.FEMUR] > 1.5 * grey[Label.FEMORAL_CARTILAGE]
    assert grey[Label.MEDIAL_MENISCUS] < 0.7 * grey[Label.FEMORAL_CARTILAGE]


def test_noise_is_rician():
    rng = np.random.default_rng(0)
    air = rician(np.zeros(200_000, np.float32), 2.0, rng)
    assert air.mean() == pytest.approx(2.0 * np.sqrt(np.pi / 2), rel=0.01)
    bright = rician(np.full(200_000, 100, np.float32), 2.0, rng)
    assert bright.std() == pytest.approx(2.0, rel=0.01)


def test_motion_makes_ghosts_outside_the_leg(knee):
    still, moved = (acquire(knee, replace(SMALL, ghost=g, bias=0.0), 3).image.array for g in (0.0, 0.3))
    corner = (slice(None), slice(0, 90), slice(0, 6))
    assert moved[corner].mean() > 1.15 * still[corner].mean()
