"""Positions in, affine out: truth by construction."""

import numpy as np
import pytest

from kneeline.errors import Refusal
from kneeline.ingest.geometry import place_slices, plane_of

SPACING = (0.6, 0.5)


def slices(n=20, step_mm=3.6, turn_deg=12.0, seed=None, jitter=(0.0, 0.0)):
    """Positions and orientations of an oblique sagittal stack, and its affine (RAS)."""
    c, s = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    right, down = turn @ [0, 1, 0], turn @ [0, 0, -1]  # LPS: posterior, inferior
    normal = np.cross(right, down)
    first = np.array([40.25, -80.5, 60.125])
    positions = first + step_mm * np.arange(n)[:, None] * normal
    orientations = np.tile([*right, *down], (n, 1))
    rng = np.random.default_rng(seed)
    positions += rng.uniform(-jitter[1], jitter[1], positions.shape)
    orientations += rng.uniform(-jitter[0], jitter[0], orientations.shape)
    affine = np.eye(4)
    affine[:3] = np.column_stack([step_mm * normal, down * SPACING[0], right * SPACING[1], first])
    return positions, orientations, np.diag([-1, -1, 1, 1]) @ affine


def test_affine_of_an_oblique_stack_in_any_order():
    positions, orientations, affine = slices()
    shuffle = np.random.default_rng(3).permutation(20)
    placed = place_slices(positions[shuffle], orientations, SPACING)
    assert np.allclose(placed.affine, affine, atol=1e-9)
    assert np.array_equal(shuffle[placed.order], np.arange(20))
    assert placed.spacing_mm == pytest.approx(3.6)


def test_upright_sagittal_slices_come_out_right_inferior_posterior():
    """The convention in words: slices run to the Right, rows down to Inferior, columns to Posterior."""
    positions, orientations, _ = slices(turn_deg=0)
    steps = place_slices(positions, orientations, SPACING).affine[:3, :3]
    assert np.allclose(steps, [[3.6, 0, 0], [0, 0, -0.5], [0, -0.6, 0]])


def test_header_jitter_moves_nothing_by_more_than_it_is_itself():
    positions, orientations, affine = slices(seed=7, jitter=(2e-5, 1e-3))
    placed = place_slices(positions, orientations, SPACING)
    corners = np.array([[i, j, k, 1] for i in (0, 19) for j in (0, 300) for k in (0, 300)]).T
    assert np.abs((placed.affine - affine) @ corners).max() < 0.01


@pytest.mark.parametrize("digits", [1, 2, 3])
def test_rounded_positions_give_an_affine_within_the_rounding(digits):
    """Some archives keep few decimals."""
    positions, orientations, affine = slices(step_mm=3.3)
    if digits == 1:
        with pytest.raises(Refusal) as refusal:
            place_slices(np.round(positions, digits), orientations, SPACING)
        assert refusal.value.code == "uneven_spacing"
        return
    placed = place_slices(np.round(positions, digits), orientations, SPACING)
    assert np.abs(placed.affine[:3, 3] - affine[:3, 3]).max() <= 10.0**-digits


def refuse(positions, orientations):
    with pytest.raises(Refusal) as refusal:
        place_slices(positions, orientations, SPACING)
    return refusal.value


@pytest.mark.parametrize("holes", [[7], [7, 8], [3, 12]])
def test_holes_are_counted(holes):
    positions, orientations, _ = slices()
    refusal = refuse(np.delete(positions, holes, axis=0), orientations[: 20 - len(holes)])
    assert refusal.code == "missing_slice"
    assert f"{len(holes)} of 20" in refusal.reason


def test_uneven_duplicate_mixed_sheared_and_bad_stacks_are_told_apart():
    positions, orientations, _ = slices()
    uneven = positions.copy()
    uneven[10:] += 0.4 * (positions[1] - positions[0])
    assert refuse(uneven, orientations).code == "uneven_spacing"
    double = positions.copy()
    double[5] = double[6]
    assert refuse(double, orientations).code == "duplicate_positions"
    turned = orientations.copy()
    turned[0] = [1, 0, 0, 0, 0, -1]
    assert refuse(positions, turned).code == "mixed_orientation"
    sheared = positions + np.arange(20)[:, None] * 0.5 * orientations[0, :3]
    assert refuse(sheared, orientations).code == "sheared_stack"
    assert refuse(positions, orientations * 1.1).code == "bad_geometry"
    assert refuse(positions, np.tile([1.0, 0, 0, 1, 0, 0], (20, 1))).code == "bad_geometry"


def test_plane_is_named_by_the_step_between_slices():
    positions, orientations, affine = slices(turn_deg=25)
    assert plane_of(affine) == "sagittal"
    assert plane_of(affine, slice_axis=1) == "axial"
    assert plane_of(slices(turn_deg=45)[2]) == "oblique"
    assert plane_of(slices(turn_deg=80)[2]) == "coronal"
