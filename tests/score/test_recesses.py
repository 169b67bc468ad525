"""Which recess fluid belongs to: blocks in known places, and simulated knees that know what they put where."""

from dataclasses import replace

import numpy as np
import pytest
from tests.score.fluid_phantom import BLOCKS, millilitres, phantom, turned

from kneeline.grading import RECESSES
from kneeline.labels import Label
from kneeline.score.effusion import find_fluid, measure_effusion
from kneeline.score.frame import canonical
from kneeline.simulate.acquire import PROTOCOLS, majority_labels
from kneeline.simulate.knee import build_knee, sample_parameters
from kneeline.volume import Volume


@pytest.mark.parametrize("name", RECESSES)
def test_a_block_lies_in_its_recess_to_the_last_voxel(name):
    row = measure_effusion(phantom([BLOCKS[name]]))
    assert row["fluid_ml"] == pytest.approx(millilitres(BLOCKS[name]), rel=0.25)  # whole images of 3.3 mm
    assert {r: row[f"{r}_ml"] for r in RECESSES} == {r: row["fluid_ml"] if r == name else 0 for r in RECESSES}


def test_a_block_astride_the_upper_pole_is_divided_there():
    """28 x 4 mm wide, from 10 mm below to 20 mm above the pole at z = 40, whose pointed tip is not counted."""
    row = measure_effusion(phantom([((-14, 28, 30), (14, 32, 60))], spacing=(2.0, 0.5, 0.5)))
    assert 28 * 4 * 20 / 1000 <= row["suprapatellar_ml"] <= 28 * 4 * 21.2 / 1000
    assert row["patellofemoral_ml"] == pytest.approx(row["fluid_ml"] - row["suprapatellar_ml"], abs=1e-3)


def test_in_front_of_the_femur_beside_the_patella_begins_the_gutter():
    row = measure_effusion(phantom([((-38, 28, 5), (38, 31, 25))], spacing=(2.0, 0.6, 1.0)))
    # 20 mm are the patella's half width.
    assert row["patellofemoral_ml"] == pytest.approx(2.4, rel=0.1)
    assert row["medial_gutter_ml"] == pytest.approx(row["lateral_gutter_ml"], rel=0.15)
    assert row["medial_gutter_ml"] == pytest.approx(1.08, rel=0.15)


def test_round_a_corner_the_border_lies_at_45_degrees():
    """A frame of fluid 5 mm thick below and behind the femur's lower back edge."""
    corner = lambda x, y, z: (np.abs(x) < 30) & (y < -18) & (y > -33) & (z > -5) & (z < 15)  # noqa: E731
    knee = phantom([corner], spacing=(3.0, 0.5, 0.5))
    fluid = find_fluid(knee)
    below, behind = (fluid.recess == RECESSES.index(name) + 1 for name in ("femorotibial", "posterior"))
    assert (below | behind).all()
    where = knee.labels.geometry.to_world(fluid.voxels)
    past_edge = (where[:, 1] < -28) & (where[:, 2] < 0)
    backwards, downwards = -28 - where[past_edge, 1], -where[past_edge, 2]
    sure = np.abs(backwards - downwards) > 2.5
    assert ((backwards > downwards) == behind[past_edge])[sure].all()


def test_the_recesses_cover_the_joint_fluid_once():
    knee = phantom(BLOCKS.values())
    fluid, times = find_fluid(knee), np.zeros(knee.labels.shape, int)
    for number in range(1, len(RECESSES) + 1):
        voxels = fluid.of(number)
        assert len(voxels)
        times[tuple(voxels.T)] += 1
    assert np.array_equal(times, knee.labels.array == Label.JOINT_FLUID)


@pytest.mark.parametrize("seed", range(3))
def test_the_recesses_add_up_to_the_total(seed):
    """Specks anywhere, in any pose and field of view; a missing recess holds nothing."""
    rng = np.random.default_rng(seed)
    centres, radius = rng.uniform((-45, -45, -15), (45, 45, 80), (40, 3)), rng.uniform(1, 6, 40)
    specks = [((tuple(c - r)), tuple(c + r)) for c, r in zip(centres, radius, strict=True)]
    turn = turned("xyz"[seed % 3], float(rng.uniform(-20, 20)))
    row = measure_effusion(
        phantom(specks, turn=turn, top=float(rng.uniform(45, 90)), width=(float(rng.uniform(-50, -25)), 52.0))
    )
    parts = [row[f"{name}_ml"] for name in RECESSES]
    assert sum(p for p in parts if p is not None) == pytest.approx(row["fluid_ml"], abs=1e-3)
    assert row["fluid_ml"] > 1


@pytest.fixture(scope="module")
def simulated():
    return build_knee(sample_parameters(np.random.default_rng(8), "L"), fluid_ml=16.0, spacing_mm=0.9)


def test_a_simulated_knee_is_divided_as_it_was_filled(simulated):
    """On the fine grid. The border of the patellofemoral joint, where the patella ends, is the least certain one."""
    truth = simulated.truth
    assert sum(truth.effusion()[f"{name}_ml"] for name in RECESSES) == pytest.approx(truth.fluid_ml)
    row = measure_effusion(canonical(simulated.labels, simulated.labels, simulated.parameters.laterality))
    assert row["fluid_ml"] == pytest.approx(truth.fluid_ml, abs=1e-3)
    for name in RECESSES:
        true = getattr(truth, f"{name}_ml")
        assert row[f"{name}_ml"] == pytest.approx(true, abs=max(0.3, 0.25 * true)), name
    assert row["suprapatellar_ml"] == pytest.approx(truth.suprapatellar_ml, rel=0.08)
    assert row["posterior_ml"] == pytest.approx(truth.posterior_ml, abs=0.1)


def test_a_turned_simulated_knee_in_thick_images_keeps_its_division_and_depth(simulated):
    """15 degrees about each axis, imaged by a straight stack of 3.4 mm images; against the untilted stack."""
    side, rows = simulated.parameters.laterality, []
    for angles in ((0.0, 0.0, 0.0), (15.0, 0.0, 0.0), (0.0, -15.0, 0.0), (0.0, 0.0, 15.0)):
        stack = replace(PROTOCOLS["PDFS"], angles_deg=angles, n_slices=34, matrix=256, pixel_mm=0.6)
        affine = replace(stack, angles_deg=(0.0, 0.0, 0.0)).geometry().affine
        labels = Volume(majority_labels(simulated.labels, stack), affine)
        rows.append(measure_effusion(canonical(labels, labels, side)))
    for row in rows:
        assert row["effusion_grade"] == rows[0]["effusion_grade"]
        assert row["effusion_grade_volume"] == rows[0]["effusion_grade_volume"]
        assert row["midline_depth_mm"] == pytest.approx(simulated.truth.midline_depth_mm, abs=1.0)
        assert row["lateral_depth_mm"] == pytest.approx(simulated.truth.lateral_depth_mm, abs=1.5)
        for name in RECESSES:
            assert row[f"{name}_ml"] == pytest.approx(rows[0][f"{name}_ml"], abs=0.45, rel=0.1), name
