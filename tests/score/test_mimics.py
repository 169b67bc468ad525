"""Flags for what looks like signal: clefts along the outer wall, and fibres at the magic angle."""

import numpy as np
import pytest

from kneeline.labels import Label
from kneeline.score.frame import Knee
from kneeline.score.mimics import inclination_deg, mimic_flags
from kneeline.score.signal import Component
from kneeline.volume import Volume

SHAPE = (4, 30, 60)


def horn(degrees=0.0):
    """A horn of 4 images, 60 pixels from front to back; its long axis (images) at an angle to the main field."""
    turn = np.radians(degrees)
    affine = np.eye(4)
    affine[:3, 0] = 10 * np.array([np.sin(turn), 0, np.cos(turn)])
    affine[:3, 1] = 0.1 * np.array([np.cos(turn), 0, -np.sin(turn)])
    affine[:3, 2] = [0, -0.5, 0]
    labels = np.full(SHAPE, Label.LATERAL_MENISCUS, np.uint8)
    return Knee(Volume(np.zeros(SHAPE, np.float32), affine), Volume(labels, affine))


def component(first, contact=()):
    """Signal over six pixels from front to back, from pixel `first` on, in two images."""
    voxels = np.argwhere(np.ones((2, 3, 6), bool)) + [1, 12, first]
    return Component(voxels, 40.0, 7.0, 1.0, contact, "inferior" if contact else None)


def flags(meniscus, region, found, knee=None, level=0.5, echo_time_ms=None):
    knee = knee or horn()
    return mimic_flags(
        meniscus, region, found, knee.mask(Label.LATERAL_MENISCUS), np.full(SHAPE, level), knee, echo_time_ms
    )


@pytest.mark.parametrize(
    ("meniscus", "region", "outer", "flag"),
    [
        ("lateral", "posterior_horn", 54, "popliteus_hiatus"),
        ("lateral", "anterior_horn", 0, "transverse_ligament"),
        ("medial", "anterior_horn", 0, "transverse_ligament"),
    ],
)
def test_signal_along_the_outer_wall_is_flagged(meniscus, region, outer, flag):
    assert flags(meniscus, region, component(outer)) == [flag]
    assert flags(meniscus, region, component(27)) == []


def test_no_cleft_behind_the_medial_posterior_horn_or_a_body():
    assert flags("medial", "posterior_horn", component(54)) == []
    assert flags("lateral", "body", component(0)) == []


@pytest.mark.parametrize(
    ("degrees", "echo_time_ms", "level", "contact", "flagged"),
    [
        (55, 20.0, 0.5, (), True),
        (55, 36.9, 0.5, (), True),
        (55, 60.0, 0.5, (), False),  # long echo time
        (55, None, 0.5, (), False),  # echo time not known
        (20, 20.0, 0.5, (), False),  # fibres along the field
        (80, 20.0, 0.5, (), False),  # and across it
        (55, 20.0, 0.9, (), False),  # too bright
        (55, 20.0, 0.5, (1, 2), False),  # reaches the surface
    ],
)
def test_magic_angle_needs_angle_echo_time_and_mildness(degrees, echo_time_ms, level, contact, flagged):
    found = flags("medial", "posterior_horn", component(27, contact), horn(degrees), level, echo_time_ms)
    assert found == (["magic_angle"] if flagged else [])


@pytest.mark.parametrize("degrees", [0.0, 35.0, 54.7, 90.0])
def test_inclination(degrees):
    turn = np.radians(degrees)
    line = np.outer(np.linspace(-5, 5, 20), [np.sin(turn) * 0.6, np.sin(turn) * 0.8, np.cos(turn)])
    assert inclination_deg(line) == pytest.approx(degrees, abs=0.01)
