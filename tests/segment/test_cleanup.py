"""Clean-up on blocks of classes whose right answer is plain."""

from __future__ import annotations

import numpy as np
import pytest

from kneeline.labels import Label
from kneeline.segment import cleanup
from kneeline.segment.classes import Class

SPACING = (3.0, 1.0, 1.0)  # slices 3 mm apart
SHAPE = (30, 120, 100)


@pytest.fixture
def knee() -> np.ndarray:
    """A right knee of blocks, canonical: axis 0 to the Right (lateral), 1 inferior, 2 posterior."""
    c = np.zeros(SHAPE, np.uint8)
    c[5:25, 10:58, 30:70] = Class.FEMUR
    c[5:25, 58:60, 30:70] = Class.FEMORAL_CARTILAGE
    for compartment in (slice(5, 13), slice(17, 25)):
        c[compartment, 64:66, 32:68] = Class.TIBIAL_CARTILAGE
        c[compartment, 60:64, 32:40] = Class.MENISCUS
        c[compartment, 60:64, 60:68] = Class.MENISCUS
    c[5:25, 66:110, 30:70] = Class.TIBIA
    c[10:20, 25:45, 10:22] = Class.PATELLA
    c[24:28, 76:110, 72:84] = Class.FIBULA
    c[8:22, 12:24, 22:29] = Class.JOINT_FLUID
    return c


def test_a_plausible_knee_is_left_as_it_is(knee):
    assert np.array_equal(cleanup.clean(knee, SPACING), knee)


@pytest.mark.parametrize(
    ("box", "cls"),
    [
        ((slice(0, 2), slice(100, 110), slice(80, 95)), Class.FEMUR),
        ((slice(6, 9), slice(1, 6), slice(40, 60)), Class.TIBIA),
        ((slice(6, 12), slice(20, 30), slice(80, 90)), Class.PATELLA),
        ((slice(2, 5), slice(10, 25), slice(75, 90)), Class.FIBULA),
        ((slice(8, 14), slice(95, 99), slice(75, 95)), Class.FEMORAL_CARTILAGE),
        ((slice(8, 14), slice(15, 19), slice(75, 95)), Class.MENISCUS),
        ((slice(8, 14), slice(90, 99), slice(2, 20)), Class.JOINT_FLUID),
        ((slice(8, 9), slice(62, 64), slice(45, 47)), Class.JOINT_FLUID),
    ],
    ids=["femur below", "tibia above", "patella behind", "fibula above the plateau", "cartilage far from bone",
         "meniscus in the thigh", "fluid in the shank", "a drop of fluid"],
)  # fmt: skip
def test_what_cannot_be_is_removed_and_nothing_else(knee, box, cls):
    dirty = knee.copy()
    dirty[box] = np.where(dirty[box] == 0, cls, dirty[box])
    assert not np.array_equal(dirty, knee)
    assert np.array_equal(cleanup.clean(dirty, SPACING), knee)


def test_a_hole_in_a_bone_is_bone(knee):
    holed = knee.copy()
    holed[15, 30:40, 45:55] = Class.BACKGROUND
    holed[16, 80:90, 45:55] = Class.JOINT_FLUID
    assert np.array_equal(cleanup.clean(holed, SPACING), knee)


def test_an_anterior_horn_that_reaches_out_is_kept_whole(knee):
    """Seen on simulated knees: cut off at a distance from the bones, a meniscus lost a tenth of itself."""
    knee[5:13, 60:64, 17:32] = Class.MENISCUS
    assert np.array_equal(cleanup.clean(knee, SPACING), knee)


def test_a_meniscus_that_lies_mostly_away_from_the_bones_is_none(knee):
    dirty = knee.copy()
    dirty[5:13, 60:64, 4:25] = Class.MENISCUS
    assert np.array_equal(cleanup.clean(dirty, SPACING), knee)


@pytest.mark.parametrize(
    ("box", "cls"),
    [
        ((slice(10, 12), slice(20, 30), slice(70, 73)), Class.FEMORAL_CARTILAGE),
        ((slice(14, 16), slice(60, 62), slice(40, 50)), Class.MENISCUS),
    ],
    ids=["behind the shaft", "at the eminence"],
)
def test_crumbs_of_what_is_one_piece_are_removed(knee, box, cls):
    knee[knee == Class.MENISCUS] = 0
    for compartment in (slice(5, 13), slice(17, 25)):
        knee[compartment, 60:64, 32:68] = Class.MENISCUS
    dirty = knee.copy()
    dirty[box] = cls
    assert (dirty == cls).sum() * 3 - (knee == cls).sum() * 3 >= cleanup.MIN_MM3[cls]  # not for its size alone
    assert np.array_equal(cleanup.clean(dirty, SPACING), knee)


def test_nothing_is_invented():
    empty = np.zeros(SHAPE, np.uint8)
    assert not cleanup.clean(empty, SPACING).any()
    menisci = empty.copy()
    menisci[5:25, 60:64, 32:40] = Class.MENISCUS  # between no bones
    assert not cleanup.clean(menisci, SPACING).any()


def test_the_input_is_not_changed(knee):
    before = knee.copy()
    cleanup.clean(knee, SPACING)
    assert np.array_equal(before, knee)


def test_the_fibula_is_lateral(knee):
    assert cleanup.fibula_laterality(knee, SPACING) == "R"
    assert cleanup.fibula_laterality(knee[::-1], SPACING) == "L"


@pytest.mark.parametrize("case", ["absent", "small", "central", "both sides"])
def test_weak_evidence_is_no_vote(knee, case):
    fibula = knee == Class.FIBULA
    if case != "both sides":
        knee[fibula] = Class.BACKGROUND
    if case == "small":
        knee[24:26, 76:86, 72:80] = Class.FIBULA  # 480 mm3
    if case == "central":
        knee[13:17, 76:110, 72:84] = Class.FIBULA
    if case == "both sides":
        knee[fibula[::-1]] = Class.FIBULA
    assert cleanup.fibula_laterality(knee, SPACING) is None


def test_compartments_part_at_the_eminence(knee):
    assert 12.5 < cleanup.middle_slice(knee, SPACING) < 17
    shifted = np.roll(knee, 2, 0)
    assert cleanup.middle_slice(shifted, SPACING) == pytest.approx(cleanup.middle_slice(knee, SPACING) + 2)


@pytest.mark.parametrize(
    ("laterality", "low_side", "high_side"), [("R", "MEDIAL", "LATERAL"), ("L", "LATERAL", "MEDIAL")]
)
def test_medial_is_left_in_a_right_knee(knee, laterality, low_side, high_side):
    named = cleanup.name_sides(knee, 14.5, laterality)
    for structure, cls in (("MENISCUS", Class.MENISCUS), ("TIBIAL_CARTILAGE", Class.TIBIAL_CARTILAGE)):
        assert set(np.nonzero(named == Label[f"{low_side}_{structure}"])[0]) == set(range(5, 13))
        assert set(np.nonzero(named == Label[f"{high_side}_{structure}"])[0]) == set(range(17, 25))
        paired = np.isin(named, [Label[f"{low_side}_{structure}"], Label[f"{high_side}_{structure}"]])
        assert np.array_equal(paired, knee == cls)
    assert np.array_equal(named == Label.FEMUR, knee == Class.FEMUR)
