"""Fluid that is not the joint's: cysts behind it, with and without a neck, and the bursa before the patella."""

import pytest
from tests.score.fluid_phantom import BLOCKS, ellipsoid, millilitres, phantom

from kneeline.grading import RECESSES
from kneeline.score.effusion import measure_effusion

POUCH, RECESS = BLOCKS["suprapatellar"], BLOCKS["posterior"]
CYST = ((-30, -52, 0), (-12, -38, 25))  # 6.3 mL, 10 mm behind the condyles
NECK = ((-23, -40, 14), (-19, -34, 18))  # 4 mm wide, from the recess to the cyst


@pytest.mark.parametrize("spacing", [(3.3, 0.6, 0.6), (0.9, 0.9, 0.9)])
@pytest.mark.parametrize("neck", [(), (NECK,)])
def test_a_popliteal_cyst_is_measured_apart(spacing, neck):
    joint, whole = (measure_effusion(phantom([POUCH, RECESS, *more], spacing=spacing)) for more in ((), (CYST, *neck)))
    assert joint["popliteal_cyst_ml"] == 0
    assert whole["flags"] == "popliteal_cyst_excluded"
    assert whole["popliteal_cyst_ml"] == pytest.approx(millilitres(CYST), rel=0.12)
    # The neck itself, up to 4 mm from the condyles, counts with the recess that it opens into.
    assert whole["fluid_ml"] == pytest.approx(joint["fluid_ml"], abs=0.1)
    for name in RECESSES:
        assert whole[f"{name}_ml"] == pytest.approx(joint[f"{name}_ml"], abs=0.1)
    assert whole["effusion_grade_volume"] == joint["effusion_grade_volume"]


def test_a_distended_recess_is_no_cyst():
    """12 mm of fluid on the back of the condyle: the outer 8 mm hang broadly on the inner ones."""
    row = measure_effusion(phantom([((-30, -40, 2), (-8, -28, 28))]))
    assert row["popliteal_cyst_ml"] == 0
    assert row["posterior_ml"] == pytest.approx(row["fluid_ml"], abs=0.05)
    assert row["fluid_ml"] > 6


def test_a_small_collection_behind_is_no_cyst():
    row = measure_effusion(phantom([((-24, -44, 10), (-16, -37, 20))]))  # 0.6 mL
    assert (row["popliteal_cyst_ml"], row["flags"]) == (0, None)
    assert row["posterior_ml"] == row["fluid_ml"] > 0.3


def test_a_knee_with_only_a_cyst_had_its_fluid_found():
    row = measure_effusion(phantom([CYST]))
    assert (row["fluid_ml"], row["flags"]) == (0, "popliteal_cyst_excluded")


def test_where_the_image_ends_behind_the_condyles_a_cyst_is_missing_not_0():
    assert measure_effusion(phantom([POUCH], back=-33.0))["popliteal_cyst_ml"] is None
    assert measure_effusion(phantom([POUCH], back=-45.0))["popliteal_cyst_ml"] == 0


def test_a_prepatellar_bursa_is_measured_apart():
    bursa = ellipsoid((0, 54, 20), (14, 4, 16))
    joint, whole = (measure_effusion(phantom([POUCH, *more])) for more in ((), (bursa,)))
    assert whole["prepatellar_ml"] == pytest.approx(3.3, rel=0.15)  # less what the patella takes up
    assert whole["flags"] == "prepatellar_fluid_excluded"
    assert whole["fluid_ml"] == joint["fluid_ml"]
    assert joint["prepatellar_ml"] == 0
