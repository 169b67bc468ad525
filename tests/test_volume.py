import itertools

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from kneeline import volume
from kneeline.volume import Geometry, Volume


def oblique_affine(spacing=(3.3, 0.5, 0.6), degrees=(7, -11, 4), origin=(12, -30, 55)):
    from scipy.spatial.transform import Rotation

    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix() * spacing
    affine[:3, 3] = origin
    return affine


@pytest.fixture
def numbered():
    """Every voxel has its own value, so that any flip or swap shows."""
    return Volume(np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6), oblique_affine())


ALL_CODES = [
    "".join(codes) for order in itertools.permutations(("LR", "PA", "IS")) for codes in itertools.product(*order)
]


@pytest.mark.parametrize("codes", ALL_CODES)
def test_reorient_keeps_every_voxel_at_its_place_in_the_world(numbered, codes):
    turned = volume.reorient(numbered, codes)
    assert turned.orientation == codes
    assert "".join(nibabel.aff2axcodes(turned.affine)) == codes  # independent oracle
    for index in np.ndindex(turned.shape):
        place = turned.geometry.to_world(index)
        assert np.allclose(numbered.geometry.to_voxel(place) % 1 % 0.9999999, 0, atol=1e-6)
        original = tuple(np.rint(numbered.geometry.to_voxel(place)).astype(int))
        assert turned.array[index] == numbered.array[original]


def test_reorient_round_trip(numbered):
    back = volume.reorient(volume.reorient(numbered, "PSL"), numbered.orientation)
    assert np.array_equal(back.array, numbered.array)
    assert np.allclose(back.affine, numbered.affine)


def test_orientation_must_name_each_axis_once(numbered):
    with pytest.raises(ValueError, match="once"):
        volume.reorient(numbered, "RLS")


def test_medial_lies_towards_the_other_leg():
    # RAS+: the right knee is at positive x, so its medial side faces -x.
    assert volume.medial_sign("R") == -1
    assert volume.medial_sign("L") == 1
    with pytest.raises(ValueError, match="'L' or 'R'"):
        volume.medial_sign("B")


def test_mirror_changes_world_x_only(numbered):
    mirrored = volume.mirror(numbered)
    place = numbered.geometry.to_world((1, 2, 3))
    assert np.allclose(mirrored.geometry.to_world((1, 2, 3)), place * (-1, 1, 1))
    assert np.array_equal(mirrored.array, numbered.array)
    assert np.allclose(volume.mirror(mirrored).affine, numbered.affine)


def test_spacing_and_voxel_volume(numbered):
    assert numbered.spacing_mm == pytest.approx((3.3, 0.5, 0.6))
    assert numbered.voxel_mm3 == pytest.approx(3.3 * 0.5 * 0.6)


def test_sitk_agrees_on_places(numbered):
    image = volume.to_sitk(numbered)
    lps = image.TransformIndexToPhysicalPoint((1, 2, 3))
    assert np.allclose(np.array(lps) * (-1, -1, 1), numbered.geometry.to_world((1, 2, 3)))
    assert image.GetPixel(1, 2, 3) == numbered.array[1, 2, 3]


def test_resample_reproduces_a_linear_field():
    def field(places):
        return places @ (0.3, -0.2, 0.5) + 7

    source = Geometry((20, 40, 40), oblique_affine((3, 1, 1)))
    target = Geometry((12, 16, 18), oblique_affine((2, 1.5, 1.2), degrees=(2, 3, 1), origin=(25, -18, 65)))
    values = field(source.to_world(np.moveaxis(np.indices(source.shape), 0, -1)))
    out = volume.resample(Volume(values, source.affine), target, outside=np.nan)
    places = target.to_world(np.moveaxis(np.indices(target.shape), 0, -1))
    expected = field(places)
    # Between voxel centres; the half voxel at the border is held constant.
    inside = ((source.to_voxel(places) >= 0) & (source.to_voxel(places) <= np.array(source.shape) - 1)).all(-1)
    assert inside.mean() > 0.5
    assert np.isnan(out.array).any()
    assert np.allclose(out.array[inside], expected[inside], atol=1e-4)


def test_resample_labels_invents_no_label(numbered):
    labels = numbered.with_array(np.where(numbered.array % 2 == 0, 3, 9).astype(np.uint8))
    out = volume.resample(labels, Geometry((9, 9, 9), oblique_affine((1.4, 0.3, 0.3))), labels=True)
    assert set(np.unique(out.array)) <= {0, 3, 9}


def test_write_then_read_is_exact_and_repeatable(numbered, tmp_path):
    one, two = tmp_path / "one.nii.gz", tmp_path / "two.nii.gz"
    volume.write_volume(one, numbered)
    volume.write_volume(two, numbered)
    assert one.read_bytes() == two.read_bytes()
    back = volume.read_volume(one)
    assert np.array_equal(back.array, numbered.array)
    assert np.allclose(back.affine, numbered.affine, atol=1e-5)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.nii.gz", "two.nii.gz"]


def test_written_file_means_the_same_to_simpleitk(numbered, tmp_path):
    volume.write_volume(tmp_path / "v.nii.gz", numbered)
    image = sitk.ReadImage(tmp_path / "v.nii.gz")
    lps = np.array(image.TransformIndexToPhysicalPoint((3, 4, 5)))
    assert np.allclose(lps * (-1, -1, 1), numbered.geometry.to_world((3, 4, 5)), atol=1e-3)


@pytest.mark.parametrize("bad", [np.zeros((4, 4)), np.full((4, 4), np.nan)])
def test_a_volume_needs_a_usable_affine(bad):
    with pytest.raises(ValueError, match="affine"):
        Volume(np.zeros((2, 2, 2)), bad)


def test_reading_something_else_says_so(tmp_path):
    path = tmp_path / "text.nii.gz"
    path.write_text("no image")
    with pytest.raises(ValueError, match="text.nii.gz"):
        volume.read_volume(path)
