"""Measures of blocks whose sizes are known."""

from __future__ import annotations

import numpy as np
import pytest

from kneeline.labels import Label
from kneeline.segment.anatomy import measure

SPACING = (4.0, 1.0, 0.5)


@pytest.fixture
def knee() -> np.ndarray:
    """Femur 80 x 48 x 60 mm (left-right, up-down, front-back), tibia 72 x 60 x 48, 6 mm apart; menisci 40 mm long."""
    c = np.zeros((24, 130, 200), np.uint8)
    c[2:22, 6:54, 40:160] = Label.FEMUR
    c[3:21, 60:120, 50:146] = Label.TIBIA
    c[3:9, 54:60, 60:140] = Label.MEDIAL_MENISCUS
    c[15:21, 56:60, 70:130] = Label.LATERAL_MENISCUS
    c[8:16, 10:50, 10:36] = Label.PATELLA
    return c


def test_sizes_and_places_of_a_knee_of_blocks(knee):
    found = measure(knee, SPACING)
    assert found.volumes_ml[Label.FEMUR] == pytest.approx(80 * 48 * 60 / 1000)
    assert (found.femur_width_mm, found.tibia_width_mm) == (80, 72)
    assert (found.femur_depth_mm, found.tibia_depth_mm) == (60, 48)
    assert found.drop_mm == 60
    assert found.gap_mm == pytest.approx(7, abs=1e-9)  # from the last of the one to the first of the other
    assert found.facing == 1
    # Menisci cover 6 slices x 80 and 6 x 60 columns of the 18 x 96 of the plateau.
    assert found.filled == pytest.approx((6 * 80 + 6 * 60) / (18 * 96))
    assert found.menisci_apart_mm == 48
    assert found.meniscus_length_mm == 40
    assert found.patella_front_mm == pytest.approx((99.5 - 22.5) / 2)
    assert found.patella_above_mm == pytest.approx(60 - 29.5)


def test_a_bone_that_is_wide_where_the_image_ends_is_cut_off(knee):
    assert not measure(knee, SPACING).cut_at_side
    assert measure(knee[3:], SPACING).cut_at_side
    assert measure(knee[:20], SPACING).cut_at_side
    tip = knee.copy()
    tip[:2, 30:40, 60:70] = Label.FEMUR  # the femur's rounding reaches the first slice
    assert not measure(tip, SPACING).cut_at_side


def test_nothing_depends_on_the_side(knee):
    mirrored = knee[::-1]
    swapped = mirrored.copy()
    swapped[mirrored == Label.MEDIAL_MENISCUS] = Label.LATERAL_MENISCUS
    swapped[mirrored == Label.LATERAL_MENISCUS] = Label.MEDIAL_MENISCUS
    one, other = (vars(measure(v, SPACING)) for v in (knee, mirrored))
    assert {k: v for k, v in one.items() if v != one["volumes_ml"]} == pytest.approx(
        {k: v for k, v in other.items() if v != other["volumes_ml"]}
    )
    third = measure(swapped, SPACING)
    assert third.volumes_ml[Label.MEDIAL_MENISCUS] == one["volumes_ml"][Label.LATERAL_MENISCUS]


def test_a_femur_beside_the_tibia_faces_nothing(knee):
    knee[knee == Label.TIBIA] = 0
    knee[3:21, 60:120, 165:199] = Label.TIBIA
    found = measure(knee, SPACING)
    assert found.facing == 0
    assert found.gap_mm is None


@pytest.mark.parametrize("label", [Label.FEMUR, Label.TIBIA, Label.PATELLA, Label.LATERAL_MENISCUS])
def test_what_is_not_there_is_not_measured(knee, label):
    knee[knee == label] = 0
    found = measure(knee, SPACING)
    assert label not in found.volumes_ml
    name = {Label.PATELLA: "patella_above_mm", Label.LATERAL_MENISCUS: "menisci_apart_mm"}.get(label, "drop_mm")
    assert getattr(found, name) is None


def test_an_empty_array_has_no_measures():
    found = measure(np.zeros((4, 20, 20), np.uint8), SPACING)
    assert all(not value for value in vars(found).values())
