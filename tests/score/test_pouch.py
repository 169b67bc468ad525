"""Depth of the suprapatellar pouch against ellipsoids of known depth; adding fluid never lowers a grade."""

from dataclasses import replace

import numpy as np
import pytest
from tests.score.fluid_phantom import ellipsoid, phantom, turned

from kneeline.labels import Label
from kneeline.score.effusion import measure_effusion
from kneeline.score.frame import canonical
from kneeline.score.pouch import longest_runs
from kneeline.simulate.acquire import PROTOCOLS, majority_labels
from kneeline.simulate.knee import build_knee, sample_parameters
from kneeline.volume import Volume

BOX = {"top": 100.0, "width": (-64.0, 64.0), "back": -66.0}


@pytest.mark.parametrize(
    ("turn", "depth_mm"),
    [(("x", 0), 4.5), (("x", 15), 12.0), (("x", -15), 4.5), (("y", 12), 4.5), (("y", -12), 12.0), (("z", -15), 4.5),
     (("z", 15), 12.0)],
)  # fmt: skip
def test_depth_of_an_ellipsoid_in_3_mm_images(turn, depth_mm):
    """Across the shaft it is twice the half axis deep on the midline; 8 mm lateral, sqrt(1 - (8/26)^2) of that."""
    pouch = ellipsoid((0, 15 + depth_mm / 2, 62), (26, depth_mm / 2, 14))
    row = measure_effusion(phantom([pouch], spacing=(3.0, 0.5, 0.5), turn=turned(*turn), **BOX))
    assert row["midline_depth_mm"] == pytest.approx(depth_mm, abs=1.0)
    assert row["lateral_depth_mm"] == pytest.approx(depth_mm * np.sqrt(1 - (8 / 26) ** 2), abs=1.0)


def test_depth_is_across_a_leaning_shaft():
    """The shaft leans 15 degrees forward; the pouch, an ellipsoid along it, is 8 mm deep across it, 10.4 mm level."""
    lean, (a, b, c) = np.radians(15), (24, 4, 16)

    def pouch(x, y, z):
        y, z = y - 14 - np.tan(lean) * 32 - b / np.cos(lean), z - 62
        across, along = y * np.cos(lean) - z * np.sin(lean), y * np.sin(lean) + z * np.cos(lean)
        return (x / a) ** 2 + (across / b) ** 2 + (along / c) ** 2 < 1

    row = measure_effusion(phantom([pouch], tilt=15.0, spacing=(3.0, 0.5, 0.5)))
    assert row["midline_depth_mm"] == pytest.approx(8.0, abs=0.6)


def test_a_ragged_pixel_is_no_depth_and_a_fold_no_end():
    flat = ((-20, 20, 45), (20, 26, 67))
    spike = ((-20, 26, 50), (20, 34, 51.5))
    assert measure_effusion(phantom([flat, spike]))["midline_depth_mm"] == pytest.approx(6, abs=0.61)
    halves = [((-20, 20, 45), (20, 25, 67)), ((-20, 25.9, 45), (20, 30, 67))]
    assert measure_effusion(phantom(halves))["midline_depth_mm"] == pytest.approx(10, abs=0.61)
    apart = [((-20, 20, 45), (20, 25, 67)), ((-20, 28, 45), (20, 31, 67))]
    assert measure_effusion(phantom(apart))["midline_depth_mm"] == pytest.approx(5, abs=0.61)


def test_longest_runs_against_a_plain_loop():
    rng = np.random.default_rng(1)
    lines = rng.random((60, 30)) < 0.6
    for fold in (0, 1, 3):
        for line, found, last in zip(lines, *longest_runs(lines, fold), strict=True):
            text = "".join("x" if v else "." for v in line)
            for gap in range(fold, 0, -1):
                while f"x{'.' * gap}x" in text:
                    text = text.replace(f"x{'.' * gap}x", f"x{'x' * gap}x")
            assert found == max(map(len, text.split(".")))
            assert text[last - found + 1 : last + 1] == "x" * found
            assert text[last + 1 : last + 2] in ("", ".")


@pytest.fixture(scope="module")
def simulated():
    knee = build_knee(sample_parameters(np.random.default_rng(21), "R"), fluid_ml=5.0, spacing_mm=1.2)
    stack = replace(PROTOCOLS["PDFS"], matrix=256, pixel_mm=0.6)
    full = build_knee(knee.parameters, fluid_ml=45.0, spacing_mm=1.2)
    labels, capsule = (Volume(majority_labels(k.labels, stack), stack.geometry().affine) for k in (knee, full))
    return labels, (capsule.array == Label.JOINT_FLUID) & (labels.array == 0)


@pytest.mark.parametrize("seed", range(3))
def test_adding_fluid_inside_the_joint_never_lowers_a_grade(simulated, seed):
    """Balls of fluid at random places of the distended joint's cavity, one after another."""
    labels, room = simulated
    rng, array = np.random.default_rng(seed), labels.array.copy()
    places = np.argwhere(room)
    world = labels.geometry.to_world(places)
    rows = [measure_effusion(canonical(labels, labels, "R"))]
    for _ in range(3):
        centre = world[rng.integers(len(world))]
        ball = places[np.linalg.norm(world - centre, axis=1) < rng.uniform(2, 14)]
        array[tuple(ball.T)] = Label.JOINT_FLUID
        more = labels.with_array(array)
        rows.append(measure_effusion(canonical(more, more, "R")))
    for name in ("fluid_ml", "effusion_grade", "effusion_grade_volume", "midline_depth_mm", "lateral_depth_mm"):
        values = [row[name] for row in rows]
        assert None not in values
        assert values == sorted(values), name
    assert rows[-1]["fluid_ml"] > rows[0]["fluid_ml"]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("depth_mm", [12, 18])
def test_fluid_that_the_image_cuts_off_has_the_highest_grade_or_none(seed, depth_mm):
    """A full pouch of grade 2 or 3 in images that end somewhere within it, above or at a side."""
    rng = np.random.default_rng(seed)
    fluid = [((-24, 14, 40), (24, 14 + depth_mm, 80))]
    cut = {"top": float(rng.uniform(42, 82))} if seed % 2 else {"width": (-52.0, float(rng.uniform(6, 24)))}
    row = measure_effusion(phantom(fluid, turn=turned("xyz"[seed % 3], float(rng.uniform(-10, 10))), **cut))
    assert row["pouch_in_view"] is row["fluid_in_view"] is False
    reaches = max(row["midline_depth_mm"] or 0, (row["lateral_depth_mm"] or 0) - 8) >= 14
    assert row["effusion_grade"] == (3 if reaches else None)
    assert row["effusion_grade_volume"] == (3 if row["fluid_ml"] >= 32 else None)
    assert not reaches or depth_mm == 18
