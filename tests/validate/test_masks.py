import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from kneeline.validate.masks import dice, surface, surface_distance
from kneeline.volume import Geometry, Volume, to_sitk

SPACING = (3.3, 0.5, 0.7)


def grid(shape, spacing=SPACING, turn=None):
    affine = np.diag([*spacing, 1.0])
    affine[:3, :3] = (np.eye(3) if turn is None else turn) @ affine[:3, :3]
    affine[:3, 3] = (-40, 12, 7)
    return Geometry(shape, affine)


def test_dice_of_two_shifted_cubes_is_nine_tenths():
    cube = np.zeros((14, 14, 14), bool)
    cube[:10, :10, :10] = True
    assert dice(cube, np.roll(cube, 1, 0)) == pytest.approx(0.9, abs=1e-12)
    assert dice(cube, cube) == 1
    assert dice(cube, ~cube) == 0


def test_the_surface_of_a_block_is_its_outer_layer():
    block = np.zeros((7, 8, 9), bool)
    block[1:6, 1:6, 1:6] = True
    assert surface(block).sum() == 5**3 - 3**3


def test_two_voxels_are_as_far_apart_as_they_are():
    one, two = np.zeros((2, 8, 8, 8), bool)
    one[1, 2, 3] = two[3, 3, 6] = True
    distance = surface_distance(one, two, grid(one.shape))
    expected = np.hypot(np.hypot(2 * 3.3, 0.5), 3 * 0.7)
    assert (distance.hausdorff95_mm, distance.mean_mm) == pytest.approx((expected, expected))


def test_slabs_that_the_image_cuts_have_two_faces_only():
    """Faces at 4 and 8 against 4 and 10: half of all distances are 0, half are two slices, either way."""
    one, two = np.zeros((2, 12, 20, 20), bool)
    one[4:9] = two[4:11] = True
    assert np.unique(np.nonzero(surface(one))[0]).tolist() == [4, 8]
    distance = surface_distance(one, two, grid(one.shape))
    assert (distance.hausdorff95_mm, distance.mean_mm) == pytest.approx((6.6, 3.3))


def test_concentric_balls_are_the_difference_of_their_radii_apart():
    x = np.stack(np.indices((41, 81, 81)), -1) * (1.0, 0.5, 0.5) - 20
    radius = np.linalg.norm(x, axis=-1)
    distance = surface_distance(radius < 12, radius < 16, grid(radius.shape, (1.0, 0.5, 0.5)))
    assert distance.mean_mm == pytest.approx(4, abs=0.25)  # half a pixel
    assert distance.hausdorff95_mm == pytest.approx(4, abs=0.5)


@pytest.mark.parametrize("seed", range(3))
def test_distances_are_those_of_the_distance_maps_of_simpleitk(seed):
    """Oracle: contour and exact (Maurer) distance map of SimpleITK, on random blobs in a turned, anisotropic grid."""
    rng = np.random.default_rng(seed)
    shape = (14, 50, 46)
    blobs = [ndimage.gaussian_filter(rng.standard_normal(shape), (1, 4, 4)) > 0.02 for _ in range(2)]
    for blob in blobs:  # away from the border, where the two definitions of a surface part
        blob[[0, -1]] = blob[:, [0, -1]] = blob[:, :, [0, -1]] = False
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    geometry = grid(shape, turn=turn * np.sign(np.linalg.det(turn)))
    contours, maps = [], []
    for blob in blobs:
        image = to_sitk(Volume(blob.astype(np.uint8), geometry.affine))
        contour = sitk.LabelContour(image, fullyConnected=False)
        away = sitk.SignedMaurerDistanceMap(contour, squaredDistance=False, useImageSpacing=True)
        contours.append(sitk.GetArrayFromImage(contour).transpose(2, 1, 0) > 0)
        maps.append(np.abs(sitk.GetArrayFromImage(away).transpose(2, 1, 0)))
    there, back = maps[1][contours[0]], maps[0][contours[1]]
    distance = surface_distance(*blobs, geometry)
    assert distance.mean_mm == pytest.approx(np.concatenate([there, back]).mean(), rel=1e-5)
    assert distance.hausdorff95_mm == pytest.approx(max(np.percentile(d, 95) for d in (there, back)), rel=1e-5)
    other_way = surface_distance(*blobs[::-1], geometry)
    assert (distance.mean_mm, distance.hausdorff95_mm) == pytest.approx((other_way.mean_mm, other_way.hausdorff95_mm))


def test_nothing_has_no_surface():
    one, two = np.zeros((2, 5, 5, 5), bool)
    one[2, 2, 2] = True
    assert surface_distance(one, two, grid(one.shape)) is None
