"""Distances, boxes and smooth levels by short ways, against the long ones."""

import numpy as np
import pytest
from scipy import ndimage

from kneeline.labels import Label
from kneeline.score.frame import OUT_OF_REACH_MM, Knee, box_around, deeper_than, distance_in_images
from kneeline.score.references import _between_cells, _cell_sums, in_plane_depth, measure_brightness
from kneeline.volume import Volume


@pytest.fixture(scope="module", params=[(3.3, 0.5, 0.4), (0.7, 0.4, 0.4), (0.5, 0.5, 3.0)])
def knee_and_mask(request):
    mask = ndimage.gaussian_filter(np.random.default_rng(2).normal(size=(9, 24, 21)), 1.5) > 0.05
    np.moveaxis(mask, int(np.argmax(request.param)), 0)[0] = False
    volume = Volume(mask.astype(np.uint8), np.diag([*request.param, 1.0]))
    return Knee(volume, volume), mask


def test_distance_in_images_is_that_of_each_image(knee_and_mask):
    knee, mask = knee_and_mask
    expected = ndimage.distance_transform_edt(~mask, sampling=knee.in_plane_mm)
    found = distance_in_images(mask, knee)
    near = expected < OUT_OF_REACH_MM / 2
    assert 0 < near.sum() < near.size
    np.testing.assert_allclose(found[near], expected[near], rtol=1e-5)
    assert (found[~near] == OUT_OF_REACH_MM).all()


def test_depth_in_the_box_of_a_mask_is_its_depth(knee_and_mask):
    knee, mask = knee_and_mask
    expected = ndimage.distance_transform_edt(mask, sampling=knee.in_plane_mm) - 0.5 * knee.pixel_mm
    np.testing.assert_allclose(in_plane_depth(mask, knee), np.where(mask, expected, 0), atol=1e-5)


@pytest.mark.parametrize("in_images", [False, True])
@pytest.mark.parametrize("length_mm", [0.55, 0.8, 1.1])
def test_deeper_than_is_a_distance_transform_with_a_threshold(knee_and_mask, in_images, length_mm):
    knee, mask = knee_and_mask
    distance = ndimage.distance_transform_edt(mask, sampling=knee.in_plane_mm if in_images else knee.spacing_mm)
    found = deeper_than(length_mm, mask, knee, in_images=in_images)
    assert np.array_equal(found, distance > length_mm)
    assert found.any()
    assert (mask & ~found).any()


def test_boxes_and_counts_of_labels_are_those_of_their_masks():
    rng = np.random.default_rng(3)
    array = np.zeros((7, 30, 25), np.uint8)
    for label in (Label.FEMUR, Label.PATELLA, Label.JOINT_FLUID):
        low = rng.integers(0, (4, 15, 12))
        array[tuple(slice(a, a + n) for a, n in zip(low, rng.integers(2, 9, 3), strict=True))] = label
    labels = Volume(array, np.diag([3.0, 0.5, 0.6, 1.0]))
    knee = Knee(labels, labels)
    for wanted in ((Label.FEMUR,), (Label.PATELLA, Label.JOINT_FLUID), (Label.BACKGROUND,), (Label.TIBIA,)):
        mask = np.isin(array, wanted)
        for margin in (0.0, 1.3):
            assert knee.box(*wanted, margin_mm=margin) == box_around(mask, knee.spacing_mm, margin)
        assert knee.count(*wanted) == mask.sum()
        assert knee.holds(*wanted) == mask.any()


@pytest.mark.parametrize("steps", [[1, 1, 1], [1, 3, 4], [2, 5, 7]])
def test_a_slope_is_the_same_slope_after_a_way_over_cells(steps):
    """Sums over cells, divided by their sizes, and back: exact for a slope, but beyond the outermost cells' centres."""
    x = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in (8, 30, 28)), indexing="ij"), -1)
    slope = x @ np.array([0.7, -0.2, 0.31], np.float32)
    cells = _cell_sums(slope, steps) / _cell_sums(np.ones_like(slope), steps)
    back = _between_cells(cells, steps, slope.shape)
    inside = tuple(slice(s, n // s * s - s) if s > 1 else slice(None) for s, n in zip(steps, slope.shape, strict=True))
    np.testing.assert_allclose(back[inside], slope[inside], atol=1e-4)


@pytest.mark.parametrize(("images", "readable"), [(3, False), (4, True)])
def test_a_reference_needs_four_images(images, readable):
    labels = np.full((images, 20, 20), Label.FEMORAL_CARTILAGE, np.uint8)
    labels[:, :8] = Label.FEMUR
    affine = np.diag([3.0, 0.5, 0.5, 1.0])
    knee = Knee(Volume((100.0 * labels).astype(np.float32), affine), Volume(labels, affine))
    assert (measure_brightness(knee) is not None) == readable
