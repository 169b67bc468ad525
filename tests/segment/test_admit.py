"""Images that cannot be read are refused before anything is computed, each with its own cause."""

from __future__ import annotations

import numpy as np
import pytest

from kneeline.errors import Refusal
from kneeline.segment.predict import segment
from kneeline.volume import Volume

SHAPE = (16, 100, 100)


def affine(dx: float = 4.0, dz: float = 1.0, dy: float = 1.0) -> np.ndarray:
    return np.diag([dx, -dz, -dy, 1.0])[:, [0, 2, 1, 3]]


def grey(shape=SHAPE, dtype=np.float32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 1000, shape).astype(dtype)


def with_value(value: float) -> np.ndarray:
    array = grey()
    array[8, 50, 50] = value
    return array


COLOUR = np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")])
# A view of one value: nothing of it is ever read.
HUGE = np.broadcast_to(np.float32(1), (2000, 2000, 2000))


@pytest.mark.parametrize(
    ("array", "grid", "code"),
    [
        (with_value(np.nan), affine(), "bad_values"),
        (with_value(np.inf), affine(), "bad_values"),
        (COLOUR, affine(), "not_grayscale"),
        (grey(dtype=np.complex64), affine(), "not_grayscale"),
        (grey((0, 100, 100)), affine(), "not_a_knee"),
        (np.full(SHAPE, 7, np.int16), affine(), "not_a_knee"),
        (np.zeros(SHAPE, np.int16), affine(), "not_a_knee"),
        (grey((1, 100, 100)), affine(), "too_few_slices"),
        (grey((5, 100, 100)), affine(9.0), "too_few_slices"),
        (grey(), affine(4.0, 0.01, 0.01), "bad_geometry"),
        (grey(), affine(40.0, 1.0, 1.0), "bad_geometry"),
        (grey(), affine(4.0, 10.0, 10.0), "bad_geometry"),
        (grey(), affine(1000.0, 1000.0, 1000.0), "bad_geometry"),
        (grey((16, 40, 100)), affine(), "not_a_knee"),
        (HUGE, affine(0.2, 0.2, 0.2), "too_large"),
        (HUGE, affine(1.0, 1.0, 1.0), "bad_geometry"),
    ],
    ids=["nan", "infinite", "colour", "complex", "no voxels", "constant", "empty", "one slice", "five slices",
         "tiny spacing", "slices 4 cm apart", "ten times too large", "metres", "too small", "too much", "two metres"],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_cause(array, grid, code):
    with pytest.raises(Refusal) as refusal:
        segment(Volume(array, grid), "R")
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("shape", "grid"),
    [
        ((16, 100), affine()),
        ((16, 100, 100, 2), affine()),
        (SHAPE, affine(4.0, 0.0, 1.0)),
        (SHAPE, affine(1e-6, 1e-6, 1e-6)),
        (SHAPE, affine(np.nan)),
    ],
    ids=["two axes", "four axes", "no spacing", "a millionth of a millimetre", "no number"],
)
def test_what_is_no_volume_cannot_be_made_into_one(shape, grid):
    with pytest.raises(ValueError, match="axes|affine"):
        Volume(np.ones(shape), grid)
