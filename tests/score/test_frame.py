"""Distances within single images, against SciPy's distance transform of the whole volume."""

import numpy as np
import pytest
from scipy import ndimage

from kneeline.labels import Label
from kneeline.score.frame import OUT_OF_REACH_MM, Knee, distance_in_images
from kneeline.score.references import in_plane_depth, measure_brightness
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


@pytest.mark.parametrize(("images", "readable"), [(3, False), (4, True)])
def test_a_reference_needs_four_images(images, readable):
    labels = np.full((images, 20, 20), Label.FEMORAL_CARTILAGE, np.uint8)
    labels[:, :8] = Label.FEMUR
    affine = np.diag([3.0, 0.5, 0.5, 1.0])
    knee = Knee(Volume((100.0 * labels).astype(np.float32), affine), Volume(labels, affine))
    assert (measure_brightness(knee) is not None) == readable
