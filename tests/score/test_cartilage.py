"""Thickness of shells and slabs that are known exactly, and of a real knee's label map."""

import numpy as np
import pytest

from kneeline.labels import Label
from kneeline.score.cartilage import measure_cartilage, thickness_map
from kneeline.score.frame import canonical
from kneeline.volume import Volume


def shell(thickness, spacing, radius=22.0):
    """The lower half of a sphere of bone with a concentric layer of cartilage."""
    axes = [np.arange(-30, 30, s) + 0.31 * s for s in spacing]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    r = np.sqrt(x**2 + y**2 + z**2)
    label = np.zeros(r.shape, np.uint8)
    label[r < radius] = Label.FEMUR
    label[(r >= radius) & (r < radius + thickness) & (z < 0)] = Label.FEMORAL_CARTILAGE
    return _knee(label, spacing)


def slab(thickness, spacing, tilt=0.0):
    """Flat tibia with a layer of cartilage, turned about x."""
    axes = [np.arange(-20, 20, s) + 0.31 * s for s in spacing]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    a = np.radians(tilt)
    height, along = np.cos(a) * z - np.sin(a) * y, np.cos(a) * y + np.sin(a) * z
    inside = (np.abs(x) < 14) & (np.abs(along) < 14)
    label = np.zeros(x.shape, np.uint8)
    label[(height < 0)] = Label.TIBIA
    label[inside & (height >= 0) & (height < thickness)] = Label.MEDIAL_TIBIAL_CARTILAGE
    return _knee(label, spacing)


def plate_thickness(knee, label):
    """Thickness (mm) at each vertex of the bone's surface that the plate covers."""
    return thickness_map(knee, label).covered


def _knee(label, spacing):
    volume = Volume(label, np.diag([*spacing, 1.0]))
    return canonical(volume, volume, "R")


@pytest.mark.parametrize("thickness", [1.0, 2.2, 3.5])
@pytest.mark.parametrize("spacing", [(0.7, 0.4, 0.4), (0.5, 0.5, 0.5)])
def test_concentric_shell(thickness, spacing):
    found = plate_thickness(shell(thickness, spacing), Label.FEMORAL_CARTILAGE)
    assert np.median(found) == pytest.approx(thickness, abs=0.1)


@pytest.mark.parametrize("tilt", [0, 25])
@pytest.mark.parametrize("thickness", [0.8, 2.0])
def test_slab(thickness, tilt):
    found = plate_thickness(slab(thickness, (0.7, 0.4, 0.4), tilt), Label.MEDIAL_TIBIAL_CARTILAGE)
    assert np.median(found) == pytest.approx(thickness, abs=0.1)


def test_interpolated_outlines_keep_the_median_and_are_flagged():
    """3.3 mm images of a shell: between images the outline is interpolated; the error stays below 0.2 mm."""
    knee = shell(2.2, (3.3, 0.5, 0.5))
    assert np.median(plate_thickness(knee, Label.FEMORAL_CARTILAGE)) == pytest.approx(2.2, abs=0.2)
    flags = {r["plate"]: r["flags"] for r in measure_cartilage(knee)}
    assert flags["femoral_cartilage"] == "experimental,interpolated_outlines"
    assert flags["patellar_cartilage"] == "not_segmented"


def test_real_femoral_cartilage(shared_data):
    """Oracle: pymskt's mean along surface normals on the same label map, 2.18 mm."""
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.ReadImage(str(shared_data / "anatomy" / "pymskt_dess_right.nrrd"))
    array = sitk.GetArrayFromImage(image).transpose(2, 1, 0)
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    names = np.zeros(256, np.uint8)
    names[[1, 5]] = Label.FEMORAL_CARTILAGE, Label.FEMUR
    labels = Volume(names[array], np.diag([-1.0, -1, 1, 1]) @ affine)
    found = plate_thickness(canonical(labels, labels, "R"), Label.FEMORAL_CARTILAGE)
    assert found.mean() == pytest.approx(2.18, abs=0.1)
