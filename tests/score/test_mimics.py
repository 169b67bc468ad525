"""Flags for what looks like signal: clefts along the outer wall, and fibres at the magic angle."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from tests.score.conftest import Lesion

from kneeline.labels import Label
from kneeline.score.frame import Knee
from kneeline.score.mimics import inclination_deg, mimic_flags
from kneeline.score.run import score_knee
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


# --- from image and labels to the row --------------------------------------------------------------------------------


def scored(joint, lesion, turn=("y", 0), **settings):
    """The row of the horn that a lesion lies in, of half a knee that lies turned about a world axis (degrees)."""
    side = -1 if lesion.x_mm < 0 else 1
    width_mm = (-44.0, 2.0) if side < 0 else (-2.0, 44.0)
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler(*turn, degrees=True).as_matrix()
    volumes = joint(lesions=(lesion,), width_mm=width_mm, **settings.pop("of", {})).image_and_labels()
    rows = score_knee(*(Volume(v.array, affine @ v.affine) for v in volumes), "R", **settings).meniscus
    region = "posterior_horn" if lesion.start[0] < 0 else "anterior_horn"
    meniscus = "medial" if side < 0 else "lateral"
    return next(row for row in rows if (row["meniscus"], row["region"]) == (meniscus, region))


@pytest.mark.parametrize(("front", "flag"), [(-1, "popliteus_hiatus"), (1, "transverse_ligament")])
def test_a_row_says_that_its_signal_lies_along_the_outer_wall(joint, front, flag):
    """Bars of signal in the horns of the lateral meniscus, whose outer wall lies 17 mm from its centre."""
    at_the_wall = Lesion(22, 3.5, (front * 15.5, 2.6), (front * 15.5, 2.6), 1.1)
    further_in = Lesion(22, 3.5, (front * 11.8, 1.6), (front * 11.8, 1.6), 0.9)
    fine = {"spacing_mm": (3.3, 0.4, 0.4)}
    rows = [scored(joint, lesion, of=fine) for lesion in (at_the_wall, further_in)]
    assert all(row["signal_grade"] > 0 for row in rows)
    assert [row["flags"] for row in rows] == [flag, None]


@pytest.mark.parametrize(
    ("turn", "echo_time_ms", "flag"),
    [
        (("y", 35), 20.0, "magic_angle"),  # the horn, which runs from side to side, at 55 degrees to the field
        (("y", 35), 60.0, None),
        (("y", 35), None, None),
        (("x", 35), 20.0, None),  # across the field all the same
    ],
)
def test_a_row_says_where_fibres_may_lie_at_the_magic_angle(joint, turn, echo_time_ms, flag):
    mild = Lesion(-22, 3.5, (-15.5, 2.6), (-15.5, 2.6), 1.1)
    row = scored(joint, mild, turn, of={"lesion_grey": 0.42}, echo_time_ms=echo_time_ms)
    assert row["signal_grade"] > 0
    assert row["flags"] == flag
