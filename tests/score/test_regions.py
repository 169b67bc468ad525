"""Three regions by the meniscus' own curve: by construction, under rotation, and against a published split."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kneeline.grading import REGIONS
from kneeline.labels import Label
from kneeline.score.frame import canonical
from kneeline.score.regions import centre_line_position, meniscus_regions


def wedge(spacing=(0.7, 0.5, 0.5), half_arc=125.0, seed=0):
    """Points of a C that opens to -x, and the angle of each; the lattice starts at a random place."""
    offset = np.random.default_rng(seed).uniform(0, 1, 3) * spacing
    axes = [np.arange(-18, 18, s) + o for s, o in zip(spacing, offset, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    radius, angle = np.hypot(points[:, 0], points[:, 1]), np.degrees(np.arctan2(points[:, 1], points[:, 0]))
    inside = (radius > 8) & (radius < 17) & (np.abs(angle) < half_arc) & (points[:, 2] > 0) & (points[:, 2] < 3)
    return points[inside], angle[inside]


INNER = np.array([-22.0, 0, 0])


@pytest.mark.parametrize("spacing", [(0.7, 0.5, 0.5), (3.3, 0.5, 0.5), (4.0, 0.6, 0.6)])
def test_thirds_of_the_arc(spacing):
    """On a ring thirds of arc are thirds of angle; thick images may move the cut by half an image."""
    points, angle = wedge(spacing)
    expected = np.where(angle > 125 / 3, 0, np.where(angle < -125 / 3, 2, 1))
    agreement = (meniscus_regions(points, INNER) == expected).mean()
    assert agreement > (0.97 if spacing[0] < 1 else 0.93)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("degrees", [15, -15])
def test_turning_the_knee_changes_nothing(axis, degrees):
    points, _ = wedge()
    turn = Rotation.from_rotvec(np.radians(degrees) * np.eye(3)[axis]).as_matrix()
    assert (meniscus_regions(points @ turn.T, turn @ INNER) == meniscus_regions(points, INNER)).all()


@pytest.mark.parametrize("spacing", [(0.7, 0.5, 0.5), (3.3, 0.5, 0.5)])
def test_scanning_a_turned_knee_gives_the_same_shares(joint, spacing):
    """The turned knee is sampled anew: each region keeps its share of the meniscus (3.3 mm images: within 6 %)."""
    shares = []
    for degrees in (0, 15):
        turn = Rotation.from_euler("z", degrees, degrees=True).as_matrix()
        image, labels = joint(turn=turn, spacing_mm=spacing, width_mm=(-44.0, 2.0)).image_and_labels()
        knee = canonical(image, labels, "R")
        mask = knee.mask(Label.MEDIAL_MENISCUS)
        region = meniscus_regions(knee.world(mask), turn @ np.array([0.0, 0, 2]))
        shares.append(np.bincount(region, minlength=3) / mask.sum())
    assert shares[1] == pytest.approx(shares[0], abs=0.02 if spacing[0] < 1 else 0.06)


def test_position_runs_from_front_to_back():
    points, _ = wedge()
    position = centre_line_position(points, INNER)
    assert position.min() == pytest.approx(0, abs=1e-9)
    assert position.max() == pytest.approx(1, abs=1e-9)
    assert np.corrcoef(position, points[:, 1])[0, 1] < -0.9


def test_a_few_voxels_are_a_body():
    assert meniscus_regions(np.zeros((2, 3)), INNER).tolist() == [1, 1]


@pytest.mark.parametrize(("labels", "least"), [((101, 102, 103), 0.90), ((104, 105, 106), 0.65)])
def test_against_the_split_of_pymskt(shared_data, labels, least):
    """Oracle: the thirds in which pymskt divides the menisci of its DESS knee (it cuts the lateral one elsewhere)."""
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.ReadImage(str(shared_data / "anatomy" / "pymskt_meniscus_regions.nrrd"))
    array = sitk.GetArrayFromImage(image).transpose(2, 1, 0)
    direction = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    world = lambda mask: (np.argwhere(mask) @ direction.T + image.GetOrigin()) * [-1, -1, 1]  # noqa: E731
    mask = np.isin(array, labels)
    found = meniscus_regions(world(mask), world(array >= 101).mean(0))
    for index, label in enumerate(labels):
        true = array[mask] == label
        dice = 2 * (true & (found == index)).sum() / (true.sum() + (found == index).sum())
        assert dice > least, REGIONS[index]
