"""Carved cartilage defects: exactly as large and deep as asked for, and nothing else changes."""

import numpy as np
import pytest

from kneeline.labels import Label
from kneeline.simulate.defects import CartilageDefect, carve_defects, pit_mask
from kneeline.simulate.knee import build_knee, sample_parameters
from kneeline.simulate.tissues import Tissue

SPACING = 0.5


@pytest.fixture
def slab():
    """30 x 30 mm of cartilage, 3 mm thick, in the middle of a 60 x 60 mm bone: (labels, place of its middle)."""
    labels = np.zeros((120, 120, 30), np.uint8)
    labels[:, :, :10] = Label.TIBIA
    labels[30:90, 30:90, 10:16] = Label.MEDIAL_TIBIAL_CARTILAGE
    return labels


@pytest.mark.parametrize("depth", [0.5, 1.0])
def test_a_flat_pit_has_the_volume_of_a_cylinder(slab, depth):
    defect = CartilageDefect(Label.MEDIAL_TIBIAL_CARTILAGE, 5.0, depth)
    pit = pit_mask(slab, (SPACING,) * 3, defect)
    assert pit.sum() * SPACING**3 == pytest.approx(np.pi * 5**2 * 3 * depth, rel=0.04)
    assert pit.any((0, 1)).sum() * SPACING == pytest.approx(3 * depth)
    assert pit[:, :, 15].sum() * SPACING**2 == pytest.approx(defect.area_mm2(0.3), rel=0.04)


def test_a_cone_is_a_third_of_its_cylinder(slab):
    defect = CartilageDefect(Label.MEDIAL_TIBIAL_CARTILAGE, 6.0, 1.0, conical=True)
    pit = pit_mask(slab, (SPACING,) * 3, defect)
    assert pit.sum() * SPACING**3 == pytest.approx(np.pi * 6**2 * 3 / 3, rel=0.1)
    assert defect.area_mm2(0.5) == pytest.approx(np.pi * 3**2)


def test_every_place_keeps_away_from_the_rim(slab):
    for place in (0.0, 0.3, 0.99):
        pit = pit_mask(slab, (SPACING,) * 3, CartilageDefect(Label.MEDIAL_TIBIAL_CARTILAGE, 4.0, 1.0, place=place), 5.0)
        at = np.argwhere(pit)[:, :2]
        assert min(at.min() - 30, 89 - at.max()) * SPACING >= 3.5


def test_a_plate_without_room_is_refused(slab):
    with pytest.raises(ValueError, match="has no place for a defect of 12"):
        pit_mask(slab, (SPACING,) * 3, CartilageDefect(Label.MEDIAL_TIBIAL_CARTILAGE, 12.0, 1.0))
    with pytest.raises(ValueError, match="has no patellar cartilage"):
        pit_mask(slab, (SPACING,) * 3, CartilageDefect(Label.PATELLAR_CARTILAGE, 2.0, 1.0))


@pytest.mark.parametrize("change", [{"plate": Label.FEMUR}, {"depth": 0.0}, {"depth": 1.2}, {"radius_mm": 0}])
def test_an_impossible_defect_is_refused(change):
    with pytest.raises(ValueError, match="no such defect"):
        CartilageDefect(**{"plate": Label.PATELLAR_CARTILAGE, "radius_mm": 4.0, "depth": 0.5} | change)


def test_only_cartilage_becomes_fluid():
    knee = build_knee(sample_parameters(np.random.default_rng(3), "L"), spacing_mm=1.2)
    carved = carve_defects(knee, [CartilageDefect(Label.FEMORAL_CARTILAGE, 5.0, 1.0)])
    changed = knee.labels.array != carved.labels.array
    assert changed.sum() * 1.2**3 > 60
    assert set(knee.labels.array[changed]) == {Label.FEMORAL_CARTILAGE}
    assert set(carved.labels.array[changed]) == {Label.JOINT_FLUID}
    assert set(carved.tissue.array[changed]) == {Tissue.FLUID}
    assert np.array_equal(knee.tissue.array[~changed], carved.tissue.array[~changed])
    assert carve_defects(knee, []).labels.array.tobytes() == knee.labels.array.tobytes()
