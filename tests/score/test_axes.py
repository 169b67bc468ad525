"""The femur's axes: from its shaft, from its anterior cortex, from the scanner, and never from fluid."""

import numpy as np
import pytest
from tests.score.fluid_phantom import BLOCKS, phantom, turned

from kneeline.labels import Label
from kneeline.score.axes import knee_axes
from kneeline.score.frame import canonical


def degrees_between(a, b):
    return float(np.degrees(np.arccos(np.clip(a @ b, -1, 1))))


def test_up_follows_a_leaning_shaft():
    axes = knee_axes(phantom(tilt=10.0))
    assert np.degrees(np.arctan2(axes.up[1], axes.up[2])) == pytest.approx(10, abs=1.0)
    assert axes.source == "shaft"
    assert degrees_between(knee_axes(phantom()).up, np.array([0, 0, 1.0])) < 1


def test_with_a_short_shaft_the_anterior_cortex_tells_up():
    axes = knee_axes(phantom(top=70.0, tilt=10.0))
    assert axes.source == "anterior_cortex"
    assert np.degrees(np.arctan2(axes.up[1], axes.up[2])) == pytest.approx(10, abs=1.5)


def test_with_no_shaft_to_speak_of_the_scanner_tells_up():
    axes = knee_axes(phantom(top=55.0, tilt=10.0))
    assert axes.source == "scanner"
    assert axes.up == pytest.approx([0, 0, 1], abs=1e-9)


@pytest.mark.parametrize("axis", "xyz")
@pytest.mark.parametrize("degrees", [-15, 15])
def test_the_axes_turn_with_the_knee(axis, degrees):
    """However the image's upper edge cuts the shaft."""
    turn = turned(axis, degrees)
    axes = knee_axes(phantom(turn=turn, width=(-64.0, 64.0), back=-66.0))
    for found, true in zip(axes.matrix, turn.T, strict=True):
        assert degrees_between(found, true) < 2.0
    assert np.linalg.det(axes.matrix) == pytest.approx(1)


def test_a_wrong_patch_of_femur_before_the_shaft_tilts_nothing():
    knee = phantom()
    x, y, z = np.moveaxis(knee.labels.geometry.to_world(np.moveaxis(np.indices(knee.labels.shape), 0, -1)), -1, 0)
    array = knee.labels.array.copy()
    array[(np.abs(x) < 5) & (y > 12) & (y < 24) & (z > 80) & (z < 85)] = Label.FEMUR
    labels = knee.labels.with_array(array)
    assert degrees_between(knee_axes(canonical(labels, labels, "R")).up, np.array([0, 0, 1.0])) < 2


def test_fluid_moves_no_axis():
    full, empty = (knee_axes(phantom(fluid)).matrix for fluid in (BLOCKS.values(), ()))
    assert (full == empty).all()


def test_one_plateau_alone_tells_no_lateral():
    knee = phantom(turn=turned("z", 10))
    labels = knee.labels.with_array(np.where(knee.labels.array == Label.LATERAL_TIBIAL_CARTILAGE, 0, knee.labels.array))
    assert knee_axes(canonical(labels, labels, "R")).lateral.tolist() == [1, 0, 0]
