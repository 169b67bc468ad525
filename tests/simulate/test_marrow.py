"""Painted marrow lesions: in marrow, under cartilage, as large as the truth says."""

import numpy as np
import pytest

from kneeline.labels import CARTILAGES, Label
from kneeline.simulate.knee import build_knee, sample_parameters
from kneeline.simulate.marrow import MarrowLesion, add_marrow_lesions
from kneeline.simulate.tissues import Tissue

SPACING = 1.2


@pytest.fixture(scope="module")
def knee():
    return build_knee(sample_parameters(np.random.default_rng(3), "R"), spacing_mm=SPACING)


@pytest.mark.parametrize("bone", [Label.FEMUR, Label.TIBIA, Label.PATELLA])
def test_truth_counts_what_was_painted_in_marrow(knee, bone):
    sick, volumes = add_marrow_lesions(knee, [MarrowLesion(bone, 6.0, place=0.4)])
    changed = sick.tissue.array != knee.tissue.array
    assert set(sick.tissue.array[changed]) == {Tissue.MARROW_LESION}
    assert set(knee.labels.array[changed]) == {bone}
    assert Tissue.CORTEX not in set(knee.tissue.array[changed])
    assert volumes[bone] == pytest.approx(changed.sum() * SPACING**3)
    assert sum(volumes.values()) == volumes[bone]
    # More than a third of the ball, less than all of it; it lies within its radius of cartilage.
    ball = 4 / 3 * np.pi * 6**3
    assert ball / 3 < volumes[bone] < ball
    cartilage = np.argwhere(np.isin(knee.labels.array, CARTILAGES))
    at = np.argwhere(changed)
    assert np.linalg.norm((cartilage - at.mean(0)) * SPACING, axis=1).min() < 8
    assert np.ptp(at, axis=0).max() * SPACING < 12.5


def test_none_leaves_the_bytes_alone(knee):
    same, volumes = add_marrow_lesions(knee, [])
    assert same.tissue.array.tobytes() == knee.tissue.array.tobytes()
    assert set(volumes.values()) == {0.0}


@pytest.mark.parametrize("change", [{"bone": Label.FIBULA}, {"radius_mm": 0.0}, {"place": 1.0}])
def test_an_impossible_lesion_is_refused(change):
    with pytest.raises(ValueError, match="no such lesion"):
        MarrowLesion(**{"bone": Label.TIBIA, "radius_mm": 5.0} | change)
