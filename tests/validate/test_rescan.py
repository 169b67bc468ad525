"""A second scan is another scan of the same knee."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kneeline.labels import Label
from kneeline.validate.rescan import scan_again


@pytest.fixture(scope="module")
def again(scan):
    return scan_again(scan, 1)


def test_the_knee_is_the_same_and_everything_about_the_scan_is_another(scan, again):
    assert again.knee is scan.knee
    first, second = scan.acquisition, again.acquisition
    assert second.sequence == first.sequence
    assert second.slice_thickness_mm == first.slice_thickness_mm
    for name in ("angles_deg", "centre_mm", "slice_gap_mm", "snr", "bias"):
        assert getattr(second, name) != getattr(first, name), name


def test_the_knee_lies_otherwise_by_some_degrees_and_millimetres(again):
    """What lies between the planned grid and where the images are is one rigid motion, the same for both volumes."""
    planned = again.acquisition.geometry().affine
    motion = again.image.affine @ np.linalg.inv(planned)
    assert motion[:3, :3] @ motion[:3, :3].T == pytest.approx(np.eye(3), abs=1e-9)
    assert np.linalg.det(motion[:3, :3]) == pytest.approx(1)
    assert 0.5 < np.degrees(Rotation.from_matrix(motion[:3, :3]).magnitude()) < 15
    assert 0.5 < np.linalg.norm(motion[:3, 3]) < 25
    assert (again.labels.affine == again.image.affine).all()


def test_its_labels_are_of_the_same_volumes(scan, again):
    for label in (Label.TIBIA, Label.PATELLA, Label.JOINT_FLUID, Label.MEDIAL_MENISCUS):
        first, second = ((s.labels.array == label).sum() * s.labels.voxel_mm3 for s in (scan, again))
        assert second == pytest.approx(first, rel=0.12), label


def test_a_seed_gives_the_same_scan(scan, again):
    same = scan_again(scan, 1)
    assert (same.image.array == again.image.array).all()
    assert (same.image.affine == again.image.affine).all()
